"""The report: what is masked in it, what its text and page say, and where it lies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quality_world import TODAY, clean, condition, measured, person

from asepsis.domain.books import Books, FileBooks
from asepsis.domain.names import Digest, RunId
from asepsis.engines.quality.papers import EXACT, papers_of, read_quality
from asepsis.errors.quality import QualityMissing
from asepsis.harmonise.quality.page import quality_html
from asepsis.harmonise.quality.report import QualityReport, mask_series, masked
from asepsis.harmonise.quality.text import quality_text

Assess = Callable[..., QualityReport]


def crowd() -> dict[str, list[dict[str, Any]]]:
    """Forty persons; a code without concept that eight of them have, one that two have, and one of one person."""
    rows = clean()
    rows["person"] = [person(number) for number in range(1, 41)]
    unknown = [("FREQUENT", 8), ("SCARCE", 2)]
    rows["condition_occurrence"] = [
        condition(100 * kind + number, person_id=number + 1, condition_concept_id=0, condition_source_value=code)
        for kind, (code, many) in enumerate(unknown)
        for number in range(many)
    ]
    rows["condition_occurrence"] += [
        condition(500 + number, person_id=7, condition_concept_id=0, condition_source_value="ONEPERSON")
        for number in range(9)
    ]
    return rows


def books() -> Books:
    file = FileBooks(
        path="/data/<b>A.DAT", digest=Digest("0" * 64), size=9, landed_bytes=9, landed=103, accepted=100, merged=0,
        quarantined=3, excluded=0, header=0, residue=0, reasons={"bad_date": 3}, emitted={"person": 100},
    )  # fmt: skip
    return Books(run=RunId("test"), mapping=Digest("0" * 64), files=(file,))


@given(counts=st.dictionaries(st.text(max_size=3), st.integers(0, 40), max_size=8))
def test_what_is_masked_cannot_be_told_from_the_total(counts: dict[str, int]) -> None:
    shown = mask_series(counts)
    assert all(value is None or value == counts[name] for name, value in shown.items())
    assert all(value is None or value == 0 or value >= 5 for value in shown.values())
    hidden = [counts[name] for name, value in shown.items() if value is None]
    left = [value for value in shown.values() if value]
    assert not hidden or not left or (len(hidden) > 1 and sum(hidden) >= 5)
    if all(value == 0 or value >= 5 for value in counts.values()):
        assert shown == counts


@given(rows=st.integers(0, 30), violated=st.integers(0, 30))
def test_a_masked_check_shows_no_small_count_and_none_that_follows(rows: int, violated: int) -> None:
    check = {
        "id": "x", "kind": "isRequired", "table": "person", "field": "x", "rows": rows, "violated": min(rows, violated),
        "percent": 1.0, "status": "failed",
    }  # fmt: skip
    document = {"tables": [{"name": "person", "rows": 30, "fields": [], "years": {}, "unmapped": []}], "files": []}
    one = masked({**document, "checks": [check]})["checks"][0]
    if one["violated"] is not None:
        assert all(part == 0 or part >= 5 for part in (one["violated"], rows - one["violated"], rows, 30 - rows))
        assert one["percent"] == 1.0
    else:
        assert one["percent"] is None
        assert one["masked"]


def test_a_code_that_few_persons_have_is_named_only_in_the_exact_report(assess: Assess) -> None:
    report = assess(crowd(), books=books())
    exact, shown = report.as_dict(), masked(report.as_dict())
    for render in (json.dumps, quality_text, quality_html):
        assert "FREQUENT" in render(shown)
        assert "SCARCE" not in render(shown)
        assert "ONEPERSON" not in render(shown)
        assert "SCARCE" in render(exact)
        assert "ONEPERSON" in render(exact)


def test_both_kinds_of_report_say_what_they_are(assess: Assess) -> None:
    report = assess(crowd()).as_dict()
    for render in (quality_text, quality_html):
        assert "Counts below 5 are masked" in render(masked(report))
        assert "for the owner only" in render(report)


def test_books_of_a_masked_report_are_masked(assess: Assess) -> None:
    file = masked(assess(crowd(), books=books()).as_dict())["files"][0]
    assert file["states"]["quarantined"] is None
    assert file["states"]["accepted"] is None
    assert file["reasons"] == {"bad_date": None}


def test_the_text_begins_with_what_failed_worst_and_says_what_to_do_next(assess: Assess) -> None:
    rows = crowd()
    rows["measurement"].append(measured(1))
    rows["person"][0]["year_of_birth"] = None
    text = quality_text(assess(rows).as_dict())
    first = text.index("FAILED")
    assert text[first:].startswith(("FAILED isRequired (fatal)", "FAILED isPrimaryKey (fatal)"))
    assert text.index("(fatal)") < text.index("(convention)")
    assert text.count("FAILED") == text.count("  next: ")
    assert "not run:" in text


def test_the_page_stands_alone_and_every_text_in_it_is_escaped(assess: Assess) -> None:
    rows = crowd()
    for row in rows["condition_occurrence"]:
        row["condition_source_value"] = "<script>alert(1)</script>"
    page = quality_html(assess(rows, books=books()).as_dict())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "/data/&lt;b&gt;A.DAT" in page
    assert "<svg" in page
    assert not re.search(r"(?: src=|href|@import|url\()", page)
    assert "default-src 'none'" in page


def test_a_code_cannot_steer_the_terminal(assess: Assess) -> None:
    rows = crowd()
    for row in rows["condition_occurrence"]:
        row["condition_source_value"] = "\x1b[2J\x07E11\n"
    text = quality_text(assess(rows).as_dict())
    assert "E11" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_years_and_shares_are_in_the_account_of_a_table(assess: Assess) -> None:
    table = next(one for one in assess(crowd()).as_dict()["tables"] if one["name"] == "condition_occurrence")
    assert table["rows"] == 19
    assert table["years"] == {"2001": 19}
    field = next(one for one in table["fields"] if one["name"] == "condition_concept_id")
    assert (field["filled"], field["zero"]) == (19, 19)
    assert (table["unmapped"][0]["codes"], table["unmapped"][0]["rows"]) == (3, 19)


def test_the_document_has_a_stable_shape(assess: Assess) -> None:
    document = assess(crowd(), books=books()).as_dict()
    assert list(document) == [
        "format", "run", "as_of", "masked_below", "vocabulary", "summary", "kinds", "checks", "tables", "unchecked",
        "files",
    ]  # fmt: skip
    assert document["format"] == "asepsis-quality/1"
    assert document["as_of"] == TODAY.isoformat()
    assert sum(document["summary"].values()) == len(document["checks"])
    assert set(masked(document)) == set(document)
    assert json.loads(json.dumps(document)) == document


def test_only_one_file_is_exact_and_it_is_the_one_that_says_so(assess: Assess, tmp_path: Path) -> None:
    papers = papers_of(assess(crowd(), books=books()))
    assert set(papers) == {EXACT, "quality.json", "quality.txt", "quality.html", "books.html"}
    assert {name for name, text in papers.items() if "SCARCE" in text} == {EXACT}
    for name in ("aa11", "ab22"):
        (tmp_path / name).mkdir()
        (tmp_path / name / EXACT).write_text(papers[EXACT])
    assert "SCARCE" not in json.dumps(read_quality(tmp_path, "aa", exact=False))
    assert "SCARCE" in json.dumps(read_quality(tmp_path, None, exact=True))
    for name in ("zz", "a"):
        with pytest.raises(QualityMissing):
            read_quality(tmp_path, name, exact=True)
    (tmp_path / "ab22" / EXACT).write_text('{"format": "other"}')
    with pytest.raises(QualityMissing):
        read_quality(tmp_path, "ab", exact=True)
