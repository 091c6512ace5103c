"""What only narrows: whatever a narrower version allows, the one before it allows too; all else counts as widening."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain import narrowing
from asepsis.domain.catalogue import Catalogue, ColumnType
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.documents import encode_bytes
from asepsis.domain.narrowing import widened
from asepsis.errors.contract import DocumentMalformed
from asepsis.services.amending import Direction, changes
from asepsis.sql import plan_query
from asepsis.sql.omop import omop_catalogue

KEY = encode_bytes(bytes(range(32)))
NO = False
CASES = st.lists(st.deferred(lambda: st.sampled_from(sorted(NARROWER))), unique=True)
Edit = Callable[[dict[str, Any]], None]


def party(role: str, **more: str) -> dict[str, Any]:
    keys = {"signing_key": KEY, **({"sealing_key": KEY} if role in {"owner", "clinician"} else {})}
    return {"name": role.title(), "roles": [role], **keys, **more}


def column(*uses: str, kind: str = "integer", **more: int) -> dict[str, Any]:
    return {"type": kind, "uses": list(uses), **more}


DOCUMENT: dict[str, Any] = {
    "version": 1,
    "name": "study",
    "title": "Study",
    "purpose": "research",
    "legal_basis": "consent",
    "valid": {"from": "2026-01-01T00:00:00Z", "until": "2026-12-31T00:00:00Z"},
    "retention_days": 100,
    "purposes": {"counts": "How many there are.", "survival": "How they fare."},
    "parties": {
        "north": party("owner"),
        "south": party("owner"),
        "ada": party("researcher"),
        "bo": party("researcher"),
        "carl": party("checker"),
        "room": party("host"),
        "ward": party("clinician", team_of="north"),
    },
    "datasets": {
        "north-clinical": {
            "owner": "north",
            "label": "synthetic",
            "holds": "clinical",
            "free_text": ["note.note_text"],
        },
        "south-clinical": {"owner": "south", "label": "synthetic", "holds": "clinical"},
    },
    "tables": {
        "person": {
            "one_per_person": True,
            "columns": {
                "person_id": column("unit"),
                "year_of_birth": column("compare", "group", bin_width=10),
                "care_site_id": column("site"),
                "provider_id": column("group", "provider"),
            },
        },
        "measurement": {
            "columns": {"person_id": column("unit"), "value": column("aggregate", "compare", kind="number")},
        },
    },
    "analyses": {
        "queries": True,
        "methods": ["kaplan_meier", "table_one"],
        "referrals": True,
        "templates": {"one": {"title": "One", "sql": "SELECT 1"}, "two": {"title": "Two", "sql": "SELECT 2"}},
    },
    "disclosure": {
        "profile": "strict-10",
        "automatic_release": ["north", "south"],
        "beside": ["a" * 64, "b" * 64],
        "quotas": {"cells_of_one": 50, "cells_of_all": 100, "variants_of_one": 5, "variants_of_all": 10},
    },
    "budgets": {"north": 10, "south": 10},
    "runtime": {"level": 1, "measurements": ["c" * 64, "d" * 64]},
    "ledger": {"origin": "room.example/audit"},
}
DP = {
    "budget": {"micro_rho": 1000, "pico_delta": 1000},
    "question": {"micro_rho": 10, "pico_delta": 10},
    "records": 4,
    "cells": 4,
    "least_persons": 10,
}


def put(value: object, *path: str) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return edit


def drop(*path: str) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        place = document
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return edit


def contract(*edits: Edit, base: dict[str, Any] = DOCUMENT) -> Contract:
    document = deepcopy(base)
    for edit in edits:
        edit(document)
    return read_contract(document)


NARROWER: dict[str, Edit] = {
    "a later beginning": put("2026-02-01T00:00:00Z", "valid", "from"),
    "an earlier end": put("2026-11-30T00:00:00Z", "valid", "until"),
    "a shorter retention": put(99, "retention_days"),
    "one researcher fewer": drop("parties", "bo"),
    "a table fewer": drop("tables", "measurement"),
    "a column fewer": drop("tables", "person", "columns", "year_of_birth"),
    "a use fewer": put(["group"], "tables", "person", "columns", "year_of_birth", "uses"),
    "a use fewer beside one that protects": put(["provider"], "tables", "person", "columns", "provider_id", "uses"),
    "no queries": put(NO, "analyses", "queries"),
    "a method fewer": put(["table_one"], "analyses", "methods"),
    "a template fewer": drop("analyses", "templates", "two"),
    "no referrals": put(NO, "analyses", "referrals"),
    "an owner who wants to look": put(["south"], "disclosure", "automatic_release"),
    "another contract compared": put(["a" * 64], "disclosure", "beside"),
    "a smaller quota": put(4, "disclosure", "quotas", "variants_of_one"),
    "a smaller budget": put(9, "budgets", "south"),
    "a higher level": put(2, "runtime", "level"),
    "a purpose fewer": drop("purposes", "counts"),
    "a program fewer": put(["c" * 64], "runtime", "measurements"),
}

WIDER: dict[str, tuple[str, Edit]] = {
    "an earlier beginning": ("valid.from", put("2025-12-31T00:00:00Z", "valid", "from")),
    "a later end": ("valid.until", put("2027-01-01T00:00:00Z", "valid", "until")),
    "a longer retention": ("retention_days", put(101, "retention_days")),
    "another purpose": ("purpose", put("marketing", "purpose")),
    "another legal basis": ("legal_basis", put("none", "legal_basis")),
    "a purpose more": ("purposes", put("Money.", "purposes", "marketing")),
    "another purpose under a known name": ("purposes", put("Money.", "purposes", "counts")),
    "no purpose to be stated": ("purposes", drop("purposes")),
    "another title": ("title", put("Other", "title")),
    "another name": ("name", put("other", "name")),
    "one researcher more": ("parties", put(party("researcher"), "parties", "eve")),
    "a checker fewer": ("parties", drop("parties", "carl")),
    "a clinical team fewer": ("parties", drop("parties", "ward")),
    "a role more": ("parties", put(["checker", "researcher"], "parties", "ada", "roles")),
    "another key": ("parties", put(encode_bytes(b"k" * 32), "parties", "ada", "signing_key")),
    "another recipient": ("parties", put("south", "parties", "ward", "team_of")),
    "a dataset fewer": ("datasets", drop("datasets", "south-clinical")),
    "a dataset more": (
        "datasets",
        put({**DOCUMENT["datasets"]["south-clinical"], "holds": "identity"}, "datasets", "more"),
    ),
    "another label": ("datasets", put("real", "datasets", "south-clinical", "label")),
    "free text": ("datasets", put(["note.text"], "datasets", "south-clinical", "free_text")),
    "a table more": ("tables", put(DOCUMENT["tables"]["measurement"], "tables", "death")),
    "a column more": ("tables", put(column("group"), "tables", "person", "columns", "race")),
    "a use more": (
        "tables",
        put(["aggregate", "compare", "group"], "tables", "person", "columns", "year_of_birth", "uses"),
    ),
    "sites not counted": ("tables", drop("tables", "person", "columns", "care_site_id")),
    "providers not counted": ("tables", put(["group"], "tables", "person", "columns", "provider_id", "uses")),
    "narrower bins": ("tables", put(5, "tables", "person", "columns", "year_of_birth", "bin_width")),
    "another type": ("tables", put("text", "tables", "person", "columns", "year_of_birth", "type")),
    "no merging of persons": ("tables", put(NO, "tables", "person", "one_per_person")),
    "a look-up table of persons": ("tables", put("value", "tables", "measurement", "key")),
    "another text under a known name": ("analyses.templates", put("SELECT 3", "analyses", "templates", "one", "sql")),
    "a method more": ("analyses.methods", put(["kaplan_meier", "table_one", "cox"], "analyses", "methods")),
    "another profile": ("disclosure.profile", put("open", "disclosure", "profile")),
    "an unseen contract": ("disclosure.beside", put(["a" * 64, "b" * 64, "c" * 64], "disclosure", "beside")),
    "a larger quota": ("disclosure.quotas", put(6, "disclosure", "quotas", "variants_of_one")),
    "quotas of the defaults": ("disclosure.quotas", drop("disclosure", "quotas")),
    "a larger budget": ("budgets", put(11, "budgets", "south")),
    "a lower level": ("runtime.level", put(0, "runtime", "level")),
    "another program": ("runtime.measurements", put(["c" * 64, "e" * 64], "runtime", "measurements")),
    "another ledger": ("ledger.origin", put("evil.example/audit", "ledger", "origin")),
    "noise in place of thresholds": ("dp", put(DP, "dp")),
    "links less sure": ("linkage", put({"mode": "rules"}, "linkage")),
}


@pytest.mark.parametrize("case", NARROWER)
def test_less_of_it_narrows(case: str) -> None:
    assert widened(contract(NARROWER[case]), before=contract()) == ()


@pytest.mark.parametrize("case", NARROWER)
def test_what_narrows_one_way_widens_the_other_way(case: str) -> None:
    assert widened(contract(), before=contract(NARROWER[case])) != ()


@pytest.mark.parametrize("case", WIDER)
def test_whatever_else_changes_counts_as_widening_and_is_named(case: str) -> None:
    """Guard: the clause in ``_NARROWS``, or that it stands there at all."""
    place, edit = WIDER[case]
    made = put(["kaplan_meier"], "analyses", "methods")  # one narrowing beside it does not excuse it
    edits = [edit] if place == "analyses.methods" else [made, edit]
    if place == "dp":
        edits = [put([], "analyses", "methods"), edit]
    assert widened(contract(*edits), before=contract()) == (place,)


def test_what_persons_may_lose_in_all_may_be_less_and_nothing_else_of_it_may_change() -> None:
    base = {**DOCUMENT, "analyses": {**DOCUMENT["analyses"], "methods": []}, "dp": DP}
    before = contract(base=base)
    assert widened(contract(put(999, "dp", "budget", "micro_rho"), base=base), before=before) == ()
    for edit in (
        put(1001, "dp", "budget", "pico_delta"),
        put(9, "dp", "question", "micro_rho"),
        put(11, "dp", "question", "micro_rho"),
        put(5, "dp", "records"),
        put(9, "dp", "least_persons"),
        drop("dp"),
    ):
        assert widened(contract(edit, base=base), before=before) == ("dp",)


def test_a_clause_that_nobody_thought_of_must_stay_as_it_is() -> None:
    """Guard: the default of an unknown clause in ``widened``."""
    before = contract()
    for field in fields(Contract):
        if field.name not in narrowing._NARROWS and field.name != "amends":
            assert len(widened(replace(before, **{field.name: object()}), before=before)) == 1


@given(
    st.lists(st.sampled_from(sorted(NARROWER)), unique=True), st.lists(st.sampled_from(sorted(NARROWER)), unique=True)
)
def test_narrowing_goes_on_along_versions_and_says_so_place_by_place(first: list[str], then: list[str]) -> None:
    before = contract()
    try:
        middle = contract(*(NARROWER[case] for case in first if case != "a use fewer"))
        last = contract(*(NARROWER[case] for case in dict.fromkeys([*first, *then]) if case != "a use fewer"))
    except (DocumentMalformed, KeyError):
        return
    assert widened(middle, before=before) == widened(last, before=middle) == widened(last, before=before) == ()
    assert {one.direction for one in changes(last, before=before)} <= {Direction.NARROWS}


@given(CASES, st.sampled_from(sorted(WIDER)))
def test_no_narrowing_hides_a_widening(cases: list[str], wide: str) -> None:
    place, edit = WIDER[wide]
    try:
        new = contract(*(NARROWER[case] for case in cases), edit)
    except (DocumentMalformed, KeyError, TypeError):
        return
    assert place in widened(new, before=contract())


STATEMENTS = (
    "SELECT count(DISTINCT person.person_id) AS n FROM person",
    "SELECT p.gender_concept_id, count(DISTINCT p.person_id) AS n FROM person p GROUP BY p.gender_concept_id",
    "SELECT count(DISTINCT m.person_id) AS n FROM measurement m WHERE m.measurement_concept_id = 3",
    "SELECT avg(m.value_as_number) AS v FROM measurement m WHERE m.measurement_concept_id = 3",
    "SELECT year(m.measurement_date) AS y, count(DISTINCT m.person_id) AS n FROM measurement m GROUP BY 1",
    """SELECT p.gender_concept_id, avg(m.value_as_number) AS v FROM person p JOIN measurement m
       ON p.person_id = m.person_id WHERE p.year_of_birth >= 1950 GROUP BY 1""",
    """SELECT count(DISTINCT p.person_id) AS n FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c
       WHERE c.person_id = p.person_id AND c.condition_concept_id = 7)""",
)
WHOLE, REAL, DAY = ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DATE
OMOP = omop_catalogue({
    "person": [("person_id", WHOLE), ("gender_concept_id", WHOLE), ("year_of_birth", WHOLE), ("care_site_id", WHOLE)],
    "condition_occurrence": [("person_id", WHOLE), ("condition_concept_id", WHOLE), ("condition_start_date", DAY)],
    "measurement": [
        ("person_id", WHOLE), ("measurement_concept_id", WHOLE), ("measurement_date", DAY), ("value_as_number", REAL),
    ],
})  # fmt: skip


@st.composite
def narrower_catalogues(draw: st.DrawFn) -> Catalogue:
    """Tables, columns and uses, taken away as a contract may take them away."""
    tables = []
    for table in draw(st.lists(st.sampled_from(OMOP.tables), unique=True, min_size=1)):
        columns = []
        for column in table.columns:
            kept = narrowing.PROTECTING & column.uses
            uses = kept | draw(
                st.frozensets(st.sampled_from(sorted(column.uses))) if column.uses else st.just(frozenset())
            )
            if kept or draw(st.booleans()):
                columns.append(replace(column, uses=uses))
        tables.append(replace(table, columns=tuple(columns)))
    return Catalogue(tables=tuple(tables))


@settings(max_examples=40)
@given(narrower_catalogues(), st.sampled_from(STATEMENTS))
def test_the_planner_refuses_nothing_of_the_old_version_that_it_lets_through_in_the_narrower_one(
    narrower: Catalogue, statement: str
) -> None:
    before = contract()
    old, new = replace(before, catalogue=OMOP), replace(before, catalogue=narrower)
    assert widened(new, before=old) == ()
    assert plan_query(statement, OMOP).plan is not None
    planned = plan_query(statement, narrower).plan
    assert planned is None or planned.digest == plan_query(statement, OMOP).plan.digest  # type: ignore[union-attr]
