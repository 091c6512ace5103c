"""The commands ``mapping`` and ``vocabulary``, typed as a hospital would, each with its clear end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from asepsis.cli.main import app

ROOT = Path(__file__).parents[2]
MAPPINGS = ROOT / "examples" / "mappings"


def told(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def document(*words: object) -> Any:
    return json.loads(told(*words, "--json").output)


@pytest.fixture
def northgate(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MAPPINGS / "northgate", tmp_path / "northgate"))


def test_check_says_that_nothing_is_wrong_or_what_is(northgate: Path) -> None:
    good = told("mapping", "check", northgate)
    assert good.exit_code == 0
    assert "next: asepsis mapping test" in good.output
    person = northgate / "tables" / "person.yaml"
    person.write_text(person.read_text() + "surplus: 1\n")
    bad = told("mapping", "check", northgate)
    assert bad.exit_code == 2
    assert "wrong: harmonise.mapping_malformed: tables/person.yaml, at surplus: the key is unknown." in bad.output
    (remark,) = document("mapping", "check", northgate)["remarks"]
    assert (remark["code"], remark["is_error"]) == ("harmonise.mapping_malformed", True)


def test_test_passes_or_names_the_fields_that_differ_and_no_value(northgate: Path) -> None:
    cases = northgate / "tests" / "diagnoses.yaml"
    for other in cases.parent.glob("*.yaml"):
        if other != cases:
            other.unlink()
    text = cases.read_text().partition("  - name: a date that is not")[0]
    cases.write_text(text)
    assert told("mapping", "test", northgate).exit_code == 0
    cases.write_text(text.replace('"0340"', '"CANARY"').replace("1999-02-03", "2031-12-24"))
    failed = told("mapping", "test", northgate)
    assert failed.exit_code == 1
    assert "  differs: condition_occurrence.condition_source_value" in failed.output
    assert "  differs: condition_occurrence.condition_start_date" in failed.output
    for value in ("CANARY", "2031", "0340", "10000001"):
        assert value not in failed.output
    found = [test for test in document("mapping", "test", northgate)["tests"] if not test["passed"]]
    assert [len(test["differences"]) for test in found] == [2]


@pytest.mark.long
def test_check_counts_the_codes_of_files_that_no_code_map_has(tmp_path: Path) -> None:
    example = ROOT / "examples" / "third_hospital"
    mapping = Path(shutil.copytree(example / "mapping", tmp_path / "m"))
    words = ["mapping", "check", mapping, "--files", example / "zaloha"]
    assert "not in a code map" not in told(*words).output
    codes = mapping / "codes" / "nemoci.csv"
    lines = codes.read_text().splitlines()
    codes.write_text("\n".join([*lines[:1], *lines[2:]]) + "\n")
    lost = lines[1].partition(",")[0]
    found = told(*words, "--list-codes", tmp_path / "lists")
    assert "not in a code map: condition_occurrence.condition_concept_id: 1 codes" in found.output
    assert lost not in found.output
    listed = (tmp_path / "lists" / "condition_occurrence.condition_concept_id.csv").read_text().splitlines()
    assert listed[0] == "source_code,count"
    assert listed[1].startswith(f"{lost},")
    assert document(*words)["unmapped"][0]["codes"] == 1
    files = Path(shutil.copytree(example / "zaloha", tmp_path / "zaloha"))
    (files / "lekarna.csv").write_text("x\n")
    words[-1] = files
    assert "no entry reads: lekarna.csv" in told(*words).output
    assert document(*words)["unread"] == ["lekarna.csv"]
    assert told("mapping", "check", mapping, "--files", tmp_path / "none").exit_code == 4


def test_docs_writes_a_page_that_loads_nothing(northgate: Path, tmp_path: Path) -> None:
    table = northgate / "tables" / "condition_occurrence.yaml"
    table.write_text(
        table.read_text().replace("require:", "require:\n  - {expr: \"mrn <> '<script>'\", reason: odd}\n", 1)
    )
    for name in ("page.md", "page.html"):
        assert told("mapping", "docs", northgate, "-o", tmp_path / name).exit_code == 0
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert "http" not in page
    assert page.count("<table>") == page.count("</table>") > 5
    assert "impossible_date" in (tmp_path / "page.md").read_text()
    assert told("mapping", "docs", northgate, "-o", tmp_path / "none" / "p.md").exit_code == 4


def vocabulary(folder: Path, *, withdrawn: bool = False) -> Path:
    folder.mkdir()
    head = "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\t"
    dates = "19700101\t20991231"
    rows = [
        f"1\tGaucher\tCondition\tSNOMED\tC\t{'' if withdrawn else 'S'}\tG\t{dates}\t{'U' if withdrawn else ''}",
        f"2\tLipidoses\tCondition\tICD9CM\tC\t\t272.7\t{dates}\t",
        f"3\tGaucher disease\tCondition\tSNOMED\tC\tS\tG2\t{dates}\t",
    ]
    tail = "valid_start_date\tvalid_end_date\tinvalid_reason"
    (folder / "CONCEPT.csv").write_text("\n".join([head + tail, *rows]) + "\n")
    links = [f"2\t1\tMaps to\t{dates}\t", f"1\t3\tConcept replaced by\t{dates}\t"]
    header = f"concept_id_1\tconcept_id_2\trelationship_id\t{tail}"
    (folder / "CONCEPT_RELATIONSHIP.csv").write_text("\n".join([header, *links]) + "\n")
    return folder


def test_a_vocabulary_is_loaded_used_and_compared(tmp_path: Path) -> None:
    for name, withdrawn in (("old", False), ("new", True)):
        loaded = told(
            "vocabulary", "load", vocabulary(tmp_path / name, withdrawn=withdrawn), "--out", tmp_path / f"{name}.duckdb"
        )
        assert loaded.exit_code == 0, loaded.output
        assert "licence: SNOMED" in loaded.output
    (tmp_path / "list.csv").write_text("source_code,count\n2727,12\n999,3\n998,9\n")
    codes = tmp_path / "codes" / "conditions.csv"
    words = ["vocabulary", "map", tmp_path / "list.csv", "--vocabulary", tmp_path / "old.duckdb", "--out", codes]
    done = told(*words, "--from", "ICD9CM")
    assert done.exit_code == 0, done.output
    assert "mapped: 1 of 3 codes, 50.0% of rows" in done.output
    assert done.output.index("998") < done.output.index("999")
    assert "2727,1,exact,Maps to; dot restored" in codes.read_text()
    assert document(*words, "--from", "ICD9CM")["kept_reviewed"] == 0
    codes.write_text(codes.read_text().replace("999,0,not_mapped,", "999,3,exact,reviewed: "))
    assert document(*words, "--from", "ICD9CM")["kept_reviewed"] == 1
    changed = told("vocabulary", "delta", tmp_path / "old.duckdb", tmp_path / "new.duckdb", codes)
    assert changed.exit_code == 0
    assert "withdrawn" in changed.output
    same = told("vocabulary", "delta", tmp_path / "new.duckdb", tmp_path / "new.duckdb", codes)
    assert "nothing changes" in same.output


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (["vocabulary", "load", "none", "--out", "v"], "vocabulary.missing", 4),
        (["vocabulary", "delta", "none", "none", "x.csv"], "vocabulary.missing", 4),
        (
            ["vocabulary", "map", "x", "--vocabulary", "v", "--from", "A", "--out", "o.csv", "--via", "luck"],
            "vocabulary.codes_malformed",
            2,
        ),
        (
            ["vocabulary", "map", "x", "--vocabulary", "v", "--from", "A", "--out", "o.csv", "--via", "gem"],
            "vocabulary.codes_malformed",
            2,
        ),
        (["mapping", "test", "none"], "harmonise.mapping_missing", 4),
        (["mapping", "docs", "none", "-o", "p.md"], "harmonise.mapping_missing", 4),
    ],
)
def test_an_error_has_one_code_and_a_hint(
    words: list[str], code: str, exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = told(*words)
    assert result.exit_code == exit_code
    assert f"asepsis: {code}: " in result.output
    assert "hint: " in result.output
    assert not list(tmp_path.iterdir())


def test_an_import_ends_with_what_to_do_next(tmp_path: Path) -> None:
    rules = {
        "cdm": {
            "person": {
                "people.csv": {
                    "person_id_mapping": {"source_field": "Id", "dest_field": "person_id"},
                    "date_mapping": {"source_field": "born", "dest_field": ["birth_datetime"]},
                    "concept_mappings": {"sex": {"F": {"gender_concept_id": [8532]}}},
                }
            }
        }
    }
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "people.csv").write_text("Id,sex,born\n")
    words = ["mapping", "import", "carrot", tmp_path / "rules.json", "--out", tmp_path / "m", "--owner", "north"]
    words += ["--label", "synthetic", "--extract-date", "2024-12-31", "--files", tmp_path / "files"]
    done = told(*words)
    assert done.exit_code == 0, done.output
    assert "things are left to decide" in done.output
    assert told("mapping", "check", tmp_path / "m").exit_code == 0
    assert told(*words).exit_code == 5
    (tmp_path / "etl.json").write_text("{}")
    rabbit = ["mapping", "import", "rabbit-in-a-hat", tmp_path / "etl.json", "--out", tmp_path / "r", *words[6:12]]
    refused = told(*rabbit)
    assert refused.exit_code == 2
    assert "importing.malformed" in refused.output
