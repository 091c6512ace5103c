"""The end of a zip archive, read before anything else: how large its directory claims to be.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.14 to 4.3.16.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from asepsis.errors.source import ArchiveTruncatedError, LimitExceededError, NotARepositoryError, UnsupportedFormatError
from asepsis.sources.limits import Limits

_END: Final = struct.Struct("<4s4H2LH")
_END_MAGIC: Final = b"PK\x05\x06"
_LOCATOR: Final = struct.Struct("<4sLQL")
_LOCATOR_MAGIC: Final = b"PK\x06\x07"
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_END64_MAGIC: Final = b"PK\x06\x06"
_LONGEST_COMMENT: Final = 0xFFFF
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_IN_END64: Final = frozenset({0xFFFF, 0xFFFFFFFF})


def check_directory(file: BinaryIO, *, name: str, limits: Limits) -> None:
    """Let only archives through whose directory fits into memory.

    Raises:
        NotARepositoryError: this is no zip archive.
        ArchiveTruncatedError: it begins like one and has no end.
        UnsupportedFormatError: it is one of several volumes.
        LimitExceededError: its directory is beyond the limits.
    """
    entries, size, disk = _claims(file, name=name)
    if disk:
        raise UnsupportedFormatError(name="a zip archive of several volumes")
    if size > limits.metadata_bytes:
        raise LimitExceededError(name=name, limit=limits.metadata_bytes, unit="bytes of directory")
    if entries > limits.archive_entries:
        raise LimitExceededError(name=name, limit=limits.archive_entries, unit="entries")


def _claims(file: BinaryIO, *, name: str) -> tuple[int, int, int]:
    """Entries, bytes of directory and number of the volume as the end of the archive states them."""
    beginning = file.read(len(_LOCAL_MAGIC))
    length = file.seek(0, 2)
    file.seek(max(length - _END.size - _LONGEST_COMMENT - _LOCATOR.size, 0))
    tail = file.read()
    place = tail.rfind(_END_MAGIC)
    if place < 0 or len(tail) - place < _END.size:
        if beginning == _LOCAL_MAGIC:
            raise ArchiveTruncatedError(name=name)
        raise NotARepositoryError(uri=name, tool="zip")
    _, disk, _, _, entries, size, offset, _ = _END.unpack_from(tail, place)
    if _IN_END64.isdisjoint({entries, size, offset}):
        return entries, size, disk
    return _claims64(file, tail[max(place - _LOCATOR.size, 0) : place]) or (entries, size, disk)


def _claims64(file: BinaryIO, locator: bytes) -> tuple[int, int, int] | None:
    if len(locator) != _LOCATOR.size or not locator.startswith(_LOCATOR_MAGIC):
        return None
    _, _, where, _ = _LOCATOR.unpack(locator)
    file.seek(min(where, 1 << 62))
    record = file.read(_END64.size)
    if len(record) != _END64.size or not record.startswith(_END64_MAGIC):
        return None
    _, _, _, _, disk, _, _, entries, size, _ = _END64.unpack(record)
    return entries, size, disk
