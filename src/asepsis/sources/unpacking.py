"""Compressed streams read inside limits: a cut stream is told from a damaged one, and a bomb from both."""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn, Protocol

import zstandard

from asepsis.errors.source import ArchiveDamagedError, ArchiveTruncatedError, LimitExceededError
from asepsis.sources.limits import Limits

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP: Final = 31  # zlib's number for "gzip, largest window"
_INPUT: Final = 64 << 10
_OUTPUT: Final = 256 << 10
_ZSTD_INPUT: Final = 1 << 10  # python-zstandard has no output bound; 1 KiB unpacks to 32 MiB at most


class _Decoder(Protocol):
    """One compressed member or frame."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended, its checksum included."""

    @property
    def unused_data(self) -> bytes:
        """Stored bytes that were given but lie behind the end."""

    def unpack(self, piece: bytes) -> bytes:
        """Unpacked bytes, a bounded number of them; to be called with nothing until nothing comes."""


class Zlib:
    """A zlib stream (RFC 1950), or with another window what zlib calls by that number."""

    def __init__(self, window: int = zlib.MAX_WBITS) -> None:
        self._object = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        """Whether the stream has ended, its checksum included."""
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        """Stored bytes behind the end."""
        return self._object.unused_data

    def unpack(self, piece: bytes) -> bytes:
        """Unpacked bytes, a bounded number of them."""
        return self._object.decompress(self._object.unconsumed_tail + piece, _OUTPUT)


class _Gzip(Zlib):
    def __init__(self) -> None:
        super().__init__(_GZIP)


class _Xz:
    def __init__(self) -> None:
        self._object = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 30)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def unpack(self, piece: bytes) -> bytes:
        return self._object.decompress(piece, _OUTPUT)


class _Zstd:
    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
        self._waiting = b""

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._object.unused_data) + self._waiting

    def unpack(self, piece: bytes) -> bytes:
        self._waiting += piece
        unpacked = b""
        while self._waiting and not unpacked and not self._object.eof:
            now, self._waiting = self._waiting[:_ZSTD_INPUT], self._waiting[_ZSTD_INPUT:]
            unpacked = self._object.decompress(now)
        return unpacked


_DECODERS: Final[dict[bytes, Callable[[], _Decoder]]] = {
    b"\x1f\x8b": _Gzip,
    b"\xfd7zXZ\x00": _Xz,
    b"\x28\xb5\x2f\xfd": _Zstd,
}


def decoder_for(beginning: bytes) -> Callable[[], _Decoder] | None:
    """What unpacks a stream that begins so; ``None`` when it is not compressed."""
    return next((decoder for magic, decoder in _DECODERS.items() if beginning.startswith(magic)), None)


class UnpackedStream(io.RawIOBase):
    """The unpacked bytes of a compressed file, forwards only; checksums of the format are checked on the way."""

    def __init__(self, file: BinaryIO, decoder: Callable[[], _Decoder], *, name: str, limits: Limits) -> None:
        super().__init__()
        self._file = file
        self._new_decoder = decoder
        self._decoder = decoder()
        self._name = name
        self._limits = limits
        self._buffer = memoryview(b"")
        self._stored = 0
        self._unpacked = 0
        self._ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Close the file below as well."""
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill with what is unpacked already, else unpack more; 0 at the proper end.

        Raises:
            ArchiveTruncatedError: the file ends inside a compressed member.
            ArchiveDamagedError: it does not unpack, or its checksum does not fit.
            LimitExceededError: it unpacks to more than the limits allow.
        """
        target = memoryview(buffer).cast("B")
        while not self._buffer and not self._ended:
            self._buffer = memoryview(self._more())
        piece = self._buffer[: len(target)]
        target[: len(piece)] = piece
        self._buffer = self._buffer[len(piece) :]
        return len(piece)

    def _more(self) -> bytes:
        try:
            unpacked = b"" if self._decoder.eof else self._decoder.unpack(b"")
            if not unpacked:
                unpacked = self._feed()
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError):
            raise ArchiveDamagedError(name=self._name) from None
        self._unpacked += len(unpacked)
        self._check_limits()
        return unpacked

    def _feed(self) -> bytes:
        """Give the decoder more stored bytes; when its member has ended, a new one for what follows."""
        if not self._decoder.eof:
            return self._decoder.unpack(self._read() or self._cut())
        following = self._following()
        if not following:
            self._ended = True
            return b""
        self._decoder = self._new_decoder()
        return self._decoder.unpack(following)

    def _following(self) -> bytes:
        """The first stored bytes after a member, without the zeros that tapes pad with; none at the end."""
        piece = self._decoder.unused_data or self._read()
        while piece and not piece.strip(b"\0"):
            piece = self._read()
        return piece.lstrip(b"\0")

    def _read(self) -> bytes:
        piece = self._file.read(_INPUT)
        self._stored += len(piece)
        return piece

    def _cut(self) -> NoReturn:
        raise ArchiveTruncatedError(name=self._name)

    def _check_limits(self) -> None:
        limits = self._limits
        if self._unpacked > limits.archive_bytes:
            raise LimitExceededError(name=self._name, limit=limits.archive_bytes, unit="bytes")
        if self._unpacked > limits.archive_ratio_from_bytes and self._unpacked > self._stored * limits.archive_ratio:
            raise LimitExceededError(name=self._name, limit=limits.archive_ratio, unit="bytes per stored byte")
