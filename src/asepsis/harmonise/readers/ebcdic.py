"""Fixed-length EBCDIC records described by a copybook.

Values come out as text: digits as they stand (leading zeros kept), signed, packed and binary numbers as a decimal
number. A field that does not hold what its picture says becomes ``None`` with a defect; the record stays.
Bytes after the last whole record are one residue record. Storage formats: IBM z/Architecture Principles of Operation,
"Decimal-Number Formats".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from asepsis.harmonise.readers.copybook import Layout, Span, Storage
from asepsis.harmonise.readers.record import Limits, Record, RecordKind, counted, is_charmap, read_exactly

_BATCH: Final = 4096
_NEGATIVE: Final = frozenset("db")
_SIGNS: Final = frozenset("abcdef")

_Decoder = Callable[[bytes], str | None]


def read(stream: BinaryIO, *, layout: Layout, encoding: str, limits: Limits | None = None) -> Iterator[Record]:
    """Yield every record of the stream, then its residue.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    return counted(_records(stream, layout, encoding), limits=limits or Limits())


def _records(stream: BinaryIO, layout: Layout, encoding: str) -> Iterator[Record]:
    decode = _record_decoder(layout, encoding)
    size, number = layout.length, 0
    while block := read_exactly(stream, size * _BATCH):
        whole = len(block) - len(block) % size
        for start in range(0, whole, size):
            raw = block[start : start + size]
            fields, defects = decode(raw)
            yield Record(number, number * size, size, raw, fields, RecordKind.DATA, defects)
            number += 1
        if tail := block[whole:]:
            yield Record(number, number * size, len(tail), tail, None, RecordKind.RESIDUE, ("truncated_final_record",))


def _record_decoder(layout: Layout, encoding: str) -> Callable[[bytes], tuple[dict[str, str | None], tuple[str, ...]]]:
    """Text is decoded once per record and then cut, the rest field by field."""
    charmap = is_charmap(encoding)
    texts = [(s.name, slice(s.offset, s.offset + s.length), s.storage) for s in layout.spans if _is_text(s)]
    others = [(s.name, slice(s.offset, s.offset + s.length), _decoder(s), s.storage) for s in layout.spans if not _is_text(s)]

    def decode(raw: bytes) -> tuple[dict[str, str | None], tuple[str, ...]]:
        fields: dict[str, str | None] = {}
        defects: list[str] = []
        whole = raw.decode(encoding, "replace") if charmap else ""
        for name, place, storage in texts:
            text = whole[place] if charmap else raw[place].decode(encoding, "replace")
            fields[name] = text
            if "\ufffd" in text:
                fields[name] = None
                defects.append(f"undecodable@{name}")
            elif storage is Storage.DIGITS and not text.isdecimal() and text.strip():
                defects.append(f"digits_expected@{name}")
        for name, place, number, kind in others:
            fields[name] = value = number(raw[place])
            if value is None:
                defects.append(f"{kind}_decimal_corrupt@{name}")
        return fields, tuple(defects)

    return decode


def _is_text(span: Span) -> bool:
    return span.storage is Storage.TEXT or (span.storage is Storage.DIGITS and not span.scale)


def _decoder(span: Span) -> _Decoder:
    scale, signed = span.scale, span.signed
    if span.storage is Storage.PACKED:
        return lambda raw: _packed(raw, scale)
    if span.storage is Storage.BINARY:
        return lambda raw: _decimal(int.from_bytes(raw, "big", signed=signed), scale)
    return lambda raw: _zoned(raw, scale)


def _packed(raw: bytes, scale: int) -> str | None:
    digits, sign = raw.hex()[:-1], raw.hex()[-1]
    if sign not in _SIGNS or not digits.isdecimal():
        return None
    return _decimal(-int(digits) if sign in _NEGATIVE else int(digits), scale)


def _zoned(raw: bytes, scale: int) -> str | None:
    """The sign is the zone of the last byte; all other zones are F."""
    zones, digits = raw.hex()[0::2], raw.hex()[1::2]
    if zones[:-1].strip("f") or zones[-1] not in _SIGNS or not digits.isdecimal():
        return None
    return _decimal(-int(digits) if zones[-1] in _NEGATIVE else int(digits), scale)


def _decimal(value: int, scale: int) -> str:
    if not scale:
        return str(value)
    digits = str(abs(value)).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"
