"""Joins: values of another file's record by its key; rows never multiply, and what is ambiguous is quarantined."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from asepsis.engines.harmonise import HarmonisedRun, check_mapping, load_mapping, run_mapping_tests
from asepsis.errors.harmonise import ExpressionRefused, MappingMalformed

MAPPINGS = Path(__file__).parents[3] / "examples" / "mappings"
Run = Callable[..., HarmonisedRun]
VISITS = {
    "pattern": "visits.csv",
    "reader": "delimited",
    "encoding": "utf-8",
    "delimiter": ";",
    "columns": ["number", "patient", "day", "ward"],
    "extract_date": date(2012, 12, 31),
}
JOIN = {"entry": "visits", "on": {"number": "trim(visitno)"}, "fields": ["day", "ward"]}
TEXT = b"""\
0;10000001;19800102;A
1;10000001;19810203;B
1;10000001;19810203;B
2;x;20000101;C
2;x;20010101;C
;x;19990101;D
"""


def folder_with(folder: Path, join: dict[str, Any], *, where: str | None = None) -> Path:
    """Northgate's mapping, where the date of a diagnosis is that of its visit."""
    shutil.copytree(MAPPINGS / "northgate", folder)
    source = yaml.safe_load((folder / "source.yaml").read_text())
    source["files"]["visits"] = VISITS
    (folder / "source.yaml").write_text(yaml.safe_dump(source))
    path = folder / "tables" / "condition_occurrence.yaml"
    content = yaml.safe_load(path.read_text())
    content["joins"] = {"visit": join}
    content["fields"]["condition_start_date"] = {"expr": "parse_date(visit_day, '%Y%m%d')"}
    content["require"] = [{"expr": "visit_day is not null", "reason": "visit_unknown"}]
    if where is not None:
        content["where"] = where
    path.write_text(yaml.safe_dump(content))
    path = folder / "tables" / "visit_of_file.yaml"
    visit = {
        "table": "visit_occurrence",
        "from": "visits",
        "person": "patient",
        "fields": {"visit_start_date": {"expr": "parse_date(day, '%Y%m%d')"}},
    }
    visit["fields"]["visit_end_date"] = {"expr": "parse_date(day, '%Y%m%d')"}
    path.write_text(yaml.safe_dump(visit))
    return folder


@pytest.mark.parametrize("where", [None, "visit_ward is null or visit_ward <> 'Z'"])
def test_a_key_gives_values_nothing_or_a_reason_and_never_more_rows(
    where: str | None, sources: dict[str, dict[str, bytes]], run: Run, tmp_path: Path
) -> None:
    """Numbers 0 and 1 are known (1 twice alike), 2 stands for two dates, 3 to 7 are nobody's."""
    mapping = load_mapping(folder_with(tmp_path / "m", JOIN, where=where))
    result = run(mapping, sources["northgate"] | {"data/visits.csv": TEXT})
    [diagnoses] = [file for file in result.books.files if file.path.endswith("DXHIST.DBF")]
    assert diagnoses.reasons["ambiguous_join"] == 1
    assert (diagnoses.accepted, diagnoses.emitted["condition_occurrence"]) == (2, 2)
    days = pq.read_table(result.tables["condition_occurrence"])["condition_start_date"].to_pylist()
    assert sorted(map(str, days)) == ["1980-01-02", "1981-02-03"]
    assert diagnoses.reasons["visit_unknown"] >= 5


def test_several_keys_are_one_and_a_missing_part_joins_nothing(
    sources: dict[str, dict[str, bytes]], run: Run, tmp_path: Path
) -> None:
    join = JOIN | {"on": {"number": "trim(visitno)", "patient": "trim(mrn)"}}
    result = run(load_mapping(folder_with(tmp_path / "m", join)), sources["northgate"] | {"data/visits.csv": TEXT})
    [diagnoses] = [file for file in result.books.files if file.path.endswith("DXHIST.DBF")]
    assert diagnoses.accepted == 2
    assert "ambiguous_join" not in diagnoses.reasons


def test_a_join_is_written_as_the_reference_shows_it(tmp_path: Path) -> None:
    """YAML 1.1 takes the key ``on`` for true."""
    folder = folder_with(tmp_path / "m", JOIN)
    path = folder / "tables" / "condition_occurrence.yaml"
    content = yaml.safe_load(path.read_text())
    del content["joins"]
    shown = """
joins:
  visit:
    entry: visits
    on: {number: "trim(visitno)"}
    fields: [day, ward]
"""
    assert shown in (MAPPINGS.parents[1] / "docs" / "reference" / "mapping.md").read_text(encoding="utf-8")
    path.write_text(yaml.safe_dump(content) + shown)
    [spec] = [spec for spec in load_mapping(folder).tables if spec.name == "condition_occurrence"]
    assert [join.on for join in spec.joins] == [{"number": "trim(visitno)"}]


@pytest.mark.parametrize(
    "change",
    [{"entry": "nothing"}, {"on": {}}, {"on": {"x": "mrn"}}, {"fields": []}, {"fields": ["day", "day"]}, {"as": "v"}],
)
def test_a_join_that_is_not_complete_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(MappingMalformed):
        load_mapping(folder_with(tmp_path / "m", JOIN | change))


def test_the_key_is_a_checked_expression_over_the_own_fields(tmp_path: Path) -> None:
    for number, text in enumerate(("day", "version()")):
        with pytest.raises(ExpressionRefused):
            load_mapping(folder_with(tmp_path / str(number), JOIN | {"on": {"number": text}}))
    remarks = check_mapping(folder_with(tmp_path / "m", JOIN))
    assert not [item for item in remarks if item.is_error]


def looked_up(folder: Path) -> Path:
    """The same mapping, where no table is filled from the visits."""
    (folder_with(folder, JOIN) / "tables" / "visit_of_file.yaml").unlink()
    return folder


def test_a_file_that_is_only_looked_up_is_in_the_books_record_by_record(
    sources: dict[str, dict[str, bytes]], run: Run, tmp_path: Path
) -> None:
    result = run(load_mapping(looked_up(tmp_path / "m")), sources["northgate"] | {"data/visits.csv": TEXT + b"9;cut"})
    [visits] = [file for file in result.books.files if file.path.endswith("visits.csv")]
    assert visits.exclusions == {"looked_up_only": 6}
    assert (visits.landed, visits.quarantined, visits.accepted) == (7, 1, 0)
    days = pq.read_table(result.tables["condition_occurrence"])["condition_start_date"].to_pylist()
    assert sorted(map(str, days)) == ["1980-01-02", "1981-02-03"]


def test_a_file_that_is_only_looked_up_is_no_unused_one(tmp_path: Path) -> None:
    assert "mapping.unused_entry" not in {remark.code for remark in check_mapping(looked_up(tmp_path / "m"))}


CASES = """
from: dxhist
cases:
  - name: the date of the visit
    persons: ["10000001"]
    given: {mrn: "10000001", visitno: "1", dxdate: "19990203", icd: "4019"}
    joined:
      - {entry: visits, given: {text: "1;10000001;19810203;B\\n2;x;20000101;C\\n"}}
    expect: {state: accepted, condition_occurrence.condition_start_date: 1981-02-03}
  - name: no visit
    persons: ["10000001"]
    given: {mrn: "10000001", visitno: "1", dxdate: "19990203", icd: "4019"}
    expect: {state: quarantined, reasons: [visit_unknown]}
  - name: two visits of one number
    persons: ["10000001"]
    given: {mrn: "10000001", visitno: "1", dxdate: "19990203", icd: "4019"}
    joined:
      - {entry: visits, given: {text: "1;10000001;19810203;B\\n"}}
      - {entry: visits, given: {text: "1;10000001;19820203;B\\n"}}
    expect: {state: quarantined, reasons: [ambiguous_join, visit_unknown]}
"""


def with_cases(folder: Path, cases: str) -> Path:
    shutil.rmtree(folder / "tests")
    (folder / "tests").mkdir()
    (folder / "tests" / "visits.yaml").write_text(cases)
    return folder


FILLED = pytest.param(lambda path: folder_with(path, JOIN), marks=pytest.mark.long)


@pytest.mark.parametrize("folder", [looked_up, FILLED], ids=["looked up", "filled"])
def test_a_trial_is_given_the_records_that_are_joined(folder: Callable[[Path], Path], tmp_path: Path) -> None:
    trials = run_mapping_tests(with_cases(folder(tmp_path / "m"), CASES))
    assert [trial.differences for trial in trials] == [(), (), ()]


def test_a_trial_of_a_file_joined_with_itself_judges_the_record_that_is_tried(tmp_path: Path) -> None:
    """The number of the joined record within its file is higher than that of the record that is tried."""
    folder = folder_with(tmp_path / "m", JOIN)
    path = folder / "tables" / "visit_of_file.yaml"
    content = yaml.safe_load(path.read_text())
    content["joins"] = {"before": {"entry": "visits", "on": {"number": "ward"}, "fields": ["day"]}}
    content["fields"]["visit_end_date"] = {"expr": "parse_date(before_day, '%Y%m%d')"}
    path.write_text(yaml.safe_dump(content))
    case = {
        "name": "itself",
        "persons": ["10000001"],
        "given": {"text": "1;10000001;19810203;7\n"},
        "joined": [{"entry": "visits", "given": {"text": "8;x;19700101;\n7;10000001;19720304;\n"}}],
        "expect": {"state": "accepted", "visit_occurrence.visit_end_date": date(1972, 3, 4)},
    }
    trials = run_mapping_tests(with_cases(folder, yaml.safe_dump({"from": "visits", "cases": [case]})))
    assert [trial.differences for trial in trials] == [()]


SURPLUS = pytest.param("{entry: visits, given: {}, as: x}", marks=pytest.mark.long)


@pytest.mark.parametrize("joined", ["{entry: patmast, given: {}}", SURPLUS])
def test_what_is_joined_in_a_trial_is_read_strictly(joined: str, tmp_path: Path) -> None:
    cases = CASES.replace('{entry: visits, given: {text: "1;10000001;19810203;B\\n2;x;20000101;C\\n"}}', joined)
    assert joined in cases
    with pytest.raises(MappingMalformed):
        run_mapping_tests(with_cases(folder_with(tmp_path / "m", JOIN), cases))
