"""A seekable stream over content that can only be produced from its beginning.

Reading on costs nothing twice; going backwards produces the content again. What the producer checks (a hash, a
checksum) it checks at its end and raises.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from asepsis.errors.source import ArchiveTruncatedError, ObjectDamagedError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Producer = Callable[[], Generator[bytes]]
_BUFFER: Final = 1 << 20


def replayed(producer: Producer, *, size: int, name: str) -> BinaryIO:
    """A buffered stream of ``size`` bytes over what ``producer`` yields."""
    return cast("BinaryIO", io.BufferedReader(_Replayed(producer, size=size, name=name), _BUFFER))


def hashed(pieces: Iterator[bytes], *, sha256: str, name: str) -> Generator[bytes]:
    """The pieces, and at their end an error when they are not the ones of that hash.

    Raises:
        ObjectDamagedError: the content has changed since it was hashed.
    """
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise ObjectDamagedError(name=name)


class _Replayed(io.RawIOBase):
    def __init__(self, producer: Producer, *, size: int, name: str) -> None:
        super().__init__()
        self._producer = producer
        self._size = size
        self._name = name
        self._position = 0
        self._pieces: Generator[bytes] | None = None
        self._piece = memoryview(b"")
        self._piece_at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(22, os.strerror(22))
        self._position = base + offset
        return self._position

    def close(self) -> None:
        self._stop()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")[: max(self._size - self._position, 0)]
        if not target:
            return 0
        piece = self._here()[: len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        if self._position == self._size:
            self._finish()
        return len(piece)

    def _here(self) -> memoryview:
        """What is at hand of the piece that holds the position."""
        if self._pieces is None or self._position < self._piece_at:
            self._stop()
            self._pieces, self._piece, self._piece_at = self._producer(), memoryview(b""), 0
        while self._position >= self._piece_at + len(self._piece):
            self._piece_at += len(self._piece)
            self._piece = memoryview(b"")
            following = next(self._pieces, None)
            if following is None:
                raise ArchiveTruncatedError(name=self._name)
            self._piece = memoryview(following)
        return self._piece[self._position - self._piece_at :]

    def _finish(self) -> None:
        """Let the producer come to its end, where it checks; what it still has must be nothing."""
        if self._pieces is not None and self._position == self._piece_at + len(self._piece):
            for piece in self._pieces:
                if piece:
                    raise ObjectDamagedError(name=self._name)

    def _stop(self) -> None:
        if self._pieces is not None:
            self._pieces.close()
            self._pieces = None
