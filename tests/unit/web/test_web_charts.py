"""A chart shows no more than its table, and draws nothing that it cannot draw truly."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_room import COUNTS, CURVES

from asepsis.domain.release import CellAction, Released
from asepsis.web.charts import MOST_BARS, BarChart, StepChart, draw

SHOWN, ROUNDED, SUPPRESSED = CellAction.SHOWN, CellAction.ROUNDED, CellAction.SUPPRESSED


def counts(*values: int | None) -> Released:
    return Released(
        columns=("year", "persons"),
        rows=tuple((1980 + number, value) for number, value in enumerate(values)),
        actions=tuple((SHOWN, SUPPRESSED if value is None else ROUNDED) for value in values),
    )


@given(st.lists(st.none() | st.integers(0, 10**9), min_size=2, max_size=MOST_BARS))
def test_bars_are_as_long_as_their_counts_and_suppressed_cells_have_none(values: list[int | None]) -> None:
    chart = draw(counts(*values))
    top = max((value for value in values if value is not None), default=0)
    if top == 0:
        assert chart is None
        return
    assert isinstance(chart, BarChart)
    longest = max(bar.length for bar in chart.bars if bar.length is not None)
    for value, bar in zip(values, chart.bars, strict=True):
        assert (bar.length is None) == (value is None)
        assert bar.length is None or math.isclose(bar.length, longest * (value or 0) / top, abs_tol=0.11)


def test_a_code_that_is_a_number_labels_the_bars() -> None:
    chart = draw(counts(10, 20))
    assert isinstance(chart, BarChart)
    assert [bar.label for bar in chart.bars] == ["1980", "1981"]
    assert chart.title == "persons"


@pytest.mark.parametrize(
    "table",
    [
        counts(),
        counts(40),
        counts(None, None),
        counts(*range(MOST_BARS + 1)),
        replace(counts(10, 20), rows=((1, -10), (2, 20))),
        replace(counts(10, 20), rows=((1, True), (2, 20))),
        replace(counts(10, 20), actions=((ROUNDED, ROUNDED),) * 2),
    ],
    ids=["empty", "one row", "all suppressed", "too many", "negative", "a flag", "no labels"],
)
def test_what_cannot_be_drawn_truly_is_not_drawn(table: Released) -> None:
    assert draw(table) is None


def test_strata_are_curves_with_bands() -> None:
    chart = draw(CURVES)
    assert isinstance(chart, StepChart)
    assert [curve.label for curve in chart.curves] == ["female", "male"]
    assert all(curve.band.endswith("Z") for curve in chart.curves)
    assert [tick.label for tick in chart.across] == ["0", "200", "400", "600", "800"]


def test_a_curve_starts_at_one_and_never_leaves_its_frame() -> None:
    chart = draw(CURVES)
    assert isinstance(chart, StepChart)
    for curve in chart.curves:
        assert curve.path.startswith(f"M{float(chart.left)} {float(chart.top)}")
        heights = [float(found) for found in re.findall(r"V([\d.]+)", curve.path + curve.band)]
        assert all(chart.top <= height <= chart.bottom for height in heights)


def test_a_curve_is_broken_where_survival_is_suppressed() -> None:
    rows = tuple((*row[:3], None if row[1] == 180 else row[3], None, None) for row in CURVES.rows)
    chart = draw(replace(CURVES, rows=rows))
    assert isinstance(chart, StepChart)
    assert all(curve.path.count("M") == 2 and not curve.band for curve in chart.curves)


def test_a_table_without_strata_is_one_curve() -> None:
    table = replace(CURVES, rows=tuple((None, *row[1:]) for row in CURVES.rows[:9]), actions=CURVES.actions[:9])
    chart = draw(table)
    assert isinstance(chart, StepChart)
    assert [curve.label for curve in chart.curves] == [""]


def test_the_counts_of_the_example_are_bars() -> None:
    assert isinstance(draw(COUNTS), BarChart)
