from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from asepsis.engines.harmonise import HarmonisedRun, check_mapping, mapping_docs
from asepsis.harmonise.account import books_html

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("folder", ["mappings/northgate", "mappings/riverside"])
def test_the_example_mappings_have_nothing_to_remark_that_is_wrong(folder: str) -> None:
    assert not [remark for remark in check_mapping(EXAMPLES / folder) if remark.is_error]


def test_what_is_wrong_and_what_is_missing_is_named(tmp_path: Path) -> None:
    assert [remark.code for remark in check_mapping(tmp_path)] == ["harmonise.mapping_missing"]
    shutil.copytree(EXAMPLES / "third_hospital" / "mapping", tmp_path / "m")
    shutil.rmtree(tmp_path / "m" / "tests")
    (tmp_path / "m" / "codes" / "spare.csv").write_text("source_code,target_concept_id,grade,note\nA,1,exact,x\n")
    found = {remark.code for remark in check_mapping(tmp_path / "m")}
    assert found == {f"mapping.{what}" for what in ("no_tests", "unused_codes", "unused_fields", "no_required_date")}


def test_the_documentation_names_every_table_column_and_reason() -> None:
    text = mapping_docs(EXAMPLES / "mappings" / "northgate")
    for word in ("lab_results", "measurement_date", "impossible_date", "codes/conditions.csv", "leading_zero_lost"):
        assert word in text


def test_the_books_page_escapes_names_and_loads_nothing(northgate_run: HarmonisedRun) -> None:
    books = northgate_run.books
    hostile = dataclasses.replace(books.files[0], path="<script>alert(1)</script>")
    page = books_html(dataclasses.replace(books, files=(hostile, *books.files[1:]), uncovered=("a&b",)))
    assert "<script" not in page
    assert "a&amp;b" in page
    assert "http" not in page
    assert page.count("<svg") >= len(books.files)
