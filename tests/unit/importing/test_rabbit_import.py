"""What Rabbit-in-a-Hat saves becomes a mapping folder; what it leaves open is named."""

from __future__ import annotations

import gzip
import json
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import Resources, check_mapping, harmonise, load_mapping
from asepsis.engines.importing import read_document, write_folder
from asepsis.errors.importing import ImportMalformed
from asepsis.harmonise.importing.declared import read_declared
from asepsis.harmonise.importing.draft import Draft
from asepsis.harmonise.importing.rabbit import draft_from_rabbit

DECLARED = read_declared(owner="north", label="synthetic", extract_date="2022-01-01", encoding="utf-8", delimiter=",")
SOURCE = {
    "patients.csv": ["Id", "BIRTHDATE", "SEX"],
    "conditions.csv": ["START", "PATIENT", "CODE", "NOTE"],
    "claims": ["Id"],
}
TARGET = {
    "person": ["person_id", "gender_concept_id", "year_of_birth", "birth_datetime", "gender_source_value"],
    "condition_occurrence": [
        "person_id", "condition_concept_id", "condition_start_date", "condition_source_value", "stop_reason",
    ],
    "cost": ["cost_id"],
    "observation_period": ["person_id"],
}  # fmt: skip
ARROWS = {
    ("patients.csv", "person"): [
        ("Id", "person_id", ""),
        ("SEX", "gender_concept_id", "M and F only"),
        ("SEX", "gender_source_value", ""),
        ("BIRTHDATE", "birth_datetime", ""),
        ("BIRTHDATE", "year_of_birth", "take the year"),
    ],
    ("conditions.csv", "condition_occurrence"): [
        ("PATIENT", "person_id", ""),
        ("CODE", "condition_concept_id", ""),
        ("CODE", "condition_source_value", ""),
        ("START", "condition_start_date", ""),
        ("NOTE", "stop_reason", ""),
        ("CODE", "stop_reason", ""),
    ],
    ("conditions.csv", "cost"): [],
    ("conditions.csv", "observation_period"): [],
}


class Writer:
    """Writes a document as json-io does: an object where it is met first, a reference from then on."""

    def __init__(self) -> None:
        self.count = 0
        self.ids: dict[tuple[str, ...], int] = {}

    def document(self) -> dict[str, Any]:
        return {
            "@type": "org.ohdsi.rabbitInAHat.dataModel.ETL",
            "sourceDb": self.database("source", SOURCE),
            "cdmDb": self.database("cdm", TARGET),
            "tableToTableMaps": self.items([self.arrow(ends, key) for key, ends in enumerate(ARROWS)]),
            "tableMapToFieldToFieldMaps": {
                "@type": "java.util.HashMap",
                "@keys": [{"@ref": 9000 + key} for key in range(len(ARROWS))],
                "@items": [self.items([self.field(ends, one) for one in found]) for ends, found in ARROWS.items()],
            },
        }

    def database(self, name: str, tables: dict[str, list[str]]) -> dict[str, Any]:
        return {
            "@id": self.id(name),
            "dbName": name,
            "tables": self.items([self.table(name, *one) for one in tables.items()]),
        }

    def table(self, database: str, name: str, fields: list[str]) -> dict[str, Any]:
        made = {
            "@type": "org.ohdsi.rabbitInAHat.dataModel.Table", "@id": self.id(database, name), "name": name,
            "db": {"@ref": self.ids[(database,)]}, "comment": "",
        }  # fmt: skip
        counts = {"SEX": ["M", "F"], "CODE": ["E75.2"]}
        made["fields"] = self.items(
            [
                {
                    "@type": "org.ohdsi.rabbitInAHat.dataModel.Field", "@id": self.id(database, name, field),
                    "name": field, "table": {"@ref": made["@id"]}, "comment": None,
                    "valueCounts": {
                        "valueCounts": self.items([{"value": v, "frequency": 9} for v in counts.get(field, [])])
                    },
                }
                for field in fields
            ]
        )  # fmt: skip
        return made

    def arrow(self, ends: tuple[str, str], key: int) -> dict[str, Any]:
        source, target = self.ids[("source", ends[0])], self.ids[("cdm", ends[1])]
        arrow = {"@id": 9000 + key, "sourceItem": {"@ref": source}, "cdmItem": {"@ref": target}}
        return {**arrow, "comment": "claims decide" if ends[1] == "cost" else "", "logic": "", "isCompleted": False}

    def field(self, ends: tuple[str, str], one: tuple[str, str, str]) -> dict[str, Any]:
        source, target = self.ids[("source", ends[0], one[0])], self.ids[("cdm", ends[1], one[1])]
        return {"sourceItem": {"@ref": source}, "cdmItem": {"@ref": target}, "comment": "", "logic": one[2]}

    def items(self, found: list[Any]) -> dict[str, Any]:
        return {"@type": "java.util.ArrayList", "@items": found}

    def id(self, *name: str) -> int:
        self.count += 1
        return self.ids.setdefault(name, self.count)


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    path = tmp_path / "etl.json.gz"
    path.write_bytes(gzip.compress(json.dumps(Writer().document()).encode()))
    return draft_from_rabbit(read_document(path), file=path.name, declared=DECLARED)


def test_arrows_become_a_mapping_that_runs(draft: Draft, tmp_path: Path) -> None:
    folder, files = tmp_path / "m", tmp_path / "files"
    write_folder(draft, folder, tool="Rabbit-in-a-Hat")
    assert {remark.code for remark in check_mapping(folder)} == {"mapping.no_tests", "mapping.unused_fields"}
    files.mkdir()
    (files / "patients.csv").write_text("Id,BIRTHDATE,SEX\np1,1960,F\n")
    rows = "2020-01-31,p1,E75.2,x\n2020-02-31,p1,E75.2,x\n"
    (files / "conditions.csv").write_text(f"START,PATIENT,CODE,NOTE\n{rows}")
    inputs = {path.name: partial(path.open, "rb") for path in files.iterdir()}
    resources = Resources(memory="256MB", threads=1)
    result = harmonise(
        load_mapping(folder), inputs, workdir=tmp_path, run="r", person_key=bytes(32), resources=resources
    )
    (row,) = pq.read_table(result.tables["condition_occurrence"]).to_pylist()
    assert (row["condition_start_date"], row["condition_concept_id"]) == (date(2020, 1, 31), 0)
    (person,) = pq.read_table(result.tables["person"]).to_pylist()
    assert (person["year_of_birth"], person["gender_source_value"]) == (1960, "F")


def test_nothing_is_guessed(draft: Draft) -> None:
    assert set(draft.tables) == {"person_patients", "condition_occurrence_conditions"}
    assert "stop_reason" not in draft.tables["condition_occurrence_conditions"]["fields"]
    assert [row.grade for rows in draft.codes.values() for row in rows] == ["not_mapped"] * 3
    page = "\n".join(draft.decisions)
    for words in (
        "claims: no arrow leaves this table",
        "conditions.csv to cost: a mapping cannot fill this table",
        "somebody wrote: claims decide",
        "observation_period: it is computed",
        "somebody wrote: M and F only",
        "birth_datetime is not for a mapping to fill",
        "stop_reason has arrows from NOTE, CODE",
        "(1 from the scan)",
        "condition_start_date takes START as YYYY-MM-DD",
        "confirm them",
    ):
        assert words in page, words


def test_a_table_without_the_key_of_the_person_waits() -> None:
    document = Writer().document()
    person = document["tableMapToFieldToFieldMaps"]["@items"][0]["@items"]
    del person[0]
    draft = draft_from_rabbit(document, file="e", declared=DECLARED)
    assert list(draft.left_out) == ["person_patients"]
    assert any("exactly one table file must" in line for line in draft.decisions)


def broken(change: str) -> Any:
    document = Writer().document()
    if change == "reference":
        document["tableToTableMaps"]["@items"][0]["sourceItem"] = {"@ref": 123456}
    elif change == "keys":
        document["tableMapToFieldToFieldMaps"]["@keys"] = []
    elif change == "name":
        document["sourceDb"]["tables"]["@items"][0]["name"] = 7
    else:
        document.pop(change)
    return document


@pytest.mark.parametrize(
    "change", ["reference", "keys", "name", "sourceDb", "tableToTableMaps", "tableMapToFieldToFieldMaps"]
)
def test_what_is_not_of_rabbit_in_a_hat_is_refused(change: str) -> None:
    with pytest.raises(ImportMalformed):
        draft_from_rabbit(broken(change), file="e", declared=DECLARED)


def test_a_second_source_of_person_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARROWS, ("claims", "person"), [("Id", "person_id", ""), ("Id", "gender_source_value", "")])
    draft = draft_from_rabbit(Writer().document(), file="e", declared=DECLARED)
    assert "person_patients" in draft.tables
    assert list(draft.left_out) == ["person_claims"]
    assert any("a second source of person" in line for line in draft.decisions)


def test_two_arrows_whose_names_are_cut_keep_their_own_tables() -> None:
    draft = Draft(declared=DECLARED, source="s")
    document = {"table": "death", "from": "f", "person": "p", "fields": {"death_date": {"expr": "d"}}}
    for _ in range(3):
        draft.add_table("x" * 60, dict(document))
        draft.add_codes("y" * 60, [])
    assert [len(draft.tables), len(draft.codes)] == [3, 3]
    assert all(len(name) <= 60 for name in (*draft.tables, *draft.codes))
