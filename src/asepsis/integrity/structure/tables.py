"""Tables in files: dBase by its own arithmetic, SQLite page by page, Parquet by decoding every page.

dBase III+ file structure; SQLite file format (https://www.sqlite.org/fileformat2.html); Apache Parquet.
"""

from __future__ import annotations

import struct
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.integrity.structure.cursor import LARGEST_HELD, Cursor
from asepsis.integrity.structure.text import is_text

_DAMAGED: Final = ("format.structure_damaged",)
_BLOCK: Final = 4096
_DBASE_3: Final = 3
_END_OF_FIELDS: Final = 0x0D
_TEXT_FIELDS: Final = frozenset(b"CNDLFM")

_INTERIOR: Final = frozenset({2, 5})
_LEAVES: Final = frozenset({10, 13})
_LARGEST_IN_MAP: Final = 5


def dbase_faults(cursor: Cursor, *, size: int) -> tuple[str, ...]:
    """The records fill the file, each begins with its deletion mark, the fields fill it, and text fields hold text."""
    start = cursor.take(32)
    count, header, length = struct.unpack_from("<IHH", start, 4)
    fields = cursor.take(header - 32)
    faults = set()
    if size < header + count * length:
        faults.add("format.truncated")
    elif size > header + count * length + _BLOCK:
        faults.add("format.record_count_wrong")
    described = [fields[at : at + 32] for at in range(0, len(fields) - 31, 32) if fields[at] != _END_OF_FIELDS]
    if start[0] == _DBASE_3 and sum(field[16] for field in described) + 1 != length:
        faults.add("format.header_damaged")
    all_text = all(field[11] in _TEXT_FIELDS for field in described)
    if not _records_are_sound(cursor, length=length, count=count, all_text=all_text):
        faults.add("format.records_damaged")
    return tuple(sorted(faults))


def _records_are_sound(cursor: Cursor, *, length: int, count: int, all_text: bool) -> bool:
    left, position = count * length, 0
    while left and (part := cursor.some(min(left, 1 << 20))):
        marks = part[-position % length :: length]
        blocks = (part[at : at + _BLOCK] for at in range(0, len(part), _BLOCK))
        if marks.strip(b" *") or (all_text and not all(map(is_text, blocks))):
            return False
        position, left = position + len(part), left - len(part)
    return True


def sqlite_faults(cursor: Cursor, *, size: int) -> tuple[str, ...]:
    """Every page is a sound b-tree page, or can be one of those that only begin with the number of a page.

    Raises EOFError when a page is cut. What cells hold is not followed.
    """
    header = cursor.peek(100)
    if len(header) < 100:  # noqa: PLR2004 - the header's length
        raise EOFError
    page_size = int.from_bytes(header[16:18]) or 1
    page_size = 65536 if page_size == 1 else page_size
    stated, is_counted = int.from_bytes(header[28:32]), header[24:28] == header[92:96]
    if page_size & (page_size - 1) or page_size < 512 or header[21:24] != b"\x40\x20\x20":  # noqa: PLR2004
        return ("format.header_damaged",)
    if is_counted and stated * page_size > size:
        raise EOFError
    pages, usable = size // page_size, page_size - header[20]
    maps = usable // 5 + 1 if any(header[52:56]) else size
    for number in range(1, pages + 1):
        page = cursor.take(page_size)
        if number > 1 and (number - 2) % maps == 0 and maps < size:
            is_sound = max(page[0 : usable - 4 : 5]) <= _LARGEST_IN_MAP
        else:
            is_sound = _is_page(page, at=100 if number == 1 else 0, usable=usable, pages=pages)
        if not is_sound:
            return _DAMAGED
    return () if size % page_size == 0 else _DAMAGED


def _is_page(page: bytes, *, at: int, usable: int, pages: int) -> bool:
    kind, cells, content = page[at], int.from_bytes(page[at + 3 : at + 5]), int.from_bytes(page[at + 5 : at + 7])
    if kind in _INTERIOR or kind in _LEAVES:
        first = at + (12 if kind in _INTERIOR else 8)
        content = content or 65536
        if first + 2 * cells <= content <= usable:
            pointers = struct.unpack_from(f">{cells}H", page, first)
            if not cells or (min(pointers) >= content and max(pointers) < usable):
                return True
    return at == 0 and int.from_bytes(page[:4]) <= pages


def parquet_faults(cursor: Cursor, *, size: int) -> tuple[str, ...]:
    """Decode every page of every column, compare page checksums where there are any, and look at all text.

    A page without a checksum may be changed unseen as long as it can be decoded.
    """
    if size > LARGEST_HELD:
        return ()
    content = cursor.rest()
    if content[-4:] != b"PAR1":
        raise EOFError
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        for group in range(file.num_row_groups):
            for column in range(file.metadata.num_columns):
                path = file.metadata.row_group(group).column(column).path_in_schema
                file.read_row_group(group, columns=[path], use_threads=False).validate(full=True)
    except (pa.ArrowException, OSError, ValueError):
        return _DAMAGED
    return ()
