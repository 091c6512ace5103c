"""Each kind of check finds the one flaw that is put into clean tables, and nothing else fails of the same kind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from quality_world import TODAY, clean, condition, counts, measured, of, period, person, write_tables

from asepsis.engines.quality import assess_quality
from asepsis.engines.vocabulary.load import load_vocabulary
from asepsis.errors.harmonise import HarmoniseFailed
from asepsis.errors.vocabulary import VocabularyMissing
from asepsis.harmonise.omop import TARGETS
from asepsis.harmonise.quality.checks import NEEDS_VOCABULARY, Kind, planned_checks
from asepsis.harmonise.quality.conditions import Shape, is_row_level
from asepsis.harmonise.quality.report import QualityReport
from asepsis.harmonise.quality.scan import scan_of
from asepsis.harmonise.quality.verdict import Status

Assess = Callable[..., QualityReport]
Change = Callable[[dict[str, Any]], None]


def put(table: str, row: dict[str, Any]) -> Change:
    return lambda rows: rows[table].append(row)


def drop(table: str) -> Change:
    return lambda rows: rows.pop(table)


C, M, P = "condition_occurrence", "measurement", "observation_period"
FLAWS: dict[str, tuple[Change, int, int]] = {
    "cdmTable.observation_period": (drop(P), 1, 1),
    f"measurePersonCompleteness.{P}": (lambda rows: rows[P].pop(), 1, 2),
    f"measureObservationPeriodOverlap.{P}": (
        put(P, period(3, person_id=1, observation_period_start_date=date(2019, 1, 1))), 1, 2,
    ),
    "isRequired.person.year_of_birth": (put("person", person(3, year_of_birth=None)), 1, 3),
    f"isPrimaryKey.{C}.condition_occurrence_id": (put(C, condition(1)), 2, 3),
    f"isForeignKey.{C}.person_id": (put(C, condition(3, person_id=9)), 1, 3),
    f"isForeignKey.{C}.visit_occurrence_id": (put(C, condition(3, visit_occurrence_id=9)), 1, 3),
    f"measureValueCompleteness.{C}.condition_start_date": (put(C, condition(3, condition_start_date=None)), 1, 3),
    f"standardConceptRecordCompleteness.{C}.condition_concept_id": (
        put(C, condition(3, condition_concept_id=0)), 1, 3,
    ),
    f"sourceConceptRecordCompleteness.{C}.condition_source_concept_id": (
        put(C, condition(3, condition_source_concept_id=0)), 1, 3,
    ),
    f"sourceValueCompleteness.{C}.condition_source_value": (
        put(C, condition(3, condition_concept_id=0, condition_source_value="X")), 1, 2,
    ),
    f"plausibleValueLow.{C}.condition_start_date": (
        put(C, condition(3, condition_start_date=date(1949, 12, 31))), 1, 3,
    ),
    f"plausibleValueHigh.{C}.condition_end_date": (put(C, condition(3, condition_end_date=date(2026, 11, 24))), 1, 3),
    "plausibleValueHigh.person.month_of_birth": (put("person", person(3, month_of_birth=13)), 1, 3),
    f"plausibleTemporalAfter.{C}.condition_end_date": (put(C, condition(3, condition_end_date=date(2001, 2, 2))), 1, 3),
    f"plausibleTemporalAfter.{C}.condition_start_date": (
        put(C, condition(3, condition_start_date=date(1950, 2, 28))), 1, 3,
    ),
    f"plausibleDuringLife.{C}.condition_start_date": (
        put(C, condition(3, person_id=2, condition_start_date=date(2010, 7, 5))), 1, 2,
    ),
    f"plausibleBeforeDeath.{M}.measurement_date": (
        put(M, measured(3, person_id=2, measurement_date=date(2010, 7, 5))), 1, 1,
    ),
    f"withinVisitDates.{C}.condition_start_date": (
        put(C, condition(3, person_id=1, visit_occurrence_id=1, condition_start_date=date(2001, 2, 17))), 1, 2,
    ),
    f"plausibleAfterBirth.{C}.condition_start_date": (
        put(C, condition(3, condition_start_date=date(1950, 2, 28))), 1, 3,
    ),
    f"plausibleStartBeforeEnd.{C}.condition_start_date": (
        put(C, condition(3, condition_end_date=date(2001, 2, 2))), 1, 3,
    ),
    f"plausibleGender.{C}.condition_concept_id.4161944": (lambda rows: None, 0, 0),
    f"plausibleGender.{C}.condition_concept_id.4163261": (put(C, condition(3, condition_concept_id=4163261)), 1, 1),
    f"plausibleUnitConceptIds.{M}.measurement_concept_id.3013721": (put(M, measured(3, unit_concept_id=8840)), 1, 3),
    f"placeholderRow.{P}": (put(P, {}), 1, 3),
    f"timeOfDay.{M}.measurement_time": (put(M, measured(3, measurement_time="2001-02-03")), 1, 3),
    f"measurementWithoutValue.{M}": (
        lambda rows: [row.update(value_as_number=None) for row in rows[M]], 2, 2,
    ),
    "bornInTheFuture.person.year_of_birth": (put("person", person(3, year_of_birth=2027)), 1, 3),
}  # fmt: skip
FLAWS.pop(f"plausibleGender.{C}.condition_concept_id.4161944")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> QualityReport:
    """What is found in clean tables; read only."""
    return assess_quality(write_tables(tmp_path_factory.mktemp("sound"), clean()), run="test", as_of=TODAY)


@pytest.mark.parametrize("check", FLAWS)
def test_a_flaw_fails_the_check_that_is_there_for_it(check: str, assess: Assess, sound: QualityReport) -> None:
    change, violated, rows = FLAWS[check]
    broken = clean()
    assert all(one.status is not Status.FAILED for one in sound.results if one.check.id == check)
    change(broken)
    found = of(assess(broken), check)
    assert (found.violated, found.rows) == (violated, rows)
    threshold = found.check.threshold
    assert found.status is (Status.FAILED if 100 * violated / rows > threshold else Status.PASSED)


def test_nothing_fails_in_clean_tables(assess: Assess) -> None:
    report = assess(clean())
    assert [one.check.id for one in report.with_status(Status.FAILED)] == []


def test_the_last_day_that_is_plausible_passes(assess: Assess) -> None:
    rows = clean()
    rows[C].append(
        condition(3, person_id=2, condition_start_date=date(2010, 7, 4), condition_end_date=date(2010, 7, 4))
    )
    rows[M].append(measured(3, measurement_date=date(2026, 11, 23)))
    rows[C].append(condition(4, person_id=1, visit_occurrence_id=1, condition_start_date=date(2001, 2, 16)))
    report = assess(rows)
    assert counts(report, f"plausibleDuringLife.{C}.condition_start_date") == ("passed", 0, 2)
    assert counts(report, f"plausibleValueHigh.{M}.measurement_date") == ("passed", 0, 3)
    assert counts(report, f"withinVisitDates.{C}.condition_start_date") == ("passed", 0, 2)


def test_periods_that_touch_overlap_and_those_with_a_day_between_do_not(assess: Assess) -> None:
    for gap, status in ((1, "failed"), (2, "passed")):
        rows = clean()
        rows[P].append(
            period(
                3, person_id=1, observation_period_start_date=date(2020, 1, 1 + gap), observation_period_end_date=TODAY
            )
        )
        assert of(assess(rows), f"measureObservationPeriodOverlap.{P}").status.value == status


def test_a_doubled_person_or_death_multiplies_no_rows(assess: Assess) -> None:
    rows = clean()
    rows["person"].append(person(1))
    rows["death"].append(dict(rows["death"][0]))
    rows["visit_occurrence"].append(dict(rows["visit_occurrence"][0]))
    report = assess(rows)
    assert counts(report, f"isRequired.{C}.person_id") == ("passed", 0, 2)
    assert counts(report, "isPrimaryKey.person.person_id") == ("failed", 2, 3)


def test_what_needs_a_vocabulary_is_not_run_without_one_and_never_passed(assess: Assess) -> None:
    results = assess(clean()).results
    asked = [one for one in results if one.check.kind in NEEDS_VOCABULARY and one.check.kind is not Kind.CLASS]
    assert {one.status for one in asked} == {Status.NOT_RUN, Status.NOT_APPLICABLE}
    assert all("vocabulary" in one.reason for one in asked if one.status is Status.NOT_RUN)
    key = of(assess(clean()), f"isForeignKey.{C}.condition_concept_id")
    assert key.status is Status.NOT_RUN


def test_a_check_of_a_table_that_is_absent_does_not_apply_but_persons_must_be_there(assess: Assess) -> None:
    rows = clean()
    del rows["measurement"]
    report = assess(rows)
    assert {one.status for one in report.results if one.check.table == "measurement"} == {Status.NOT_APPLICABLE}
    assert of(report, "measureConditionEraCompleteness.condition_era").status is Status.NOT_APPLICABLE
    rows = clean()
    del rows["person"]
    report = assess(rows)
    assert of(report, "cdmTable.person").status is Status.FAILED
    assert of(report, f"plausibleAfterBirth.{C}.condition_start_date").status is Status.NOT_RUN
    assert of(report, f"isForeignKey.{C}.person_id").status is Status.NOT_RUN


def test_a_field_that_points_to_a_table_that_is_absent_is_not_run(assess: Assess) -> None:
    rows = clean()
    rows[C].append(condition(3, provider_id=7))
    assert of(assess(rows), f"isForeignKey.{C}.provider_id").status is Status.NOT_RUN
    assert of(assess(clean()), f"isForeignKey.{C}.provider_id").status is Status.NOT_APPLICABLE


def test_an_empty_table_is_not_applicable_throughout(assess: Assess) -> None:
    report = assess({**clean(), M: []})
    asked = [
        one for one in report.results if one.check.table == M and one.check.kind not in {Kind.CDM_FIELD, Kind.CDM_TABLE}
    ]
    assert {one.status for one in asked if one.check.kind is not Kind.PERSONS} == {Status.NOT_APPLICABLE}


def test_every_planned_check_has_exactly_one_result(assess: Assess) -> None:
    for rows in (clean(), {}, {"person": []}):
        ids = [one.check.id for one in assess(copy.deepcopy(rows)).results]
        assert len(ids) == len(set(ids))
        assert {one.id for one in planned_checks()} <= set(ids)


def test_a_table_is_scanned_once_for_all_checks_of_its_rows() -> None:
    checks = [one for one in planned_checks() if one.table == C and is_row_level(one)]
    shape = Shape(name=C, stored=TARGETS[C].columns)
    scan = scan_of(shape, checks, as_of=TODAY, followed={"person_id": "people", "visit_occurrence_id": "visits"})
    assert len(checks) > 60
    assert scan.sql.count("omop_") == 1
    assert scan.sql.count("SELECT") == 1
    assert set(scan.answers) == {one.id for one in checks}


def test_wrong_types_are_found_and_their_values_still_looked_at(tmp_path: Path) -> None:
    paths = write_tables(tmp_path, clean())
    table = pa.table(
        {
            "MEASUREMENT_ID": ["1", "2.5", "x"],
            "PERSON_ID": [1.0, 1.5, None],
            "MEASUREMENT_DATE": ["2001-02-03", "no date", None],
            "VALUE_AS_NUMBER": ["1.5", None, "much"],
        }
    )
    pq.write_table(table, paths[M])
    report = assess_quality(paths, run="test", as_of=TODAY)
    assert counts(report, f"storedType.{M}.measurement_id") == ("failed", 1, 1)
    assert counts(report, f"cdmDatatype.{M}.measurement_id") == ("failed", 2, 3)
    assert counts(report, f"cdmDatatype.{M}.person_id") == ("failed", 1, 3)
    assert counts(report, f"isRequired.{M}.measurement_date") == ("failed", 1, 3)
    assert counts(report, f"cdmField.{M}.unit_concept_id") == ("failed", 1, 1)
    assert of(report, f"standardConceptRecordCompleteness.{M}.unit_concept_id").status is Status.NOT_APPLICABLE


def test_dates_at_the_edge_of_the_calendar_break_nothing(assess: Assess) -> None:
    rows = clean()
    for number, day in enumerate((date.min, date.max), start=10):
        rows[C].append(condition(number, condition_start_date=day, condition_end_date=day, visit_occurrence_id=number))
        rows["visit_occurrence"].append({"visit_occurrence_id": number, "visit_start_date": day, "visit_end_date": day})
        rows["death"].append({"person_id": number, "death_date": day})
        rows[P].append(period(number, observation_period_start_date=day, observation_period_end_date=day))
    rows["person"].append(person(30, year_of_birth=-5, month_of_birth=77))
    assert counts(assess(rows), f"plausibleValueLow.{C}.condition_start_date") == ("failed", 1, 4)


def test_a_file_that_is_no_table_is_refused_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "person.parquet"
    path.write_bytes(b"MARY CANARY")
    with pytest.raises(HarmoniseFailed) as caught:
        assess_quality({"person": path}, run="test", as_of=TODAY)
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("athena")
    day = "20000101\t20991231"
    concepts = [
        (201826, "Condition", "S", ""), (4000, "Drug", "S", ""), (4001, "Condition", "", ""),
        (4002, "Condition", "S", "D"), (4003, "Condition", "S", ""), (4090861, "Condition", "S", ""),
        (32817, "Type Concept", "S", ""), (8532, "Gender", "S", ""), (8527, "Race", "S", ""),
        (38003564, "Ethnicity", "S", ""), (9201, "Visit", "S", ""), (3013721, "Measurement", "S", ""),
        (8645, "Unit", "S", ""),
    ]  # fmt: skip
    head = "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code"
    lines = [f"{head}\tvalid_start_date\tvalid_end_date\tinvalid_reason"]
    lines += [
        f"{i}\tname\t{domain}\tTest\tClass\t{standard}\t{i}\t{day}\t{why}" for i, domain, standard, why in concepts
    ]
    (folder / "CONCEPT.csv").write_text("\n".join(lines) + "\n")
    (folder / "CONCEPT_RELATIONSHIP.csv").write_text(
        "concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n"
        f"4001\t4003\tMaps to\t{day}\t\n"
    )
    (folder / "CONCEPT_ANCESTOR.csv").write_text(
        "ancestor_concept_id\tdescendant_concept_id\tmin_levels_of_separation\tmax_levels_of_separation\n4090861\t4003\t1\t1\n"
    )
    load_vocabulary(folder, folder / "loaded")
    load_vocabulary(folder, folder / "loaded.duckdb")
    return folder


@pytest.mark.parametrize("form", ["loaded", "loaded.duckdb"])
def test_concepts_are_looked_up_in_a_vocabulary(form: str, vocabulary: Path, assess: Assess) -> None:
    rows = clean()
    clear = assess(rows, vocabulary=vocabulary / form)
    assert not clear.with_status(Status.FAILED)
    assert not [one for one in clear.with_status(Status.NOT_RUN) if "vocabulary" in one.reason]
    rows[C] += [
        condition(10 + i, condition_concept_id=one) for i, one in enumerate((4000, 4001, 4002, 4003, 2000000001, 0))
    ]
    report = assess(rows, vocabulary=vocabulary / form)
    field = f"{C}.condition_concept_id"
    assert counts(report, f"fkDomain.{field}") == ("failed", 1, 8)
    assert counts(report, f"isStandardValidConcept.{field}") == ("failed", 2, 8)
    assert counts(report, f"isForeignKey.{field}") == ("failed", 1, 8)
    assert counts(report, f"plausibleGenderUseDescendants.{field}.male-branches") == ("failed", 1, 1)


def test_a_vocabulary_that_is_not_there_is_refused(tmp_path: Path, assess: Assess) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "file").write_text("no vocabulary")
    for name in ("nowhere", "other", "file"):
        with pytest.raises(VocabularyMissing):
            assess(clean(), vocabulary=tmp_path / name)
