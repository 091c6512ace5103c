"""Records, their kinds and the limits of readers. The byte ranges of a file's records tile the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import BinaryIO, Final, NamedTuple

RESIDUE_CHUNK: Final = 1 << 20
_BYTE_VALUES: Final = 256


class RecordKind(StrEnum):
    """What a record is: ``header`` belongs to the format, ``context`` is read together with other records."""

    DATA = "data"
    HEADER = "header"
    CONTEXT = "context"
    RESIDUE = "residue"


class Record(NamedTuple):
    """One record of a file: ``fields`` are decoded texts, ``None`` where decoding is set-based or impossible."""

    number: int
    offset: int
    length: int
    raw: bytes
    fields: dict[str, str | None] | None
    kind: RecordKind
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file may ask of a reader (bytes, levels, records)."""

    record_bytes: int = 16 << 20
    nesting: int = 200
    records: int = 1 << 32


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, fewer only at the end: streams may return short reads."""
    data = stream.read(size)
    if len(data) in (0, size):
        return data
    parts = [data]
    missing = size - len(data)
    while missing and (more := stream.read(missing)):
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)


def read_into(stream: BinaryIO, buffer: memoryview) -> int:
    """Read into the buffer, without a copy on the way where the stream can; fewer bytes only at the end or if short."""
    fill = getattr(stream, "readinto", None)
    if fill is not None:
        return fill(buffer) or 0
    data = stream.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def rest_of(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    """Everything that is left in pieces of at most one mebibyte, beginning with the bytes already read."""
    data = head + read_exactly(stream, RESIDUE_CHUNK - min(len(head), RESIDUE_CHUNK))
    while data:
        yield data[:RESIDUE_CHUNK]
        data = data[RESIDUE_CHUNK:] or read_exactly(stream, RESIDUE_CHUNK)


@lru_cache(maxsize=64)
def is_charmap(encoding: str) -> bool:
    """Whether each byte of the encoding is one character, so that a record can be decoded whole and then cut.

    That each byte alone is one character does not show it: UTF-8 has one replacement for every byte that stands alone.
    """
    alone = [bytes([byte]).decode(encoding, "replace") for byte in range(_BYTE_VALUES)]
    if any(len(char) != 1 for char in alone):
        return False
    return all(
        bytes(byte for second in range(_BYTE_VALUES) for byte in (first, second)).decode(encoding, "replace")
        == "".join(alone[first] + char for char in alone)
        for first in range(_BYTE_VALUES)
    )
