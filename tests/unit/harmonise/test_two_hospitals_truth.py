"""The whole files of both hospitals against their truth; the table that this prints is the account of the faults."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import HarmonisedRun, Resources, harmonise
from asepsis.harmonise.mapping import Mapping

KEY = bytes(range(32))
PATMAST, DXHIST = "PATMAST.DAT", "DXHIST.DBF"


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
    for row in listed(result.quarantine):
        where = "field" if row["field"] else "quarantine"
        found[row["file"], row["rec_no"]] |= {f"{where}:{reason}" for reason in row["reasons"]}
    for row in listed(result.excluded):
        found[row["file"], row["rec_no"]] |= {f"excluded:{reason}" for reason in row["reasons"]}
    for row in listed(result.merged):
        found[row["file"], row["rec_no"]] |= {f"merged:{row['into_rec_no'] < row['rec_no']}"}
    return found


EXPECTED = {
    "zero_dob": {"loaded", "flag:zero_dob", "field:zero_dob"},
    "invalid_sex": {"loaded", "flag:invalid_sex"},
    "packed_decimal_corrupt": {"loaded", "field:packed_decimal_corrupt"},
    "test_patient": {"excluded:test_patient"},
    "truncated_final_record": {"quarantine:truncated_final_record"},
    "invalid_code": {"loaded", "flag:invalid_code"},
    "leading_zero_lost": {"loaded", "repair:leading_zero_lost"},
    "orphan_mrn": {"quarantine:unknown_person"},
    "exact_duplicate": {"merged:True"},
    "date_missing": {"quarantine:date_missing"},
    "date_in_future": {"quarantine:date_in_future"},
}


def test_the_faults_of_these_files_end_as_the_policy_says(a: HarmonisedRun, shared: Path) -> None:
    found = outcomes(a)
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    with (shared / "two_hospitals_truth" / "faults.csv").open(encoding="utf-8") as stream:
        for fault in csv.DictReader(stream):
            if fault["file"] not in {PATMAST, DXHIST}:
                continue
            number = int(fault["row0"]) + (1 if fault["file"] == DXHIST else 0)
            total[fault["kind"]] += 1
            right[fault["kind"]] += EXPECTED[fault["kind"]] <= found[fault["file"], number]
    for kind in sorted(total):
        print(f"{kind:26} {right[kind]:5} of {total[kind]:5}")  # noqa: T201 - the account of the faults
    assert sum(total.values()) == 340
    assert sum(right.values()) / sum(total.values()) >= 0.98


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
    rows = listed(result.tables["condition_occurrence"])
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
        found = {row["person_id"] for row in rows if row["condition_concept_id"] == concept}
        ill = [row for row in truth[file] if row["std_code"] == "190794006"]
        assert len(found) == len({row["local_id"] for row in ill if row["fault"] != "orphan_mrn"})
        true.append({row["entity_id"] for row in ill})
    assert [len(people) for people in true] == [11, 10]
    assert len(true[0] | true[1]) == 17
