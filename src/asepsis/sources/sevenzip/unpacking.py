"""Methods of 7z folders, applied one after the other inside limits.

Source of the method numbers: 7-Zip's ``DOC/Methods.txt``. BCJ filters run inside liblzma, which flushes their last
bytes only where the stream marks its own end; before plain LZMA they are therefore refused.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO, Final, Protocol

import zstandard

from asepsis.errors.source import (
    ArchiveDamagedError,
    ArchiveTruncatedError,
    EncryptedMemberError,
    LimitExceededError,
    UnsupportedFormatError,
)
from asepsis.sources.limits import Limits
from asepsis.sources.sevenzip.header import Coder, Folder

_INPUT: Final = 64 << 10
_OUTPUT: Final = 1 << 20
_SMALL_INPUT: Final = 1 << 10  # for what cannot bound its output
_COPY: Final = b"\x00"
_LZMA: Final = b"\x03\x01\x01"
_LZMA2: Final = b"\x21"
_DELTA: Final = b"\x03"
_AES: Final = b"\x06\xf1\x07\x01"
_LZMA_PROPERTIES: Final = 5
_LARGEST_LZMA2: Final = 40
_DEFLATE: Final = b"\x04\x01\x08"
_BZIP2: Final = b"\x04\x02\x02"
_ZSTD: Final = b"\x04\xf7\x11\x01"
_BCJ: Final = {
    b"\x04": lzma.FILTER_X86,
    b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x05": lzma.FILTER_POWERPC,
    b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x06": lzma.FILTER_IA64,
    b"\x03\x03\x04\x01": lzma.FILTER_IA64,
    b"\x07": lzma.FILTER_ARM,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x08": lzma.FILTER_ARMTHUMB,
    b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB,
    b"\x09": lzma.FILTER_SPARC,
    b"\x03\x03\x08\x05": lzma.FILTER_SPARC,
}


class Unpacker(Protocol):
    """One method at work."""

    def __call__(self, piece: bytes) -> Iterator[bytes]:
        """What a piece of input unpacks to, in bounded pieces."""


def unpacked(file: BinaryIO, folder: Folder, *, name: str, limits: Limits) -> Generator[bytes]:
    """The content of a folder from its beginning; exactly as many bytes as its header says.

    Raises:
        ArchiveTruncatedError: the file ends inside the packed stream, or that ends before the content does.
        ArchiveDamagedError: it does not unpack, or unpacks to more.
        EncryptedMemberError: it is encrypted.
        UnsupportedFormatError: it uses a method that is not known here.
        LimitExceededError: a method asks for more memory than the limits allow.
    """
    stages = _stages(folder, limits=limits)
    left = folder.size
    try:
        for piece in _through(_packed(file, folder, name=name), stages):
            if len(piece) > left:
                raise ArchiveDamagedError(name=name)
            left -= len(piece)
            yield piece
            if not left:
                return
    except (lzma.LZMAError, zlib.error, zstandard.ZstdError, OSError, ValueError, EOFError):
        raise ArchiveDamagedError(name=name) from None
    if left:
        raise ArchiveTruncatedError(name=name)


def _packed(file: BinaryIO, folder: Folder, *, name: str) -> Iterator[bytes]:
    file.seek(folder.offset)
    left = folder.packed_size
    while left:
        piece = file.read(min(left, _INPUT))
        if not piece:
            raise ArchiveTruncatedError(name=name)
        left -= len(piece)
        yield piece


def _through(pieces: Iterator[bytes], stages: list[Unpacker]) -> Iterator[bytes]:
    for stage in stages:
        pieces = _applied(stage, pieces)
    return pieces


def _applied(stage: Unpacker, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from stage(piece)


def _stages(folder: Folder, *, limits: Limits) -> list[Unpacker]:
    if not folder.coders:
        raise UnsupportedFormatError(name="a member packed by several streams at once")
    stages: list[Unpacker] = []
    filters: list[dict[str, Any]] = []
    for coder in folder.coders:
        chained = _filter(coder, limits=limits)
        if chained is None:
            stages.extend(_lzma(filters, folder.size))
            filters = []
            stages.append(_plain(coder))
        elif filters and coder.method in {_LZMA, _LZMA2}:
            raise UnsupportedFormatError(name="a member compressed twice")
        else:
            filters.insert(0, chained)
    return [*stages, *_lzma(filters, folder.size)]


def _filter(coder: Coder, *, limits: Limits) -> dict[str, Any] | None:
    """What liblzma calls a method, ``None`` where it is none of its own."""
    if coder.method == _LZMA2:
        return {"id": lzma.FILTER_LZMA2, "dict_size": _dictionary(_lzma2_size(coder), limits=limits)}
    if coder.method == _LZMA:
        return _lzma1(coder, limits=limits)
    if coder.method == _DELTA:
        return {"id": lzma.FILTER_DELTA, "dist": coder.properties[0] + 1 if coder.properties else 1}
    return {"id": _BCJ[coder.method]} if coder.method in _BCJ else None


def _lzma2_size(coder: Coder) -> int:
    if len(coder.properties) != 1 or coder.properties[0] > _LARGEST_LZMA2:
        raise UnsupportedFormatError(name="a method of the archive")
    bits = coder.properties[0]
    return 0xFFFFFFFF if bits == _LARGEST_LZMA2 else (2 | bits & 1) << (bits // 2 + 11)


def _lzma1(coder: Coder, *, limits: Limits) -> dict[str, Any]:
    if len(coder.properties) != _LZMA_PROPERTIES:
        raise UnsupportedFormatError(name="a method of the archive")
    first = coder.properties[0]
    return {
        "id": lzma.FILTER_LZMA1,
        "dict_size": _dictionary(int.from_bytes(coder.properties[1:], "little"), limits=limits),
        "lc": first % 9,
        "lp": first // 9 % 5,
        "pb": first // 45,
    }


def _dictionary(size: int, *, limits: Limits) -> int:
    if size > limits.dictionary_bytes:
        raise LimitExceededError(name="a method of the archive", limit=limits.dictionary_bytes, unit="bytes of memory")
    return max(size, 4096)


def _lzma(filters: list[dict[str, Any]], size: int) -> list[Unpacker]:
    if not filters:
        return []
    if filters[-1]["id"] not in {lzma.FILTER_LZMA1, lzma.FILTER_LZMA2}:
        raise UnsupportedFormatError(name="a filter without compression in the archive")
    if len(filters) > 1 and filters[-1]["id"] == lzma.FILTER_LZMA1:
        raise UnsupportedFormatError(name="a filter before plain LZMA in the archive")
    most = size if filters[-1]["id"] == lzma.FILTER_LZMA1 else None
    return [_Bounded(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters), most=most)]


def _plain(coder: Coder) -> Unpacker:
    if coder.method == _AES:
        raise EncryptedMemberError(name="A member of the archive")
    make = _PLAIN.get(coder.method)
    if make is None:
        raise UnsupportedFormatError(name="a method of the archive")
    return make()


class _Bounded:
    """Decompressors that take a bound: those of ``lzma`` and ``bz2``.

    Plain LZMA does not mark its end and would unpack the padding after it: ``most`` tells where it ends.
    """

    def __init__(self, decompressor: lzma.LZMADecompressor | bz2.BZ2Decompressor, *, most: int | None = None) -> None:
        self._decompressor = decompressor
        self._left = most

    def __call__(self, piece: bytes) -> Iterator[bytes]:
        while not self._decompressor.eof and self._left != 0:
            bound = _OUTPUT if self._left is None else min(_OUTPUT, self._left)
            found = self._decompressor.decompress(piece, bound)
            piece = b""
            if not found:
                return
            if self._left is not None:
                self._left -= len(found)
            yield found


class _Deflate:
    def __init__(self) -> None:
        self._object = zlib.decompressobj(-15)

    def __call__(self, piece: bytes) -> Iterator[bytes]:
        while piece and not self._object.eof:
            yield self._object.decompress(piece, _OUTPUT)
            piece = self._object.unconsumed_tail


class _Zstd:
    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()

    def __call__(self, piece: bytes) -> Iterator[bytes]:
        for begin in range(0, len(piece), _SMALL_INPUT):
            if not self._object.eof:
                yield self._object.decompress(piece[begin : begin + _SMALL_INPUT])


def _copy(piece: bytes) -> Iterator[bytes]:
    yield piece


_PLAIN: Final[dict[bytes, Callable[[], Unpacker]]] = {
    _COPY: lambda: _copy,
    _DEFLATE: _Deflate,
    _BZIP2: lambda: _Bounded(bz2.BZ2Decompressor()),
    _ZSTD: _Zstd,
}
