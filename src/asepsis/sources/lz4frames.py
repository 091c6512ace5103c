"""LZ4 frames read as a stream inside limits, through the decompressor of pyarrow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from asepsis.errors.source import ArchiveDamagedError, LimitExceededError
from asepsis.sources.limits import Limits

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Lz4Stream(io.RawIOBase):
    """The unpacked bytes of a file of LZ4 frames, forwards only; a cut frame and a wrong checksum are damage."""

    def __init__(self, file: BinaryIO, *, name: str, limits: Limits) -> None:
        super().__init__()
        self._file = file
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "lz4")
        self._name = name
        self._limits = limits
        self._unpacked = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Close the file below as well."""
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer; 0 at the end.

        Raises:
            ArchiveDamagedError: it is cut, does not unpack, or its checksum does not fit.
            LimitExceededError: it unpacks to more than the limits allow.
        """
        target = memoryview(buffer).cast("B")
        try:
            piece = self._stream.read(len(target))
        except (OSError, pa.ArrowException):
            raise ArchiveDamagedError(name=self._name) from None
        self._unpacked += len(piece)
        if self._unpacked > self._limits.archive_bytes:
            raise LimitExceededError(name=self._name, limit=self._limits.archive_bytes, unit="bytes")
        target[: len(piece)] = piece
        return len(piece)
