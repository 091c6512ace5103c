"""The cells of an xls sheet (Excel 5 to 2003) whose formula failed, with the words that stand in them.

Source: [MS-CFB] Compound File Binary File Format; [MS-XLS] 2.4.24 "BoolErr", 2.4.127 "Formula", 2.4.28 "BoundSheet8".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

MAGIC: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_WORDS: Final = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}
_HIGHEST_SECTOR: Final = 0xFFFFFFFA
_ENTRY: Final = 128
_ROOT: Final = 5
_HEAD_FAT: Final = 109
_BEGIN: Final = frozenset({0x0809, 0x0409, 0x0209, 0x0009})
_END, _SHEET, _CONSTANT, _FORMULA = 0x000A, 0x0085, 0x0205, 0x0006
_ERROR_RESULT: Final = 2


class _Record(NamedTuple):
    kind: int
    data: bytes


def failed_cells(data: bytes, sheet: str) -> Mapping[tuple[int, int], str]:
    """By row and column, from 0; empty for a sheet that is not there.

    Raises:
        Exception: the file is damaged.
    """
    stream = _workbook(data)
    for record in _records(stream, 0):
        if record.kind == _SHEET and _name(record.data) == sheet:
            return dict(_failed(stream, int.from_bytes(record.data[:4], "little")))
    return {}


def _failed(stream: bytes, place: int) -> Iterator[tuple[tuple[int, int], str]]:
    for record in _records(stream, place):
        body = record.data
        at = (int.from_bytes(body[:2], "little"), int.from_bytes(body[2:4], "little"))
        if record.kind == _CONSTANT and body[7]:
            yield at, _WORDS.get(body[6], "#N/A")
        elif record.kind == _FORMULA and body[12:14] == b"\xff\xff" and body[6] == _ERROR_RESULT:
            yield at, _WORDS.get(body[8], "#N/A")


def _records(stream: bytes, place: int) -> Iterator[_Record]:
    """The records of one substream; those of charts inside of it are passed over."""
    depth = 0
    while place + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, place)
        depth += (kind in _BEGIN) - (kind == _END)
        if depth <= 0:
            return
        if depth == 1:
            yield _Record(kind, stream[place + 4 : place + 4 + size])
        place += 4 + size


def _name(body: bytes) -> str:
    """The name of a sheet: with a flag for two bytes a character since Excel 97, in one byte each before."""
    length, rest = body[6], body[7:]
    if len(rest) == length:
        return rest.decode("cp1252", "replace")
    return rest[1:].decode("utf-16-le" if rest[0] & 1 else "latin-1", "replace")


def _workbook(data: bytes) -> bytes:
    """The stream of the workbook inside the compound file."""
    shift, mini_shift = struct.unpack_from("<HH", data, 30)
    directory, _, cutoff, mini_start, _, difat, _ = struct.unpack_from("<7I", data, 48)
    file = _Sectors(data[1 << shift :], 1 << shift, [])
    file.table = _table(file, list(struct.unpack_from(f"<{_HEAD_FAT}I", data, 76)), difat)
    listed = file.read(directory)
    entries = [listed[place : place + _ENTRY] for place in range(0, len(listed), _ENTRY)]
    found = {entry[: max(0, entry[64] - 2)].decode("utf-16-le", "replace"): entry for entry in entries}
    entry = found.get("Workbook") or found["Book"]
    start, size = struct.unpack_from("<II", entry, 116)
    if size >= cutoff:
        return file.read(start)[:size]
    root = next(entry for entry in entries if entry[66] == _ROOT)
    words = file.read(mini_start)
    table = list(struct.unpack(f"<{len(words) // 4}I", words))
    small = _Sectors(file.read(*struct.unpack_from("<I", root, 116)), 1 << mini_shift, table)
    return small.read(start)[:size]


def _table(file: _Sectors, places: list[int], following: int) -> list[int]:
    """Which sector follows which: the first places stand in the head of the file, more in sectors of their own."""
    for _ in range(len(file.data) // file.size + 1):
        if following >= _HIGHEST_SECTOR:
            break
        *more, following = struct.unpack(f"<{file.size // 4}I", file.sector(following))
        places = [*places, *more]
    words = b"".join(file.sector(place) for place in places if place < _HIGHEST_SECTOR)
    return list(struct.unpack(f"<{len(words) // 4}I", words))


class _Sectors:
    """A file, or the small streams inside of it, as numbered sectors and the table of which follows which."""

    def __init__(self, data: bytes, size: int, table: list[int]) -> None:
        self.data = data
        self.size = size
        self.table = table

    def sector(self, number: int) -> bytes:
        """One sector."""
        return self.data[number * self.size : (number + 1) * self.size]

    def read(self, number: int) -> bytes:
        """The stream that begins with a sector; a chain that comes back to itself is cut."""
        parts: list[bytes] = []
        while number < _HIGHEST_SECTOR and len(parts) <= len(self.table):
            parts.append(self.sector(number))
            number = self.table[number]
        return b"".join(parts)
