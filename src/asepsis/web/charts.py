"""Charts of released tables, as geometry that a template draws as SVG: bars for counts, steps for survival.

A chart is made from a released table alone, so it shows no more than the table beside it: a suppressed cell has
no bar, and a curve is broken where its value is missing. Lengths are in the units of the SVG's view box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from asepsis.domain.release import Cell, CellAction, Released

WIDTH: Final = 720
MOST_BARS: Final = 40
MOST_CURVES: Final = 6
_BAR: Final = 20
_PITCH: Final = 30
_LABEL: Final = 248
_VALUE: Final = 100
_CURVE_HEIGHT: Final = 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 16, 40
_TICKS: Final = 5
_LONGEST_LABEL: Final = 32
_GROUPS: Final = frozenset({"stratum", "group"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar; ``length`` is None where the count is suppressed."""

    label: str
    y: int
    length: float | None
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Horizontal bars that begin at ``start``."""

    title: str
    height: int
    bars: tuple[Bar, ...]
    width: int = WIDTH
    start: int = _LABEL
    thickness: int = _BAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One step curve and, where the table has bounds, the band between them, as SVG paths."""

    label: str
    path: str
    band: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChart:
    """Step curves over time, from 0 to 1."""

    title: str
    time: str
    curves: tuple[Curve, ...]
    across: tuple[Tick, ...]
    upward: tuple[Tick, ...]
    width: int = WIDTH
    height: int = _CURVE_HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = _CURVE_HEIGHT - _BOTTOM


def draw(table: Released) -> BarChart | StepChart | None:
    """The chart that suits a table, if one does."""
    return _steps(table) or _bars(table)


def _bars(table: Released) -> BarChart | None:
    """Bars for the first column of protected numbers, labelled by the columns that are shown as they are."""
    measure = next((index for index, _ in enumerate(table.columns) if _is_measure(table, index)), None)
    labels = [index for index, _ in enumerate(table.columns) if _is_label(table, index)]
    if measure is None or not labels or not 1 < len(table.rows) <= MOST_BARS:
        return None
    values = [_number(row[measure]) for row in table.rows]
    top = max((value for value in values if value is not None), default=0.0)
    if top <= 0 or any(value is not None and value < 0 for value in values):
        return None
    room = WIDTH - _LABEL - _VALUE
    bars = [
        Bar(
            label=_short(" · ".join(_text(row[index]) for index in labels)),
            y=position * _PITCH,
            length=None if value is None else round(room * value / top, 1),
            value="suppressed" if value is None else _text(row[measure]),
        )
        for position, (row, value) in enumerate(zip(table.rows, values, strict=True))
    ]
    return BarChart(title=table.columns[measure], height=len(bars) * _PITCH, bars=tuple(bars))


def _steps(table: Released) -> StepChart | None:
    """Steps where the table has a column of times and one of survival; strata are several curves."""
    time, survival = _named(table, "time", "day", "month", "year"), _named(table, "surviv")
    if time is None or survival is None:
        return None
    columns = (time, survival, _named(table, "lower"), _named(table, "upper"))
    group = next((i for i, name in enumerate(table.columns) if name in _GROUPS or _is_text(table, i)), None)
    series: dict[str, list[_Point]] = {}
    for row in table.rows:
        point = _Point(*(None if column is None else _number(row[column]) for column in columns))
        if point.at is not None and point.at >= 0:
            name = "" if group is None or row[group] is None else _text(row[group])
            series.setdefault(name, []).append(point)
    last = max((point.time for points in series.values() for point in points), default=0.0)
    if not 0 < len(series) <= MOST_CURVES or last <= 0:
        return None
    step = _step(last)
    end = step * math.ceil(last / step)
    return StepChart(
        title=table.columns[survival],
        time=table.columns[time],
        curves=tuple(_curve(name, points, end) for name, points in series.items()),
        across=tuple(Tick(at=_x(step * n, end), label=f"{step * n:g}") for n in range(round(end / step) + 1)),
        upward=tuple(Tick(at=_y(n / _TICKS), label=f"{n / _TICKS:.0%}") for n in range(_TICKS + 1)),
    )


class _Point(NamedTuple):
    """One row of a survival table; each number may be missing."""

    at: float | None
    survival: float | None
    lower: float | None
    upper: float | None

    @property
    def time(self) -> float:
        """The time, which a point in a series has."""
        return self.at or 0.0


def _curve(name: str, points: list[_Point], end: float) -> Curve:
    points.sort(key=lambda point: point.time)
    line = _path([(point.time, point.survival) for point in points], end)
    return Curve(label=_short(name), path=line, band=_band(points, end))


def _path(points: Sequence[tuple[float, float | None]], end: float) -> str:
    """A path that starts at 1, steps at every time, and breaks where the value is missing."""
    parts = [f"M{_x(0, end)} {_y(1)}"]
    drawing = True
    for at, value in points:
        if value is None:
            parts += [f"H{_x(at, end)}"] if drawing else []
        else:
            parts.append(f"H{_x(at, end)}V{_y(value)}" if drawing else f"M{_x(at, end)} {_y(value)}")
        drawing = value is not None
    return "".join(parts)


def _band(points: Sequence[_Point], end: float) -> str:
    """The closed area between the bounds; empty unless every row has both."""
    upper, lower = [point.upper for point in points], [point.lower for point in points]
    if None in upper or None in lower:
        return ""
    there = _path([(point.time, point.upper) for point in points], end)
    back = "".join(f"V{_y(point.lower or 0.0)}H{_x(point.time, end)}" for point in reversed(points))
    return f"{there}{back}V{_y(1)}Z"


def _x(at: float, end: float) -> float:
    return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * at / end, 1)


def _y(value: float) -> float:
    return round(_TOP + (_CURVE_HEIGHT - _TOP - _BOTTOM) * (1.0 - min(max(value, 0.0), 1.0)), 1)


def _step(last: float) -> float:
    """A round distance of ticks: 1, 2 or 5 times a power of ten."""
    rough = last / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _named(table: Released, *beginnings: str) -> int | None:
    """The first column of numbers whose name begins so."""
    names = enumerate(table.columns)
    return next((i for i, name in names if name.lower().startswith(beginnings) and _is_numeric(table, i)), None)


def _is_measure(table: Released, column: int) -> bool:
    return _is_numeric(table, column) and bool(
        _actions(table, column) & {CellAction.ROUNDED, CellAction.NOISY, CellAction.SUPPRESSED}
    )


def _is_label(table: Released, column: int) -> bool:
    return _actions(table, column) == {CellAction.SHOWN}


def _is_numeric(table: Released, column: int) -> bool:
    cells = [row[column] for row in table.rows]
    return all(cell is None or _number(cell) is not None for cell in cells) and any(cell is not None for cell in cells)


def _is_text(table: Released, column: int) -> bool:
    return bool(table.rows) and all(isinstance(row[column], str) for row in table.rows)


def _actions(table: Released, column: int) -> set[CellAction]:
    return {row[column] for row in table.actions}


def _number(cell: Cell) -> float | None:
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell)
    return float(cell) if is_number and cell is not None else None


def _text(cell: Cell) -> str:
    return "missing" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
