"""The second net: what looks like an identifier of anybody, whoever it belongs to.

Addresses of mail and pages, international phone numbers, runs of nine digits and more, and grouped digits that are a
national number: a shape that only such numbers have, or check digits that fit.
Sources of the check digits: NHS Data Dictionary, "NHS Number" (modulus 11); Act 133/2000 Coll. (Czech birth number,
modulus 11); the Dutch "elfproef"; ISO/IEC 7812-1 annex B (Luhn) for Sweden and Canada; the French NIR (modulus 97); the
letter of the Spanish DNI (modulus 23).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from asepsis.harmonise.scrubbing.hits import Hit, Label

_EMAIL: Final = re.compile(r"[\w.+%'-]{1,64}\s?@\s?[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_URL: Final = re.compile(r"(?:(?:https?|ftp)://|www\.)[^\s<>\"\]]+", re.IGNORECASE)
_PHONE: Final = re.compile(r"\+\s?\d(?:[ ()/.\u00a0-]{0,3}\d){7,14}(?!\d)")
_RUN: Final = re.compile(r"\d{9,}")
_SHAPES: Final = re.compile(
    r"(?<!\d)(?:\d{3}-\d{2}-\d{4}|\(\d{3}\) ?\d{3}[ -]\d{4}|\d{3}-\d{3}-\d{4}"
    r"|\d{6}[-+A]\d{3}[0-9A-Z]|\d{6}/\d{3,4})(?!\d)"
)
_ENOUGH: Final = re.compile(r"(?:\d[ \u00a0()/.+A-]{0,2}){8}")
_DNI: Final = re.compile(r"(?<![\w])(\d{8})[ -]?([A-HJ-NP-TV-Z])(?!\w)")
_DNI_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"


def net(text: str) -> Iterator[Hit]:
    """The places of a text that look like identifiers."""
    if "@" in text:
        yield from _each(_EMAIL, text, Label.EMAIL)
    if "://" in text or "ww." in text.lower():
        yield from _each(_URL, text, Label.URL)
    if "+" in text:
        yield from _each(_PHONE, text, Label.PHONE)
    if _ENOUGH.search(text):
        yield from _numbers(text)


def _numbers(text: str) -> Iterator[Hit]:
    yield from _each(_RUN, text, Label.NUMBER)
    yield from _each(_SHAPES, text, Label.NUMBER)
    for shape, fits in _CHECKED.items():
        for match in shape.finditer(text):
            if fits([int(sign) for sign in match[0] if sign.isdecimal()]):
                yield Hit(match.start(), match.end(), Label.NUMBER)
    for match in _DNI.finditer(text):
        if _DNI_LETTERS[int(match[1]) % 23] == match[2]:
            yield Hit(match.start(), match.end(), Label.NUMBER)


def _each(pattern: re.Pattern[str], text: str, label: Label) -> Iterator[Hit]:
    return (Hit(match.start(), match.end(), label) for match in pattern.finditer(text))


def _weighted(*weights: int) -> Callable[[list[int]], int]:
    return lambda digits: sum(weight * digit for weight, digit in zip(weights, digits, strict=False))


_NHS: Final = _weighted(10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
_BSN: Final = _weighted(9, 8, 7, 6, 5, 4, 3, 2, -1)


def _number(digits: list[int]) -> int:
    return int("".join(map(str, digits)))


def _luhn(digits: list[int]) -> bool:
    doubled = (digit * 2 if place % 2 else digit for place, digit in enumerate(reversed(digits)))
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0  # noqa: PLR2004 - two digits


def _birth_number(digits: list[int]) -> bool:
    month, day = _number(digits[2:4]) % 50 % 20, _number(digits[4:6])
    return _number(digits) % 11 == 0 and 1 <= month <= 12 and 1 <= day <= 31  # noqa: PLR2004 - of a calendar


def _grouped(*lengths: int) -> re.Pattern[str]:
    groups = r"[ \u00a0.-]".join(rf"\d{{{length}}}" for length in lengths)
    return re.compile(rf"(?<!\d)(?<!\d[.,]){groups}(?!\d)(?![.,]\d)", re.ASCII)


_CHECKED: Final[dict[re.Pattern[str], Callable[[list[int]], bool]]] = {
    _grouped(3, 3, 4): lambda digits: _NHS(digits) % 11 == 0,
    _grouped(3, 3, 3): lambda digits: _luhn(digits) and digits[0] != 0,
    _grouped(4, 2, 3): lambda digits: _BSN(digits) % 11 == 0,
    _grouped(6, 4): lambda digits: _birth_number(digits) or _luhn(digits),
    _grouped(8, 4): lambda digits: _luhn(digits[2:]),
    _grouped(1, 2, 2, 2, 3, 3, 2): lambda digits: 97 - _number(digits[:13]) % 97 == _number(digits[13:]),
}
"""Groups of digits as a national number is written, and whether the check digits fit it."""
