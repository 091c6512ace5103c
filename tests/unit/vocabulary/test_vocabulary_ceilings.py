"""How much of real and acceptance data is mapped with the vocabularies there are; the tests print the numbers."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from asepsis.engines.vocabulary import VocabularyStore, read_counts, read_gems
from asepsis.harmonise.vocabulary.gems import Gems, Route
from asepsis.harmonise.vocabulary.matching import MapReport, Via, map_codes, report_of


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> list[dict[str, str]]:
    with gzip.open(shared_data / "two_hospitals_truth" / "rows.csv.gz", "rt", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def gems(shared_data: Path) -> Gems:
    return read_gems(shared_data / "icd9_icd10_gems" / "icd9toicd10cmgem.csv.gz")


@pytest.fixture(scope="module")
def diabetes(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    folder = tmp_path_factory.mktemp("uci")
    with zipfile.ZipFile(shared_data / "uci_diabetes130" / "dataset_diabetes.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith("diabetic_data.csv"))
        (folder / "d.csv").write_bytes(archive.read(name))
    columns = ["diag_1", "diag_2", "diag_3"]
    return dict(read_counts(folder / "d.csv", columns=columns, ignored=["?"]).codes)


def shown(name: str, report: MapReport) -> MapReport:
    out = io.StringIO()
    out.write(f"{name}: {report.mapped_codes}/{report.codes} codes, {report.mapped_rows / report.rows:.1%} of rows; ")
    out.write(f"one ICD-10 code or category: {report.translated_codes}, {report.translated_rows / report.rows:.1%}")
    print(out.getvalue())  # noqa: T201 - what the test measured
    return report


@pytest.mark.parametrize(
    ("kind", "files", "vocabulary", "ceiling"),
    [
        ("measurement", {"LAB_RESULTS.CSV", "adt_oru.hl7", "Observation.ndjson.gz"}, "LOINC", 0.988),
        ("drug", {"pharmacy.sql", "MedicationRequest.ndjson.gz"}, "RxNorm", 0.858),
        ("condition", {"Condition.ndjson.gz"}, "SNOMED", 0.585),
    ],
)
def test_the_ceilings_of_the_subset_are_reached(
    kind: str, files: set[str], vocabulary: str, ceiling: float, truth: list[dict[str, str]], subset: VocabularyStore
) -> None:
    counts = Counter(row["std_code"] for row in truth if row["kind"] == kind and row["file"] in files)
    counts.pop("", None)
    report = report_of(map_codes(counts, vocabulary=vocabulary, ways=[Via.MAPS_TO], concepts=subset))
    shown(vocabulary, report)
    assert report.mapped_rows / report.rows >= ceiling
    assert sum(each.count for each in report.unmapped) + report.mapped_rows == report.rows


def test_every_icd9_code_of_the_hospitals_is_in_the_equivalences(
    truth: list[dict[str, str]], gems: Gems, subset: VocabularyStore
) -> None:
    counts = Counter(row["icd9"] for row in truth if row["icd9"])
    assert len(counts) == 103
    routes = Counter(gems.translate(code).route for code in counts)
    assert Route.ABSENT not in routes
    both = report_of(map_codes(counts, vocabulary="ICD9CM", ways=[Via.MAPS_TO, Via.GEM], concepts=subset, gems=gems))
    shown("two_hospitals ICD-9", both)
    assert (both.mapped_codes, both.translated_codes) == (46, 98)


def test_categories_and_zeros_bring_up_real_icd9(diabetes: dict[str, int], gems: Gems, subset: VocabularyStore) -> None:
    """9.3 % of the entries are in GEM as they stand; each of the others has a category, and 40 % have just one."""
    assert (len(diabetes), sum(diabetes.values())) == (915, 303_496)
    known = set(gems.codes)
    as_they_stand = {code: count for code, count in diabetes.items() if code.replace(".", "") in known}
    assert (len(as_they_stand), sum(as_they_stand.values())) == (92, 28_267)
    routes = {code: gems.translate(code) for code in diabetes}
    assert not [code for code, found in routes.items() if found.route is Route.ABSENT]
    report = report_of(map_codes(diabetes, vocabulary="ICD9CM", ways=[Via.GEM], concepts=subset, gems=gems))
    shown("UCI diabetes", report)
    assert (report.translated_codes, report.translated_rows) == (347, 121_381)
    assert len(report.unmapped) + report.mapped_codes == 915
    assert [each.count for each in report.unmapped] == sorted((each.count for each in report.unmapped), reverse=True)
