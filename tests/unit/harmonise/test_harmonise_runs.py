from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import HarmonisedRun, Resources, harmonise, run_mapping_tests, where_from
from asepsis.errors.harmonise import (
    MappingMalformed,
    PersonKeyRefused,
    RowUnknown,
    SourceFileDamaged,
    SourceFileMissing,
)
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.omop import TARGETS

Sources = dict[str, dict[str, bytes]]
Run = Callable[..., Any]


def openers(files: MappingOf[str, bytes]) -> dict[str, Callable[[], BinaryIO]]:
    return {path: partial(io.BytesIO, content) for path, content in files.items()}


def rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def test_every_record_of_northgate_ends_in_the_state_that_its_faults_ask_for(northgate_run: HarmonisedRun) -> None:
    result = northgate_run
    diagnoses, patients = sorted(result.books.files, key=lambda file: file.path)
    assert (patients.landed, patients.accepted, patients.excluded, patients.residue) == (5, 3, 1, 1)
    assert patients.exclusions == {"test_patient": 1}
    assert patients.flags == {"zero_dob": 1}
    assert patients.emitted == {"person": 3, "identity": 3, "death": 1}
    assert (diagnoses.landed, diagnoses.accepted, diagnoses.merged, diagnoses.quarantined) == (11, 4, 1, 4)
    assert diagnoses.header == 2
    assert diagnoses.reasons == {"impossible_date": 1, "date_in_future": 1, "date_missing": 1, "unknown_person": 1}
    assert diagnoses.repairs == {"leading_zero_lost": 1}
    assert diagnoses.flags == {"invalid_code": 1, "unmapped_condition_concept_id": 1}


def test_northgate_becomes_omop_rows_with_concepts_and_dates(northgate_run: HarmonisedRun) -> None:
    result = northgate_run
    born = {
        (row["year_of_birth"], row["month_of_birth"], row["gender_concept_id"]) for row in rows(result.tables["person"])
    }
    assert born == {(1925, 1, 8532), (1970, 1, 8507), (None, None, 8532)}
    assert [row["death_date"] for row in rows(result.tables["death"])] == [date(2005, 7, 18)]
    found = {
        (row["condition_source_value"], row["condition_start_date"]): row["condition_concept_id"]
        for row in rows(result.tables["condition_occurrence"])
    }
    assert set(found) == {
        ("4019", date(1999, 2, 3)),
        ("2727", date(1999, 2, 3)),
        ("0340", date(2001, 2, 28)),
        ("99999X", date(2001, 3, 1)),
    }
    assert found["99999X", date(2001, 3, 1)] == 0
    periods = {
        (row["observation_period_start_date"], row["observation_period_end_date"])
        for row in rows(result.tables["observation_period"])
    }
    assert (date(1999, 2, 3), date(2005, 7, 18)) in periods


def test_quarantine_keeps_the_raw_bytes_and_their_offset(northgate: Mapping, sources: Sources, run: Run) -> None:
    files = sources["northgate"]
    result = run(northgate, files)
    kept = rows(result.quarantine)
    assert {tuple(row["reasons"]) for row in kept} >= {("truncated_final_record",), ("impossible_date",), ("zero_dob",)}
    for row in kept:
        start = row["byte_off"]
        assert files[row["file"]][start : start + len(row["raw"])] == row["raw"]
    (merged,) = rows(result.merged)
    assert (merged["rec_no"], merged["into_rec_no"]) == (9, 1)


def test_a_row_is_traced_to_the_bytes_it_was_made_from(northgate_run: HarmonisedRun, sources: Sources) -> None:
    result = northgate_run
    for row in rows(result.tables["condition_occurrence"]):
        origin = where_from(result.provenance, table="condition_occurrence", row=row["condition_occurrence_id"])
        raw = sources["northgate"][origin.file][origin.offset : origin.offset + 54]
        assert row["condition_start_date"].strftime("%Y%m%d").encode() in raw
    with pytest.raises(RowUnknown):
        where_from(result.provenance, table="condition_occurrence", row=999)


def test_the_grade_of_a_wider_code_is_kept_with_the_row(northgate_run: HarmonisedRun) -> None:
    result = northgate_run
    grades = {row["grade"] for row in rows(result.provenance) if row["target_table"] == "condition_occurrence"}
    assert "broader" in grades


def test_gaucher_disease_meets_in_one_concept(northgate: Mapping, riverside: Mapping) -> None:
    old = {row.source_code: row for row in northgate.codes["conditions"].rows}
    new = {row.source_code: row for row in riverside.codes["conditions"].rows}
    assert old["2727"].concept_id == new["190794006"].concept_id
    assert old["2727"].grade == "broader"
    assert {row.concept_id for row in old.values()} <= {row.concept_id for row in new.values()}


def test_riverside_is_read_plain_and_compressed_alike(
    riverside: Mapping, riverside_run: HarmonisedRun, sources: Sources, run: Run
) -> None:
    plain = riverside_run
    packed = {f"{path}.gz": gzip.compress(content) for path, content in sources["riverside"].items()}
    compressed = run(riverside, packed, "compressed")
    for name, path in plain.tables.items():
        assert rows(path) == rows(compressed.tables[name])
    conditions = next(file for file in plain.books.files if "Condition" in file.path)
    assert conditions.reasons == {"impossible_date": 1, "unknown_person": 1}
    assert conditions.accepted == 3
    identity = rows(plain.identity)
    assert {(row["national_id"], row["previous_family_name"], row["birth_date"]) for row in identity} == {
        (f"12345678{n}", "Roe", date(1970 + n, 2, 3)) for n in range(3)
    }


def test_identifiers_never_enter_a_clinical_table(northgate_run: HarmonisedRun, riverside_run: HarmonisedRun) -> None:
    for result in (northgate_run, riverside_run):
        secrets = {
            str(value)
            for row in rows(result.identity)
            for key, value in row.items()
            if key not in {"person_id", "sex", "birth_date"} and value
        }
        for path in result.tables.values():
            values = {str(value) for row in rows(path) for value in row.values()}
            assert not secrets & values
        assert "identity" not in result.tables


def test_tables_are_clustered_by_person_and_typed_as_omop_says(northgate_run: HarmonisedRun) -> None:
    result = northgate_run
    for name, path in result.tables.items():
        table = pq.read_table(path)
        people = table["person_id"].to_pylist()
        assert people == sorted(people)
        assert table.column_names == list(TARGETS[name].columns)
        assert result.row_counts[name] == table.num_rows


def test_equal_inputs_give_equal_bytes_and_stable_person_ids(
    northgate: Mapping, northgate_run: HarmonisedRun, sources: Sources, run: Run
) -> None:
    first = northgate_run
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in first.tables.items()}
    again = run(northgate, sources["northgate"], "two")
    assert digests == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in again.tables.items()}
    assert first.identity.read_bytes() == again.identity.read_bytes()


def test_person_ids_of_another_owner_are_others(
    northgate: Mapping, northgate_run: HarmonisedRun, sources: Sources, tmp_path: Path
) -> None:
    ours = {row["person_id"] for row in rows(northgate_run.identity)}
    other = harmonise(northgate, openers(sources["northgate"]), workdir=tmp_path, run="other", person_key=b"x" * 32)
    assert not ours & {row["person_id"] for row in rows(other.identity)}


def test_a_finished_run_is_reused_only_while_its_files_and_inputs_are_unchanged(
    northgate: Mapping, sources: Sources, run: Run
) -> None:
    files = dict(sources["northgate"])
    first = run(northgate, files)
    stamp = first.identity.stat().st_mtime_ns
    assert run(northgate, files) == first
    assert first.identity.stat().st_mtime_ns == stamp
    good = first.identity.read_bytes()
    first.identity.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert run(northgate, files).identity.read_bytes() == good
    files["data/DXHIST.DBF"] = files["data/DXHIST.DBF"][:-1]
    assert run(northgate, files).books != first.books


def test_a_missing_file_a_damaged_file_and_a_short_key_give_one_clear_error(
    riverside: Mapping, northgate: Mapping, sources: Sources, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(SourceFileMissing):
        run(northgate, {"data/PATMAST.DAT": b""})
    damaged = {f"{path}.gz": gzip.compress(content)[:-9] for path, content in sources["riverside"].items()}
    with pytest.raises(SourceFileDamaged):
        run(riverside, damaged, "damaged")
    assert not (tmp_path / "damaged").exists()
    with pytest.raises(PersonKeyRefused):
        harmonise(riverside, {}, workdir=tmp_path, run="short", person_key=b"short")


def test_files_that_no_entry_reads_are_named_in_the_books(northgate: Mapping, sources: Sources, run: Run) -> None:
    result = run(northgate, {**sources["northgate"], "data/NOTES.TXT": b"left over"})
    assert result.books.uncovered == ("data/NOTES.TXT",)
    assert "DXHIST.DBF" in result.books.as_text()


def test_a_repaired_record_that_no_table_asks_for_is_left_out_with_a_reason(
    northgate: Mapping, sources: Sources, run: Run
) -> None:
    message = b"MSH|^~\\&|A\rPID|1||10000001\rNTE|1|a\0b\r"
    result = run(northgate, {**sources["northgate"], "adt_oru.hl7": message})
    messages = next(file for file in result.books.files if file.path == "adt_oru.hl7")
    assert messages.exclusions == {"no_table_asks_for_it": 1}
    assert messages.accepted_without_row == 0


def test_the_second_record_of_one_patient_is_quarantined_not_mixed(
    northgate: Mapping, sources: Sources, run: Run
) -> None:
    files = dict(sources["northgate"])
    master = files["data/PATMAST.DAT"]
    files["data/PATMAST.DAT"] = (
        master[:131] + master[:17] + "ROE".ljust(20).encode("cp037") + master[37:131] + master[131:]
    )
    result = run(northgate, files)
    patients = next(file for file in result.books.files if "PATMAST" in file.path)
    assert patients.reasons == {"repeated_person": 1}
    assert result.row_counts["person"] == 3


def test_two_entries_may_not_read_one_file(northgate: Mapping, sources: Sources, run: Run) -> None:
    entries = {name: dataclasses.replace(entry, pattern="*") for name, entry in northgate.files.items()}
    with pytest.raises(MappingMalformed):
        run(dataclasses.replace(northgate, files=entries), sources["northgate"])


def test_progress_is_reported(northgate: Mapping, sources: Sources, tmp_path: Path) -> None:
    seen: list[str] = []
    resources = Resources(progress=lambda progress: seen.append(progress.stage))
    harmonise(
        northgate, openers(sources["northgate"]), workdir=tmp_path, run="r", person_key=bytes(32), resources=resources
    )
    assert list(dict.fromkeys(seen)) == ["land", "stage", "split"]


@pytest.mark.parametrize("hospital", [pytest.param("northgate", marks=pytest.mark.long), "riverside"])
def test_the_trials_of_the_example_mappings_pass(hospital: str) -> None:
    trials = run_mapping_tests(Path(__file__).parents[3] / "examples" / "mappings" / hospital)
    assert trials
    assert [trial.name for trial in trials if not trial.passed] == []
