"""Folding a text sign by sign, so that places in the folded text are places in the text; and cutting it into words.

Invariant: ``fold(text)`` has the length of ``text``. Upper and lower case, accents and digits of other scripts become
one form; letters that stand for two (``æ``) become the first, and ``canon`` makes both spellings equal.
Source of the decompositions: Unicode Standard Annex #15, through ``unicodedata``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SINGLE: Final = dict(zip("ßøłđðæœþħ\u0131", "solddaothi", strict=True))
_DOUBLED: Final = re.compile(r"(?<=[aou])e|(?<=a)a|(?<=s)s|(?<=t)h")
_SHORTEST_CANON: Final = 4


class Word(NamedTuple):
    """A run of letters or of digits: its folded text, and where it stands."""

    text: str
    start: int
    end: int


class _Signs(dict[int, str]):
    """One folded sign for each sign, found out when it is first met."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        found = self[code] = _sign(sign)
        return found


def _sign(sign: str) -> str:
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    low = unicodedata.normalize("NFKD", sign.lower())[0] if sign.isalpha() else sign
    low = _SINGLE.get(low, low)
    return low if len(low) == 1 else sign


_SIGNS: Final = _Signs()


def visible(text: str) -> str:
    """The text with composed letters and without invisible signs, which could part a name."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))


def fold(text: str) -> str:
    """Lower case, base letters, ASCII digits; sign by sign."""
    return text.lower() if text.isascii() else text.translate(_SIGNS)


def words_of(folded: str) -> list[Word]:
    """The runs of letters and the runs of digits of a folded text."""
    return [Word(match[0], *match.span()) for match in _WORD.finditer(folded)]


@lru_cache(maxsize=1 << 16)
def canon(word: str) -> str:
    """One form for spellings of a folded word: ``mueller`` and ``muller``, ``strasse`` and ``strase``."""
    return _DOUBLED.sub("", word) if len(word) >= _SHORTEST_CANON else word


def plain(text: str) -> str:
    """The letters and digits of a text, folded, without anything between."""
    return "".join(word.text for word in words_of(fold(visible(text))))
