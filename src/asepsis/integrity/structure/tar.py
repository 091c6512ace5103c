"""Tar archives, header by header. POSIX.1-2001, pax interchange format; GNU tar, for its sparse files."""

from __future__ import annotations

from typing import Final

from asepsis.integrity.structure.cursor import Cursor

_BLOCK: Final = 512
_DAMAGED: Final = ("format.header_damaged",)
_SPARSE: Final = b"S"


def tar_faults(cursor: Cursor) -> tuple[str, ...]:
    """Compare the checksum of every header up to the empty one that ends. Raises EOFError when it is not there."""
    while any(header := cursor.take(_BLOCK)):
        size = _size(header)
        if size is None or not _is_header(header):
            return _DAMAGED
        goes_on = header[156:157] == _SPARSE and header[482]
        while goes_on:
            goes_on = cursor.take(_BLOCK)[504]
        cursor.skip(-(-size // _BLOCK) * _BLOCK)
    return ()


def _is_header(header: bytes) -> bool:
    try:
        stated = int(header[148:156].strip(b"\0 "), 8)
    except ValueError:
        return False
    return stated == sum(header[:148]) + sum(header[156:512]) + 8 * ord(" ")


def _size(header: bytes) -> int | None:
    """Octal digits, or a binary number where the first bit is set. Links and directories have none behind them."""
    field = header[124:136]
    if header[156:157] in b"123456":
        return 0
    if field[0] & 0x80:
        return int.from_bytes(field) & ((1 << 95) - 1)
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        return None
