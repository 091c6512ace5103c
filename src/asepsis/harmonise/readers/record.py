"""Records: what every reader yields. The byte ranges of a file's records tile the file: no gap, no overlap.

``fields`` holds the decoded text of each field, or ``None`` where decoding is set-based (NDJSON) or impossible.
``defects`` name what is wrong: ``reason`` for the whole record, ``reason@field`` for one field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Final, NamedTuple

from asepsis.errors.harmonise import LimitExceeded

RESIDUE_CHUNK: Final = 1 << 20


class RecordKind(StrEnum):
    """``data``: a record; ``header``: bytes of the format itself; ``residue``: bytes outside any record."""

    DATA = "data"
    HEADER = "header"
    RESIDUE = "residue"


class Record(NamedTuple):
    """One record of a file. A named tuple and not a dataclass, because readers make hundreds of thousands a second."""

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


def residue(stream: BinaryIO, *, number: int, offset: int, head: bytes, defect: str) -> Iterator[Record]:
    """Everything that is left, as residue records of at most one mebibyte, beginning with the bytes already read."""
    data = head + read_exactly(stream, RESIDUE_CHUNK - min(len(head), RESIDUE_CHUNK))
    while data:
        part, rest = data[:RESIDUE_CHUNK], data[RESIDUE_CHUNK:]
        yield Record(number, offset, len(part), part, None, RecordKind.RESIDUE, (defect,))
        number, offset = number + 1, offset + len(part)
        data = rest or read_exactly(stream, RESIDUE_CHUNK)


def counted(records: Iterator[Record], *, limits: Limits) -> Iterator[Record]:
    """Pass records on until the limit of their number.

    Raises:
        LimitExceeded: the file has more records.
    """
    for record in records:
        if record.number >= limits.records:
            raise LimitExceeded(limit="records")
        yield record


def is_charmap(encoding: str) -> bool:
    """Whether each byte of the encoding is one character, so that a record can be decoded whole and then cut."""
    return len(bytes(range(256)).decode(encoding, "replace")) == 256  # noqa: PLR2004 - the number of bytes there are
