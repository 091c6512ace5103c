"""Scrubbing one text by the identifiers of one person, and by the net.

Invariant: a text without a hit is returned as it is, sign by sign; what is replaced leaves nothing of itself behind.
Scrubbing takes out what is known and what has a known shape. It does not make a text anonymous.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from asepsis.harmonise.scrubbing.folding import Word, canon, fold, visible, words_of
from asepsis.harmonise.scrubbing.hits import Hit, Label, apart, replaced
from asepsis.harmonise.scrubbing.identifiers import Birth, Identifiers, Number, Phrase
from asepsis.harmonise.scrubbing.net import net
from asepsis.harmonise.scrubbing.words import CUES, FILLERS, STREETS

_PHRASE_GAP, _NUMBER_GAP, _DATE_GAP, _GLUE_GAP = 4, 4, 3, 2
_END: Final = re.compile(r"[.;:!?]\s")
_LONGEST_ENDING: Final = 3
_STEM: Final = 5
_PHONE_MOST: Final = 15
_STAMPS: Final = frozenset({12, 14})


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A text without what was found, and how often each label was put in."""

    text: str
    counts: Counter[Label]


def scrub(text: str, identifiers: Identifiers) -> Scrubbed:
    """Take the identifiers of a person out of a text."""
    seen = visible(text)
    hits = apart((*_Reading(seen, identifiers).hits(), *net(seen)))
    if not hits:
        return Scrubbed(text, Counter())
    return Scrubbed(replaced(seen, hits), Counter(hit.label for hit in hits))


class _Reading:
    def __init__(self, text: str, identifiers: Identifiers) -> None:
        self._text = text
        self._known = identifiers
        self._folded = fold(text)
        self._words = words_of(self._folded)

    def hits(self) -> Iterator[Hit]:
        """Every place that is one of the person's identifiers; places may overlap."""
        yield from self._names()
        yield from self._numbers()
        for birth in self._known.births:
            yield from self._dates(birth)
        for literal, label in self._known.literals:
            yield from self._literals(literal, label)

    def _names(self) -> Iterator[Hit]:
        """Names and places; most words are none, which two looks into sets tell."""
        known = self._known
        for place, word in enumerate(self._words):
            text = word.text
            key = canon(text)
            if key in known.phrases or text in STREETS:
                yield from self._phrases(place, {key, STREETS.get(text, key)})
            if key in known.glued or key in known.heads:
                yield from self._glued(place, word)
            if (text[-1] == "s" or not self._text[word.start].islower()) and self._is_inflected(place, text):
                yield self._with_neighbours(place, place, Label.NAME)

    def _phrases(self, place: int, keys: set[str]) -> Iterator[Hit]:
        for phrase in (phrase for key in keys for phrase in self._known.phrases.get(key, ())):
            end = self._follows(place, phrase)
            if end and (not phrase.is_cased or self._is_capital(place)):
                yield self._with_neighbours(place, end - 1, phrase.label)

    def _follows(self, place: int, phrase: Phrase) -> int:
        """The place behind the words of a phrase that begins here; 0 if it does not."""
        end = place + len(phrase.words)
        words = self._words[place:end]
        if len(words) < len(phrase.words) or not self._are_joined(place, end - 1):
            return 0
        same = all(
            known in {canon(word.text), STREETS.get(word.text) if phrase.label is Label.PLACE else None}
            for known, word in zip(phrase.words, words, strict=True)
        )
        return end if same else 0

    def _is_inflected(self, place: int, text: str) -> bool:
        """A name with an ending: ``s`` behind any name that needs no capital; up to three letters where capitalised."""
        if text[-1] == "s" and any(len(one.words) == 1 and self._is_name(one, place) for one in self._bare(text)):
            return True
        if not self._is_capital(place):
            return False
        cuts = range(1, min(_LONGEST_ENDING, len(text) - _STEM) + 1)
        return any(text[:-cut] in self._known.stems for cut in cuts)

    def _bare(self, text: str) -> list[Phrase]:
        return self._known.phrases.get(canon(text[:-1]), [])

    def _is_name(self, phrase: Phrase, place: int) -> bool:
        return phrase.label is Label.NAME and (not phrase.is_cased or self._is_capital(place))

    def _glued(self, place: int, word: Word) -> Iterator[Hit]:
        """A name whose words are written as one, or one that is parted by a hyphen or the end of a line."""
        text, last = word.text, place
        while True:
            label = self._known.glued.get(canon(text))
            if label is not None:
                yield Hit(word.start, self._words[last].end, label)
            is_begun = canon(text) in self._known.heads and last + 1 < len(self._words)
            if not is_begun or not self._are_joined(last, last + 1, _GLUE_GAP):
                return
            last += 1
            text += self._words[last].text

    def _with_neighbours(self, first: int, last: int, label: Label) -> Hit:
        """A name with its initials, a street with the number of the house or the short postal code."""
        belongs = self._is_initial if label is Label.NAME else self._is_house_number
        before, after = first, last
        while before > 0 and belongs(before - 1) and self._are_near(before - 1, before, _PHRASE_GAP):
            before -= 1
        while after + 1 < len(self._words) and belongs(after + 1) and self._are_near(after, after + 1, _PHRASE_GAP):
            if label is Label.NAME and self._text[self._words[after + 1].end : self._words[after + 1].end + 1] != ".":
                break
            after += 1
        return Hit(self._words[before].start, self._words[after].end, label)

    def _is_initial(self, place: int) -> bool:
        word = self._words[place]
        return len(word.text) == 1 and word.text in self._known.initials and self._is_capital(place)

    def _is_house_number(self, place: int) -> bool:
        return self._words[place].text in self._known.house_numbers

    def _numbers(self) -> Iterator[Hit]:
        """Numbers, wherever their separators stand: letters and digits are compared without what is between."""
        if not self._known.numbers and not self._known.phones:
            return
        signs = "".join(word.text for word in self._words)
        starts = [0, *accumulate(len(word.text) for word in self._words)]
        for number in self._known.numbers:
            for first, last, inner in _occurrences(signs, starts, number.signs):
                if self._is_number(number, first, last, inner):
                    yield Hit(self._words[self._zeros(first)].start, self._words[last].end, number.label)
        for core in self._known.phones:
            for first, last, _ in _occurrences(signs, starts, core):
                if self._are_near(first, last, _NUMBER_GAP):
                    yield self._phone(first, last)

    def _is_number(self, number: Number, first: int, last: int, inner: int) -> bool:
        if self._words[first].text[:inner].strip("0") or not self._are_near(first, last, _NUMBER_GAP):
            return False
        return not number.is_cued or self._is_cued(first)

    def _zeros(self, place: int) -> int:
        """The place where a number begins, with leading zeros that a sign parts from it."""
        while place > 0 and not self._words[place - 1].text.strip("0") and self._are_near(place - 1, place, 1):
            place -= 1
        return place

    def _is_cued(self, place: int) -> bool:
        before = self._text[: self._words[place].start].rstrip()
        return before.endswith("#") or (place > 0 and self._words[place - 1].text in CUES)

    def _phone(self, first: int, last: int) -> Hit:
        """The whole number, with what stands before its last digits, and a plus sign."""
        count = sum(len(word.text) for word in self._words[first : last + 1])
        while first > 0 and self._are_near(first - 1, first, _DATE_GAP):
            word = self._words[first - 1]
            count += len(word.text)
            if not word.text.isdecimal() or count > _PHONE_MOST:
                break
            first -= 1
        start = self._words[first].start
        while start > 0 and self._text[start - 1] in "+(":
            start -= 1
        return Hit(start, self._words[last].end, Label.PHONE)

    def _dates(self, birth: Birth) -> Iterator[Hit]:
        beginnings = birth.beginnings
        for place, word in enumerate(self._words):
            text = word.text
            if text in birth.whole or (len(text) in _STAMPS and text[:8] in birth.whole):
                yield Hit(word.start, word.end, Label.DATE)
            elif text in beginnings:
                end = self._date_from(place, birth)
                if end:
                    yield Hit(word.start, self._words[end].end, Label.DATE)

    def _date_from(self, place: int, birth: Birth) -> int:
        """The place of the last part of a date of three parts that begins here; 0 if none does."""
        parts, end = [self._words[place].text], place
        for at in range(place + 1, min(place + 5, len(self._words))):
            if not self._are_near(at - 1, at, _DATE_GAP):
                break
            text = self._words[at].text
            if text in FILLERS:
                continue
            parts.append(text)
            if len(parts) == 3:  # noqa: PLR2004 - day, month, year
                end = at
                break
        return end if len(parts) == 3 and _is_date(parts, birth) else 0  # noqa: PLR2004 - day, month, year

    def _literals(self, literal: str, label: Label) -> Iterator[Hit]:
        start = self._folded.find(literal)
        while start >= 0:
            yield Hit(start, start + len(literal), label)
            start = self._folded.find(literal, start + 1)

    def _is_capital(self, place: int) -> bool:
        return not self._text[self._words[place].start].islower()

    def _are_joined(self, first: int, last: int, most: int = _PHRASE_GAP) -> bool:
        """Whether the words are near each other, and no sentence ends between them."""
        gaps = (self._text[self._words[at].end : self._words[at + 1].start] for at in range(first, last))
        return all(len(gap) <= most and not _END.search(gap) for gap in gaps)

    def _are_near(self, first: int, last: int, most: int) -> bool:
        """Whether little stands between each of the words and the next."""
        words = self._words
        return all(words[at + 1].start - words[at].end <= most for at in range(first, last))


def _is_date(parts: list[str], birth: Birth) -> bool:
    a, b, c = parts
    days, months, years = birth.days, birth.months, birth.years
    if c in years:
        return (a in days and b in months) or (a in months and b in days)
    return a in years and ((b in months and c in days) or (b in days and c in months))


def _occurrences(signs: str, starts: list[int], wanted: str) -> Iterator[tuple[int, int, int]]:
    """Where the signs stand, ending with a word: first and last word, and how far into the first word they begin."""
    at = signs.find(wanted)
    while at >= 0:
        first = bisect_right(starts, at) - 1
        last = bisect_right(starts, at + len(wanted) - 1) - 1
        if starts[last + 1] == at + len(wanted):
            yield first, last, at - starts[first]
        at = signs.find(wanted, at + 1)
