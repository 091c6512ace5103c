"""A view may make several rows of one resource: the books count resources, provenance tells the rows apart."""

from __future__ import annotations

import io
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.harmonise import KeptRun, harmonise, load_mapping, rerun, where_from
from asepsis.engines.harmonise.checking import check_mapping, mapping_docs
from asepsis.engines.harmonise.result import HarmonisedRun
from asepsis.engines.harmonise.trial import run_mapping_tests
from asepsis.errors.harmonise import MappingMalformed

SUBJECT = {"name": "subject", "path": "subject.getReferenceKey(Patient)"}
PART: dict[str, Any] = {
    "column": [{"name": "code", "path": "code.coding.first().code"}, {"name": "number", "path": "valueQuantity.value"}]
}
ALONE: dict[str, Any] = {
    "resourceType": "ViewDefinition",
    "resource": "Observation",
    "status": "active",
    "select": [{"column": [SUBJECT, {"name": "at", "path": "effective.ofType(dateTime)"}]}],
}
SHAPES: dict[str, dict[str, Any]] = {
    "forEach": {"forEach": "component", **PART},
    "forEachOrNull": {"forEachOrNull": "component", **PART},
    "unionAll": {"unionAll": [{"forEach": "component", **PART}, {"forEach": "component.component", **PART}]},
    "repeat": {"repeat": ["component"], **PART},
}
SOURCE = """
format: asepsis-mapping/1
source: fhir
owner: ward
dataset: ward
label: synthetic
files:
  patient: {pattern: patient.ndjson, reader: ndjson, encoding: utf-8, extract_date: 2020-01-01, paths: {id: id}}
  panel:
    pattern: panel.ndjson
    reader: ndjson
    encoding: utf-8
    extract_date: 2020-01-01
    duplicates: [raw]
    view: views/panel.json
    several_rows: true
"""
PERSON = "table: person\nfrom: patient\nperson: id\nfields: {year_of_birth: {expr: '1950'}}\n"
MEASUREMENT = """
table: measurement
from: panel
person: subject
fields:
  measurement_concept_id: {code_map: codes, from: code}
  measurement_date: {expr: "parse_date(at, '%Y-%m-%d')"}
  measurement_type_concept_id: {expr: "32817"}
  value_as_number: {expr: "to_number(number)"}
  measurement_source_value: {expr: code}
require:
  - {expr: "code is null or code <> 'secret'", reason: not_wanted, on_fail: exclude}
  - {expr: "code is not null", reason: code_missing}
  - {expr: "number is not null", reason: number_missing, on_fail: flag}
"""
TRIAL = """
from: panel
cases:
  - name: a panel of two
    given: {json: 'PANEL'}
    persons: [p]
    expect: {state: accepted, flags: [number_missing], measurement.rows: 2, measurement.value_as_number: 1.0}
"""


@pytest.fixture(name="folder")
def mapping_folder(tmp_path: Path) -> Path:
    """A mapping of panels."""
    folder = tmp_path / "mapping"
    for name in ("tables", "views", "tests", "codes"):
        (folder / name).mkdir(parents=True)
    (folder / "source.yaml").write_text(SOURCE)
    (folder / "tables" / "person.yaml").write_text(PERSON)
    (folder / "tables" / "measurement.yaml").write_text(MEASUREMENT)
    two = json.dumps(panel(part("a"), part("b", None)))
    (folder / "tests" / "panel.yaml").write_text(TRIAL.replace("PANEL", two))
    (folder / "codes" / "codes.csv").write_text(
        "source_code,target_concept_id,grade,note\na,1,exact,\nb,2,exact,\nsecret,3,exact,\n"
    )
    shape(folder, "forEach")
    return folder


def shape(folder: Path, name: str) -> None:
    view = {**ALONE, "select": [*ALONE["select"], SHAPES[name]]}
    (folder / "views" / "panel.json").write_text(json.dumps(view))


def part(code: str | None, value: float | None = 1, *parts: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {} if code is None else {"code": {"coding": [{"code": code}]}}
    made |= {} if value is None else {"valueQuantity": {"value": value}}
    return made | ({"component": list(parts)} if parts else {})


def panel(*parts: dict[str, Any], person: str = "p", at: str = "2001-02-03") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "subject": {"reference": f"Patient/{person}"},
        "effectiveDateTime": at,
        "component": list(parts),
    }


def run(folder: Path, panels: list[Any], name: str = "run") -> HarmonisedRun:
    lines = "".join(json.dumps(item) + "\n" for item in panels).encode()
    files = {"patient.ndjson": partial(io.BytesIO, b'{"id":"p"}\n'), "panel.ndjson": partial(io.BytesIO, lines)}
    return harmonise(load_mapping(folder), files, workdir=folder.parent, run=name, person_key=bytes(32))


def rows_of(found: HarmonisedRun) -> list[tuple[Any, ...]]:
    """Record, row within it, code, flags."""
    rows, origins = f"read_parquet('{found.tables['measurement']}')", f"read_parquet('{found.provenance}')"
    return duckdb.sql(
        f"SELECT rec_no, row_no, measurement_source_value, flags FROM {rows} JOIN {origins} "
        "ON measurement_id = target_id WHERE target_table = 'measurement' ORDER BY ALL"
    ).fetchall()


def test_each_row_has_its_own_number_and_the_books_count_resources(folder: Path) -> None:
    found = run(folder, [panel(part("a"), part("b", None)), panel(part("b"))])
    books = {file.path: file for file in found.books.files}["panel.ndjson"]
    assert (books.landed, books.accepted, books.emitted) == (2, 2, {"measurement": 3})
    assert books.flags == {"number_missing": 1}
    assert rows_of(found) == [(0, 1, "a", []), (0, 2, "b", ["number_missing"]), (1, 1, "b", [])]
    origins = [where_from(found.provenance, table="measurement", row=number) for number in (1, 2, 3)]
    assert [(origin.record, origin.row) for origin in origins] == [(0, 1), (0, 2), (1, 1)]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("forEach", [["a", "b"], []]),
        ("forEachOrNull", [["a", "b"], None]),
        ("unionAll", [["a", "b", "c"], []]),
        ("repeat", [["a", "c", "b"], []]),
    ],
)
def test_every_way_to_make_several_rows_is_known(folder: Path, name: str, codes: list[list[str] | None]) -> None:
    """Where ``forEachOrNull`` finds nothing there is a row without a code, which the mapping sets aside."""
    shape(folder, name)
    found = run(folder, [panel(part("a", 1, part("c")), part("b")), panel()])
    books = {file.path: file for file in found.books.files}["panel.ndjson"]
    assert [code for _, _, code, _ in rows_of(found)] == codes[0]
    assert (books.exclusions, books.reasons) == (
        ({"not_in_view": 1}, {}) if codes[1] is not None else ({}, {"code_missing": 1})
    )


def test_one_row_that_is_set_aside_sets_the_whole_resource_aside_until_the_mapping_is_mended(folder: Path) -> None:
    """Guard: were only the row set aside, a resource would be accepted and quarantined at once."""
    found = run(folder, [panel(part("a"), part(None)), panel(part("b"))])
    books = {file.path: file for file in found.books.files}["panel.ndjson"]
    assert (books.accepted, books.quarantined, books.reasons) == (1, 1, {"code_missing": 1})
    assert [row[:3] for row in rows_of(found)] == [(1, 1, "b")]
    rule = folder / "tables" / "measurement.yaml"
    rule.write_text(rule.read_text().replace("reason: code_missing}", "reason: code_missing, on_fail: flag}"))
    (found.quarantine.parent / "books.json").write_text(json.dumps(found.books.as_dict()))
    earlier = KeptRun(folder=found.quarantine.parent, tables=found.tables)
    again = rerun(load_mapping(folder), earlier, workdir=folder.parent, run="again", person_key=bytes(32))
    books = {file.path: file for file in again.books.files}["panel.ndjson"]
    assert (books.landed, books.accepted, books.quarantined) == (2, 2, 0)
    assert [row[:3] for row in rows_of(again)] == [(0, 1, "a"), (0, 2, None), (1, 1, "b")]


def test_a_row_that_is_left_out_is_flagged_with_its_reason(folder: Path) -> None:
    found = run(folder, [panel(part("a"), part("secret")), panel(part("secret"))])
    books = {file.path: file for file in found.books.files}["panel.ndjson"]
    assert (books.accepted, books.excluded, books.exclusions) == (1, 1, {"not_wanted": 1})
    assert books.flags == {"not_wanted": 1, "row_left_out": 1}
    assert [row[:3] for row in rows_of(found)] == [(0, 1, "a")]


def test_a_resource_that_stands_twice_is_merged_whole(folder: Path) -> None:
    twice = panel(part("a"), part("b"))
    found = run(folder, [twice, twice])
    books = {file.path: file for file in found.books.files}["panel.ndjson"]
    assert (books.accepted, books.merged, books.emitted) == (1, 1, {"measurement": 2})


def test_too_many_rows_are_set_aside_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asepsis.harmonise.extraction.MOST_ROWS", 3)
    monkeypatch.setattr("asepsis.harmonise.several_rows.MOST_ROWS", 3)
    found = run(folder, [panel(*[part("a")] * 4), panel(*[part("a")] * 3)])
    books = {file.path: file for file in found.books.files}["panel.ndjson"]
    assert (books.accepted, books.quarantined, books.emitted) == (1, 1, {"measurement": 3})
    assert books.reasons == {"too_many_rows_in_view": 1, "code_missing": 1, "unknown_person": 1}


PARTS = st.lists(st.tuples(st.sampled_from(["a", "b", "z", "secret", None]), st.sampled_from([1, None])), max_size=4)
PANELS = st.lists(st.tuples(PARTS, st.sampled_from(["p", "p", "q"]), st.sampled_from(["2001-02-03", "x"])), max_size=6)


@settings(max_examples=settings().max_examples // 12, deadline=None)
@given(PANELS)
def test_whatever_resources_hold_no_row_is_lost_and_none_is_made_up(folder: Path, panels: list[Any]) -> None:
    found = run(folder, [panel(*(part(*x) for x in parts), person=p, at=at) for parts, p, at in panels])
    books = {file.path: file for file in found.books.files}["panel.ndjson"]
    states: Counter[str] = Counter()
    expected: list[tuple[int, int, str]] = []
    seen: set[str] = set()
    for number, item in enumerate(panels):
        parts, person, at = item
        wanted = [(row, code) for row, (code, _) in enumerate(parts, 1) if code != "secret"]
        is_bad = any(code is None or person != "p" or at == "x" for _, code in wanted)
        state = (
            "excluded" if not wanted else "quarantined" if is_bad else "merged" if repr(item) in seen else "accepted"
        )
        states[state] += 1
        if state == "accepted":
            seen.add(repr(item))
            expected += [(number, row, str(code)) for row, code in wanted]
    assert {state: getattr(books, state) for state in states} == states
    assert books.landed == len(panels)
    assert [row[:3] for row in rows_of(found)] == expected


def test_check_test_and_docs_know_several_rows(folder: Path) -> None:
    assert [trial.differences for trial in run_mapping_tests(folder)] == [()]
    assert not any(remark.is_error for remark in check_mapping(folder))
    assert "several rows of one resource" in mapping_docs(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("duplicates: [raw]", "duplicates: [code]"),
        ("    view: views/panel.json\n", "    paths: {subject: s, at: a, code: c, number: n}\n"),
    ],
)
def test_what_does_not_go_with_several_rows_is_refused(folder: Path, old: str, new: str) -> None:
    (folder / "source.yaml").write_text(SOURCE.replace(old, new))
    with pytest.raises(MappingMalformed):
        load_mapping(folder)


def test_a_person_is_one_row_of_a_view(folder: Path) -> None:
    person = PERSON.replace("from: patient\nperson: id", "from: panel\nperson: subject")
    (folder / "tables" / "person.yaml").write_text(person)
    with pytest.raises(MappingMalformed):
        load_mapping(folder)
