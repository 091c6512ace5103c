"""Disk images as plain disks: raw, qcow2, VMDK, VHD and VHDX.

Only what lies in the one file is read: an image that continues another one (a backing file, a parent, further extents)
is refused by name, because half of its blocks would read as zeros, and because it could name any file of this machine.
"""

from __future__ import annotations

import importlib
import struct
from pathlib import Path
from typing import Any, BinaryIO, Final

from asepsis.errors.source import ArchiveDamagedError, ToolMissingError, UnsupportedFormatError

FAILURES: Final = (OSError, RuntimeError)
"""How the libraries fail; The Sleuth Kit wraps what the container's library raised below it."""
_QCOW: Final = b"QFI\xfb"
_VMDK: Final = b"KDMV"
_VHDX: Final = b"vhdxfile"
_VHD: Final = b"conectix"
_DESCRIPTOR: Final = b"# Disk DescriptorFile"
_FOOTER: Final = 512
_HAS_NO_PARENT: Final = b"parentCID=ffffffff"
_DESCRIPTION: Final = 1 << 16


def library(name: str) -> Any:
    """A module of the extra.

    Raises:
        ToolMissingError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ToolMissingError(tool=f"{name} (pip install asepsis[image])") from None


def opened(file: BinaryIO, *, path: Path) -> Any:
    """The image of an open file for The Sleuth Kit.

    Raises:
        UnsupportedFormatError: it continues another image.
        ArchiveDamagedError: it does not open.
        ToolMissingError: a library is not installed.
    """
    beginning = file.read(_DESCRIPTION)
    file.seek(max(path.stat().st_size - _FOOTER, 0))
    end = file.read()
    file.seek(0)
    try:
        handle = _handle(file, beginning, end)
        return _external(handle) if handle is not None else library("pytsk3").Img_Info(str(path))
    except FAILURES:
        raise ArchiveDamagedError(name=path.name) from None


def _handle(file: BinaryIO, beginning: bytes, end: bytes) -> Any:
    """What reads the disk through its container; nothing for a raw image."""
    if beginning.startswith(_QCOW):
        (backing,) = struct.unpack_from(">Q", beginning, 8)
        _refuse(continues=bool(backing))
        return _by_file_object(library("pyqcow").file(), file)
    if beginning.startswith(_VMDK):
        _refuse(continues=_HAS_NO_PARENT not in beginning)
        handle = library("pyvmdk").handle()
        handle.open_file_object(file)
        _refuse(continues=handle.get_number_of_extents() != 1)
        handle.open_extent_data_files_as_file_objects([file])
        return handle
    if beginning.startswith(_DESCRIPTOR):
        _refuse(continues=True)
    if beginning.startswith(_VHDX) or end.startswith(_VHD):
        handle = _by_file_object(library("pyvhdi").file(), file)
        _refuse(continues=handle.get_parent_identifier() is not None)
        return handle
    return None


def _by_file_object(handle: Any, file: BinaryIO) -> Any:
    handle.open_file_object(file)
    return handle


def _refuse(*, continues: bool) -> None:
    if continues:
        raise UnsupportedFormatError(name="an image that continues another file")


def _external(handle: Any) -> Any:
    """The Sleuth Kit's image whose bytes come from another library."""
    pytsk3 = library("pytsk3")

    class External(pytsk3.Img_Info):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self._handle = handle
            super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

        def read(self, offset: int, size: int) -> bytes:
            self._handle.seek(offset)
            found: bytes = self._handle.read(size)
            return found

        def get_size(self) -> int:
            size: int = self._handle.get_media_size()
            return size

    return External()
