"""PNG and JPEG: chunks with checksums, and segments whose packed data may hold no marker by chance.

PNG 1.2; ITU-T T.81, annex B (JPEG); ITU-T T.800, annex A (JPEG 2000).
"""

from __future__ import annotations

import zlib
from typing import Final

from asepsis.integrity.structure.cursor import Cursor

_DAMAGED: Final = ("format.structure_damaged",)
_WRONG: Final = ("format.checksum_wrong",)
_LARGEST_CHUNK: Final = 1 << 31

_MARK: Final = 0xFF
_STUFFED: Final = frozenset({0x00, *range(0xD0, 0xD8)})
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_SEGMENTS: Final = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF8), 0xFE}) - {0xC8}
_LARGEST_IN_PACKETS: Final = 0x8F


def png_faults(cursor: Cursor) -> tuple[str, ...]:
    """Compare the CRC of every chunk, up to the last. Raises EOFError when it is cut."""
    cursor.skip(8)
    kind = b""
    while kind != b"IEND":
        length, kind = int.from_bytes(cursor.take(4)), cursor.take(4)
        if length >= _LARGEST_CHUNK or not kind.isalpha():
            return _DAMAGED
        crc = zlib.crc32(kind)
        while length:
            part = cursor.some(length)
            if not part:
                raise EOFError
            crc, length = zlib.crc32(part, crc), length - len(part)
        if crc != int.from_bytes(cursor.take(4)):
            return _WRONG
    return ()


def jpeg_faults(cursor: Cursor) -> tuple[str, ...]:
    """Follow the segments and the packed data between them. Raises EOFError when it is cut."""
    while True:
        if cursor.take(1)[0] != _MARK:
            return _DAMAGED
        code = _MARK
        while code == _MARK:
            code = cursor.take(1)[0]
        if code == _END_OF_IMAGE:
            return ()
        if code in _ALONE:
            continue
        length = int.from_bytes(cursor.take(2))
        if code not in _SEGMENTS or length < 2:  # noqa: PLR2004 - the length counts itself
            return _DAMAGED
        cursor.skip(length - 2)
        if code == _START_OF_SCAN:
            _pass_scan(cursor)


def _pass_scan(cursor: Cursor) -> None:
    """Stop before the first marker that is none of the scan itself."""
    while part := cursor.some():
        at = part.find(_MARK)
        while 0 <= at < len(part) - 1 and part[at + 1] in _STUFFED:
            at = part.find(_MARK, at + 2)
        if at == len(part) - 1:
            after = cursor.take(1)
            if after[0] not in _STUFFED:
                cursor.put_back(part[at:] + after)
                return
        elif at >= 0:
            cursor.put_back(part[at:])
            return
    raise EOFError


def are_packets(content: bytes) -> bool:
    """Whether JPEG 2000 packets can be so: after 0xFF no byte above 0x8F but in markers around parts."""
    values = content[2:-2]
    odd = sum(values[at + 1] > _LARGEST_IN_PACKETS for at in _marks(values))
    known = sum(values.count(bytes((_MARK, code))) for code in (0x90, 0x91, 0x92, 0x93, *range(0x50, 0x66), 0xD9, 0x4F))
    return odd <= known


def _marks(values: bytes) -> list[int]:
    found, at = [], values.find(_MARK)
    while 0 <= at < len(values) - 1:
        found.append(at)
        at = values.find(_MARK, at + 1)
    return found
