"""The memory of releases as bytes: one form for one memory, so that its digest names it.

``asepsis-memory-1`` and a newline; the length of the canonical JSON head (8 bytes, little-endian) and the head; then
the tokens and the sets of persons, one after the other, as the head gives their lengths. Numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Final

import numpy as np

from asepsis.disclosure.memory import Answered, Memory, Shown
from asepsis.disclosure.people import People
from asepsis.disclosure.quotas import Asked
from asepsis.domain.documents import Document, Fields
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.disclosure import MemoryMalformedError

MAGIC: Final = b"asepsis-memory-1\n"
KEY_LENGTH: Final = 32
_LENGTH: Final = 8


def to_bytes(memory: Memory) -> bytes:
    """The bytes of a memory; secret as a whole, for they name persons and hold the key of the blur."""
    head = json.dumps(_head(memory), sort_keys=True, separators=(",", ":")).encode()
    parts = [MAGIC, len(head).to_bytes(_LENGTH, "little"), head, memory.tokens.astype("<u8").tobytes()]
    parts += [_blob(one.persons) for one in memory.shown]
    return b"".join(parts)


def digest(memory: Memory) -> str:
    """SHA-256 of the bytes, in hex."""
    return hashlib.sha256(to_bytes(memory)).hexdigest()


def from_bytes(data: bytes) -> Memory:
    """Read a memory. Raises MemoryMalformedError, also for bytes that are not the one form of a memory."""
    try:
        memory = _read(data)
        same = to_bytes(memory) == data
    except (ValueError, OverflowError, RecursionError, DocumentMalformed):
        raise MemoryMalformedError from None
    if not same:
        raise MemoryMalformedError
    return memory


def _head(memory: Memory) -> Document:
    return {
        "key": memory.key.hex(),
        "tokens": len(memory.tokens),
        "shown": [
            {
                "identity": one.identity,
                "size": one.persons.size,
                "words": None if one.persons.words is None else len(one.persons.words),
                "low": int(one.low),
                "high": int(one.high) if one.counted else None,
            }
            for one in memory.shown
        ],
        "asked": [
            {"question": one.question, "author": one.author, "skeleton": one.skeleton, "cells": one.cells}
            for one in memory.asked
        ],
        "answers": [
            {"question": one.question, "assessment": one.assessment, "released": one.released} for one in memory.answers
        ],
    }


def _blob(persons: People) -> bytes:
    if persons.words is not None:
        return persons.words.astype("<u8").tobytes()
    return persons.listed().astype("<u4").tobytes()


class _Reader:
    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._place = start

    def take(self, length: int) -> bytes:
        if length < 0 or self._place + length > len(self._data):
            raise ValueError
        self._place += length
        return self._data[self._place - length : self._place]


def _read(data: bytes) -> Memory:
    if not data.startswith(MAGIC):
        raise ValueError
    reader = _Reader(data, len(MAGIC))
    length = int.from_bytes(reader.take(_LENGTH), "little")
    fields = Fields(json.loads(reader.take(length)), document="memory of releases")
    key = bytes.fromhex(fields.text("key"))
    if len(key) != KEY_LENGTH:
        raise ValueError
    tokens = np.frombuffer(reader.take(8 * fields.integer("tokens", least=0)), "<u8").astype(np.uint64)
    memory = Memory(
        key=key,
        tokens=tokens,
        shown=tuple(_shown(one, reader, len(tokens)) for one in _items(fields, "shown")),
        asked=tuple(_asked(one) for one in _items(fields, "asked")),
        answers=tuple(_answered(one) for one in _items(fields, "answers")),
    )
    fields.close()
    return memory


def _items(fields: Fields, name: str) -> Iterator[Fields]:
    for item in fields.items(name):
        yield Fields(item, document="memory of releases", place=name)


def _shown(fields: Fields, reader: _Reader, persons: int) -> Shown:
    size, words = fields.integer("size", least=0), fields.anything("words")
    high = fields.anything("high")
    if isinstance(words, int):
        found = People(size=size, words=np.frombuffer(reader.take(8 * words), "<u8").astype(np.uint64))
    else:
        found = People(size=size, places=np.frombuffer(reader.take(4 * size), "<u4").astype(np.uint32))
    listed = found.listed()
    if len(listed) != size or (size and int(listed[-1]) >= persons):
        raise ValueError
    return Shown(
        identity=fields.text("identity"),
        persons=found,
        low=fields.integer("low"),
        high=float("inf") if high is None else float(str(high)),
    )


def _asked(fields: Fields) -> Asked:
    return Asked(
        question=fields.text("question"),
        author=fields.text("author"),
        skeleton=fields.text("skeleton"),
        cells=fields.integer("cells", least=0),
    )


def _answered(fields: Fields) -> Answered:
    assessment, released = fields.anything("assessment"), fields.anything("released")
    if not isinstance(assessment, dict) or not (released is None or isinstance(released, dict)):
        raise ValueError
    return Answered(question=fields.text("question"), assessment=assessment, released=released)
