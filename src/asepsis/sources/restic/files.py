"""A file of a restore point as a seekable stream over its blobs, fetched only when they are read."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from asepsis.sources.restic.repository import Repository

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class BlobFile(io.RawIOBase):
    """Reads blob after blob; keeps the last one, so that reading on costs nothing twice."""

    def __init__(self, repository: Repository, blobs: Sequence[str]) -> None:
        super().__init__()
        self._repository = repository
        self._blobs = blobs
        self._starts = [0, *accumulate(repository.size(blob) for blob in blobs)]
        self._position = 0
        self._current = -1
        self._bytes = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset from the start, the position or the end; nothing is read."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise OSError(22, os.strerror(22))
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer with at most the rest of one blob; 0 at the end."""
        target = memoryview(buffer).cast("B")
        if self._position >= self._starts[-1] or not target:
            return 0
        which = bisect_right(self._starts, self._position) - 1
        self._load(which)
        begin = self._position - self._starts[which]
        piece = self._bytes[begin : begin + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _load(self, which: int) -> None:
        if which != self._current:
            self._bytes = memoryview(self._repository.blob(self._blobs[which]))
            self._current = which
