"""Codes are repaired only where their vocabulary leaves one reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.harmonise.vocabulary.codes import category_of, dotted, spellings


@pytest.mark.parametrize(
    ("code", "vocabulary", "found"),
    [
        ("250.00", "ICD9CM", ["250.00"]),
        ("25000", "ICD9CM", ["25000", "250.00"]),
        ("38", "ICD9CM", ["38", "038"]),
        ("8.45", "ICD9CM", ["8.45", "008.45"]),
        ("340", "ICD9CM", ["340"]),
        ("3400", "ICD9CM", ["3400", "340.0"]),
        ("v4581", "ICD9CM", ["v4581", "V4581", "V45.81"]),
        ("E9500", "ICD9CM", ["E9500", "E950.0"]),
        ("401.", "ICD9CM", ["401.", "401"]),
        (" 401.9", "ICD9CM", [" 401.9", "401.9"]),
        ("3.5", "ICD9Proc", ["3.5", "03.5"]),
        ("0012", "ICD9Proc", ["0012", "00.12"]),
        ("e1165", "ICD10CM", ["e1165", "E1165", "E11.65"]),
        ("0002-1433-80", "NDC", ["0002-1433-80", "00002143380"]),
        ("0002143380", "NDC", ["0002143380"]),
        ("C10ff", "Read", ["C10ff"]),
        ("mmol/l", "UCUM", ["mmol/l"]),
    ],
)
def test_a_code_has_these_spellings(code: str, vocabulary: str, found: list[str]) -> None:
    assert [each.code for each in spellings(code, vocabulary)] == found


def test_every_change_is_named() -> None:
    assert spellings(" v9.1", "ICD9CM")[-1].way == "spaces removed; capitals"
    assert spellings("8.45", "ICD9CM")[-1].way == "zeros restored"
    assert spellings("8.45", "ICD9CM")[0].way == "as written"


@given(st.text(max_size=12), st.sampled_from(["ICD9CM", "ICD9Proc", "ICD10CM", "NDC", "SNOMED", "UCUM"]))
def test_what_is_written_comes_first_and_nothing_twice(code: str, vocabulary: str) -> None:
    found = [each.code for each in spellings(code, vocabulary)]
    assert found[0] == code
    assert len(set(found)) == len(found)


def test_categories_and_dots() -> None:
    assert [category_of(*pair) for pair in [("25000", "ICD9CM"), ("E9500", "ICD9CM"), ("0012", "ICD9Proc")]] == [
        "250",
        "E950",
        "00",
    ]
    assert [dotted("E1165", "ICD10CM"), dotted("I10", "ICD10CM"), dotted("6A750Z4", "ICD10PCS")] == [
        "E11.65",
        "I10",
        "6A750Z4",
    ]
