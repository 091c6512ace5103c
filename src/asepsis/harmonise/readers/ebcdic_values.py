"""One field of one mainframe record, from its bytes to its text: the definition of every value that a column holds.

``ebcdic_columns`` decodes whole blocks and comes back here for what is not as its picture says. Numbers come out as
decimal numbers, unsigned digits as they stand. Sources: IBM z/Architecture Principles of Operation, "Decimal-Number
Formats" and "Hexadecimal-Floating-Point Number Representation"; IEEE 754-2019.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from asepsis.harmonise.readers.copybook import Span, Storage

UNDECODABLE: Final = "\ufffd"
CUT_SHORT: Final = "cut_short"
OF_TEXT: Final = frozenset({Storage.TEXT, Storage.NATIONAL})
SINGLE: Final = 4
SINGLE_RANGE: Final = (1.2e-38, 3.4e38)
NEGATIVE: Final = frozenset("bd")
SIGNS: Final = frozenset("abcdef")
_SEPARATE: Final = {"+": False, "-": True}
_EDITING: Final = str.maketrans("", "", " ,*$£€")
_EDITED: Final = re.compile(r"^(\d*)(?:\.(\d*))?$", re.ASCII)
_MINUS: Final = ("-", "CR", "DB")
_PUNCHED: Final = {
    char: (str(place), is_negative)
    for chars, is_negative in (("{ABCDEFGHI", False), ("}JKLMNOPQR", True), ("pqrstuvwxy", True))
    for place, char in enumerate(chars)
} | {str(digit): (str(digit), False) for digit in range(10)}


class FloatFormat(StrEnum):
    """How COMP-1 and COMP-2 are stored."""

    IBM = "ibm"
    IBM_LITTLE_ENDIAN = "ibm_little_endian"
    IEEE754 = "ieee754"
    IEEE754_LITTLE_ENDIAN = "ieee754_little_endian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """The code page of the texts and the format of the floating-point numbers."""

    encoding: str
    floats: FloatFormat = FloatFormat.IBM

    @property
    def is_ebcdic(self) -> bool:
        """Whether digits are the bytes F0 to F9, and zones carry signs."""
        return "0".encode(self.encoding, "replace") == b"\xf0"


Decoded = tuple[str | None, str | None]


def decode(span: Span, raw: bytes, coding: Coding) -> Decoded:
    """The text of a whole field and what is wrong with it (``None``: nothing)."""
    return _DECODERS[span.storage](span, raw, coding)


def decode_cut(span: Span, raw: bytes, coding: Coding) -> Decoded:
    """What there is of a field that the end of its record cuts: the beginning of a text, no number."""
    if span.storage not in OF_TEXT:
        return None, CUT_SHORT
    return decode(span, raw, coding)[0], CUT_SHORT


def decimal(value: int, scale: int) -> str:
    """A whole number with its point moved ``scale`` places to the left (negative: to the right)."""
    if scale <= 0:
        return str(value * 10**-scale)
    digits = str(abs(value)).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _text(_: Span, raw: bytes, coding: Coding) -> Decoded:
    text = raw.decode(coding.encoding, "replace")
    return (None, "undecodable") if UNDECODABLE in text else (text, None)


def _national(_: Span, raw: bytes, __: Coding) -> Decoded:
    try:
        return raw.decode("utf-16-be"), None
    except UnicodeDecodeError:
        return None, "undecodable"


def _digits(span: Span, raw: bytes, coding: Coding) -> Decoded:
    """Digits keep their zeros; blanks stay blank, and what is neither stays as it stands with a defect."""
    text, reason = _text(span, raw, coding)
    if text is None or not text.strip():
        return text, reason
    if not (text.isascii() and text.isdecimal()):
        return text, "digits_expected"
    return (decimal(int(text), span.scale) if span.scale else text), None


def _zoned(span: Span, raw: bytes, coding: Coding) -> Decoded:
    number = _separate(span, raw, coding) if span.separate else _punched(raw, coding, leading=span.leading)
    return (None, "zoned_decimal_corrupt") if number is None else (decimal(number, span.scale), None)


def _separate(span: Span, raw: bytes, coding: Coding) -> int | None:
    text = raw.decode(coding.encoding, "replace")
    sign, digits = (text[:1], text[1:]) if span.leading else (text[-1:], text[:-1])
    if sign not in _SEPARATE or not (digits.isascii() and digits.isdecimal()):
        return None
    return -int(digits) if _SEPARATE[sign] else int(digits)


def _punched(raw: bytes, coding: Coding, *, leading: bool) -> int | None:
    """The sign is the zone of the first or last digit; all other zones are F."""
    digits, is_negative = _unpunched(raw, coding, place=0 if leading else len(raw) - 1)
    if not (digits.isascii() and digits.isdecimal()):
        return None
    return -int(digits) if is_negative else int(digits)


def _unpunched(raw: bytes, coding: Coding, *, place: int) -> tuple[str, bool]:
    """The text with the digit at ``place`` (from 0) freed of its sign; a text that is no number where there is none."""
    if not coding.is_ebcdic:
        text = raw.decode(coding.encoding, "replace")
        digit, is_negative = _PUNCHED.get(text[place : place + 1], ("", False))
        return (text[:place] + digit + text[place + 1 :] if digit else ""), is_negative
    code = raw[place : place + 1].hex()
    zone, digit = code[0], code[1]
    if zone not in SIGNS or not digit.isdecimal():
        return "", False
    freed = raw[:place] + bytes([0xF0 + int(digit)]) + raw[place + 1 :]
    return freed.decode(coding.encoding, "replace"), zone in NEGATIVE


def _edited(span: Span, raw: bytes, coding: Coding) -> Decoded:
    """Editing symbols are taken off; a point in the text is the point, else the picture tells where it is."""
    text, reason = _text(span, raw, coding)
    if text is None or not text.strip():
        return text, reason
    is_negative = False
    if span.signed:
        text, is_negative = _unpunched(raw, coding, place=len(raw) - 1)
    body = text.translate(_EDITING)
    for mark in _MINUS:
        if body.startswith(mark) or body.endswith(mark):
            body, is_negative = body.removeprefix(mark).removesuffix(mark), True
            break
    match = _EDITED.match(body.removeprefix("+").removesuffix("+"))
    if match is None or not (match[1] or match[2]):
        return None, "edited_number_corrupt"
    value = int(match[1] + (match[2] or ""))
    return decimal(-value if is_negative else value, span.scale + len(match[2] or "")), None


def _packed(span: Span, raw: bytes, _: Coding) -> Decoded:
    digits, sign = raw.hex()[:-1], raw.hex()[-1]
    if sign not in SIGNS or not digits.isdecimal():
        return None, "packed_decimal_corrupt"
    return decimal(-int(digits) if sign in NEGATIVE else int(digits), span.scale), None


def _packed_unsigned(span: Span, raw: bytes, _: Coding) -> Decoded:
    digits = raw.hex()
    return (decimal(int(digits), span.scale), None) if digits.isdecimal() else (None, "packed_decimal_corrupt")


def _binary(span: Span, raw: bytes, _: Coding) -> Decoded:
    value = int.from_bytes(raw, "little" if span.little_endian else "big", signed=span.signed)
    return decimal(value, span.scale), None


def _float(_: Span, raw: bytes, coding: Coding) -> Decoded:
    if coding.floats in {FloatFormat.IBM_LITTLE_ENDIAN, FloatFormat.IEEE754_LITTLE_ENDIAN}:
        raw = raw[::-1]
    if coding.floats in {FloatFormat.IBM, FloatFormat.IBM_LITTLE_ENDIAN}:
        value = _hexadecimal(raw)
    else:
        (value,) = struct.unpack(">f" if len(raw) == SINGLE else ">d", raw)
    if not math.isfinite(value):
        return None, "float_not_finite"
    least, most = SINGLE_RANGE
    is_single = len(raw) == SINGLE and (value == 0 or least < abs(value) < most)
    return (str(np.float32(value)) if is_single else repr(value)), None


def _hexadecimal(raw: bytes) -> float:
    """Sign, exponent of 16 in excess-64, fraction of 24 or 56 bits."""
    bits = 8 * (len(raw) - 1)
    fraction = int.from_bytes(raw[1:])
    value = math.ldexp(float(fraction), 4 * ((raw[0] & 0x7F) - 64) - bits)
    return -value if raw[0] & 0x80 else value


_DECODERS: Final[dict[Storage, Callable[[Span, bytes, Coding], Decoded]]] = {
    Storage.TEXT: _text,
    Storage.NATIONAL: _national,
    Storage.DIGITS: _digits,
    Storage.ZONED: _zoned,
    Storage.EDITED: _edited,
    Storage.PACKED: _packed,
    Storage.PACKED_UNSIGNED: _packed_unsigned,
    Storage.BINARY: _binary,
    Storage.FLOAT: _float,
}
