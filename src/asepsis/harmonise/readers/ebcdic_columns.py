"""Fields of many mainframe records at once: a block of bytes as a matrix, one row a record, cut into columns of text.

Invariant: every value is the one of ``ebcdic_values``. What is as its picture says is decoded for the whole column;
each other field goes through ``ebcdic_values`` on its own, which also names what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from asepsis.harmonise.readers.copybook import Span, Storage
from asepsis.harmonise.readers.ebcdic_presence import Places, Presence
from asepsis.harmonise.readers.ebcdic_values import (
    CUT_SHORT,
    NEGATIVE,
    OF_TEXT,
    Coding,
    Decoded,
    decode,
    decode_cut,
)
from asepsis.harmonise.readers.text_columns import WIDE, Bytes, Flags, TextPage, even, text_page, uneven

_ZERO, _MINUS, _PLUS, _POINT = b"0-+."
_DIGITS: Final = 10
_NO_DIGIT: Final = 0xFF
_BYTE_VALUES: Final = 256
_IS_MINUS: Final = np.array([f"{nibble:x}" in NEGATIVE for nibble in range(16)])
_LARGEST_BINARY: Final = 8
_BINARY_DIGITS: Final = {1: 3, 2: 5, 4: 10, 8: 20}


class CodePage:
    """A code page as tables from a byte to its text, its digit and its sign."""

    def __init__(self, coding: Coding, texts: TextPage) -> None:
        self.texts = texts
        self.digit, self.is_negative = self._punched(coding)

    @staticmethod
    def _punched(coding: Coding) -> tuple[Bytes, Flags]:
        """The digit (as a character, ``_NO_DIGIT``: none) and the sign of a byte that carries a sign."""
        digits = np.full(_BYTE_VALUES, _NO_DIGIT, np.uint8)
        negative = np.zeros(_BYTE_VALUES, np.bool_)
        probe = Span(name="", offset=0, length=1, storage=Storage.ZONED, signed=True)
        one = Span(name="", offset=0, length=2, storage=Storage.ZONED, signed=True)
        lead = "1".encode(coding.encoding, "replace")
        for byte in range(_BYTE_VALUES):
            value, _ = decode(probe, bytes([byte]), coding)
            if value is not None:
                digits[byte] = ord(value[-1])
                negative[byte] = (decode(one, lead + bytes([byte]), coding)[0] or "").startswith("-")
        return digits, negative


class Block:
    """Records as rows of one length, with what is ``present`` of each (``None``: all), column by column."""

    def __init__(self, rows: Bytes, coding: Coding, present: Presence | None = None) -> None:
        self._coding = coding
        self._rows = rows
        self._present = present
        self._page = _page(coding)

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._rows)

    def column(self, span: Span, wanted: Flags | None = None) -> tuple[pa.Array, dict[int, str]]:
        """The texts of a field, null where they are not wanted or not there, and the reasons by row."""
        whole, cut = wanted, None
        if self._present is not None:
            whole, begun = self._present.whole(span), self._present.begun(span)
            if wanted is not None:
                whole, begun = whole & wanted, begun & wanted
            cut = begun & ~whole
        if whole is None or whole.all():
            return self._whole(span, self._rows[:, span.offset : span.offset + span.length])
        rows = np.flatnonzero(whole)
        array, found = self._whole(span, self._rows[rows, span.offset : span.offset + span.length])
        reasons = {int(rows[row]): reason for row, reason in found.items()}
        if cut is not None and cut.any():
            others = np.flatnonzero(cut)
            array, rows = pa.concat_arrays([array, self._cut(span, others)]), np.concatenate((rows, others))
            reasons |= dict.fromkeys(others.tolist(), CUT_SHORT)
        return _among(array, rows, len(self)), reasons

    def has(self, span: Span) -> Flags:
        """Which records hold a field, or at least its beginning."""
        return np.ones(len(self), np.bool_) if self._present is None else self._present.begun(span)

    def _whole(self, span: Span, cells: Bytes) -> tuple[pa.Array, dict[int, str]]:
        """Whole fields, and the reasons by place in the cells."""
        if not len(cells):
            return pa.nulls(0, pa.string()), {}
        fast = _FAST.get(span.storage) if self._page is not None else _BYTEWISE.get(span.storage)
        array, good = fast(self, span, np.ascontiguousarray(cells)) if fast is not None else (None, None)
        if good is None:
            array, good = pa.nulls(len(cells), pa.string()), np.zeros(len(cells), np.bool_)
        found: dict[int, Decoded] = {}
        known: dict[bytes, Decoded] = {}
        for row in np.flatnonzero(~good).tolist():
            raw = cells[row].tobytes()
            if raw not in known:
                known[raw] = decode(span, raw, self._coding)
            found[row] = known[raw]
        return _replaced(array, found), {row: reason for row, (_, reason) in found.items() if reason is not None}

    def _cut(self, span: Span, rows: Places) -> pa.Array:
        """What there is of fields that end too soon."""
        if span.storage not in OF_TEXT or self._present is None:
            return pa.nulls(len(rows), pa.string())
        cells, lengths = self._rows[rows, span.offset : span.offset + span.length], self._present.lengths(span, rows)
        if self._page is not None and span.storage is Storage.TEXT:
            texts = self._translate(cells)[np.arange(span.length) < lengths[:, None]]
            if texts.max(initial=0) < WIDE:
                return uneven(texts, lengths)
        raws = (cell.tobytes()[:length] for cell, length in zip(cells, lengths.tolist(), strict=True))
        return pa.array([decode_cut(span, raw, self._coding)[0] for raw in raws], pa.string())

    def _translate(self, cells: Bytes) -> Bytes:
        return cells if self._page is None else self._page.texts.translate(cells)

    def texts(self, _: Span, cells: Bytes) -> tuple[pa.Array, Flags | None]:
        """Characters as they stand."""
        if self._page is None:
            return pa.nulls(len(cells), pa.string()), None
        return self._page.texts.column(cells, self._translate(cells))

    def digits(self, span: Span, cells: Bytes) -> tuple[pa.Array, Flags | None]:
        """Unsigned digits: as they stand, or with their point."""
        texts = self._translate(cells)
        good = _are_digits(texts)
        if not span.scale:
            array = even(texts) if texts.max(initial=0) < WIDE else even(np.where(texts < WIDE, texts, _ZERO))
            return array, good
        return render(texts, np.zeros(len(cells), np.bool_), span.scale, good), good

    def zoned(self, span: Span, cells: Bytes) -> tuple[pa.Array, Flags | None]:
        """Digits with a sign in one of them, or beside them."""
        page = self._page
        if page is None:
            return pa.nulls(len(cells), pa.string()), None
        texts = self._translate(cells)
        place = 0 if span.leading else span.length - 1
        if span.separate:
            sign = texts[:, place]
            digits = np.ascontiguousarray(np.delete(texts, place, axis=1))
            good = _are_digits(digits) & ((sign == _PLUS) | (sign == _MINUS))
            return render(digits, sign == _MINUS, span.scale, good), good
        digits = texts.copy()
        digits[:, place] = page.digit[cells[:, place]]
        good = _are_digits(digits)
        return render(digits, page.is_negative[cells[:, place]], span.scale, good), good

    def packed(self, span: Span, cells: Bytes) -> tuple[pa.Array, Flags | None]:
        """Two digits a byte, the last half byte a sign."""
        nibbles = _HEX[cells].view(np.uint8)
        if span.storage is Storage.PACKED_UNSIGNED:
            good = _are_digits(nibbles)
            return render(nibbles, np.zeros(len(cells), np.bool_), span.scale, good), good
        sign = cells[:, -1] & 0x0F
        digits = nibbles[:, :-1]
        good = _are_digits(digits) & (sign >= _DIGITS)
        return render(digits, _IS_MINUS[sign], span.scale, good), good

    def binary(self, span: Span, cells: Bytes) -> tuple[pa.Array, Flags | None]:
        """Whole numbers of at most eight bytes."""
        good = np.ones(len(cells), np.bool_)
        if span.length not in _BINARY_DIGITS:
            return pa.nulls(len(cells), pa.string()), None
        order, kind = "<" if span.little_endian else ">", "i" if span.signed else "u"
        values = cells.view(f"{order}{kind}{span.length}").reshape(-1)
        if not span.scale:
            return pc.cast(pa.array(values.astype(values.dtype.newbyteorder("="))), pa.string()), good
        negative = values < 0
        rest = values.astype(np.int64).view(np.uint64) if span.signed else values.astype(np.uint64)
        rest = np.where(negative, ~rest + np.uint64(1), rest)
        digits = np.empty((len(cells), _BINARY_DIGITS[span.length]), np.uint8)
        for place in range(digits.shape[1] - 1, -1, -1):
            rest, digits[:, place] = np.divmod(rest, np.uint64(10))
        digits += _ZERO
        return render(digits, negative, span.scale, good), good


def render(digits: Bytes, negative: Flags, scale: int, good: Flags) -> pa.Array:
    """Decimal numbers from digits (characters, a row a number): no leading zeros, with their point; not good: empty."""
    count, width = digits.shape
    whole = max(width - scale, 1)
    after = max(scale, 0)
    grid = np.full((count, 1 + whole + (1 + after if after else 0)), _ZERO, np.uint8)
    left = digits[:, : width - after] if width > after else digits[:, :0]
    grid[:, 1 : 1 + left.shape[1]] = left
    if after:
        grid[:, 1 + whole] = _POINT
        right = digits[:, -min(after, width) :]
        grid[:, grid.shape[1] - right.shape[1] :] = right
    is_digit = grid[:, 1 : 1 + whole] != _ZERO
    is_digit[:, -1] = True
    start = 1 + is_digit.argmax(axis=1)
    minus = np.flatnonzero(negative & good & (digits != _ZERO).any(axis=1))
    start[minus] -= 1
    grid[minus, start[minus]] = _MINUS
    start[~good] = grid.shape[1]
    kept = np.arange(grid.shape[1]) >= start[:, None]
    return uneven(grid[kept], grid.shape[1] - start)


def _are_digits(texts: Bytes) -> Flags:
    found: Flags = np.all((texts - np.uint8(_ZERO)) < _DIGITS, axis=1)  # below zero wraps around
    return found


def _among(array: pa.Array, rows: Places, count: int) -> pa.Array:
    """The values at their rows of a longer column, nulls in all others."""
    places = np.zeros(count, np.int64)
    places[rows] = np.arange(len(rows))
    missing = np.ones(count, np.bool_)
    missing[rows] = False
    return array.take(pa.array(places, mask=missing))


def _replaced(array: pa.Array, found: dict[int, Decoded]) -> pa.Array:
    if not found:
        return array
    mask = np.zeros(len(array), np.bool_)
    mask[list(found)] = True
    values = [found[row][0] for row in sorted(found)]
    return pc.replace_with_mask(array, pa.array(mask), pa.array(values, pa.string()))


@lru_cache(maxsize=16)
def _page(coding: Coding) -> CodePage | None:
    texts = text_page(coding.encoding)
    return CodePage(coding, texts) if texts is not None else None


def _hexadecimal(bytes_: Iterable[int]) -> npt.NDArray[np.uint16]:
    """The two characters of every byte, as they lie in memory."""
    return np.frombuffer(b"".join(b"%02x" % byte for byte in bytes_), np.uint16)


_HEX: Final = _hexadecimal(range(_BYTE_VALUES))
_Fast = Callable[[Block, Span, Bytes], tuple[pa.Array, Flags | None]]
_BYTEWISE: Final[dict[Storage, _Fast]] = {
    Storage.PACKED: Block.packed,
    Storage.PACKED_UNSIGNED: Block.packed,
    Storage.BINARY: Block.binary,
}
_FAST: Final[dict[Storage, _Fast]] = {
    **_BYTEWISE,
    Storage.TEXT: Block.texts,
    Storage.DIGITS: Block.digits,
    Storage.ZONED: Block.zoned,
}
