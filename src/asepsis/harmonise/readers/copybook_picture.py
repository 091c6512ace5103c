"""PICTURE strings of COBOL: how many characters or digits a field has, and where its decimal point is.

Known: A X 9 N S V P, and the editing symbols of numeric-edited pictures (Z * + - , . $ CR DB). Pictures with B, 0 or /
are texts: what they insert is part of the value. Source: IBM Enterprise COBOL for z/OS, Language Reference,
"PICTURE clause".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_DIGITS: Final = 38
_SYMBOL: Final = re.compile(r"(CR|DB|[AXN9SVPZ*+\-,.$B0/])(?:\((\d{1,6})\))?")
_NUMBER: Final = re.compile(r"^S?P*9*V?9*P*V?$")
_EDITED: Final = re.compile(r"^[S9VZ*+\-,.$CRDB]+$")
_DIGIT: Final = frozenset("9Z*")
_MAX_SYMBOLS: Final = 1 << 20


class Content(StrEnum):
    """What a picture describes."""

    TEXT = "text"
    NATIONAL = "national"
    NUMBER = "number"
    EDITED = "edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """``size`` characters (a sign in the last digit takes none); ``scale`` decimal places, negative for trailing P."""

    content: Content
    size: int
    scale: int = 0
    signed: bool = False


def parse_picture(text: str) -> Picture | None:
    """Understand a picture in upper case, or return ``None`` where it is none of those known."""
    symbols = _expand(text)
    if symbols is None:
        return None
    kinds = set(symbols)
    if kinds <= {"N"}:
        return Picture(content=Content.NATIONAL, size=len(symbols))
    if kinds <= {"A", "X", "9", "B", "0", "/"} and kinds & {"A", "X", "B", "0", "/"}:
        return Picture(content=Content.TEXT, size=len(symbols))
    plain = "".join(symbols)
    if _NUMBER.match(plain) and "9" in kinds:
        return _number(plain)
    return _edited(symbols) if _EDITED.match(plain) and kinds & _DIGIT else None


def _expand(text: str) -> list[str] | None:
    symbols: list[str] = []
    end = 0
    for match in _SYMBOL.finditer(text):
        count = int(match[2] or 1)
        if match.start() != end or not count or len(symbols) + count > _MAX_SYMBOLS:
            return None
        symbols += [match[1]] * count
        end = match.end()
    return symbols if symbols and end == len(text) else None


def _number(plain: str) -> Picture | None:
    """``P`` before the digits moves the point to the left of them, after the digits to the right."""
    body = plain.removeprefix("S")
    digits, scaling = body.count("9"), body.count("P")
    before, _, after = body.partition("V")
    scale = after.count("9") + (after.count("P") if body.startswith("V") else 0)
    if scaling and body.lstrip("V").startswith("P"):
        scale = digits + scaling
    elif scaling:
        scale = -scaling if not after.count("9") else MAX_DIGITS + 1
    if digits > MAX_DIGITS or abs(scale) > MAX_DIGITS or ("P" in before and "P" in after):
        return None
    return Picture(content=Content.NUMBER, size=digits, scale=scale, signed=plain.startswith("S"))


def _edited(symbols: list[str]) -> Picture | None:
    """The length counts every symbol but S and V; CR and DB are two characters."""
    points = symbols.count(".") + symbols.count("V")
    if points > 1 or symbols.count("S") > 1 or "S" in symbols[1:]:
        return None
    size = sum(len(symbol) for symbol in symbols if symbol not in {"S", "V"})
    after = symbols[symbols.index("V") + 1 :] if "V" in symbols else []
    scale = sum(symbol in _DIGIT for symbol in after)
    return Picture(content=Content.EDITED, size=size, scale=scale, signed=symbols[0] == "S")
