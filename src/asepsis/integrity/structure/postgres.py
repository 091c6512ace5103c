"""Pages of PostgreSQL, as they lie in a data directory or a physical backup of one: headers, items, checksums.

PostgreSQL 15, src/include/storage/bufpage.h, itemid.h and checksum_impl.h: the checksum is FNV-1a in 32 lanes over the
page, with the checksum's own field taken as zero, mixed with the number of the block. A relation is kept in segments of
1 GB, and their numbers stand in file names only: the segment is the one in which checksums fit. A cluster without
checksums has zeros in their place; of its pages only headers and items can be followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from asepsis.integrity.structure.cursor import Cursor

HEADER: Final = 24
WRONG: Final = "page.checksum_wrong"
_DAMAGED: Final = "format.structure_damaged"
_TRUNCATED: Final = "format.truncated"
_VERSION: Final = 4
_SIZES: Final = frozenset(1 << power for power in range(10, 16))
_FLAGS: Final = 0x0007
_ALIGNED: Final = 8
_SEGMENT: Final = 1 << 30
_SEGMENTS: Final = 1 << 12
_PIECE: Final = 1 << 18

_LANES: Final = 32
_PRIME: Final = np.uint32(16777619)
_SHIFT: Final = np.uint32(17)
# fmt: off
_OFFSETS: Final = np.array([
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
], dtype=np.uint32)
# fmt: on

_Words = npt.NDArray[np.uint32]
_Numbers = npt.NDArray[np.integer[Any]]
_Flags = npt.NDArray[np.bool_]


def page_size(head: bytes) -> int | None:
    """The size of pages, if this is the beginning of one: its header is that of a page, and fits itself."""
    if len(head) < HEADER:
        return None
    size, version = int.from_bytes(head[18:20], "little") & 0xFF00, head[18]
    is_whole = version == _VERSION and size in _SIZES and len(head) >= size
    return size if is_whole and bool(_are_sound(_words(head[:size], size))[0]) else None


def page_faults(cursor: Cursor, *, page: int) -> tuple[tuple[str, ...], bool]:
    """Faults of the pages to the end, and whether they have checksums, so that any change of a byte is one."""
    faults: set[str] = set()
    sums = _Sums(page)
    for piece in _pieces(cursor, page):
        if len(piece) % page:
            faults.add(_TRUNCATED)
            piece = piece[: -(len(piece) % page)]  # noqa: PLW2901 - what is left of it
        if piece:
            pages = _words(piece, page)
            if not (_are_sound(pages) | _are_new(pages)).all():
                faults.add(_DAMAGED)
            sums.add(pages)
    if sums.are_kept and not sums.fit:
        faults.add(WRONG)
    return tuple(sorted(faults)), sums.are_kept


def checksums(pages: _Words) -> _Words:
    """What each page amounts to, before the number of its block is mixed in. ``pages`` has a row for each."""
    values = pages.copy()
    values[:, 2] &= 0xFFFF0000  # pd_checksum, the lower half of the third word
    rounds = values.reshape(len(values), -1, _LANES)
    sums = np.broadcast_to(_OFFSETS, (len(values), _LANES)).copy()
    for number in range(rounds.shape[1] + 2):
        if number < rounds.shape[1]:
            sums ^= rounds[:, number]
        sums = (sums * _PRIME) ^ (sums >> _SHIFT)
    return np.asarray(np.bitwise_xor.reduce(sums, axis=1), dtype=np.uint32)


class _Sums:
    """Checksums of all pages that hold something: those that are kept, and those that the content gives."""

    def __init__(self, page: int) -> None:
        self._blocks = _SEGMENT // page
        self._number = 0
        self._kept: list[_Words] = []
        self._found: list[_Words] = []
        self._at: list[_Words] = []

    def add(self, pages: _Words) -> None:
        """Take the next pages."""
        used = ~_are_new(pages)
        self._at.append(np.flatnonzero(used).astype(np.uint32) + np.uint32(self._number))
        self._kept.append(pages[used, 2] & np.uint32(0xFFFF))
        self._found.append(checksums(pages[used]))
        self._number += len(pages)

    @property
    def are_kept(self) -> bool:
        """A cluster has checksums in all pages or in none; damage may have set one where there were none."""
        kept = np.concatenate(self._kept) if self._kept else np.zeros(0, np.uint32)
        return bool(2 * np.count_nonzero(kept) > len(kept))

    @property
    def fit(self) -> bool:
        """Whether all checksums do, in the first segment or in the one in which most do."""
        kept, found, at = map(np.concatenate, (self._kept, self._found, self._at))
        return self._fit(kept, found, at) or self._fit(kept, found, at + self._segment(kept, found, at))

    def _fit(self, kept: _Words, found: _Words, at: _Words) -> bool:
        return bool((_mixed(found, at) == kept).all())

    def _segment(self, kept: _Words, found: _Words, at: _Words) -> np.uint32:
        """The first block of the segment that this is: one page alone would fit some segment by chance."""
        first = np.arange(_SEGMENTS, dtype=np.uint32)[:, None] * np.uint32(self._blocks)
        fitting = (_mixed(found[:_LANES], first + at[:_LANES]) == kept[:_LANES]).sum(axis=1)
        best = int(fitting.argmax())
        return np.uint32(best * self._blocks if fitting[best] > 1 else 0)


def _mixed(found: _Words, blocks: _Words) -> _Words:
    return np.asarray((found ^ blocks) % np.uint32(65535) + np.uint32(1), dtype=np.uint32)


def _pieces(cursor: Cursor, page: int) -> Iterator[bytes]:
    """Whole pages, but for the last piece."""
    waiting = b""
    while part := cursor.some(_PIECE):
        waiting += part
        whole = len(waiting) - len(waiting) % page
        if whole >= _PIECE:
            yield waiting[:whole]
            waiting = waiting[whole:]
    if waiting:
        yield waiting


def _words(piece: bytes, page: int) -> _Words:
    return np.frombuffer(piece, dtype="<u4").reshape(-1, page // 4)


def _are_new(pages: _Words) -> _Flags:
    """Pages that were never used are zeros, which PostgreSQL writes when it makes a file longer."""
    empty = (pages[:, 3] >> 16) == 0
    if empty.any():
        empty &= ~pages.any(axis=1)
    return np.asarray(empty, dtype=np.bool_)


def _are_sound(pages: _Words) -> _Flags:
    """Pages whose header fits itself, and whose items lie in them (PageIsVerifiedExtended; ItemIdData)."""
    size = pages.shape[1] * 4
    flags, lower, upper, special = pages[:, 2] >> 16, pages[:, 3] & 0xFFFF, pages[:, 3] >> 16, pages[:, 4] & 0xFFFF
    sound = (flags & ~np.uint32(_FLAGS)) == 0
    sound &= (pages[:, 4] >> 16) == size + _VERSION
    sound &= (lower >= HEADER) & (lower <= upper) & (upper <= special) & (special <= size) & (special % _ALIGNED == 0)
    tables = np.flatnonzero(sound & (special == size))
    if len(tables):
        sound[tables] = _are_items_inside(pages[tables], lower[tables], upper[tables])
    return np.asarray(sound, dtype=np.bool_)


def _are_items_inside(pages: _Words, lower: _Numbers, upper: _Numbers) -> _Flags:
    """Of pages of tables: each item that is stored lies between the free space and the end."""
    size = pages.shape[1] * 4
    last = int(lower.max()) // 4
    items = pages[:, HEADER // 4 : last]
    offset, length, is_stored = items & 0x7FFF, items >> 17, ((items >> 15) & 3) == 1
    is_listed = np.arange(HEADER // 4, last)[None, :] < (lower // 4)[:, None]
    is_inside = (offset >= upper[:, None]) & (offset + length <= size)
    return np.asarray((is_inside | ~(is_stored & is_listed)).all(axis=1), dtype=np.bool_)
