"""Sparse members: files stored without their holes, and the maps that say where the stored pieces lie.

Four forms are read (GNU tar manual, "Storing Sparse Files"): the old GNU header, and pax formats 0.0, 0.1 and 1.0.
Invariant: pieces are in order, do not overlap, lie inside the file, and are together as long as what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PAIR: Final = 24
"""Bytes of one piece in an old GNU map: where it begins, and its size."""
_FIELD: Final = 12
_MOST_DIGITS: Final = 20
_ZEROS: Final = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a file that is stored: where it begins in the file, and its size (bytes)."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a file, with its place in the stream; ``None`` for a hole."""

    start: int
    size: int
    place: int | None


class MapRefusedError(ValueError):
    """The map of a sparse member contradicts itself; for callers inside this package."""


def pairs_of(fields: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of an old GNU map, up to the first that is not used."""
    for at in range(0, len(fields) - PAIR + 1, PAIR):
        start, size = fields[at : at + _FIELD], fields[at + _FIELD : at + PAIR]
        if not size[0]:
            return
        yield start, size


def number(text: bytes) -> int:
    """A decimal number of a pax record.

    Raises:
        MapRefusedError: it is none, or has more digits than any size.
    """
    if not text.isdigit() or len(text) > _MOST_DIGITS:
        raise MapRefusedError
    return int(text)


def listed_pieces(records: dict[str, bytes]) -> list[Piece]:
    """The map of the formats 0.0 and 0.1, which stands in pax records.

    Raises:
        MapRefusedError: a number is none, or one of a pair is missing.
    """
    if "GNU.sparse.map" in records:
        numbers = [number(text) for text in records["GNU.sparse.map"].split(b",") if text]
        starts, sizes = numbers[::2], numbers[1::2]
    else:
        starts, sizes = ([number(text) for text in records.get(key, b"").split(b",") if text] for key in REPEATED)
    return paired(starts, sizes)


REPEATED: Final = ("GNU.sparse.offset", "GNU.sparse.numbytes")
"""Pax records that format 0.0 repeats, once for each piece."""


def paired(starts: Sequence[int], sizes: Sequence[int]) -> list[Piece]:
    """Pieces of starts and sizes.

    Raises:
        MapRefusedError: there are more of the ones than of the others.
    """
    if len(starts) != len(sizes):
        raise MapRefusedError
    return [Piece(start, size) for start, size in zip(starts, sizes, strict=True)]


def checked(pieces: Iterable[Piece], *, size: int, stored: int) -> tuple[Piece, ...]:
    """The pieces that hold anything, in order.

    Raises:
        MapRefusedError: they overlap, leave the file, or are not as long as what is stored.
    """
    found, end = [], 0
    for piece in pieces:
        if piece.start < end or piece.start + piece.size > size:
            raise MapRefusedError
        end = piece.start + piece.size
        if piece.size:
            found.append(piece)
    if sum(piece.size for piece in found) != stored:
        raise MapRefusedError
    return tuple(found)


def runs_of(pieces: Iterable[Piece], *, size: int, place: int) -> Iterator[Run]:
    """The parts that tile a file of ``size`` bytes, whose first piece is stored at ``place``."""
    end = 0
    for piece in pieces:
        if piece.start > end:
            yield Run(end, piece.start - end, None)
        yield Run(piece.start, piece.size, place)
        place, end = place + piece.size, piece.start + piece.size
    if end < size:
        yield Run(end, size - end, None)


def filled(content: Iterator[bytes], runs: Iterable[Run]) -> Iterator[memoryview]:
    """The stored content of a member with its holes as zeros."""
    waiting = memoryview(b"")
    for run in runs:
        left = run.size
        while left:
            if run.place is None:
                piece = memoryview(_ZEROS)[:left]
            else:
                waiting = waiting or memoryview(next(content))
                piece, waiting = waiting[:left], waiting[left:]
            left -= len(piece)
            yield piece
