"""Zip archives, and what is one inside (Office Open XML, OpenDocument): read from front to back, as APPNOTE.TXT tells.

Every member that is stored or deflated is unpacked and its CRC compared; the directory must name members that are
there.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from asepsis.integrity.structure.cursor import Cursor
from asepsis.integrity.structure.packed import LARGEST_UNPACKED

_MEMBER: Final = b"PK\x03\x04"
_ENTRY: Final = b"PK\x01\x02"
_END: Final = b"PK\x05\x06"
_END_64: Final = b"PK\x06\x06"
_LOCATOR_64: Final = b"PK\x06\x07"
_AFTER: Final = b"PK\x07\x08"
_STORED, _DEFLATED = 0, 8
_IN_EXTRA: Final = 0xFFFFFFFF
_ENCRYPTED, _SIZES_AFTER = 1, 8
_DAMAGED: Final = ("format.structure_damaged",)
_WRONG: Final = ("format.checksum_wrong",)

_Names = list[tuple[bytes, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    flags: int
    method: int
    crc: int
    packed: int
    name: bytes


def zip_faults(cursor: Cursor) -> tuple[str, ...]:
    """Follow an archive to its end record. Raises EOFError when it is cut."""
    members: _Names = []
    entries: _Names = []
    while (mark := cursor.take(4)) != _END:
        if mark == _MEMBER:
            faults = _member_faults(cursor, members)
            if faults:
                return faults
        elif mark == _ENTRY:
            entries.append(_entry(cursor))
        elif mark == _END_64:
            cursor.skip(int.from_bytes(cursor.take(8), "little"))
        elif mark == _LOCATOR_64:
            cursor.skip(16)
        else:
            return _DAMAGED
    count, comment = struct.unpack("<6xH8xH", cursor.take(18))
    cursor.skip(comment)
    is_whole = set(entries) <= set(members) and count == len(entries) & 0xFFFF
    return () if is_whole else _DAMAGED


def _entry(cursor: Cursor) -> tuple[bytes, int]:
    crc, name, extra, comment = struct.unpack("<12xI8xHHH12x", cursor.take(42))
    found = cursor.take(name), crc
    cursor.skip(extra + comment)
    return found


def _member_faults(cursor: Cursor, members: _Names) -> tuple[str, ...]:
    member = _member(cursor)
    is_sized = not member.flags & _SIZES_AFTER or member.packed > 0
    if member.flags & _ENCRYPTED or member.method not in {_STORED, _DEFLATED}:
        if not is_sized:
            return ("format.too_odd",)
        cursor.skip(member.packed)
        crc: int | None = None
    elif member.method == _DEFLATED:
        crc = _inflated_crc(cursor)
    elif is_sized:
        crc = _stored_crc(cursor, member.packed)
    else:
        return ("format.too_odd",)
    stated = _stated_after(cursor) if member.flags & _SIZES_AFTER else member.crc
    members.append((member.name, stated))
    return () if crc in {None, stated} else _WRONG


def _member(cursor: Cursor) -> _Member:
    flags, method, crc, packed, name, extra = struct.unpack("<2xHH4xII4xHH", cursor.take(26))
    name_bytes, more = cursor.take(name), cursor.take(extra)
    if packed == _IN_EXTRA:
        packed = _packed_64(more)
    return _Member(flags=flags, method=method, crc=crc, packed=packed, name=name_bytes)


def _packed_64(extra: bytes) -> int:
    """The second number of the extra field 1: the first is the size before packing."""
    at = 0
    while at + 4 <= len(extra):
        tag, size = struct.unpack_from("<HH", extra, at)
        if tag == 1 and size >= 16:  # noqa: PLR2004 - two numbers of eight bytes
            return int.from_bytes(extra[at + 12 : at + 20], "little")
        at += 4 + size
    return _IN_EXTRA


def _inflated_crc(cursor: Cursor) -> int | None:
    """The CRC of what comes out; -1, which no CRC is, if nothing sound does."""
    unpacker, crc, unpacked = zlib.decompressobj(-15), 0, 0
    while not unpacker.eof:
        waiting = unpacker.unconsumed_tail or cursor.some()
        if not waiting:
            raise EOFError
        try:
            out = unpacker.decompress(waiting, 1 << 20)
        except zlib.error:
            return -1
        crc, unpacked = zlib.crc32(out, crc), unpacked + len(out)
        if unpacked > LARGEST_UNPACKED:
            return -1
    cursor.put_back(unpacker.unused_data)
    return crc


def _stored_crc(cursor: Cursor, size: int) -> int:
    crc = 0
    while size:
        part = cursor.some(min(size, 1 << 20))
        if not part:
            raise EOFError
        crc, size = zlib.crc32(part, crc), size - len(part)
    return crc


def _stated_after(cursor: Cursor) -> int:
    """The CRC that stands behind a member, with or without a mark, before two sizes of four or of eight bytes."""
    mark = cursor.take(4)
    crc = cursor.take(4) if mark == _AFTER else mark
    cursor.skip(8)
    if cursor.peek(2) != b"PK":
        cursor.skip(8)
    return int.from_bytes(crc, "little")
