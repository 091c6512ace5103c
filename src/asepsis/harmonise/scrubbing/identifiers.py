"""What identifies one person, from the rows of the identity table, in the forms that texts are compared with."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from asepsis.harmonise.scrubbing.folding import canon, fold, plain, visible, words_of
from asepsis.harmonise.scrubbing.hits import Label
from asepsis.harmonise.scrubbing.words import COMMON, MONTHS, PARTICLES, STREETS

LEAST_SIGNS: Final = 5
"""Numbers with fewer letters and digits are scrubbed only behind a word like ``MRN``."""

_CUED_SIGNS: Final = 2
_SHORT_NAME: Final = 2
_GLUED: Final = 5
_STEM: Final = 5
_PHONE_CORE, _PHONE_LONG, _PHONE_LEAST = 7, 9, 6
_PLACE_ALONE: Final = 4
_MOST_GIVEN: Final = 3
_PARTED: Final = re.compile(r"[\s,/\u2010-\u2015-]+")
_STREET_ENDING: Final = "strase"
_VOWELS: Final = frozenset("aeiouy")
_MONTH_NAMES: Final = {number: frozenset(word for word in MONTHS if MONTHS[word] == number) for number in range(1, 13)}
_NAMES: Final = ("family_name", "given_name", "previous_family_name")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in this order; ``is_cased`` asks for a capital letter, since the words are also others."""

    words: tuple[str, ...]
    label: Label
    is_cased: bool


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the person: letters and digits, without leading zeros. ``is_cued`` asks for a word before it."""

    signs: str
    label: Label
    is_cued: bool = False


@dataclass(frozen=True, slots=True)
class Birth:
    """A date of birth by its parts, as words of a text: days, months (numbers and names), and years."""

    days: frozenset[str]
    months: frozenset[str]
    years: frozenset[str]
    whole: frozenset[str]

    @property
    def beginnings(self) -> frozenset[str]:
        """The words that a spelling of it can begin with."""
        return self.days | self.months | self.years


@dataclass(slots=True)
class Identifiers:
    """Everything that is looked for; ``is_named`` says whether there is a name at all.

    ``phrases`` are listed under their first word; ``glued`` are written without a gap, and ``heads`` begin one of them.
    """

    phrases: dict[str, list[Phrase]] = field(default_factory=dict)
    glued: dict[str, Label] = field(default_factory=dict)
    heads: set[str] = field(default_factory=set)
    stems: set[str] = field(default_factory=set)
    initials: set[str] = field(default_factory=set)
    house_numbers: set[str] = field(default_factory=set)
    numbers: set[Number] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)
    births: set[Birth] = field(default_factory=set)
    literals: set[tuple[str, Label]] = field(default_factory=set)

    @property
    def is_named(self) -> bool:
        """Whether a text could be scrubbed of a name."""
        names = (phrase.label is Label.NAME for phrases in self.phrases.values() for phrase in phrases)
        return any(names) or any(label is Label.NAME for _, label in self.literals)


def identifiers_of(rows: Iterable[Mapping[str, str | dt.date | None]]) -> Identifiers:
    """What the identity rows of one person (and of whoever was merged with it) say."""
    found = Identifiers()
    for row in rows:
        texts = {name: value for name, value in row.items() if isinstance(value, str) and value.strip()}
        _add_names(found, texts)
        _add_places(found, texts)
        for name in ("mrn", "national_id"):
            _add_number(found, texts.get(name, ""), Label.ID)
        _add_phone(found, texts.get("phone", ""))
        _add_birth(found, row.get("birth_date"), texts.get("birth_date_source", ""))
    return found


def _add_names(found: Identifiers, texts: Mapping[str, str]) -> None:
    for name in _NAMES:
        _add_literal(found, texts.get(name, ""), Label.NAME)
        for part in _parts(texts.get(name, "")):
            _add_name(found, part)
    words = [word for word in _letters(texts.get("given_name", "")) if len(word) > 1][:_MOST_GIVEN]
    given = {tuple(words), *((word,) for word in words)} - {()}
    families = [*_parts(texts.get("family_name", "")), *_parts(texts.get("previous_family_name", ""))]
    for family in families:
        for first in given:
            _add_phrase(found, (*first, *family), Label.NAME, is_cased=False)
            _add_phrase(found, (*family, *first), Label.NAME, is_cased=False)


def _parts(text: str) -> list[list[str]]:
    """The words of a name, and those of each part where it has several (``Smith-O'Brien``)."""
    whole = _letters(text)
    parts = [part for part in map(_letters, _PARTED.split(text)) if part and part != whole]
    return [whole, *parts] if whole else []


def _add_name(found: Identifiers, words: list[str]) -> None:
    """Each word of a name alone, but particles; and all of them together, also written as one."""
    alone = [word for word in words if word not in PARTICLES and len(word) > 1] or words[-1:]
    for word in alone:
        is_cased = word in COMMON or word in PARTICLES or len(word) <= _SHORT_NAME
        _add_phrase(found, (word,), Label.NAME, is_cased=is_cased)
        found.initials.add(word[0])
        if len(word) >= _STEM and not is_cased:
            found.stems.add(word)
            found.stems |= {word[:-1]} if word[-1] in _VOWELS and len(word) > _STEM else set()
        if len(word) >= _GLUED and not is_cased:
            _add_glued(found, word, Label.NAME)
    if len(words) > 1:
        _add_phrase(found, tuple(words), Label.NAME, is_cased=False)


def _add_places(found: Identifiers, texts: Mapping[str, str]) -> None:
    _add_literal(found, texts.get("city", ""), Label.PLACE)
    city = _letters(texts.get("city", ""))
    if city:
        is_cased = len(city) == 1 and (city[0] in COMMON or len(city[0]) < _PLACE_ALONE)
        _add_phrase(found, tuple(city), Label.PLACE, is_cased=is_cased)
    for part in texts.get("address", "").split(","):
        _add_street(found, part)
    _add_postal_code(found, plain(texts.get("postal_code", "")))


def _add_street(found: Identifiers, part: str) -> None:
    """The words of a street together, and without its kind where they are no words of their own."""
    signs = words_of(fold(visible(part)))
    found.house_numbers |= {word.text for word in signs if word.text.isdecimal()}
    words = [word.text for word in signs if not word.text.isdecimal() and len(word.text) > 1]
    names = [word for word in words if word not in STREETS]
    if not names:
        return
    if len(words) > 1:
        _add_phrase(found, tuple(words), Label.PLACE, is_cased=False)
    is_cased = len(names) == 1 and names[0] in COMMON
    if len("".join(names)) >= _PLACE_ALONE and not (is_cased and len(words) > 1):
        _add_phrase(found, tuple(names), Label.PLACE, is_cased=is_cased)
    for base in (canon(word).removesuffix(_STREET_ENDING) for word in names if canon(word).endswith(_STREET_ENDING)):
        _add_phrase(found, (base + "str",), Label.PLACE, is_cased=False)
        _add_phrase(found, (base, _STREET_ENDING), Label.PLACE, is_cased=False)


def _add_postal_code(found: Identifiers, code: str) -> None:
    if len(code) >= LEAST_SIGNS:
        found.numbers.add(Number(code, Label.PLACE))
    elif code:
        found.house_numbers.add(code)


def _add_number(found: Identifiers, text: str, label: Label) -> None:
    signs = plain(text)
    bare = signs.lstrip("0")
    if len(bare) < _CUED_SIGNS:
        return
    found.numbers.add(Number(bare, label, len(bare) < LEAST_SIGNS))
    if len(bare) < LEAST_SIGNS <= len(signs):
        found.numbers.add(Number(signs, label))
    digits = "".join(sign for sign in signs if sign.isdecimal()).lstrip("0")
    if len(digits) >= LEAST_SIGNS:
        found.numbers.add(Number(digits, label))


def _add_phone(found: Identifiers, text: str) -> None:
    digits = "".join(sign for sign in plain(text) if sign.isdecimal()).lstrip("0")
    if len(digits) >= _PHONE_LEAST:
        found.phones.add(digits[-_PHONE_CORE:] if len(digits) >= _PHONE_LONG else digits)


def _add_birth(found: Identifiers, day: str | dt.date | None, source: str) -> None:
    _add_number(found, source if len(plain(source)) > LEAST_SIGNS else "", Label.DATE)
    if not isinstance(day, dt.date):
        return
    d, m, y = str(day.day), str(day.month), f"{day.year:04}"
    dd, mm, yy = d.zfill(2), m.zfill(2), y[2:]
    names = _MONTH_NAMES[day.month]
    orders = {y + mm + dd, dd + mm + y, mm + dd + y, yy + mm + dd, dd + mm + yy, mm + dd + yy}
    found.births.add(
        Birth(frozenset({d, dd}), frozenset({m, mm, *names}), frozenset({y, yy}), frozenset(orders)),
    )


def _add_phrase(found: Identifiers, words: tuple[str, ...], label: Label, *, is_cased: bool) -> None:
    known = tuple(STREETS.get(word, canon(word)) if label is Label.PLACE else canon(word) for word in words)
    phrase = Phrase(known, label, is_cased)
    phrases = found.phrases.setdefault(known[0], [])
    if phrase not in phrases:
        phrases.append(phrase)
        phrases.sort(key=lambda one: -len(one.words))
    whole = "".join(words)
    if len(words) > 1 and len(whole) >= _GLUED:
        _add_glued(found, whole, label)


def _add_glued(found: Identifiers, whole: str, label: Label) -> None:
    found.glued.setdefault(canon(whole), label)
    found.heads |= {canon(whole[:length]) for length in range(1, len(whole))}


def _add_literal(found: Identifiers, text: str, label: Label) -> None:
    """Names in scripts without upper and lower case are looked for anywhere: their words may not be parted."""
    folded = fold(visible(text)).strip()
    if any(unicodedata.category(sign) == "Lo" for sign in folded):
        found.literals |= {(part, label) for part in folded.split() if len(part) > 1} | {(folded, label)}


def _letters(text: str) -> list[str]:
    return list(_letter_runs(fold(visible(text))))


def _letter_runs(folded: str) -> Iterator[str]:
    return (word.text for word in words_of(folded) if not word.text.isdecimal())
