"""Texts of fields at fixed places, for many records at once: from a matrix of bytes to a column of strings.

Only for code pages of one byte a character. Invariant: each string is what ``bytes.decode`` makes of its bytes; where a
byte has no character, the row is not good and its string means nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from asepsis.harmonise.readers.record import is_charmap

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

WIDE: Final = 0x80
_BYTE_VALUES: Final = 256
_LOST: Final = "\ufffd"


class TextPage:
    """A code page as tables from a byte to its text: ``table`` where that is one byte of ASCII, ``WIDE`` elsewhere."""

    def __init__(self, encoding: str) -> None:
        chars = bytes(range(_BYTE_VALUES)).decode(encoding, "replace")
        self.table = bytes(ord(char) if char.isascii() else WIDE for char in chars)
        self._encoding = encoding
        self._sizes = np.array([len(char.encode("utf-8", "replace")) for char in chars], np.uint8)
        self._is_undefined = np.array([char == _LOST for char in chars])

    def translate(self, rows: Bytes) -> Bytes:
        """The same bytes as ASCII, where they are."""
        return np.frombuffer(rows.tobytes().translate(self.table), np.uint8).reshape(rows.shape)

    def column(self, cells: Bytes, translated: Bytes) -> tuple[pa.Array, Flags]:
        """The texts of a field, given its bytes in every row and the same translated, and which rows are good."""
        texts = np.ascontiguousarray(translated)
        if not texts.size or texts.max() < WIDE:
            return even(texts), np.ones(len(texts), np.bool_)
        characters = cells.tobytes().decode(self._encoding, "replace").encode("utf-8", "replace")
        good = np.ones(len(cells), np.bool_)
        if self._is_undefined.any():
            good = ~np.any(self._is_undefined[cells], axis=1)
        return uneven(np.frombuffer(characters, np.uint8), self._sizes[cells].sum(axis=1, dtype=np.int64)), good


@lru_cache(maxsize=16)
def text_page(encoding: str) -> TextPage | None:
    """The tables of a code page, ``None`` where a character may take several bytes."""
    return TextPage(encoding) if is_charmap(encoding) else None


def even(texts: Bytes) -> pa.Array:
    """Strings of one length, a row each; their characters are ASCII."""
    count, width = texts.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32) if width else np.zeros(count + 1, np.int32)
    return _strings(offsets, np.ascontiguousarray(texts))


def uneven(characters: Bytes, lengths: npt.NDArray[Any]) -> pa.Array:
    """Strings one after the other, given how many bytes each has."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return _strings(offsets, characters)


def _strings(offsets: npt.NDArray[np.int32], characters: Bytes) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(characters)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)
