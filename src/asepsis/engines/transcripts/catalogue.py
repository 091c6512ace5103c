"""SAS catalogues of value formats (``.sas7bcat``), a row for each label. Runs inside a confined process only.

SAS does not document the format; the places are those that ReadStat found (MIT, src/sas/readstat_sas7bcat_read.c). It
is read here because that library takes a negative number for another one (its issue 328) and a range for one of its
ends. Invariant: what has not the shape of a single value is of the kind ``other`` and has no value; none is guessed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from asepsis.engines.transcripts.order import Order, TooLargeError
from asepsis.engines.transcripts.values import number
from asepsis.harmonise.transcript import end, line

COLUMNS: Final = ("format", "kind", "value", "label")
LARGEST: Final = 1 << 28
"""Bytes of a catalogue that is read."""

_MAGIC: Final = bytes.fromhex("000000000000000000000000c2ea8163b31411cfbd92080009c7318c181f1011")
_WIDE: Final = 0x33
_INDEX: Final = b"XLSR"
_FORMAT: Final = ord("O")
_FIRST_FREE_PAGE: Final = 3
_VALUE: Final = 22
"""Where the values of an entry begin."""
_NUMBER, _TEXT = 8, 16
_SIGN: Final = 1 << 63
_ALL: Final = (1 << 64) - 1
_MISSING: Final = dict(enumerate("_.ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
"""Special missing values by the byte that names them, turned over; ``.`` is the one without a letter."""
_CHARSETS: Final = {
    0: "ascii",  # nothing is said
    20: "utf-8",
    28: "ascii",
    29: "latin-1",
    **{number: f"iso8859-{part}" for number, part in zip(range(30, 38), range(2, 10), strict=True)},
    40: "iso8859-15",
    42: "cp850",
    43: "cp852",
    **{60 + place: f"cp125{place}" for place in range(9)},
}
"""Encodings by their number in the header (as pandas knows them, ``pandas/io/sas/sas_constants.py``)."""

Row = tuple[str, str, str | None, str]


class CatalogueDamagedError(Exception):
    """The file is no catalogue, or not a whole one."""


def transcript(file: BinaryIO, order: Order) -> Iterator[bytes]:
    """Every label of a catalogue: the name of its format, what it stands for, and its text.

    ``kind`` is ``value``, ``missing`` (a special missing value like ``.A``) or ``other`` (a range, or what is unknown).

    Raises:
        CatalogueDamagedError: the file is no whole catalogue, or its encoding is not known and none is declared.
        TooLargeError: the file is larger than any catalogue.
    """
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise TooLargeError
    catalogue = _Catalogue(data, order.charset)
    yield line(COLUMNS)
    count = 0
    for row in catalogue.rows():
        yield line(row)
        count += 1
    yield end(count)


@dataclass(frozen=True, slots=True)
class _Words:
    """Numbers in the byte order of the file; one that does not stand there is a damage."""

    data: bytes
    sign: str

    def small(self, place: int) -> int:
        """Two bytes."""
        return self._read("H", place)

    def large(self, place: int) -> int:
        """Four bytes."""
        return self._read("I", place)

    def huge(self, place: int) -> int:
        """Eight bytes."""
        return self._read("Q", place)

    def _read(self, form: str, place: int) -> int:
        try:
            (value,) = struct.unpack_from(self.sign + form, self.data, place)
        except struct.error:
            raise CatalogueDamagedError from None
        return int(value)


class _Catalogue:
    """A file as pages, an index of blocks over them, and blocks that may go on in other pages."""

    def __init__(self, data: bytes, charset: str) -> None:
        if not data.startswith(_MAGIC) or len(data) < 256:  # noqa: PLR2004  the header has more
            raise CatalogueDamagedError
        self._data = data
        self._wide = data[32] == _WIDE
        self._pad = 4 if data[35] == _WIDE else 0
        self._sign = "<" if data[37] == 1 else ">"
        self._words = _Words(data, self._sign)
        self._charset = charset or _CHARSETS.get(data[70], "")
        header, page = (self._words.large(196 + self._pad + at) for at in (0, 4))
        pages = (self._words.huge if self._wide else self._words.large)(204 + self._pad)
        if not self._charset or not page or not header or header + page * pages > len(data):
            raise CatalogueDamagedError
        self._header, self._page, self._pages = header, page, pages

    def rows(self) -> Iterator[Row]:
        """The labels of all formats, in the order of their blocks."""
        for place in sorted({*self._pointers()}):
            yield from self._labels(self._block(*place))

    def _pointers(self) -> Iterator[tuple[int, int]]:
        """Page (from 1) and place of every block that the index names."""
        first = 856 + 2 * self._pad + (144 if self._wide else 0)
        yield from self._indexed(1, first)
        for page in range(_FIRST_FREE_PAGE, self._pages):
            if self._data.startswith(_INDEX, self._header + page * self._page + 16):
                yield from self._indexed(page, 16)

    def _indexed(self, page: int, first: int) -> Iterator[tuple[int, int]]:
        start = self._header + page * self._page
        at, stop = start + first, start + self._page
        size = 212 + self._pad + (72 if self._wide else 0)
        kind = 50 + self._pad + (24 if self._wide else 0)
        while at + size <= stop:
            at += 0 if self._data.startswith(_INDEX, at) else 8  # some entries have padding before them
            if not self._data.startswith(_INDEX, at):
                return
            if self._data[at + kind] == _FORMAT:
                page_at, place_at = (8, 16) if self._wide else (4, 8)
                yield self._words.large(at + page_at), self._words.small(at + place_at)
            at += size

    def _block(self, page: int, place: int) -> bytes:
        """The bytes of a block, from all pages that it lies in."""
        parts, seen = [], set()
        head, near, far = (32, 8, 10) if self._wide else (16, 4, 6)
        while page and place:
            at = self._header + (page - 1) * self._page + place
            if page > self._pages or (page, place) in seen:
                raise CatalogueDamagedError
            seen.add((page, place))
            page, place, length = self._words.large(at), self._words.small(at + near), self._words.small(at + far)
            parts.append(self._data[at + head : at + head + length])
            if len(parts[-1]) < length:
                raise CatalogueDamagedError
        return b"".join(parts)

    def _labels(self, block: bytes) -> Iterator[Row]:
        """The labels of one block; what is shorter than the head of a format, or has no labels, is no format."""
        payload = 106 + (32 if self._wide else 0)
        if len(block) < payload:
            return
        words, pad = _Words(block, self._sign), 4 if block[2] & 0x08 else 0
        entries, labels = (words.large(at + pad) for at in ((42, 50) if self._wide else (38, 42)))
        start, name = payload + (pad + 16 if pad else 0), block[8:16]
        if block[2] & (0x20 if self._wide else 0x80):
            name, start = block[start : start + 32], start + 32
        if labels:
            values = _Values(words, start, self._pad, self._charset)
            yield from values.rows(self._text(name), entries, labels)

    def _text(self, data: bytes) -> str:
        return _decoded(data, self._charset)


@dataclass(frozen=True, slots=True)
class _Values:
    """The entries of a format, one for each value, and behind them its labels."""

    words: _Words
    start: int
    pad: int
    charset: str

    def rows(self, name: str, entries: int, labels: int) -> Iterator[Row]:
        """The labels, each with what its entries say that it stands for."""
        at, places = self.start, dict[int, list[bytes]]()
        for place in range(entries):
            size = 6 + self.words.small(at + 2)
            if place < labels:
                places.setdefault(self.words.large(at + 10 + self.pad), []).append(self._part(at, size))
            at += size
        if max(places, default=0) >= labels:
            raise CatalogueDamagedError
        for place in range(labels):
            size = self.words.small(at + 8)
            label = _decoded(self._part(at + 10, size), self.charset)
            at += 8 + 2 + size + 1
            for entry in places.get(place, [b""]):
                kind, value = self._meaning(entry[_VALUE:], is_text=name.startswith("$"))
                yield name, kind, value, label

    def _meaning(self, found: bytes, *, is_text: bool) -> tuple[str, str | None]:
        size = _TEXT if is_text else _NUMBER
        if not found or found != found[:size] * (len(found) // size):
            return "other", None
        return ("value", _decoded(found[:size], self.charset)) if is_text else _number(found[:size])

    def _part(self, at: int, size: int) -> bytes:
        part = self.words.data[at : at + size]
        if len(part) < size:
            raise CatalogueDamagedError
        return part


def _number(found: bytes) -> tuple[str, str | None]:
    """A number whose bytes sort as it does: the sign turned over, and all bits of a negative one."""
    (bits,) = struct.unpack(">Q", found)
    (value,) = struct.unpack(">d", struct.pack(">Q", bits ^ (_SIGN if bits & _SIGN else _ALL)))
    if math.isfinite(value):
        return "value", number(value)
    letter = _MISSING.get(found[2]) if found[:2] == bytes(2) and found[3:] == b"\xff" * 5 else None
    return ("other", None) if letter is None else ("missing", "." if letter == "." else f".{letter}")


def _decoded(data: bytes, charset: str) -> str:
    """A text without the blanks that fill it; bytes that are none become what the reader of the transcript names."""
    return data.rstrip(b" \0").decode(charset, "surrogateescape")
