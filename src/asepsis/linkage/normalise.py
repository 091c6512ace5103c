"""Brings the fields of an identity record to one form, so that equality means what a clerk would call equal.

Invariant: a value that identifies nobody (empty, a placeholder, a dummy) becomes ``None`` and so can never
agree with anything; a name in a script that is not Latin is kept as it is and never becomes empty.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final

from anyascii import anyascii

from asepsis.linkage.words import NO_NAMES, PARTICLES, SUFFIXES, TITLES

_LETTERS: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h", "ŋ": "ng"},
)
_MOJIBAKE: Final = re.compile("[ÃÂÄÅ][\u0080-\u00bf\u0152-\u2122]")
_APOSTROPHES: Final = re.compile("['’`´ʼ]")  # noqa: RUF001 - as names are typed with
_WORDS: Final = re.compile(r"[^\W\d_]+")
_SIGNS: Final = re.compile(r"[^\W_]+")
_NUMBER: Final = re.compile(r"\d+")
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_NO_DIGITS: Final = re.compile(r"\D+")
_KNOWN_DUMMIES: Final = frozenset({"078051120", "219099999", "457555462"})
"""Numbers that were printed on sample cards and then used by thousands (US Social Security Administration)."""
_DUMMY_BIRTHS: Final = frozenset({"19000101", "19010101", "18000101", "18500101", "99991231", "19700101"})
_SHORT_YEAR: Final = re.compile(r"\s*(\d{6}|\d{1,2}[./-]\d{1,2}[./-]\d{2})\s*")
_FULL_DATE: Final = re.compile(r"\s*((?:18|19|20)\d\d)-?(\d\d)-?(\d\d)(?:[T ].*)?\s*")
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_HOUSE: Final = re.compile(r"\d+[a-z]?\b")
_STREET_KINDS: Final = {
    "st": "street", "str": "strasse", "rd": "road", "ave": "avenue", "av": "avenue", "ct": "court", "crt": "court",
    "pl": "place", "dr": "drive", "drv": "drive", "ln": "lane", "cres": "crescent", "cr": "crescent",
    "blvd": "boulevard", "hwy": "highway", "pde": "parade", "tce": "terrace", "ter": "terrace", "cl": "close",
    "cir": "circuit", "cct": "circuit", "sq": "square", "pkwy": "parkway",
}  # fmt: skip
_PARTIAL_DATE: Final = re.compile(r"\s*((?:18|19|20)\d\d)(?:-(0[1-9]|1[0-2]))?\s*")
_UNKNOWN_PARTS: Final = re.compile(r"\s*((?:18|19|20)\d\d)-?(0[1-9]|1[0-2]|00|99)-?(?:00|99)\s*")
_SHORTEST_ID: Final = 6
_SHORTEST_PHONE: Final = 7
_PHONE_DIGITS: Final = 9
_ZIP_PLUS_FOUR: Final = re.compile(r"\s*(\d{5})-?\d{4}\s*")
_SEXES: Final = {"f": "F", "female": "F", "w": "F", "2": "F", "m": "M", "male": "M", "1": "M"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyName:
    """A family name: the whole without particles, and every form it may appear in."""

    whole: str
    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenName:
    """Given names: the first, and all of them."""

    first: str
    every: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """One line of an address: the house number without leading zeros, and the street as words."""

    number: str | None
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """A birth date as ``yymmdd``, and the full year where the source gave one."""

    day: str
    year: str | None


def letters(text: str) -> str:
    """Lower case without diacritics; UTF-8 that was read as Latin-1 is put right first."""
    if text.isascii():
        return text.lower()
    if _MOJIBAKE.search(text):
        text = _unscramble(text)
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(mark for mark in decomposed if not unicodedata.combining(mark)).translate(_LETTERS)


def _unscramble(text: str) -> str:
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text


def latin(name: str) -> str | None:
    """A normalised name in Latin letters; ``None`` where it already is, or nothing comes of it.

    A transliteration is one candidate among several (the same name has many), so it stands beside the name in
    its own script and never replaces it. Source: the tables of anyascii.
    """
    if name.isascii():
        return None
    return "".join(_WORDS.findall(anyascii(name).lower())) or None


def umlauts_spelt_out(text: str | None) -> str | None:
    """A German name with ae, oe, ue, as it is typed where there are no umlauts; ``None`` where it has none."""
    folded = unicodedata.normalize("NFC", text or "").casefold()
    if not any(vowel in folded for vowel in "äöü"):
        return None
    return "".join(_words(folded.translate(_UMLAUTS))) or None


def street(text: str | None) -> Street | None:
    """House number and street of one line of an address; ``None`` where both are missing."""
    plain = _APOSTROPHES.sub("", letters(text or ""))
    number = _HOUSE.search(plain)
    words = [_STREET_KINDS.get(word, word) for word in _SIGNS.findall(_HOUSE.sub(" ", plain, count=1))]
    name = " ".join(words)
    if not name or name in NO_NAMES:
        name = ""
    if number is None and not name:
        return None
    return Street(number=number.group().lstrip("0") or None if number else None, name=name or None)


def place(text: str | None) -> str | None:
    """A city, suburb or state, as words; ``None`` for a placeholder."""
    name = " ".join(_words(text or ""))
    return None if not name or name.replace(" ", "") in NO_NAMES else name


def _words(text: str) -> list[str]:
    return _WORDS.findall(_APOSTROPHES.sub("", letters(text)))


def family_name(text: str | None) -> FamilyName | None:
    """The forms of a family name: whole, parts of a double name; ``None`` for a placeholder."""
    words = [word for word in _words(text or "") if word not in SUFFIXES]
    parts = [word for word in words if word not in PARTICLES] or words
    whole = "".join(parts)
    if not whole or whole in NO_NAMES or all(part in NO_NAMES for part in parts):
        return None
    forms = dict.fromkeys([whole, "".join(words), *(part for part in parts if len(part) > 2)])  # noqa: PLR2004
    return FamilyName(whole=whole, forms=tuple(forms))


def given_name(text: str | None) -> GivenName | None:
    """The first given name and its forms; ``None`` for a placeholder."""
    words = [word for word in _words(text or "") if word not in TITLES]
    if not words or "".join(words) in NO_NAMES or words[0] in NO_NAMES:
        return None
    return GivenName(first=words[0], every=" ".join(words))


def sex(text: str | None) -> str | None:
    """``F``, ``M`` or ``None``."""
    return _SEXES.get((text or "").strip().casefold())


def birth(value: date | None, source: str | None) -> Birth | None:
    """The birth date; a source with a two-digit year leaves the century open, whatever the mapping took it for."""
    text = value.isoformat().replace("-", "") if value is not None else _full_date(source)
    if text is None or text in _DUMMY_BIRTHS:
        return None
    is_short = source is not None and _SHORT_YEAR.fullmatch(source) is not None
    return Birth(day=text[2:], year=None if is_short else text[:4])


def _full_date(source: str | None) -> str | None:
    """Only an unambiguous calendar date is read from text: orders are declared in mappings, never guessed here."""
    found = _FULL_DATE.fullmatch(source or "")
    if found is None:
        return None
    try:
        return date(*map(int, found.groups())).isoformat().replace("-", "")
    except ValueError:
        return None


def calendar_day(text: str) -> date | None:
    """The day of ``yyyymmdd``, or ``None``."""
    return None if (day := _full_date(text)) is None else date.fromisoformat(day)


def partial_birth(source: str | None) -> str | None:
    """``yyyy`` or ``yyyymm`` of a date that is known no better, as FHIR writes it, or with 00 or 99 for the rest.

    ``None`` for anything else.
    """
    found = _PARTIAL_DATE.fullmatch(source or "") or _UNKNOWN_PARTS.fullmatch(source or "")
    return "".join(part for part in found.groups() if part and part not in _NO_PART) if found else None


_NO_PART: Final = frozenset({"00", "99"})


def damaged_birth(source: str | None) -> str | None:
    """``yyyymmdd`` of a date, year first, that no calendar knows; ``None`` for anything else.

    Somebody mistyped a digit or exchanged two parts of it: what is left tells persons apart like any other date.
    """
    found = _FULL_DATE.fullmatch(source or "")
    is_damaged = found is not None and _full_date(source) is None and not _UNKNOWN_PARTS.fullmatch(source or "")
    return "".join(found.groups()) if found is not None and is_damaged else None


def is_damaged(day: str) -> bool:
    """Whether ``yymmdd`` is a day of no calendar, in a leap year."""
    try:
        date(2000, int(day[2:4]), int(day[4:]))
    except ValueError:
        return True
    return False


def national_id(text: str | None) -> str | None:
    """Letters and digits of a national id; ``None`` for a placeholder (one repeated sign, a run, a sample card)."""
    kept = _SEPARATORS.sub("", letters(text or ""))
    is_dummy = len(kept) < _SHORTEST_ID or not _NUMBER.search(kept)
    return None if is_dummy or kept in _KNOWN_DUMMIES or _is_run(kept) else kept


def _is_run(text: str) -> bool:
    """Whether all steps from sign to sign are equal and small: 999999999, 123456789, 0123456789, 987654321."""
    if not text.isdigit():
        return False
    step = (int(text[1]) - int(text[0])) % 10
    if step not in {0, 1, 9}:
        return False
    return all((int(after) - int(before)) % 10 == step for before, after in pairwise(text))


def postal_code(text: str | None) -> str | None:
    """A postal code without spaces, a US one without its last four digits; ``None`` for a placeholder."""
    plus_four = _ZIP_PLUS_FOUR.fullmatch(text or "")
    kept = plus_four.group(1) if plus_four else "".join(sign for sign in letters(text or "") if sign.isalnum())
    return kept if len(kept) > 2 and len(set(kept)) > 1 else None  # noqa: PLR2004


def phone(text: str | None) -> str | None:
    """The last nine digits of a phone number, so that country and trunk codes do not matter."""
    digits = _NO_DIGITS.sub("", text or "")
    is_dummy = len(digits) < _SHORTEST_PHONE or len(set(digits)) < 3 or _is_run(digits)  # noqa: PLR2004
    return None if is_dummy else digits[-_PHONE_DIGITS:]
