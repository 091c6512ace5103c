"""The whole files of both hospitals against their truth; the table that this prints is the account of the faults."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter, defaultdict
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import HarmonisedRun, Resources, harmonise
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.omop import TARGETS
from asepsis.harmonise.readers import sqldump
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.lines import Decoding
from asepsis.harmonise.readers.record import RecordKind

KEY = bytes(range(32))
PATMAST, DXHIST, LAB = "PATMAST.DAT", "DXHIST.DBF", "LAB_RESULTS.CSV"


def run(mapping: Mapping, folder: Path, workdir: Path) -> HarmonisedRun:
    files = {path.name: partial(path.open, "rb") for path in folder.iterdir()}
    return harmonise(mapping, files, workdir=workdir, run="r", person_key=KEY, resources=Resources(memory="512MB"))


@pytest.fixture(scope="module")
def a(northgate: Mapping, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> HarmonisedRun:
    return run(northgate, shared / "two_hospitals" / "hospital_a_legacy", tmp_path_factory.mktemp("a"))


@pytest.fixture(scope="module")
def b(riverside: Mapping, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> HarmonisedRun:
    return run(riverside, shared / "two_hospitals" / "hospital_b_fhir", tmp_path_factory.mktemp("b"))


@pytest.fixture(scope="module")
def truth(shared: Path) -> dict[str, list[dict[str, str]]]:
    rows = defaultdict(list)
    with gzip.open(shared / "two_hospitals_truth" / "rows.csv.gz", "rt", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            rows[row["file"]].append(row)
    return rows


def listed(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def outcomes(result: HarmonisedRun) -> dict[tuple[str, int], set[str]]:
    """What became of each record, as the words of the fault policy, by file and record number."""
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in listed(result.provenance):
        words = {"loaded", *(f"flag:{flag}" for flag in row["flags"]), *(f"repair:{item}" for item in row["repairs"])}
        found[row["file"], row["rec_no"]] |= words
    for name in ("measurement", "drug_exposure", "condition_occurrence"):
        places = {
            row["target_id"]: (row["file"], row["rec_no"])
            for row in listed(result.provenance)
            if row["target_table"] == name
        }
        for row in listed(result.tables[name]):
            found[places[row[f"{name}_id"]]] |= said_by(row, name)
    for row in listed(result.quarantine):
        where = "field" if row["field"] else "quarantine"
        found[row["file"], row["rec_no"]] |= {f"{where}:{reason}" for reason in row["reasons"]}
    for row in listed(result.excluded):
        found[row["file"], row["rec_no"]] |= {f"excluded:{reason}" for reason in row["reasons"]}
    for row in listed(result.merged):
        found[row["file"], row["rec_no"]] |= {f"merged:{row['into_rec_no'] < row['rec_no']}"}
    return found


def said_by(row: dict[str, Any], table: str) -> set[str]:
    """What an emitted row says about its own faults."""
    kind = {"condition_occurrence": "condition", "drug_exposure": "drug"}.get(table, table)
    words = {f"concept:{row[f'{kind}_concept_id']}"}
    if table == "measurement":
        words |= {"operator"} if row["operator_concept_id"] == 4171756 and row["value_as_number"] is not None else set()
        words |= {"no number"} if row["value_as_number"] is None else set()
        words |= {"no unit"} if not row["unit_concept_id"] else set()
        words |= {"source text"} if row["value_source_value"] else set()
    return words


EXPECTED = {
    "zero_dob": {"loaded", "flag:zero_dob", "field:zero_dob"},
    "invalid_sex": {"loaded", "flag:invalid_sex"},
    "packed_decimal_corrupt": {"loaded", "field:packed_decimal_corrupt"},
    "test_patient": {"excluded:test_patient"},
    "truncated_final_record": {"quarantine:truncated_final_record"},
    "invalid_code": {"loaded", "flag:invalid_code", "concept:0"},
    "leading_zero_lost": {"loaded", "repair:leading_zero_lost"},
    "orphan_mrn": {"quarantine:unknown_person"},
    "exact_duplicate": {"merged:True"},
    "date_missing": {"quarantine:date_missing"},
    "date_in_future": {"quarantine:date_in_future"},
    "censored_value": {"loaded", "flag:censored_value", "operator"},
    "non_numeric_result": {"loaded", "flag:non_numeric_result", "no number", "source text"},
    "unit_missing": {"loaded", "flag:unit_missing", "no unit"},
    "unit_label_wrong": {"loaded", "flag:unit_label_implausible"},
    "unquoted_delimiter": {"loaded", "repair:unquoted_delimiter"},
    "impossible_date": {"quarantine:impossible_date"},
    "mrn_format_variant": {"loaded", "repair:mrn_format_variant"},
    "unknown_local_code": {"loaded", "flag:unknown_local_code", "concept:0"},
    "unbalanced_quote": {"loaded", "repair:unbalanced_quote"},
    "mojibake": {"loaded", "repair:mojibake"},
    "nul_byte": {"loaded", "repair:nul_byte"},
    "truncated_message": {"quarantine:segment_cut"},
    "pid_missing": {"quarantine:pid_missing"},
    "orphan_msh_repeated": {"quarantine:message_without_body"},
    "zero_date": {"quarantine:zero_date"},
    "drug_name_missing": {"loaded", "flag:drug_name_missing", "concept:0"},
}
"""What the policy asks for, in the words of ``outcomes``."""


def records_of_rows(folder: Path) -> dict[str, list[list[int]]]:
    """The landed records of each row of the truth: rows count messages in HL7, and tuples in the SQL dump."""
    lines = (folder / "adt_oru.hl7").read_bytes().splitlines()
    messages: list[list[int]] = []
    for number, line in enumerate(lines):
        if line.startswith(b"MSH"):
            messages.append([])
        if messages and line[:3] not in {b"BTS", b"FTS"}:
            messages[-1].append(number)
    whole = [numbers for numbers in messages if len(numbers) > 1]
    for position, numbers in enumerate(messages):
        if len(numbers) == 1:
            whole[sum(len(before) > 1 for before in messages[:position]) - 1] += numbers
    dump = (folder / "pharmacy.sql").read_bytes()
    stream = sqldump.read(
        io.BytesIO(dump),
        dialect=sqldump.Dialect.MYSQL,
        table="rx",
        columns=("a", "b", "c", "d", "e"),
        decoding=Decoding(),
    )
    tuples = [[record.number] for record in records_of(stream) if record.kind is RecordKind.DATA]
    return {
        "adt_oru.hl7": whole,
        "pharmacy.sql": tuples,
        PATMAST: [[number] for number in range(300)],
        DXHIST: [[number + 1] for number in range(13_000)],
        LAB: [[number + 1] for number in range(13_000)],
    }


def test_every_fault_ends_as_the_policy_says(a: HarmonisedRun, shared: Path) -> None:
    found = outcomes(a)
    records = records_of_rows(shared / "two_hospitals" / "hospital_a_legacy")
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    with (shared / "two_hospitals_truth" / "faults.csv").open(encoding="utf-8") as stream:
        for fault in csv.DictReader(stream):
            numbers = records[fault["file"]][int(fault["row0"])]
            words = set().union(*(found[fault["file"], number] for number in numbers))
            total[fault["kind"]] += 1
            right[fault["kind"]] += EXPECTED[fault["kind"]] <= words
    for kind in sorted(total):
        print(f"{kind:26} {right[kind]:5} of {total[kind]:5}")  # noqa: T201 - the account of the faults
    print(f"{'all':26} {sum(right.values()):5} of {sum(total.values()):5}")  # noqa: T201
    assert sum(total.values()) == 809
    assert len(total) == 27
    assert sum(right.values()) / sum(total.values()) >= 0.98


def test_what_is_whole_in_a_cut_message_is_loaded(a: HarmonisedRun, shared: Path) -> None:
    found = outcomes(a)
    records = records_of_rows(shared / "two_hospitals" / "hospital_a_legacy")["adt_oru.hl7"]
    words = [found["adt_oru.hl7", number] for number in records[579]]
    assert sum("loaded" in word for word in words) == 2
    assert sum("quarantine:segment_cut" in word for word in words) == 1


def test_the_books_of_all_files_are_whole_and_meet_what_the_batch_declares(a: HarmonisedRun, b: HarmonisedRun) -> None:
    for file in (*a.books.files, *b.books.files):
        file.balance()
    messages = next(file for file in a.books.files if file.path.endswith("hl7"))
    assert (messages.declared, messages.counted, messages.meets_declared_count) == (1464, 1464, True)
    manifest = next(file for file in b.books.files if file.path == "manifest.json")
    assert (manifest.declared, manifest.counted) == (8, 8)
    assert all(file.meets_declared_count for file in b.books.files)
    assert (len(a.books.files), len(b.books.files)) == (8, 9)
    assert (a.books.uncovered, b.books.uncovered) == ((), ())


def test_no_impossible_date_is_emitted(a: HarmonisedRun, b: HarmonisedRun) -> None:
    for result, last in ((a, date(2013, 1, 4)), (b, date(2025, 1, 1))):
        for path in result.tables.values():
            table = pq.read_table(path)
            for name in table.column_names:
                if name.endswith("_date") and not name.endswith("_end_date"):
                    days = [day for day in table[name].to_pylist() if day is not None]
                    assert all(date(1900, 1, 1) <= day <= last for day in days), name


@pytest.mark.long
def test_measurements_and_drugs_come_out_as_the_truth_has_them(
    a: HarmonisedRun, b: HarmonisedRun, truth: dict[str, list[dict[str, str]]], shared: Path
) -> None:
    """Recall and precision of loadable rows: person, date, concept and value."""
    tuples = records_of_rows(shared / "two_hospitals" / "hospital_a_legacy")["pharmacy.sql"]
    lab = {number + 1: row for number, row in enumerate(truth[LAB])}
    rx = {numbers[0]: row for numbers, row in zip(tuples, truth["pharmacy.sql"], strict=True)}
    observed = dict(enumerate(truth["Observation.ndjson.gz"]))
    ordered = dict(enumerate(truth["MedicationRequest.ndjson.gz"]))
    for result, file, table, rows in (
        (a, LAB, "measurement", lab),
        (a, "pharmacy.sql", "drug_exposure", rx),
        (b, "Observation.ndjson.gz", "measurement", observed),
        (b, "Observation.ndjson.gz", "observation", observed),
        (b, "MedicationRequest.ndjson.gz", "drug_exposure", ordered),
    ):
        recall, precision = compared(result, file, table, rows)
        print(f"{file:26} {table:14} recall {recall:.4%} precision {precision:.4%}")  # noqa: T201
        assert recall >= 0.995
        assert precision >= 0.999


NOT_LOADABLE = {"impossible_date", "zero_date", "orphan_mrn", "date_missing", "date_in_future", "exact_duplicate"}
COMPONENTS = {"8480-6", "8462-4"}


def compared(result: HarmonisedRun, file: str, table: str, truth: dict[int, dict[str, str]]) -> tuple[float, float]:
    people = {row["person_id"]: row["mrn"] for row in listed(result.identity)}
    kind = table.removesuffix("_exposure")
    origin = {row["target_id"]: row for row in listed(result.provenance) if row["target_table"] == table}
    by_code: dict[str, Counter[int]] = defaultdict(Counter)
    found = []
    for row in listed(result.tables[table]):
        place = origin[row[f"{table}_id"]]
        if place["file"] == file and row[f"{kind}_source_value"] not in COMPONENTS:
            true = truth[place["rec_no"]]
            found.append((row, true))
            by_code[true["std_code"]][row[f"{kind}_concept_id"]] += true["fault"] == ""
    right = sum(is_right(row, true, kind, people, by_code) for row, true in found)
    loadable = sum(row["fault"] not in NOT_LOADABLE for row in truth.values())
    if file.startswith("Observation"):
        taken = {id(true) for _, true in found}
        loadable = sum(id(row) in taken for row in truth.values())
    return right / loadable, right / len(found)


def is_right(
    row: dict[str, Any], true: dict[str, str], kind: str, people: dict[int, str], by_code: dict[str, Counter[int]]
) -> bool:
    start = "drug_exposure_start_date" if kind == "drug" else f"{kind}_date"
    if str(row[start]) != true["true_date"]:
        return False
    mrn = people[row["person_id"]]
    if not mrn.startswith("B") and mrn != true["local_id"].lstrip("0"):
        return False
    unknown = true["fault"] in {"unknown_local_code", "drug_name_missing"}
    expected = 0 if unknown else by_code[true["std_code"]].most_common(1)[0][0]
    if row[f"{kind}_concept_id"] != expected or (expected == 0 and not unknown):
        return False
    return kind == "drug" or has_right_value(row["value_as_number"], true)


def has_right_value(value: float | None, true: dict[str, str]) -> bool:
    """The sources round to whole numbers at the coarsest; bounds and mislabelled units are judged by their flags."""
    if true["fault"] in {"censored_value", "unit_label_wrong"}:
        return value is not None
    if true["fault"] == "non_numeric_result" or not true["true_value"]:
        return value is None
    expected = float(true["true_value"])
    return value is not None and abs(value - expected) <= max(0.51, 0.01 * abs(expected))


def test_persons_come_out_as_the_truth_has_them(a: HarmonisedRun, b: HarmonisedRun, shared: Path) -> None:
    born, mrns, patients = {}, {}, {}
    with (shared / "two_hospitals_truth" / "persons.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            born[row["entity_id"]] = row["dob"]
            mrns |= {mrn: (row["entity_id"], row["a_noise"]) for mrn in row["a_mrns"].split(";") if mrn}
            patients[row["b_patient_id"]] = row["entity_id"]
    wrong = 0
    identity = listed(a.identity)
    for row in identity:
        entity, noise = mrns.pop(row["mrn"])
        same = str(row["birth_date"]) == born[entity]
        wrong += not (same or "dob_day_month_swap" in noise or row["birth_date"] is None)
    assert mrns == {}
    assert wrong == 0
    assert b.row_counts["person"] == len([patient for patient in patients if patient])
    assert all(row["year_of_birth"] for row in listed(b.tables["person"]))
    assert sum(row["year_of_birth"] is None for row in listed(a.tables["person"])) == 1


def scored(result: HarmonisedRun, file: str, truth: list[dict[str, str]], *, first: int) -> tuple[float, float, float]:
    """Recall and precision of rows (person, date, source code), then the share whose concept is the true one."""
    keys = {row["person_id"]: row["mrn"] for row in listed(result.identity)}
    prov = {
        row["target_id"]: row["rec_no"] - first
        for row in listed(result.provenance)
        if row["target_table"] == "condition_occurrence" and row["file"] == file
    }
    by_code: dict[int, Counter[str]] = defaultdict(Counter)
    right = concepts = 0
    rows = [row for row in listed(result.tables["condition_occurrence"]) if row["condition_occurrence_id"] in prov]
    for row in rows:
        by_code[row["condition_concept_id"]][truth[prov[row["condition_occurrence_id"]]]["std_code"]] += 1
    for row in rows:
        true = truth[prov[row["condition_occurrence_id"]]]
        code = true["icd9"].replace(".", "") or true["std_code"]
        shown = row["condition_source_value"]
        same_code = shown == code or shown.startswith("Z") or true["fault"] == "invalid_code"
        same_person = keys[row["person_id"]] == true["local_id"] or first == 0
        right += same_code and same_person and str(row["condition_start_date"]) == true["true_date"]
        concepts += by_code[row["condition_concept_id"]].most_common(1)[0][0] == true["std_code"]
    bad = {"orphan_mrn", "exact_duplicate", "date_missing", "date_in_future"}
    loadable = sum(row["fault"] not in bad for row in truth)
    return right / loadable, right / len(rows), concepts / len(rows)


def test_conditions_come_out_as_the_truth_has_them(
    a: HarmonisedRun, b: HarmonisedRun, truth: dict[str, list[dict[str, str]]]
) -> None:
    for result, file, first in ((a, DXHIST, 1), (b, "Condition.ndjson.gz", 0)):
        recall, precision, concepts = scored(result, file, truth[file], first=first)
        print(f"{file:22} recall {recall:.4%} precision {precision:.4%} same concept {concepts:.4%}")  # noqa: T201
        assert recall >= 0.995
        assert precision >= 0.999
        assert concepts >= 0.98


def test_gaucher_disease_is_found_under_one_concept_in_both(
    a: HarmonisedRun, b: HarmonisedRun, northgate: Mapping, truth: dict[str, list[dict[str, str]]]
) -> None:
    concept = next(row.concept_id for row in northgate.codes["conditions"].rows if row.source_code == "2727")
    true: list[set[str]] = []
    for result, file in ((a, DXHIST), (b, "Condition.ndjson.gz")):
        rows = listed(result.tables["condition_occurrence"])
        from_file = {
            row["target_id"]
            for row in listed(result.provenance)
            if row["file"] == file and row["target_table"] == "condition_occurrence"
        }
        rows = [row for row in rows if row["condition_occurrence_id"] in from_file]
        found = {row["person_id"] for row in rows if row["condition_concept_id"] == concept}
        ill = [row for row in truth[file] if row["std_code"] == "190794006"]
        assert len(found) == len({row["local_id"] for row in ill if row["fault"] != "orphan_mrn"})
        true.append({row["entity_id"] for row in ill})
    assert [len(people) for people in true] == [11, 10]
    assert len(true[0] | true[1]) == 17


def test_every_event_lies_inside_the_observation_period_of_its_person(a: HarmonisedRun, b: HarmonisedRun) -> None:
    """OMOP CDM 5.4: a period is when events could be recorded; so none that was recorded lies outside of it."""
    starts = {name: target.at for name, target in TARGETS.items() if target.at in target.required}
    for result in (a, b):
        known = listed(result.tables["observation_period"])
        periods = {
            row["person_id"]: (row["observation_period_start_date"], row["observation_period_end_date"])
            for row in known
        }
        assert len(periods) == len(known)
        for name in sorted(set(starts) & set(result.tables)):
            events = pq.read_table(result.tables[name], columns=["person_id", starts[name]]).to_pylist()
            outside = [row for row in events if not _within(row[starts[name]], periods.get(row["person_id"]))]
            assert not outside, (name, len(outside), len(events))


def _within(day: date, period: tuple[date, date] | None) -> bool:
    return period is not None and period[0] <= day <= period[1]
