"""The published schema and the reader agree: what is read is in the schema; what only the reader can see is listed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from asepsis.cli.main import app
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.contract_schema import contract_schema
from asepsis.domain.documents import Fields
from asepsis.errors.contract import DocumentMalformed

VALIDATOR = Draft202012Validator(contract_schema())
TIME = Draft202012Validator({**contract_schema()["$defs"]["time"]})  # type: ignore[index, dict-item]
KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
LIMITS = {"max_age_hours": 1, "when_stale": "stamp", "rpo_hours": 1, "rto_minutes": 1}
WHOLE: dict[str, Any] = {
    "version": 1,
    "name": "whole",
    "title": "t",
    "purpose": "p",
    "legal_basis": "b",
    "valid": {"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
    "retention_days": 30,
    "parties": {
        "ward": {"name": "Ward", "roles": ["owner"], "signing_key": KEY, "sealing_key": KEY},
        "team": {"name": "Team", "roles": ["clinician"], "signing_key": KEY, "sealing_key": KEY, "team_of": "ward"},
        "room": {"name": "Room", "roles": ["host"], "signing_key": KEY},
        "lead": {"name": "Lead", "roles": ["researcher"], "signing_key": KEY},
    },
    "datasets": {"ward-omop-clinical": {"owner": "ward", "label": "real", "holds": "clinical"}},
    "tables": {
        "person": {
            "columns": {
                "person_id": {"type": "integer", "uses": ["unit"]},
                "weight": {"type": "number", "uses": ["aggregate"], "bin_width": 5},
                "sex": {"type": "integer", "uses": ["group"]},
            },
            "one_per_person": True,
            "key": "person_id",
        }
    },
    "analyses": {
        "queries": True,
        "methods": [],
        "referrals": True,
        "templates": {
            "heavier": {
                "title": "t",
                "sql": "SELECT 1",
                "parameters": {"since": {"type": "date", "values": ["2000-01-01"]}, "sex": {"type": "integer"}},
                "digest": "9b2c7868f65601f30b7786d7dd5df6fd3f4d43f5f9359c54f413bf851908e072",
            },
        },
    },
    "disclosure": {
        "profile": "strict-10",
        "automatic_release": ["ward"],
        "beside": ["2" * 64],
        "quotas": {"cells_of_one": 1, "cells_of_all": 2, "variants_of_one": 1, "variants_of_all": 2},
    },
    "budgets": {"ward": 5},
    "runtime": {"level": 2, "measurements": ["m"]},
    "ledger": {"origin": "asepsis.local/test"},
    "dp": {
        "budget": {"micro_rho": 2, "pico_delta": 2},
        "question": {"micro_rho": 1, "pico_delta": 1},
        "records": 1,
        "cells": 1,
        "least_persons": 0,
        "bounds": {"person": {"weight": {"low": 0, "high": 9, "norm": 9}}},
        "domains": {"person": {"sex": [8507, 8532]}},
        "bought": {"micro_rho": 1, "most": 2},
    },
    "continuity": {
        "lead": "lead",
        "purpose": "survival",
        "analyses": {
            "beds": {
                "title": "t",
                "responsible": "r",
                "query": "SELECT 1",
                "digest": "c328dd4cf12189c62e68cfe591ec63a7042c8d48d2d8d7bb281b3cd6722962e5",
                **LIMITS,
            },
        },
        "essentials": {
            "responsible": "r",
            "cohort": "SELECT 1",
            "lists": {"census": {"days": 1}, "allergies": {"concepts": [1]}},
            **LIMITS,
        },
    },
    "purposes": {"survival": "How patients fare."},
    "amends": {"contract": "0" * 64, "lineage": "1" * 64},
}
"""A contract with every clause there is."""
PLAIN = {key: value for key, value in WHOLE.items() if key not in {"dp", "amends", "continuity"}}
VALUES: tuple[Any, ...] = (None, True, 0, -1, 10**12, "", "A b", ["x"], {})
"""What any value is replaced with."""

ONLY_THE_READER: frozenset[str] = frozenset(
    {
        "the end must be after the beginning",
        "a time such as 2026-01-31T00:00:00Z is needed",
        "at least one owner is needed",
        "exactly one host is needed; its key signs the ledger",
        "every owner, and nobody else, sets a budget",
        "only owners stand here",
        "the hospital of a clinical team must be an owner",
        "the key must be one of the columns",
        "one researcher cannot have more than 'cells_of_all'",
        "one researcher cannot have more than 'variants_of_all'",
        "a question costs something, and no more than the budget",
        "it is above zero and twice that of a question at least",
        "a column that may be aggregated is needed",
        "a column that may be grouped is needed",
        "a list of up to 5000 different values of the column's type is needed",
        "the bounds are in order and at most 1073741824",
        "it is not the digest of this text; 'recover continuity digest' prints that",
        "it is not the digest of this text and its parameters; left out, it is added",
        "the lead must be a researcher of this contract",
        "one of the contract's purposes is needed, where it has several",
        "the contract allows no queries",
        "essentials need referrals and a clinical team",
    }
)
"""What ties two places together, or is a matter of the calendar; nothing else may pass the schema and be refused."""


def problem_of(document: Any) -> str | None:
    """Why the reader refuses a document; nothing, if it does not."""
    try:
        read_contract(document)
    except DocumentMalformed as error:
        return str(error.detail).partition("': ")[2].removesuffix(".")
    return None


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from paths(each, (*path, key))


def mutants(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A document with one place changed: every place, in every way."""
    for path in paths(document):
        if not path:
            continue
        *above, last = path
        for value in VALUES:
            yield changed(document, above, last, value)
        if isinstance(last, str):
            gone = changed(document, above, last, None)
            del at(gone, above)[last]
            yield gone
            for name in ("Unknown", "unknown"):
                renamed = copy.deepcopy(document)
                at(renamed, above)[name] = at(renamed, above).pop(last)
                yield renamed


def at(document: Any, path: list[str | int]) -> Any:
    for key in path:
        document = document[key]
    return document


def changed(document: dict[str, Any], above: list[str | int], last: str | int, value: Any) -> dict[str, Any]:
    mutant = copy.deepcopy(document)
    at(mutant, above)[last] = value
    return mutant


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(contract_schema())


@pytest.mark.parametrize("document", [WHOLE, PLAIN], ids=["whole", "plain"])
def test_what_is_read_is_in_the_schema_and_so_is_what_it_is_written_as(document: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(document)
    assert VALIDATOR.is_valid(read_contract(document).to_document())


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
def test_every_change_of_one_place_is_judged_alike(every: int) -> None:
    judged, refused = 0, 0
    for mutant in islice(mutants(WHOLE), 0, None, every):
        problem, is_valid = problem_of(mutant), VALIDATOR.is_valid(mutant)
        judged, refused = judged + 1, refused + (problem is not None)
        if problem is None:
            assert is_valid, mutant
        elif is_valid:
            assert problem in ONLY_THE_READER, (problem, mutant)
    assert judged > 1_000 / every
    assert refused > judged * 0.8


def test_the_schema_alone_refuses_most_of_what_the_reader_refuses() -> None:
    sample = [mutant for number, mutant in enumerate(mutants(PLAIN)) if number % 5 == 0]
    wrong = [mutant for mutant in sample if problem_of(mutant) is not None]
    assert sum(not VALIDATOR.is_valid(mutant) for mutant in wrong) > 0.9 * len(wrong)


@given(
    st.datetimes(timezones=st.timezones() | st.sampled_from([None])),
    st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds", "week", "basic", "hour"]),
    st.sampled_from(["T", " ", "t", "_"]),
)
def test_every_time_that_is_read_has_the_form_of_the_schema(moment: datetime, form: str, between: str) -> None:
    if form == "week":
        year, week, day = moment.isocalendar()
        text = f"{year:04}-W{week:02}-{day}{between}00:00Z"
    elif form == "basic":
        text = moment.isoformat(between, "seconds").replace("-", "", 2).replace(":", "")
    else:
        text = moment.isoformat(between, "hours" if form == "hour" else form)
    try:
        Fields({"at": text}, document="d").time("at")
    except (DocumentMalformed, OverflowError):
        return
    assert TIME.is_valid(text), text


def test_a_name_with_a_line_break_is_no_name() -> None:
    assert problem_of({**PLAIN, "name": "whole\n"}) == "a short lower-case name is needed"
    assert problem_of({**PLAIN, "budgets": {"ward\n": 5}}) == "a short lower-case name is needed"


def test_the_command_prints_the_schema_that_is_published(repository_root: Path) -> None:
    result = CliRunner().invoke(app, ["contract", "schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == contract_schema()
    published = repository_root / "docs" / "reference" / "contract-schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == contract_schema()
