"""Normalisation: what a clerk calls equal is equal, and what identifies nobody is nothing."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.linkage import normalise
from asepsis.linkage.nicknames import CANONICAL
from asepsis.linkage.phonetics import soundex


def whole(text: str) -> str | None:
    name = normalise.family_name(text)
    return name.whole if name else None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller", "MULLER"),
        ("O'Hara", "OHARA"),
        ("O’Hara", "o hara"),  # noqa: RUF001
        ("van der Berg", "Berg"),
        ("Łukasz", "lukasz"),
        ("Nguyễn", "Nguyen"),
        ("Ægir", "aegir"),
        ("Şükrü", "Sukru"),
        ("Groß", "GROSS"),
        ("JOAQUÃ\u00adN", "Joaquín"),
        ("MÃ¼ller", "Müller"),
        ("Smith Jr.", "Smith"),
    ],
)
def test_spellings_of_one_family_name_are_one(one: str, other: str) -> None:
    if one == "O’Hara":  # noqa: RUF001 - the space makes two words, joined again in the whole
        assert "ohara" in normalise.family_name(other).forms  # type: ignore[union-attr]
    assert whole(one) == whole(other)


@pytest.mark.parametrize("name", ["Мюллер", "محمد", "李伟"])
def test_a_name_in_another_script_stays_a_name(name: str) -> None:
    assert whole(name)
    assert normalise.given_name(name) is not None


def test_a_double_name_is_found_by_either_part() -> None:
    name = normalise.family_name("García-López")
    assert name is not None
    assert {"garcia", "lopez", "garcialopez"} <= set(name.forms)


def test_a_short_form_stands_with_its_long_form() -> None:
    bob, robert = normalise.given_name("Bob"), normalise.given_name("Mr. ROBERT J")
    assert bob is not None
    assert robert is not None
    assert CANONICAL[bob.first] == CANONICAL[robert.first] == "robert"
    assert robert.every == "robert j"


@pytest.mark.parametrize("name", ["", None, "Unknown", "BABY BOY", "ZZTEST", "donotuse", "...", "123"])
def test_a_placeholder_is_no_name(name: str | None) -> None:
    assert normalise.family_name(name) is None
    assert normalise.given_name(name) is None


@pytest.mark.parametrize(
    "number",
    ["999999999", "000-00-0000", "123456789", "987654321", "0123456789", "12345", "078-05-1120", "unknown", "", None],
)
def test_a_dummy_is_no_national_id(number: str | None) -> None:
    assert normalise.national_id(number) is None


def test_separators_do_not_make_another_national_id() -> None:
    assert normalise.national_id("999-50-1766") == normalise.national_id(" 999501766") == "999501766"
    assert normalise.national_id("RSSMRA85T10A562S") == "rssmra85t10a562s"


def test_a_two_digit_year_leaves_the_century_open() -> None:
    short = normalise.birth(date(2011, 3, 17), "110317")
    full = normalise.birth(date(1911, 3, 17), "1911-03-17")
    assert short is not None
    assert full is not None
    assert short.day == full.day == "110317"
    assert (short.year, full.year) == (None, "1911")


def test_only_an_unambiguous_text_becomes_a_birth_date() -> None:
    assert normalise.birth(None, "1975-02-03").day == "750203"  # type: ignore[union-attr]
    assert normalise.birth(None, "1975-02-31") is None
    assert normalise.birth(None, "03/02/75") is None
    assert normalise.birth(date(1900, 1, 1), None) is None


def test_a_street_is_its_number_and_words() -> None:
    upper, flat = normalise.street("4995 SCHADEN GARDENS"), normalise.street("4995 Schaden Gardens")
    assert upper == flat
    assert upper is not None
    assert upper.number == "4995"
    assert normalise.street("9" * 5000 + " Main Street") is not None


def test_codes_and_phones_are_compared_without_their_dress() -> None:
    assert normalise.postal_code("02112-1234") == normalise.postal_code("02112")
    assert normalise.postal_code("sw1a 1aa") == normalise.postal_code("SW1A1AA")
    assert normalise.postal_code("00000") is None
    assert normalise.phone("+1 (555) 820-6974") == normalise.phone("555.820.6974")
    assert normalise.phone("000000000") is None


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("robert", "r163"),
        ("rupert", "r163"),
        ("ashcraft", "a261"),
        ("tymczak", "t522"),
        ("pfister", "p236"),
        ("lee", "l000"),
    ],
)
def test_soundex_gives_the_published_keys(name: str, key: str) -> None:
    assert soundex(name) == key


def test_another_script_has_no_soundex() -> None:
    assert soundex("мюллер") is None
    assert soundex("") is None


@given(st.text(max_size=60))
def test_no_text_breaks_normalisation(text: str) -> None:
    for function in (
        normalise.family_name,
        normalise.given_name,
        normalise.national_id,
        normalise.postal_code,
        normalise.phone,
        normalise.street,
        normalise.sex,
    ):
        function(text)
    normalise.birth(None, text)


@given(st.text(max_size=40))
def test_normalising_a_name_twice_changes_nothing(text: str) -> None:
    name = normalise.given_name(text)
    if name is not None:
        assert normalise.given_name(name.every) is None or normalise.given_name(name.every).first == name.first  # type: ignore[union-attr]
