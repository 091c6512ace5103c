"""Scrubbing of texts: planted identifiers are gone in every supported spelling, other words stay."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asepsis.harmonise.scrubbing.folding import fold
from asepsis.harmonise.scrubbing.identifiers import Identifiers, identifiers_of
from asepsis.harmonise.scrubbing.scrub import scrub
from asepsis.harmonise.scrubbing.words import COMMON, MONTHS, PARTICLES, STREETS

FAMILIES: Final = (
    "Müller",
    "O'Brien",
    "Nováková",
    "van der Berg",
    "Smith-Jones",
    "Ångström",
    "Weiß",
    "Łukasiewicz",
    "McKenzie",
)
GIVENS: Final = ("Katharina", "José", "Žofie", "Jean-Luc", "Brünhilde", "Zoë", "Anna")
STREETS_OF: Final = (
    ("12 Elmwood Street", "Elmwood St"),
    ("Hauptstraße 7", "Hauptstr. 7"),
    ("3 Old Mill Lane", "Old Mill Lane"),
)
PLAIN: Final = (
    "The patient was seen in the clinic and will return in May for a control of blood pressure.",
    "Blutdruck 120/80 mmHg, Puls 72/min, Temperatur 37,2; Medikation unverändert, Wiedervorlage in 3 Monaten.",
    "Pacient přichází pro bolest hlavy, teplota 38,5, tlak 135/85; doporučena kontrola za 14 dní.",
    "Na 140 mmol/l, K 4.5 mmol/l, creatinine 88 umol/l, eGFR > 60, HbA1c 48 mmol/mol.",
    "Admitted 2003-04-05 14:30, discharged 2003-04-12; grade 2 wound on the left foot, clean and dry.",
    "Aspirin 100 mg once a day, metformin 500 mg twice a day; stop ibuprofen. Allergies: none known.",
    "ECG: sinus rhythm 64/min, PR 160 ms, QRS 90 ms, QTc 410 ms. Chest film clear, no heart failure.",
    "L'examen du coeur est normal; traitement par 20 mg par jour, à revoir dans 6 semaines.",
    "T1 120 130 140 150, T2 4.5 5.5 6.5; dose 3 x 250 mg, series 1/3 and 2/3; code I25.1, ward 4b.",
)
BORN: Final = dt.date(1950, 3, 12)

SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "capitals": str.upper,
    "small": str.lower,
    "without accents": lambda text: "".join(
        c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)
    ),
    "parted accents": lambda text: unicodedata.normalize("NFD", text),
    "two letters for one": lambda text: text.translate(
        str.maketrans({"ü": "ue", "ö": "oe", "ä": "ae", "ß": "ss", "Å": "Aa", "å": "aa"})
    ),
    "another apostrophe": lambda text: text.replace("'", "\u2019"),
    "without signs": lambda text: re.sub(r"['-]", "", text),
    "spaces for signs": lambda text: re.sub(r"['-]", " ", text),
    "soft hyphen": lambda text: text[:3] + "\u00ad" + text[3:],
    "end of a line": lambda text: text[:3] + "-\n" + text[3:] if len(text) > 5 and text.isalpha() else text,
}
ORDERS: Final[dict[str, Callable[[str, str], str]]] = {
    "given family": lambda given, family: f"{given} {family}",
    "family, given": lambda given, family: f"{family}, {given}",
    "written as one": lambda given, family: given + family,
    "reversed, as one": lambda given, family: family + given,
    "initial": lambda given, family: f"{given[0]}. {family}",
    "underscore": lambda given, family: f"{family}_{given}",
}
DATES: Final = (
    "1950-03-12", "12.3.1950", "12.03.1950", "12/03/50", "3/12/1950", "03-12-1950", "1950/3/12", "19500312", "12031950",
    "500312", "120350", "12 March 1950", "March 12, 1950", "12th of March 1950", "12. März 1950", "12. března 1950",
    "12-MAR-50",
    "12 mars 1950", "12 de marzo de 1950", "1950-03-12T10:00:00Z", "19500312101500", "12 . 3 . 1950", "1950, 12 March",
)  # fmt: skip
NUMBERS: Final = {
    "mrn": (
        "0012345678",
        ["0012345678", "12345678", "12 345 678", "MRN:0012345678", "00-12345-678", "1234.5678", "MRN12345678"],
    ),
    "national_id": ("505312/1234", ["505312/1234", "505312 1234", "5053121234", "50 53 12-1234"]),
    "phone": ("+420 602 123 456", ["+420 602 123 456", "602123456", "00420602123456", "602-123-456", "(602) 123 456"]),
    "postal_code": ("SW1A 1AA", ["SW1A 1AA", "sw1a1aa", "SW1A-1AA"]),
}


def person(**values: str | dt.date | None) -> Identifiers:
    row: dict[str, str | dt.date | None] = {"family_name": "Müller", "given_name": "Katharina", "birth_date": BORN}
    return identifiers_of([row | values])


def letters(text: str) -> str:
    """What stays of a text where case, accents and signs are not looked at."""
    folded = fold(unicodedata.normalize("NFC", text.replace("\u00ad", "")))
    return "".join(sign for sign in folded if sign.isalnum())


@settings(max_examples=120, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    given_name=st.sampled_from(GIVENS),
    order=st.sampled_from(sorted(ORDERS)),
    spelling=st.sampled_from(sorted(SPELLINGS)),
    around=st.sampled_from(
        [("", ""), ("Frau ", " kam."), ("(", ")"), ("re:", ";"), ("\n", "\n"), ("seen by x ", "'s son")]
    ),
    text=st.sampled_from(PLAIN),
)
@example(family="Müller", given_name="Anna", order="initial", spelling="capitals", around=("", ""), text=PLAIN[0])
def test_no_spelling_of_a_name_is_left(
    family: str, given_name: str, order: str, spelling: str, around: tuple[str, str], text: str
) -> None:
    planted = ORDERS[order](SPELLINGS[spelling](given_name), SPELLINGS[spelling](family))
    done = scrub(f"{text} {around[0]}{planted}{around[1]} {text}", person(family_name=family, given_name=given_name))
    outside = letters(f"{text} {around[0]}{around[1]} {text}")
    found = letters(re.sub(r"\[[A-Z]+\]", "", done.text))
    extra = len(found) - len(outside)
    allowed = 1 + sum(len(word) for word in re.findall(r"[a-z]+", fold(family)) if word in PARTICLES or len(word) < 2)
    assert extra <= (allowed if order == "initial" or " " in family else 0), "something of the name was left"
    assert done.counts["NAME"] >= 1  # type: ignore[index]


@pytest.mark.parametrize("spelling", DATES)
def test_no_spelling_of_the_date_of_birth_is_left(spelling: str) -> None:
    done = scrub(f"born {spelling} in the town; seen on 13.4.2003", person())
    assert done.text.startswith("born [DATE]")
    assert "50" not in done.text.replace("T10:00", "")
    assert done.text.endswith("seen on 13.4.2003")


@pytest.mark.parametrize(
    "near", ["12.3.1951", "1950-03-13", "12 April 1950", "March 1950", "1950", "12/3", "12.3.2003"]
)
def test_other_dates_stay(near: str) -> None:
    assert scrub(f"on {near} it was", person()).text == f"on {near} it was"


@pytest.mark.parametrize(("name", "spelling"), [(name, one) for name, (_, all_) in NUMBERS.items() for one in all_])
def test_numbers_are_found_wherever_their_separators_stand(name: str, spelling: str) -> None:
    done = scrub(f"see {spelling}, 250 mg", person(**{name: NUMBERS[name][0]}))
    assert done.text.startswith("see ")
    assert done.text.endswith(", 250 mg")
    digits = {sign for sign in NUMBERS[name][0] if sign.isdecimal()}
    assert not digits & set(done.text.removesuffix(", 250 mg")), done.text


def test_short_numbers_are_scrubbed_behind_a_word_that_announces_them() -> None:
    known = person(mrn="471")
    assert scrub("MRN 471, no. 471, #471: dose 471 mg", known).text == "MRN [ID], no. [ID], #[ID]: dose 471 mg"


@pytest.mark.parametrize(("address", "spelling"), [(a, s) for a, b in STREETS_OF for s in (a, b, a.upper())])
def test_streets_are_found_with_the_number_of_the_house(address: str, spelling: str) -> None:
    done = scrub(f"lives at {spelling} since then", person(address=address, city="Praha 5"))
    assert re.fullmatch(r"lives at \[PLACE\](\.? \[PLACE\])?\.? since then", done.text), done.text


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    given_name=st.sampled_from([*GIVENS, "Will", "May", "Rose", "Mark"]),
    texts=st.lists(st.sampled_from([t for t in PLAIN if "May" not in t]), min_size=1, max_size=4),
)
def test_a_text_without_identifiers_is_returned_as_it_is(family: str, given_name: str, texts: list[str]) -> None:
    text = "\n".join(texts)
    known = person(
        family_name=family, given_name=given_name, mrn="7004711", phone="+49 30 5557788", address="7 Elmwood Street"
    )
    assert scrub(text, known).text == text


@given(st.text(max_size=200))
@settings(max_examples=80, deadline=None)
def test_any_text_can_be_scrubbed_twice(text: str) -> None:
    known = person()
    once = scrub(text, known).text
    assert scrub(once, known).text == once


def test_a_name_that_is_a_word_is_scrubbed_where_it_is_capitalised() -> None:
    known = person(given_name="Will", family_name="May")
    assert scrub("He will come in may. Will May came. WILL", known).text == "He will come in may. [NAME] came. [NAME]"
    assert scrub("will may, may will", known).text == "[NAME], [NAME]", "together they are a name in any case"


def test_names_with_endings() -> None:
    assert scrub("Müllers Befund; müllers; Novákem", person(previous_family_name="Novák")).text == (
        "[NAME] Befund; [NAME]; [NAME]"
    )


def test_names_in_scripts_without_case_are_found_anywhere() -> None:
    assert scrub("患者王小明来院", person(family_name="王小明")).text == "患者[NAME]来院"
    assert scrub("المريض محمد", person(given_name="محمد")).text == "المريض [NAME]"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to anna.b@clinic.example.org today", "write to [EMAIL] today"),
        ("see https://x.example/p?id=9 or www.example.org/a", "see [URL] or [URL]"),
        ("call +44 20 7946 0958 now", "call [PHONE] now"),
        ("number 943 476 5919", "number [NUMBER]"),
        ("number 943 476 5918", "number 943 476 5918"),
        ("SSN 078-05-1120", "SSN [NUMBER]"),
        ("RČ 780123/3540", "RČ [NUMBER]"),
        ("run 123456789012", "run [NUMBER]"),
        ("NIR 1 51 02 46 102 043 25", "NIR [NUMBER]"),
        ("DNI 12345678Z, 12345678A", "DNI [NUMBER], 12345678A"),
    ],
)
def test_the_second_net_takes_what_looks_like_an_identifier_of_anybody(text: str, left: str) -> None:
    assert scrub(text, person()).text == left


def test_where_hits_overlap_nothing_between_them_is_left() -> None:
    done = scrub("katharina.mueller@example.org", person())
    assert done.text == "[EMAIL]"


def test_without_a_name_a_person_is_not_named() -> None:
    assert not identifiers_of([{"mrn": "123456"}]).is_named
    assert not identifiers_of([]).is_named
    assert person().is_named


def test_folding_keeps_every_place() -> None:
    for text in ("Ďábel ß Æ ŁÓDŹ İstanbul ﬁ ١٢", "x\u0301", "Å"):
        assert len(fold(text)) == len(text)


def test_the_words_are_folded() -> None:
    for words in (COMMON, PARTICLES, MONTHS, STREETS):
        assert all(fold(word) == word and word.isascii() for word in words)


def test_few_words_of_notes_without_identifiers_are_taken_out() -> None:
    """Over-scrubbing over names of every kind, those that are words among them: below one word in fifty."""
    names = [(g, f) for g in (*GIVENS, "Will", "May", "Grace", "Mark") for f in (*FAMILIES, "Young", "Black", "Long")]
    words = sum(len(text.split()) for text in PLAIN) * len(names)
    taken = sum(
        sum(scrub(text, person(given_name=g, family_name=f)).counts.values()) for g, f in names for text in PLAIN
    )
    assert taken / words < 0.02
