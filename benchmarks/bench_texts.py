"""Scrubbing of texts: what it costs, what it leaves, and what it takes too much, on sentences of our own.

Baseline: one regular expression of the same person's bare names, compiled for each person, on the same texts.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import time
from collections.abc import Callable, Iterator
from typing import Final

from asepsis.harmonise.scrubbing.identifiers import Identifiers, identifiers_of
from asepsis.harmonise.scrubbing.scrub import scrub

SENTENCES: Final = (
    "Seen in the clinic with fever and a cough; the chest film is clear and the heart sounds are normal.",
    "Will return in May for a control of blood pressure, 135/85 today, pulse 72 per minute.",
    "Blutdruck 120/80 mmHg, Puls 72/min; Medikation unverändert, Wiedervorlage in drei Monaten.",
    "Kein Anhalt für eine frische Blutung, kleine Narbe am linken Unterlappen, Verlauf abwarten.",
    "Pacient přichází pro bolest hlavy, teplota 38,5; doporučena kontrola za čtrnáct dní.",
    "Na 140 mmol/l, K 4.5 mmol/l, creatinine 88 umol/l, eGFR over 60, HbA1c 48 mmol/mol.",
    "Admitted 2003-04-05 14:30, discharged 2003-04-12; wound on the left foot, clean and dry.",
    "L'examen du coeur est normal; traitement par vingt mg par jour, à revoir dans six semaines.",
    "Aspirin 100 mg once a day; stop ibuprofen. Allergies: none known. Young, fit, and in good hope.",
)
GIVEN: Final = ("Katharina", "José", "Anna", "Jean-Luc", "Zofie", "Peter", "Ibrahim", "Olga")
FAMILY: Final = ("Müller", "Nováková", "O'Brien", "van der Berg", "Kowalski", "Fernandez", "Lindqvist", "Johnson")
WORDS: Final = ("Will", "May", "Hope", "Young", "Grace", "Mark", "Heart", "Fit")
ROUNDS: Final = 5


def main() -> None:
    """Print what was measured."""
    plain = " ".join(SENTENCES)
    people = [row(given, family) for given, family in itertools.product(GIVEN, FAMILY)]
    known = [identifiers_of([person]) for person in people]
    ours = best(lambda: [scrub(plain, one) for one in known])
    naive = best(lambda: [by_expression(plain, person) for person in people])
    made = best(lambda: [identifiers_of([person]) for person in people])
    words = len(plain.split())
    print(
        f"texts of {words} words: {len(known) / ours:,.0f} texts/s; bare names by expression {len(known) / naive:,.0f}"
    )
    print(f"ratio to the expression {naive / ours:.2f}; identifiers of {len(people) / made:,.0f} persons/s")
    print(f"planted {report(people, known)}")
    print(f"taken too much, ordinary names: {too_much(known, plain):.3%} of words")
    common = [identifiers_of([row(given, family)]) for given, family in itertools.product(WORDS, WORDS)]
    print(f"taken too much, names that are words: {too_much(common, plain):.3%} of words")


def row(given: str, family: str) -> dict[str, str | dt.date | None]:
    """An invented person."""
    return {
        "mrn": f"00{hash_of(given + family)}",
        "given_name": given,
        "family_name": family,
        "birth_date": dt.date(1950, 3, 12),
        "phone": "+420 602 123 456",
        "address": "12 Elmwood Street",
        "city": "Brunnstadt",
    }


def hash_of(text: str) -> int:
    """A number of seven figures that depends on the text."""
    return 1_000_000 + sum(place * ord(sign) for place, sign in enumerate(text, start=17)) % 8_999_999


def by_expression(text: str, person: dict[str, str | dt.date | None]) -> str:
    """What a first script would do."""
    names = "|".join(re.escape(str(person[name])) for name in ("given_name", "family_name", "mrn"))
    return re.compile(rf"\b(?:{names})\b", re.IGNORECASE).sub("[X]", text)


def spellings(person: dict[str, str | dt.date | None]) -> Iterator[str]:
    """Ways to write what identifies a person."""
    given, family, mrn = (str(person[name]) for name in ("given_name", "family_name", "mrn"))
    yield from (f"{given} {family}", f"{family}, {given}", f"{family} {given}".upper(), f"{given}{family}".lower())
    yield from (mrn, mrn.lstrip("0"), f"{mrn[:4]} {mrn[4:]}", "12.3.1950", "12 March 1950", "1950-03-12", "602 123 456")
    yield from ("12 Elmwood St", "Brunnstadt", f"{given[0]}. {family}")


def report(people: list[dict[str, str | dt.date | None]], known: list[Identifiers]) -> str:
    """How many of the planted spellings are left in some part, and how many there were."""
    left = total = 0
    for person, one in zip(people, known, strict=True):
        for spelling in spellings(person):
            total += 1
            text = scrub(f"note about <{spelling}> of today", one).text
            left += re.sub(r"\[[A-Z]+\]|[\s,]", "", text) != "noteabout<>oftoday"
    return f"{total:,}, left in some part {left:,}"


def too_much(known: list[Identifiers], plain: str) -> float:
    """The share of words that were taken although nothing was planted."""
    taken = sum(scrub(plain, one).counts.total() for one in known)
    return taken / (len(known) * len(plain.split()))


def best(call: Callable[[], object]) -> float:
    """The least CPU time of some rounds, in seconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
