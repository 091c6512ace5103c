"""A transparent gzip layer: a file that begins with the gzip magic is landed as its decompressed bytes.

The landed unit (offsets, tiling) is then the decompressed stream; the digest of the file is still that of its stored
bytes. Several members are read one after the other. A damaged member raises: half a file is never landed as a whole.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, Final

from asepsis.errors.harmonise import LimitExceeded, SourceFileDamaged
from asepsis.harmonise.readers.record import read_into

_MAGIC: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 18
_GZIP: Final = 31


def gunzip(stream: BinaryIO, *, name: str, max_bytes: int = 1 << 40) -> BinaryIO:
    """Return the stream itself, or its decompressed bytes if it begins with the gzip magic.

    Raises:
        SourceFileDamaged: while reading, if a member is cut or fails its checksum.
        LimitExceeded: while reading, if more than ``max_bytes`` come out.
    """
    head = stream.read(2)
    if len(head) == 1:
        head += stream.read(1)
    rest = _Rejoined(head, stream)
    return io.BufferedReader(_Gunzip(rest, name, max_bytes) if head == _MAGIC else rest, _CHUNK)


class _Rejoined(io.RawIOBase):
    """Bytes already read, followed by the rest of the stream."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._head:
            return read_into(self._stream, buffer)
        data = self.take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def take(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._stream.read(size)


class _Gunzip(io.RawIOBase):
    def __init__(self, source: _Rejoined, name: str, max_bytes: int) -> None:
        self._source = source
        self._name = name
        self._left = max_bytes
        self._inflater = zlib.decompressobj(_GZIP)
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while self._begin_member():
            data = self._inflate(len(buffer))
            if data:
                self._left -= len(data)
                if self._left < 0:
                    raise LimitExceeded(limit="decompressed_bytes")
                buffer[: len(data)] = data
                return len(data)
            if not self._inflater.eof and not self._pending:
                self._more_of_this_member()
        return 0

    def _begin_member(self) -> bool:
        if not self._inflater.eof:
            return True
        self._pending = self._pending or self._source.take(_CHUNK)
        if self._pending:
            self._inflater = zlib.decompressobj(_GZIP)
        return bool(self._pending)

    def _more_of_this_member(self) -> None:
        self._pending = self._source.take(_CHUNK)
        if not self._pending:
            raise SourceFileDamaged(file=self._name)

    def _inflate(self, size: int) -> bytes:
        try:
            data = self._inflater.decompress(self._pending, size)
        except zlib.error:
            raise SourceFileDamaged(file=self._name) from None
        self._pending = self._inflater.unconsumed_tail or self._inflater.unused_data
        return data
