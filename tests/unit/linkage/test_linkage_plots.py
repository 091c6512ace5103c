"""The plots of a linkage: every record once, no point of a few links, and a page that shows what was signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.disclosure.counts import protect_counts
from asepsis.domain.linkage import LinkEstimate
from asepsis.domain.names import Digest, RunId
from asepsis.domain.sealed import Sealed
from asepsis.domain.statistic import Statistic, read_statistic
from asepsis.errors.contract import DocumentMalformed
from asepsis.linkage.threshold_curve import FEWEST, threshold_curve
from asepsis.services.linkage_page import linkage_page

GIVEN = ("ada", "bruno", "clara", "david", "edith", "felix", "greta", "henry", "irene", "jonas", "karla")
FAMILIES = ("abbott", "baxter", "caldwell", "dawson", "everett", "fleming", "garrison")


def person(number: int, *, at: str) -> dict[str, Any]:
    """Three to a household, which shares name and address."""
    born = date(1930 + number % 60, 1 + number % 12, 1 + number % 28) + timedelta(days=number % 7)
    return {
        "person_id": number,
        "given_name": GIVEN[number % len(GIVEN)],
        "family_name": FAMILIES[number // 3 % len(FAMILIES)],
        "birth_date": born,
        "birth_date_source": born.isoformat(),
        "sex": "FM"[number % 2],
        "street": f"{number // 3} high street",
        "postal_code": "02115",
        "phone": f"555{number:07}" if at == "north" else None,
        "national_id": f"{314159265 + 7919 * number}",
    }


def test_every_record_counts_once_in_the_histogram(linked: Callable[..., Any]) -> None:
    north, south = range(120), range(60, 180)
    report = linked(
        {"north": [person(n, at="north") for n in north], "south": [person(n, at="s") for n in south]}
    ).report
    assert 0 < sum(band.records for band in report.scores) <= report.records == len(north) + len(south)
    matches = sum(band.records for band in report.scores if band.why == "match")
    assert matches >= 2 * report.persons_in_several_owners > 0
    assert all((band.why == "match") == (band.lowest >= 0) for band in report.scores)
    nobody = linked({"north": [person(1, at="north")], "south": [person(90, at="s")]}).report
    assert [(band.why, band.lowest) for band in nobody.scores] == [(band.why, band.lowest) for band in report.scores]
    counts = report.counts()
    assert all(counts[f"score.{band.why}.{band.lowest}"] == band.records for band in report.scores)


@given(st.lists(st.sampled_from([0.5, 0.61, 0.75, 0.85, 0.92, 0.97, 0.995, 1.0]), max_size=250))
def test_between_two_points_of_the_curve_there_are_many_links_or_there_is_one_point(posteriors: list[float]) -> None:
    """Guard: two means over nearly the same links would tell the posteriors of the few between them."""
    points = threshold_curve(np.array(posteriors), least=0.5, all_expected=300.0, blocking=None)
    many = [sum(one >= point.threshold for one in posteriors) for point in points]
    assert bool(points) == (len(posteriors) >= FEWEST)
    assert all(count >= FEWEST for count in many)
    assert all(one - other >= FEWEST for one, other in pairwise(many))


def test_the_curve_begins_at_the_contracts_threshold_and_says_three_digits() -> None:
    posteriors = [0.7] * 40 + [0.95] * 40 + [0.9999] * 40
    points = threshold_curve(np.array(posteriors), least=0.9, all_expected=110.0, blocking=0.99)
    assert points == (
        LinkEstimate(threshold=0.9, precision=0.975, recall=0.702),
        LinkEstimate(threshold=0.99, precision=1.0, recall=0.36),
    )
    assert threshold_curve(np.array(posteriors), least=0.9, all_expected=0.0, blocking=None) == ()


def statistic(counts: dict[str, int], *estimates: LinkEstimate) -> Statistic:
    table, assessment = protect_counts(Sealed(counts), profile="strict-10")
    digest = Digest("a" * 64)
    return Statistic(
        run=RunId("run-1"), contract=digest, job=digest, plan=digest, assessment=assessment, table=table,
        estimates=estimates,
    )  # fmt: skip


ESTIMATES = (
    LinkEstimate(threshold=0.5, precision=0.981, recall=0.97),
    LinkEstimate(threshold=0.9, precision=0.993, recall=0.951),
)
COUNTS = {
    "records": 4012,
    "score.match.10": 1003,
    "score.household.-10": 507,
    "score.twin.-5": 7,
    "rate.north.all.records": 2000,
    "rate.north.all.linked": 500,
    "rate.south.<b>few</b>.records": 40,
    "rate.south.<b>few</b>.linked": 3,
}


class Page(HTMLParser):
    """The tags of a page, and the words of its plots."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onload", "onclick"}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_draws_what_is_shown_and_nothing_that_is_withheld() -> None:
    page = Page(linkage_page(statistic(COUNTS, *ESTIMATES)))
    assert "script" not in page.tags
    assert page.tags.count("polyline") == 2
    assert {"match, from 10 bits: 1,005", "household, from -10 bits: 505", "about 25%", "0.993"} <= set(page.words)
    assert not [word for word in page.words if word.startswith("twin, from")]
    assert not {"1,003", "507", "7", "3", "4012"} & set(page.words)
    assert "b" not in page.tags


def test_a_page_without_a_model_has_counts_alone() -> None:
    page = Page(linkage_page(statistic({"records": 4012, "links": 3})))
    assert not {"polyline", "svg"} & set(page.tags)
    assert "4,010" in page.words


def test_estimates_come_back_from_what_is_signed_and_nothing_else_stands_there() -> None:
    plain, said = statistic(COUNTS), statistic(COUNTS, *ESTIMATES)
    assert "estimates" not in plain.to_document()
    assert read_statistic(said.to_document()).estimates == ESTIMATES
    for wrong in (["Thornton", 1.0, 1.0], [0.5, 1.0], {"threshold": 0.5}):
        with pytest.raises(DocumentMalformed) as refused:
            read_statistic({**said.to_document(), "estimates": [wrong]})
        assert "Thornton" not in str(refused.value.as_dict())
