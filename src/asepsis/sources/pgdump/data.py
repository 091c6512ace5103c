"""The data of one entry of a pg_dump archive, unpacked inside limits.

Source: PostgreSQL 17, ``src/bin/pg_dump/pg_backup_custom.c`` (blocks of chunks) and ``compress_io.c``.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from asepsis.errors.source import (
    ArchiveDamagedError,
    ObjectMissingError,
    SourceUnavailableError,
    UnsupportedFormatError,
)
from asepsis.sources.limits import Limits
from asepsis.sources.paths import checked_name, from_bytes
from asepsis.sources.pgdump.tarred import Places, opened
from asepsis.sources.pgdump.toc import Contents, Item, Layout, Numbers, Packing, number_of
from asepsis.sources.unpacking import UnpackedStream, Zlib, decoder_for

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK_OF_DATA: Final = 1
_BLOCK_OF_OBJECTS: Final = 3
_END: Final = 0
_LZ4: Final = ".lz4"
_SUFFIXES: Final = ("", ".gz", ".zst", _LZ4)
_MAGIC: Final = 4
_READ: Final = 256 << 10
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class Data:
    """Opens the data of entries; all files are opened for reading only."""

    def __init__(self, path: Path, contents: Contents, *, limits: Limits, files: Places | None = None) -> None:
        self._path = path
        self._contents = contents
        self._limits = limits
        self._files = files
        self._offsets: dict[int, int] | None = None

    def open(self, item: Item) -> BinaryIO:
        """The unpacked data of an entry, forwards only.

        Raises:
            ObjectMissingError: it is not there.
            UnsupportedFormatError: its compression is not known.
        """
        if self._contents.layout is Layout.DIRECTORY:
            return self._file(item)
        raw = cast("BinaryIO", io.BufferedReader(_Chunks(self._chunks(item)), 1 << 16))
        return self._unpacked(raw, self._contents.packing)

    def _file(self, item: Item) -> BinaryIO:
        name = checked_name(from_bytes(item.file or b""), limits=self._limits)
        if self._files is not None:
            if name not in self._files:
                raise ObjectMissingError(name=name)
            return opened(self._path, self._files[name])
        for suffix in _SUFFIXES:
            path = self._path / (name + suffix)
            if path.is_symlink():
                raise UnsupportedFormatError(name="a link inside of the dump")
            if path.is_file():
                return self._whole(path)
        raise ObjectMissingError(name=name)

    def _whole(self, path: Path) -> BinaryIO:
        file = path.open("rb")
        if path.suffix == _LZ4:
            return self._lz4(file)
        decoder = decoder_for(file.read(_MAGIC)) if path.suffix in _SUFFIXES[1:] else None
        file.seek(0)
        if decoder is None:
            return file
        return cast(
            "BinaryIO", io.BufferedReader(UnpackedStream(file, decoder, name=path.name, limits=self._limits), 1 << 20)
        )

    def _unpacked(self, raw: BinaryIO, packing: Packing) -> BinaryIO:
        if packing is Packing.NONE:
            return raw
        if packing is Packing.LZ4:
            return self._lz4(raw)
        decoder = Zlib if packing is Packing.GZIP else decoder_for(_ZSTD)
        if decoder is None:
            raise UnsupportedFormatError(name="a dump with this compression")
        stream = UnpackedStream(raw, decoder, name=self._path.name, limits=self._limits)
        return cast("BinaryIO", io.BufferedReader(stream, 1 << 20))

    def _lz4(self, file: BinaryIO) -> BinaryIO:
        from asepsis.sources.lz4frames import Lz4Stream  # noqa: PLC0415  pyarrow, only where it is needed

        return cast("BinaryIO", io.BufferedReader(Lz4Stream(file, name=self._path.name, limits=self._limits), 1 << 20))

    def _chunks(self, item: Item) -> Generator[bytes]:
        try:
            with self._path.open("rb") as file:
                numbers = self._numbers(file)
                file.seek(self._offset(item))
                if numbers.byte() != _BLOCK_OF_DATA or numbers.number() != item.number:
                    raise ArchiveDamagedError(name=self._path.name)
                yield from self._joined(numbers)
        except OSError:
            raise SourceUnavailableError(name=self._path.name) from None

    def _joined(self, numbers: Numbers) -> Iterator[bytes]:
        """What the chunks hold, many of them at once: pg_dump writes chunks of 4 KiB."""
        buffer, place, head = b"", 0, 1 + numbers.size
        parts: list[memoryview] = []
        while True:
            begin = place + head
            length = self._checked(number_of(buffer[place:begin])) if begin <= len(buffer) else 0
            end = begin + length
            if end > len(buffer):
                yield b"".join(parts)
                parts = []
                buffer, place = self._more(numbers, buffer[place:], end - place), 0
            elif length:
                parts.append(memoryview(buffer)[begin:end])
                place = end
            else:
                yield b"".join(parts)
                return

    def _more(self, numbers: Numbers, left: bytes, wanted: int) -> bytes:
        """What is left and what follows, so many bytes at least."""
        return left + numbers.take(wanted - len(left)) + numbers.file.read(_READ)

    def _offset(self, item: Item) -> int:
        if item.offset is not None:
            return item.offset
        if self._offsets is None:
            self._offsets = dict(self._blocks())
        if item.number not in self._offsets:
            raise ObjectMissingError(name=f"block {item.number}")
        return self._offsets[item.number]

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Number and place of every block, found by going over the chunks: a dump to a pipe does not say."""
        with self._path.open("rb") as file:
            file.seek(self._contents.end)
            numbers = self._numbers(file)
            while kind := file.read(1):
                place = file.tell() - 1
                yield numbers.number(), place
                if kind[0] == _BLOCK_OF_DATA:
                    self._skip_chunks(numbers)
                elif kind[0] == _BLOCK_OF_OBJECTS:
                    while numbers.number():
                        self._skip_chunks(numbers)
                else:
                    raise ArchiveDamagedError(name=self._path.name)

    def _skip_chunks(self, numbers: Numbers) -> None:
        while length := self._length(numbers):
            numbers.file.seek(length, 1)

    def _length(self, numbers: Numbers) -> int:
        return self._checked(numbers.number())

    def _checked(self, length: int) -> int:
        if not 0 <= length <= self._limits.blob_bytes:
            raise ArchiveDamagedError(name=self._path.name)
        return length

    def _numbers(self, file: BinaryIO) -> Numbers:
        return Numbers(file, name=self._path.name, limits=self._limits, size=self._contents.number_size)


class _Chunks(io.RawIOBase):
    """Chunks one after the other as a stream."""

    def __init__(self, chunks: Generator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._chunks.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")
        while not self._piece and (piece := next(self._chunks, None)) is not None:
            self._piece = memoryview(piece)
        now = self._piece[: len(target)]
        target[: len(now)] = now
        self._piece = self._piece[len(now) :]
        return len(now)
