"""PDF and the binary files of older Office programs: what points to what, and the packed parts.

ISO 32000-1 (PDF); [MS-CFB] Compound File Binary File Format.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Final

from asepsis.integrity.structure.cursor import LARGEST_HELD, Cursor
from asepsis.integrity.structure.images import jpeg_faults

_DAMAGED: Final = ("format.structure_damaged",)
_WRONG: Final = ("format.checksum_wrong",)
_STREAM: Final = re.compile(rb"stream\r?\n")
_FLATE: Final = re.compile(rb"/Filter\s*\[?\s*/FlateDecode\s*(?:\]|/(?!\w+Decode)|>)")
_JPEG: Final = re.compile(rb"/Filter\s*\[?\s*/DCTDecode\s*(?:\]|/(?!\w+Decode)|>)")
_START: Final = re.compile(rb"startxref\s+(\d+)\s+%%EOF")
_TABLE_BEGIN: Final = re.compile(rb"\s*(?:xref|\d+\s+\d+\s+obj)")
_TAIL: Final = 2048

_FREE, _END_OF_CHAIN, _TABLE, _TABLE_OF_TABLES = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
_KINDS: Final = frozenset({0, 1, 2, 5})
_SECTOR_SIZES: Final = frozenset({9, 12})


def pdf_faults(cursor: Cursor, *, size: int) -> tuple[str, ...]:
    """The end points to a cross-reference, and every packed stream unpacks. Raises EOFError when the end is missing."""
    if size > LARGEST_HELD:
        return ()
    content = cursor.rest()
    found = _START.findall(content[-_TAIL:])
    if not found:
        raise EOFError
    at = int(found[-1])
    if not _TABLE_BEGIN.match(content[at : at + 32]):
        return _DAMAGED
    return () if b"/Encrypt" in content else _stream_faults(content)


def _stream_faults(content: bytes) -> tuple[str, ...]:
    end = 0
    while start := _STREAM.search(content, end):
        end = content.find(b"endstream", start.end())
        if end < 0:
            return _DAMAGED
        begins = content.rfind(b" obj", 0, start.start())
        described = content[begins : start.start()] if begins >= 0 else b""
        body = content[start.end() : end]
        if _FLATE.search(described) and not _unpacks(body):
            return _WRONG
        if _JPEG.search(described) and not _is_jpeg(body):
            return _DAMAGED
        end += len(b"endstream")
    return ()


def _unpacks(body: bytes) -> bool:
    unpacker = zlib.decompressobj()
    try:
        waiting = body
        while waiting and not unpacker.eof:
            unpacker.decompress(waiting, 1 << 20)
            waiting = unpacker.unconsumed_tail
    except zlib.error:
        return False
    return unpacker.eof


def _is_jpeg(body: bytes) -> bool:
    try:
        return body[:2] != b"\xff\xd8" or not jpeg_faults(Cursor(iter([body])))
    except EOFError:
        return False


def ole_faults(cursor: Cursor, *, size: int) -> tuple[str, ...]:
    """The allocation table and the chain of the directory. Raises EOFError when sectors are missing."""
    if size > LARGEST_HELD:
        return ()
    content = cursor.rest()
    if len(content) < 512:  # noqa: PLR2004 - the header's length
        raise EOFError
    shift, tables, directory = *struct.unpack_from("<H", content, 30), *struct.unpack_from("<II", content, 44)
    if shift not in _SECTOR_SIZES or content[28:30] != b"\xfe\xff":
        return ("format.header_damaged",)
    sector = 1 << shift
    table = _table(content, sector, tables)
    sectors = len(content) // sector
    chain: list[bytes] = []
    at = directory
    while at != _END_OF_CHAIN and len(chain) <= sectors:
        if at >= len(table) or (at + 2) * sector > len(content) + sector - 1:
            raise EOFError
        chain.append(content[(at + 1) * sector : (at + 2) * sector])
        at = table[at]
    entries = b"".join(chain)
    sound = all(_is_entry(entries[i : i + 128]) for i in range(0, len(entries) - 127, 128))
    used = max((i for i, next_ in enumerate(table) if next_ != _FREE), default=0)
    if (used + 1) * sector >= len(content):
        raise EOFError
    return () if sound and len(chain) <= sectors and _is_table(table, used) else _DAMAGED


def _table(content: bytes, sector: int, tables: int) -> tuple[int, ...]:
    """The first 109 parts of the allocation table, whose places the header lists; larger files have more of them."""
    places = [place for place in struct.unpack_from("<109I", content, 76)[:tables] if place < _TABLE_OF_TABLES]
    parts = [content[(place + 1) * sector : (place + 2) * sector] for place in places]
    joined = b"".join(part for part in parts if len(part) == sector)
    return struct.unpack(f"<{len(joined) // 4}I", joined)


def _is_table(table: tuple[int, ...], used: int) -> bool:
    return all(next_ <= used + 1 or next_ >= _TABLE_OF_TABLES for next_ in table)


def _is_entry(entry: bytes) -> bool:
    length = int.from_bytes(entry[64:66], "little")
    return entry[66] in _KINDS and length <= 64 and length % 2 == 0 and entry[67] <= 1  # noqa: PLR2004 - 31 letters
