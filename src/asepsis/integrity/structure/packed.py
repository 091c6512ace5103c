"""Compressed streams: unpacked to nowhere, because their checksums cover what comes out.

RFC 1952 (gzip), the xz file format 1.2.1, bzip2 1.0, RFC 8878 (zstd; its checksum is optional).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final, Protocol

import zstandard

from asepsis.integrity.structure.cursor import Cursor

LARGEST_UNPACKED: Final = 64 << 30
_PIECE: Final = 1 << 20
_TOO_LARGE: Final = ("format.too_large",)
_WRONG: Final = ("format.checksum_wrong",)
_ERRORS: Final = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError)


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def gzip_faults(cursor: Cursor) -> tuple[str, ...]:
    """Unpack every member: its CRC covers every byte (RFC 1952, section 2.3.1). Raises EOFError when it is cut."""
    unpacker, unpacked = zlib.decompressobj(31), 0
    while waiting := cursor.some(_PIECE):
        while waiting:
            try:
                unpacked += len(unpacker.decompress(waiting, _PIECE))
            except zlib.error:
                return _WRONG
            waiting = unpacker.unconsumed_tail
            if unpacked > LARGEST_UNPACKED:
                return _TOO_LARGE
            if unpacker.eof:
                waiting = unpacker.unused_data.lstrip(b"\0")
                unpacker = zlib.decompressobj(31) if waiting else unpacker
    if not unpacker.eof:
        raise EOFError
    return ()


def xz_faults(cursor: Cursor) -> tuple[str, ...]:
    """Unpack all streams and compare their checks. Raises EOFError when it is cut."""
    return _unpack(cursor, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=512 << 20))


def bzip2_faults(cursor: Cursor) -> tuple[str, ...]:
    """Unpack all streams and compare the CRC of every block. Raises EOFError when it is cut."""
    return _unpack(cursor, bz2.BZ2Decompressor)


def zstd_faults(cursor: Cursor) -> tuple[str, ...]:
    """Unpack all frames; those that carry a checksum are compared with it. Raises EOFError when it is cut."""
    unpacker, unpacked = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj(), 0
    try:
        while waiting := cursor.some(SOME_PACKED):
            while waiting:
                unpacked += len(unpacker.decompress(waiting))
                waiting = unpacker.unused_data if unpacker.eof else b""
                if unpacked > LARGEST_UNPACKED:
                    return _TOO_LARGE
                if waiting:
                    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
    except _ERRORS:
        return _WRONG
    if not unpacker.eof:
        raise EOFError
    return ()


SOME_PACKED: Final = 1 << 14
"""A frame may grow ten thousandfold: so little is unpacked at a time."""


def _unpack(cursor: Cursor, start: Callable[[], _Unpacker]) -> tuple[str, ...]:
    unpacker, unpacked = start(), 0
    try:
        while waiting := cursor.some(_PIECE):
            while waiting or not (unpacker.needs_input or unpacker.eof):
                unpacked += len(unpacker.decompress(waiting, _PIECE))
                waiting = unpacker.unused_data.lstrip(b"\0") if unpacker.eof else b""
                if unpacked > LARGEST_UNPACKED:
                    return _TOO_LARGE
                if waiting:
                    unpacker = start()
    except _ERRORS:
        return _WRONG
    if not unpacker.eof:
        raise EOFError
    return ()
