# ruff: noqa: E501 - statements read better on one line
"""Generated SQL on DuckDB against two oracles: a plain-Python interpreter of the plan, and the author's own text."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from asepsis.disclosure.derive import ProtectedRow, holds, value_of
from asepsis.domain.catalogue import ColumnType
from asepsis.domain.cells import CellRow, Contribution, MeasureKind, Relation
from asepsis.domain.names import PartyId
from asepsis.engines.query.room import QueryRoom
from asepsis.sql import plan as ir
from asepsis.sql import plan_query, spark
from asepsis.sql.duckdb import Counting, Generated, cells_sql, effects_sql, quantile_sql
from asepsis.sql.effects import variants
from asepsis.sql.omop import omop_catalogue

Row = dict[str, Any]
World = dict[str, list[Row]]

# -- a reference interpreter of plans


def _three(items: list[bool | None], *, every: bool) -> bool | None:
    decided = not every
    if any(item is decided for item in items):
        return decided
    return None if None in items else every


def _compare(relation: Relation, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    return {
        "=": left == right,
        "<>": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[relation.value]


class Interpreter:
    def __init__(self, world: World) -> None:
        self.world = world

    def scalar(self, value: ir.Scalar, env: dict[int, Row | None]) -> Any:
        match value:
            case ir.ColumnRef():
                row = env[value.source]
                return None if row is None else row[value.name]
            case ir.UnitRef():
                row = env[value.source]
                return None if row is None else row["unit"]
            case ir.Literal():
                return value.value
            case ir.Choice():
                for when, then in value.whens:
                    if self.predicate(when, env) is True:
                        return self.scalar(then, env)
                return None if value.otherwise is None else self.scalar(value.otherwise, env)
        parts = [self.scalar(getattr(value, name), env) for name in value.__slots__ if name in _SCALAR_FIELDS]
        return None if None in parts else self.function(value, parts)

    @staticmethod
    def function(value: ir.Scalar, parts: list[Any]) -> Any:
        match value:
            case ir.DatePart():
                moment = parts[0]
                values = {"year": moment.year, "month": moment.month, "quarter": (moment.month + 2) // 3}
                return values.get(value.part.value, moment.isoweekday())
            case ir.PeriodStart():
                month = {"year": 1, "quarter": (parts[0].month - 1) // 3 * 3 + 1, "month": parts[0].month}
                return date(parts[0].year, month[value.period.value], 1)
            case ir.DateShift():
                return parts[0] + timedelta(days=value.days)
            case ir.DaysBetween():
                return (parts[1] - parts[0]).days
            case ir.Difference():
                return parts[0] - parts[1]
            case ir.Bin():
                floor = math.floor(parts[0] / value.width)
                return floor * value.width if value.scaled else floor
        raise AssertionError(value)

    def predicate(self, value: ir.Predicate, env: dict[int, Row | None]) -> bool | None:  # noqa: C901, PLR0911
        match value:
            case ir.Truth():
                return value.value
            case ir.Compare():
                return _compare(value.relation, self.scalar(value.left, env), self.scalar(value.right, env))
            case ir.Member():
                found = self.scalar(value.argument, env)
                return None if found is None else (found in value.values) != value.negated
            case ir.Listed():
                return self.listed(value, self.scalar(value.argument, env))
            case ir.Missing():
                return (self.scalar(value.argument, env) is None) != value.negated
            case ir.And():
                return _three([self.predicate(item, env) for item in value.items], every=True)
            case ir.Or():
                return _three([self.predicate(item, env) for item in value.items], every=False)
            case ir.Exists():
                person = self.scalar(ir.UnitRef(source=value.outer), env)
                found = any(inner[value.inner]["unit"] == person for inner in self.rows(value.rows, env))
                return found != value.negated
        raise AssertionError(value)

    def listed(self, value: ir.Listed, found: Any) -> bool | None:
        """Membership in a list, by the three-valued logic of SQL."""
        rows = self.world[value.table]
        values = {row[value.column] for row in rows if self.predicate(value.where, {ir.LISTED: row})}
        if not values:
            return value.negated
        if found is None or (found not in values and None in values):
            return None
        return (found in values) != value.negated

    def rows(self, rows: ir.Rows, outside: dict[int, Row | None]) -> Iterator[dict[int, Any]]:
        envs: list[dict[int, Row | None]] = [dict(outside)]
        for place, source in enumerate(rows.sources):
            content = self.relation(source.relation, source.number)
            joined = []
            for env in envs:
                matches = []
                for row in content:
                    wider = {**env, source.number: row}
                    if place and source.key is not None:
                        tied = _compare(Relation.EQUAL, row[source.relation.key], self.scalar(source.key, env))
                    else:
                        tied = not place or row["unit"] == env[rows.sources[0].number]["unit"]
                    if tied and self.predicate(source.matches, wider):
                        matches.append(wider)
                joined += matches or ([{**env, source.number: None}] if source.outer else [])
            envs = joined
        return (env for env in envs if self.predicate(rows.where, env))

    def relation(self, relation: ir.Relational, number: int) -> list[Row]:
        match relation:
            case ir.TableScan():
                return [{**row, "unit": row[relation.unit]} for row in self.world[relation.table]]
            case ir.LookupScan():
                return self.world[relation.table]
            case ir.Projection():
                return self.projection(relation)
            case ir.PerPerson():
                kept = self.stage(relation)
                return [row for row in kept if self.predicate(relation.having, {number: row})]
            case ir.Appended():
                return [row for part in relation.parts for row in self.relation(part, number)]
        raise AssertionError(relation)

    def projection(self, relation: ir.Projection) -> list[Row]:
        first = relation.rows.sources[0].number
        found = []
        for env in self.rows(relation.rows, {}):
            row = {f"c{place}": self.scalar(item, env) for place, item in enumerate(relation.columns)}
            row["unit"] = env[first]["unit"]
            if not relation.distinct or row not in found:
                found.append(row)
        return found

    def stage(self, relation: ir.PerPerson) -> list[Row]:
        groups: dict[tuple[Any, ...], list[dict[int, Row | None]]] = defaultdict(list)
        first = relation.rows.sources[0].number
        for env in self.rows(relation.rows, {}):
            groups[env[first]["unit"], *(self.scalar(key, env) for key in relation.keys)].append(env)
        result = []
        for (unit, *keys), envs in groups.items():
            values = keys + [self.feature(feature, envs) for feature in relation.features]
            result.append({"unit": unit, **{f"c{place}": value for place, value in enumerate(values)}})
        return result

    def feature(self, feature: ir.Feature, envs: list[dict[int, Row | None]]) -> Any:
        chosen = [env for env in envs if self.predicate(feature.where, env)]
        if feature.argument is None:
            return len(chosen)
        values = [value for env in chosen if (value := self.scalar(feature.argument, env)) is not None]
        if feature.kind is ir.FeatureKind.KINDS:
            return len(set(values))
        functions: dict[ir.FeatureKind, Callable[[list[Any]], Any]] = {
            ir.FeatureKind.SUM: math.fsum,
            ir.FeatureKind.MEAN: lambda items: math.fsum(items) / len(items),
            ir.FeatureKind.FIRST: min,
            ir.FeatureKind.LAST: max,
        }
        return functions[feature.kind](values) if values else None

    def cells(self, grouping: ir.Grouping) -> dict[tuple[Any, ...], tuple[int, list[dict[str, Any]]]]:
        groups: dict[tuple[Any, ...], list[dict[int, Row | None]]] = defaultdict(list)
        for env in self.rows(grouping.rows, {}):
            groups[tuple(_shown(self.scalar(key, env)) for key in grouping.keys)].append(env)
        if not grouping.keys and not groups:
            groups[()] = []
        return {keys: self.cell(grouping, envs) for keys, envs in groups.items()}

    def cell(self, grouping: ir.Grouping, envs: list[dict[int, Row | None]]) -> tuple[int, list[dict[str, Any]]]:
        first = grouping.rows.sources[0].number
        measures = []
        for measure in grouping.measures:
            by_person: dict[int, list[float]] = defaultdict(list)
            for env in envs:
                if self.predicate(measure.where, env):
                    value = 1.0 if measure.argument is None else self.scalar(measure.argument, env)
                    if value is not None:
                        by_person[env[first]["unit"]].append(float(value))
            totals = sorted((abs(math.fsum(values)) for values in by_person.values()), reverse=True)
            flat = [value for values in by_person.values() for value in values]
            middle = None if measure.level is None else _quantile(flat, measure.level)
            beyond = [0, 0]
            if middle is not None:
                beyond[0] = sum(min(values) <= middle for values in by_person.values())
                beyond[1] = sum(max(values) >= middle for values in by_person.values())
            measures.append({
                "below": beyond[0], "above": beyond[1],
                "persons": len(by_person), "rows": len(flat), "total": math.fsum(flat) if middle is None else middle, "absolute": math.fsum(totals),
                "largest": totals[:2],
                "squares": math.fsum(value * value for value in flat),
            })  # fmt: skip
        return len({env[first]["unit"] for env in envs}), measures


def _quantile(values: list[float], level: float) -> float | None:
    """By linear interpolation between the two nearest ranks."""
    if not values:
        return None
    ordered = sorted(values)
    place = level * (len(ordered) - 1)
    low = math.floor(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


_SCALAR_FIELDS = {"argument", "start", "end", "left", "right"}


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        value = value.date()
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


# -- random worlds and questions

DAYS = st.integers(0, 900).map(lambda days: date(2019, 1, 1) + timedelta(days=days))
PERSONS = st.lists(
    st.fixed_dictionaries({
        "gender": st.sampled_from([1, 2, None]), "birth": st.integers(1930, 1960), "town": st.sampled_from(["n", "s", None]),
    }), min_size=1, max_size=6,
)  # fmt: skip
VISITS = st.lists(
    st.fixed_dictionaries({
        "person_id": st.integers(0, 5), "kind": st.sampled_from([10, 20, 30, None]), "began": DAYS,
        "ended": st.one_of(st.none(), DAYS), "cost": st.one_of(st.none(), st.integers(-20, 90).map(float)),
    }), max_size=14,
)  # fmt: skip
PERSON_TESTS = [
    "p.gender = 1",
    "p.birth BETWEEN 1935 AND 1950",
    "p.town <> 'n'",
    "p.gender IS NULL",
    "p.birth IN (1931, 1940, 1941)",
]
VISIT_TESTS = [
    "v.kind = 10", "v.kind <> 20", "v.kind IN (10, 30)", "v.kind NOT IN (10, 30)", "v.cost >= 20", "v.cost < 50",
    "v.began >= DATE '2019-06-01'", "v.began <= DATE '2020-03-31'", "year(v.began) = 2020", "v.ended IS NOT NULL",
    "v.ended - v.began > 30", "v.ended <= v.began + INTERVAL 60 DAY", "EXTRACT(quarter FROM v.began) < 3",
    "date_trunc('month', v.began) = DATE '2019-05-01'", "v.kind = $kind", "v.began BETWEEN DATE '2019-03-01' AND $last",
    "v.kind IN (SELECT descendant FROM ancestor WHERE ancestor = 10)",
    "v.kind NOT IN (SELECT descendant FROM ancestor WHERE ancestor >= 20)",
    "v.kind IN (SELECT c.concept_id FROM concept c JOIN ancestor a ON a.descendant = c.concept_id WHERE a.ancestor = 10 AND c.concept_name <> 'ward')",
    "v.began - INTERVAL 3 WEEK < v.ended", "CASE WHEN v.kind = 10 THEN v.began ELSE v.ended END >= DATE '2019-06-01'",
]  # fmt: skip
PERSON_KEYS = ["p.gender", "p.town", "floor(p.birth / 10) * 10", "CASE WHEN p.birth < 1945 THEN 'old' ELSE 'young' END"]
VISIT_KEYS = [
    "v.kind",
    "floor((year(v.began) - p.birth) / 10) * 10",
    "date_part('month', v.began)",
    "CASE WHEN v.kind IN (10, 20) THEN v.kind END",
    "year(v.began)",
    "date_trunc('quarter', v.began)",
    "floor(v.cost / 20)",
]
PERSON_MEASURES = [
    "count(*)",
    "count(DISTINCT p.person_id)",
    "count(p.gender)",
    "count(CASE WHEN p.birth < 1945 THEN 1 END)",
]
VISIT_MEASURES = [
    "sum(v.cost)", "avg(v.cost)", "count(v.cost)", "sum(CASE WHEN v.kind = 10 THEN v.cost ELSE 0 END)",
    "count(DISTINCT CASE WHEN v.kind = 10 THEN v.person_id END)", "count(*) FILTER (WHERE v.kind = 20)",
    "avg(v.ended - v.began)", "sum(CASE WHEN v.kind = 10 THEN 1 ELSE 0 END)", "count(DISTINCT v.person_id)",
    "var_samp(v.cost)", "stddev(v.cost)", "median(v.cost)", "quantile_cont(v.cost, 0.25)", "avg(CASE WHEN v.kind = 10 THEN v.cost END)",
    "round(100.0 * sum(CASE WHEN v.kind = 10 THEN 1 ELSE 0 END) / count(*), 1)", "median(date_diff('day', v.began, v.ended))", "1.0 * count(*) / count(DISTINCT v.person_id)",
]  # fmt: skip
SUBQUERIES = [
    "EXISTS (SELECT 1 FROM visit x WHERE x.person_id = p.person_id AND x.kind = 10)",
    "NOT EXISTS (SELECT 1 FROM visit x WHERE x.kind = 20 AND p.person_id = x.person_id)",
    "p.person_id IN (SELECT person_id FROM visit WHERE cost >= 30)",
    "p.person_id NOT IN (SELECT person_id FROM visit GROUP BY person_id HAVING count(*) >= 2)",
    "EXISTS (SELECT 1 FROM visit x WHERE x.person_id = p.person_id AND x.began > v.began AND x.kind <> 20)",
    "NOT EXISTS (SELECT 1 FROM visit x WHERE x.person_id = v.person_id AND x.ended <= v.began + 30)",
    "p.person_id IN (SELECT person_id FROM visit GROUP BY person_id HAVING max(began) - min(began) > 60 OR sum(cost) >= 50)",
    "p.person_id IN (SELECT person_id FROM visit WHERE kind IN (SELECT descendant FROM ancestor WHERE ancestor = 10))",
    "p.person_id IN (SELECT x.person_id FROM visit x JOIN visit y ON x.person_id = y.person_id AND x.kind < y.kind)",
]
SOURCES = [
    "person p JOIN visit v ON p.person_id = v.person_id",
    "visit v JOIN person p USING (person_id)",
    "person p LEFT JOIN visit v ON v.person_id = p.person_id AND v.kind = 10",
    "person p, visit v",
    "person p JOIN (SELECT person_id, kind, began, ended, cost FROM visit WHERE kind IS NOT NULL) v ON v.person_id = p.person_id",
    ("person p JOIN (SELECT person_id, kind, min(began) AS began, max(ended) AS ended, sum(cost) AS cost FROM visit "
    "GROUP BY person_id, kind) v ON v.person_id = p.person_id"),
    ("person p JOIN (SELECT person_id, count(*) AS kind, min(began) AS began, max(ended) AS ended, avg(cost) AS cost FROM visit "
    "GROUP BY person_id HAVING count(*) BETWEEN 1 AND 3) v ON v.person_id = p.person_id"),
    ("person p JOIN (SELECT person_id, count(DISTINCT kind) AS kind, max(began) AS began, min(ended) AS ended, sum(cost) FILTER (WHERE kind = 10) AS cost "
    "FROM visit GROUP BY person_id) v ON v.person_id = p.person_id"),
    ("person p JOIN (SELECT person_id, kind, began, ended, cost FROM visit WHERE kind = 10 UNION ALL "
    "SELECT person_id, kind, began, ended, cost FROM visit WHERE cost >= 20) v ON v.person_id = p.person_id"),
    ("person p JOIN (SELECT person_id, count(*) AS kind, min(began) AS began, max(ended) AS ended, max(began) - min(began) AS cost "
    "FROM visit GROUP BY person_id HAVING max(ended) - min(began) > 5) v ON v.person_id = p.person_id"),
    "person p JOIN w v ON v.person_id = p.person_id",
    "w v JOIN person p ON p.person_id = v.person_id JOIN (SELECT DISTINCT person_id FROM visit WHERE kind = 20) d ON d.person_id = v.person_id",
    "person p JOIN visit v USING (person_id) JOIN concept c ON c.concept_id = v.kind",
    "person p JOIN visit v USING (person_id) LEFT JOIN concept c ON c.concept_id = v.kind AND c.concept_name <> 'ward'",
]  # fmt: skip


LOOKED_UP = ["c.concept_name", "CASE WHEN c.concept_name = 'ward' THEN 'in' ELSE 'out' END"]
WITH = "WITH w0 AS (SELECT * FROM visit WHERE kind IS NOT NULL), w AS (SELECT person_id, kind, began, ended, cost FROM w0 WHERE began >= DATE '2019-02-01') "
PARAMETERS = {"kind": 10, "last": date(2020, 6, 30)}
HAVINGS = ["count(*) >= 2", "count(DISTINCT v.person_id) BETWEEN 1 AND 2", "NOT count(*) = 1"]


@st.composite
def questions(draw: st.DrawFn) -> str:
    """One question, or two of one kind, the one after the other; with names, groups, and conditions on groups."""
    source = draw(st.sampled_from(SOURCES))
    first = draw(selects(source))
    named = WITH if " w " in f" {source}" else ""
    if draw(st.integers(0, 9)) == 0:
        return f"{named}{first} UNION ALL {first.replace('v.kind', 'p.gender') if 'v.kind' in first else first}"
    return named + first


@st.composite
def selects(draw: st.DrawFn, source: str) -> str:
    tests = draw(st.lists(st.sampled_from(PERSON_TESTS + VISIT_TESTS + SUBQUERIES), max_size=3))
    kinds = PERSON_KEYS + VISIT_KEYS + (LOOKED_UP if "concept c" in source else [])
    keys = draw(st.lists(st.sampled_from(kinds), max_size=2, unique=True))
    measures = draw(st.lists(st.sampled_from(PERSON_MEASURES + VISIT_MEASURES), min_size=1, max_size=3, unique=True))
    tests = [f"NOT ({test})" if draw(st.integers(0, 4)) == 0 else test for test in tests]
    where = f" {draw(st.sampled_from(['AND', 'OR']))} ".join(tests)
    if "," in source.split("JOIN", maxsplit=1)[0] and "JOIN" not in source:
        where = "p.person_id = v.person_id" + (f" AND ({where})" if where else "")
    outputs = [f"{key} AS k{place}" for place, key in enumerate(keys)]
    outputs += [f"{measure} AS m{place}" for place, measure in enumerate(measures)]
    text = f"SELECT {', '.join(outputs)} FROM {source}" + (f" WHERE {where}" if where else "")
    text += f" GROUP BY {', '.join(str(place + 1) for place in range(len(keys)))}" if keys else ""
    return text + (f" HAVING {draw(st.sampled_from(HAVINGS))}" if keys and draw(st.booleans()) else "")


_SPREADS = {MeasureKind.VARIANCE, MeasureKind.DEVIATION}


def unprotected(spec_kind: MeasureKind, cell: Contribution) -> float | None:
    if spec_kind in {MeasureKind.PERSONS, MeasureKind.ROWS}:
        return cell.persons if spec_kind is MeasureKind.PERSONS else cell.rows
    if not cell.rows or (spec_kind in _SPREADS and cell.rows == 1):
        return None
    mean = cell.total / cell.rows
    values = {MeasureKind.SUM: cell.total, MeasureKind.MEAN: mean, MeasureKind.QUANTILE: cell.total}
    variance = max(0.0, (cell.squares - cell.rows * mean * mean) / max(1, cell.rows - 1))
    return values.get(spec_kind, variance if spec_kind is MeasureKind.VARIANCE else math.sqrt(variance))


def close(left: Any, right: Any) -> bool:
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-6)
    return bool(left == right)


def _sorted(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    def rank(row: tuple[Any, ...]) -> Any:
        return [(value is None, f"{value:018.6f}" if isinstance(value, int | float) else str(value)) for value in row]

    return sorted(rows, key=rank)


QUICK = settings(
    deadline=None, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck), max_examples=10
)
THOROUGH = settings(QUICK, max_examples=300)
FEW, MANY = 18, 20
RULES = {"sql.multiplied_records", "sql.uncorrelated_subquery", "sql.margins", "sql.person_key_predicate"}
"""For which a question of the generator may be refused: fewer than one in a hundred."""

NAMES = [
    {"concept_id": 10, "concept_name": "clinic"},
    {"concept_id": 20, "concept_name": "ward"},
    {"concept_id": 30, "concept_name": None},
]
PATHS = [(10, 10), (10, 20), (20, 20), (20, None), (30, 30)]
LISTS = [{"ancestor": ancestor, "descendant": descendant} for ancestor, descendant in PATHS]


@given(persons=PERSONS, visits=VISITS, texts=st.lists(questions(), min_size=FEW, max_size=FEW))
@QUICK
def test_cells_are_what_both_oracles_say(
    open_room: Any, catalogue: Any, persons: Any, visits: Any, texts: list[str]
) -> None:
    check_questions(open_room, catalogue, persons, visits, texts)


@pytest.mark.long
@given(persons=PERSONS, visits=VISITS, texts=st.lists(questions(), min_size=MANY, max_size=MANY))
@THOROUGH
def test_cells_are_what_both_oracles_say_of_thousands_of_questions(
    open_room: Any, catalogue: Any, persons: Any, visits: Any, texts: list[str]
) -> None:
    check_questions(open_room, catalogue, persons, visits, texts)


def check_questions(open_room: Any, catalogue: Any, persons: Any, visits: Any, texts: list[str]) -> None:
    known = [{"person_id": place, **row} for place, row in enumerate(persons)]
    visits = [row for row in visits if row["person_id"] < len(known)]
    world: World = {"person": known, "visit": visits, "concept": NAMES, "ancestor": LISTS}
    room = open_room(
        {"person": {"north": known}, "visit": {"north": visits}, "concept": {"north": NAMES}, "ancestor": {"n": LISTS}},
        [("north", i, i) for i in range(len(known))],
    )
    for text in texts:
        check_question(room, catalogue, world, text)
    room.close()


def check_question(room: Any, catalogue: Any, world: World, text: str) -> None:
    given = {name: value for name, value in PARAMETERS.items() if f"${name}" in text}
    planned = plan_query(text, catalogue, parameters=given)
    if planned.plan is None and {finding.code for finding in planned.findings} <= RULES:
        return
    assert planned.plan is not None, (text, planned.findings)
    check_names(planned.plan, catalogue)
    own = []
    branches = zip(
        room.cells(planned.plan).unseal().branches, planned.plan.groupings, planned.plan.shape.branches, strict=True
    )
    for cells, grouping, branch in branches:
        _agrees_with_interpreter(cells, grouping, Interpreter(world).cells(grouping))
        own += _rows_of(cells, branch)
    if "Missing" in str(planned.plan.groupings) and "LEFT" in text:
        return
    truth = [tuple(_shown(value) for value in row.values()) for row in room.statement(text, given).unseal().to_pylist()]
    keys = planned.plan.shape.branches[0].keys
    left, right = (_sorted([_nulled(row, keys) for row in rows]) for rows in (own, truth))
    same = len(left) == len(right) and all(
        close(a, b) for one, other in zip(left, right, strict=True) for a, b in zip(one, other, strict=True)
    )
    assert same, (text, left, right)


def _rows_of(cells: tuple[CellRow, ...], branch: Any) -> list[tuple[Any, ...]]:
    """The rows of a branch as they would be shown if nothing had to be protected."""
    rows = []
    for cell in cells:
        values = tuple(unprotected(spec.kind, item) for spec, item in zip(branch.measures, cell.measures, strict=True))
        row = ProtectedRow(keys=cell.keys, measures=values)  # type: ignore[arg-type]
        for output in branch.outputs:
            row.cells = (*row.cells, value_of(output, row))
        if branch.having is None or holds(branch.having, row):
            rows.append(tuple(row.cells))
    return rows


def check_names(plan: Any, catalogue: Any) -> None:
    """Guard: the generated SQL names the catalogue's tables and usable columns, and nothing else."""
    allowed = {table.name for table in catalogue.tables}
    allowed |= {column.name for table in catalogue.tables for column in table.columns if column.uses}
    for grouping in plan.groupings:
        texts = [
            cells_sql(grouping, counting=Counting(owners=2)).text,
            cells_sql(grouping, counting=Counting(owners=2), populations=(ir.Truth(value=True),)).text,
        ]
        texts.append(effects_sql(grouping, variants(grouping)).text)
        for text in texts:
            names = {name for name in re.findall(r'"([^"]*)"', text) if not re.fullmatch(r"c\d+|unit_", name)}
            assert names <= allowed
            assert "note" not in text


FOREIGN = ["v.note", "note", "p.secret", "p.person_source_value", "v.owner_", "t0.kind", "links_.person", "v.rowid"]


@given(text=questions(), foreign=st.sampled_from(FOREIGN), place=st.integers(0, 40))
@settings(QUICK, max_examples=80)
def test_no_plan_refers_to_a_column_outside_the_contract(catalogue: Any, text: str, foreign: str, place: int) -> None:
    """A column somewhere in a good question is replaced by one that the contract does not give."""
    found = list(re.finditer(r"\b[pvcx]\.[a-z_]+", text))
    assume(found)
    chosen = found[place % len(found)]
    changed = text[: chosen.start()] + foreign + text[chosen.end() :]
    given = {name: value for name, value in PARAMETERS.items() if f"${name}" in changed}
    planned = plan_query(changed, catalogue, parameters=given)
    assert planned.plan is None
    assert planned.findings


LEAST, MOST = "CAST(-9223372036854775808 AS BIGINT)", "CAST(9223372036854775807 AS BIGINT)"
EXTREME = {
    "person": f"SELECT i AS person_id, [1, 2, {LEAST}, {MOST}][1 + i % 4] AS gender, [1940, 1950, {MOST}, {LEAST}][1 + (i // 4) % 4] AS birth, 'n' AS town FROM range(64) t(i)",
    "visit": (
        f"SELECT i % 64 AS person_id, [10, 20, {MOST}, {LEAST}][1 + i % 4] AS kind, "
        "[DATE '2019-01-01', 'infinity'::DATE, '-infinity'::DATE, DATE '5881580-07-10', DATE '5877642-06-25 (BC)', NULL][1 + (i // 3) % 6] AS began, "
        "[DATE '2019-05-01', '-infinity'::DATE, 'infinity'::DATE, DATE '5881580-07-09', DATE '5877642-06-26 (BC)', NULL][1 + (i // 5) % 6] AS ended, "
        "[1.0, 1.7e308, -1.7e308, 'nan'::DOUBLE, 'inf'::DOUBLE][1 + (i // 7) % 5] AS cost FROM range(800) t(i)"
    ),
    "concept": "SELECT 10 AS concept_id, 'ward' AS concept_name",
    "ancestor": f"SELECT {MOST} AS ancestor, 10 AS descendant",
}


@pytest.fixture
def extreme_room(tmp_path_factory: pytest.TempPathFactory, catalogue: Any) -> Iterator[QueryRoom]:
    """Tables full of values at the ends of their types."""
    folder = tmp_path_factory.mktemp("extreme")
    with QueryRoom() as room:
        for table in catalogue.tables:
            path = folder / f"{table.name}.parquet"
            with duckdb.connect() as connection:
                connection.execute(f"COPY ({EXTREME[table.name]}) TO '{path}' (FORMAT parquet)")
            room.load(table, {PartyId("north"): path})
        room.lock()
        yield room


@given(text=questions())
@settings(QUICK, max_examples=40)
def test_no_value_of_the_data_makes_an_accepted_question_fail(
    extreme_room: QueryRoom, catalogue: Any, text: str
) -> None:
    """Guard: the values that loading takes for missing. A question that fails for one person's value tells of that person."""
    given = {name: value for name, value in PARAMETERS.items() if f"${name}" in text}
    plan = plan_query(text, catalogue, parameters=given).plan
    if plan is not None:
        extreme_room.cells(plan)
        extreme_room.contributors(plan, least=1)


def _nulled(row: tuple[Any, ...], keys: int) -> tuple[Any, ...]:
    """A sum over ELSE 0 is 0 in SQL and missing here where no row qualifies: the gate withholds both."""
    return tuple(
        0 if place >= keys and (value is None or value != value) else value  # noqa: PLR0124 - NaN of 0 / 0
        for place, value in enumerate(row)
    )


def _agrees_with_interpreter(
    cells: tuple[CellRow, ...], grouping: ir.Grouping, expected: dict[Any, tuple[int, list[dict[str, Any]]]]
) -> None:
    assert {cell.keys for cell in cells} == set(expected)
    for cell in cells:
        persons, measures = expected[cell.keys]
        assert cell.persons == persons
        for measure, found, wanted in zip(grouping.measures, cell.measures, measures, strict=True):
            assert found.persons == wanted["persons"]
            if measure.level is not None and found.rows:
                assert (found.below, found.above) == (wanted["below"], wanted["above"])
            for name in ("rows", "total", "absolute"):
                if found.rows or name == "rows":
                    assert close(getattr(found, name), wanted[name]) or found.absolute == 0, name
            if found.absolute:
                # Persons of the cell without a record that is counted stand there with nothing.
                pairs = zip_longest(found.largest, wanted["largest"], fillvalue=0.0)
                assert all(close(one, other) for one, other in pairs)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("SELECT c.concept_name, count(DISTINCT v.person_id) n FROM visit v JOIN concept c ON v.kind = c.concept_id GROUP BY 1",
         {("clinic",): 2, ("ward",): 1}),
        ("SELECT count(*) n FROM (SELECT person_id FROM visit UNION ALL SELECT person_id FROM person) t", {(): 3}),
        ("SELECT n, count(*) k FROM (SELECT person_id, count(*) n FROM visit GROUP BY 1) t GROUP BY 1", {(1,): 1, (2,): 1}),
        (("WITH w AS (SELECT person_id, min(began) AS first FROM visit GROUP BY person_id) "
         "SELECT year(w.first), count(*) FROM w JOIN person p ON p.person_id = w.person_id GROUP BY 1"), {(2019,): 1, (2020,): 1}),
    ],
)  # fmt: skip
def test_known_answers(open_room: Any, catalogue: Any, text: str, rows: dict[tuple[Any, ...], int]) -> None:
    people = [{"person_id": place, "gender": 1, "birth": 1950} for place in range(3)]
    visits = [
        {"person_id": 0, "kind": 10, "began": date(2019, 5, 1)},
        {"person_id": 0, "kind": 20, "began": date(2021, 5, 1)},
        {"person_id": 1, "kind": 10, "began": date(2020, 5, 1)},
    ]
    names = [{"concept_id": 10, "concept_name": "clinic"}, {"concept_id": 20, "concept_name": "ward"}]
    room = open_room({"person": {"n": people}, "visit": {"n": visits}, "concept": {"n": names, "s": names}})
    planned = plan_query(text, catalogue)
    assert planned.plan is not None, planned.findings
    (cells,) = room.cells(planned.plan).unseal().branches
    assert {cell.keys: cell.persons for cell in cells} == rows


# -- the same plans on Apache Spark

SPARK_WORKER = Path(__file__).parents[2] / "spark_worker.py"
SPARK_PYTHON = os.environ.get("ASEPSIS_SPARK_PYTHON") or (sys.executable if find_spec("pyspark") else "")
needs_spark = pytest.mark.skipif(
    not SPARK_PYTHON or shutil.which("java") is None,
    reason="needs Java and pyspark, here or in the interpreter that ASEPSIS_SPARK_PYTHON names",
)
Ask = Callable[[dict[str, Path], list[Generated]], list[Any]]


@pytest.fixture(scope="module")
def ask_spark() -> Iterator[Ask]:
    """Runs statements on a Spark of its own, and gives the rows of each."""
    with subprocess.Popen(
        [SPARK_PYTHON, str(SPARK_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None

        def ask(tables: dict[str, Path], statements: list[Generated]) -> list[Any]:
            request = {
                "tables": {name: str(path) for name, path in tables.items()},
                "statements": [
                    {
                        "text": made.text,
                        "parameters": {
                            name: {"date": value.isoformat()} if isinstance(value, date) else value
                            for name, value in made.parameters.items()
                        },
                    }
                    for made in statements
                ],
            }
            worker.stdin.write(json.dumps(request) + "\n")
            worker.stdin.flush()
            answer: list[Any] = json.loads(worker.stdout.readline())
            return answer

        yield ask
        worker.stdin.close()


def check_on_spark(room: QueryRoom, tables: list[str], folder: Path, ask: Ask, groupings: list[ir.Grouping]) -> int:
    """The number of rows that DuckDB and Spark gave for the same statements, which are the same rows."""
    paths = {}
    for name in tables:
        paths[name] = folder / f"{name}.parquet"
        pq.write_table(room.statement(f'SELECT * FROM "{name}"').unseal(), paths[name])
    here, there = [], []
    for grouping in groupings:
        wheres = tuple(dict.fromkeys(measure.where for measure in grouping.measures))
        here.append(cells_sql(grouping, counting=Counting(owners=2), populations=wheres))
        here.append(effects_sql(grouping, variants(grouping)))
        there += [
            spark.cells_sql(grouping, counting=Counting(owners=2), populations=wheres),
            spark.effects_sql(grouping, variants(grouping)),
        ]
        for place, measure in enumerate(grouping.measures):
            if measure.level is not None:
                here.append(quantile_sql(grouping, place))
                there.append(spark.quantile_sql(grouping, place))
    rows = 0
    for made, found in zip(there, ask(paths, there), strict=True):
        assert isinstance(found, list), (made.text, found)
        other = here[there.index(made)]
        table = room.statement(other.text, other.parameters).unseal()
        expected = [
            tuple(_plain(value) for value in row)
            for row in zip(*(column.to_pylist() for column in table.columns), strict=True)
        ]
        left, right = _sorted(expected), _sorted([tuple(_plain(value) for value in row) for row in found])
        same = len(left) == len(right) and all(
            _alike(a, b) for one, two in zip(left, right, strict=True) for a, b in zip(one, two, strict=True)
        )
        assert same, (made.text, dict(made.parameters), left, right)
        rows += len(left)
    return rows


def _plain(value: Any) -> Any:
    return sorted(value) or None if isinstance(value, list) else _shown(value)


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(close(a, b) for a, b in zip(left, right, strict=True))
    return close(left, right)


@needs_spark
@pytest.mark.long
@given(persons=PERSONS, visits=VISITS, texts=st.lists(questions(), min_size=25, max_size=25))
@settings(QUICK, max_examples=10)
def test_spark_gives_the_same_cells(  # noqa: PLR0917 - fixtures and draws
    ask_spark: Ask, open_room: Any, catalogue: Any, tmp_path: Path, persons: Any, visits: Any, texts: list[str]
) -> None:
    known = [{"person_id": place, **row} for place, row in enumerate(persons)]
    visits = [row for row in visits if row["person_id"] < len(known)]
    room = open_room(
        {
            "person": {"n": known, "s": known[:1]},
            "visit": {"n": visits},
            "concept": {"n": NAMES},
            "ancestor": {"n": LISTS},
        },
        [(owner, place, place) for owner in "ns" for place in range(len(known))],
    )
    plans = [
        plan_query(
            text, catalogue, parameters={name: value for name, value in PARAMETERS.items() if f"${name}" in text}
        ).plan
        for text in texts
    ]
    groupings = [grouping for plan in plans if plan is not None for grouping in plan.groupings]
    check_on_spark(room, [table.name for table in catalogue.tables], tmp_path, ask_spark, groupings)
    room.close()


@needs_spark
@pytest.mark.long
def test_spark_answers_the_ordinary_queries_like_duckdb(ask_spark: Ask, tmp_path: Path) -> None:
    attacks = Path(__file__).parents[3] / os.environ.get("ASEPSIS_SHARED", "../shared") / "attacks"
    if not (attacks / "ordinary_queries.yaml").is_file():
        pytest.skip("needs the ordinary queries of ASEPSIS_SHARED")
    texts = yaml.safe_load((attacks / "ordinary_queries.yaml").read_text())
    schema = yaml.safe_load((attacks / "disclosure.yaml").read_text())["schema"]
    kinds = {"_date": ColumnType.DATE, "_source_value": ColumnType.TEXT, "value_as_number": ColumnType.NUMBER}
    typed = {
        table: [
            (name, next((kind for end, kind in kinds.items() if name.endswith(end)), ColumnType.INTEGER))
            for name in names
        ]
        for table, names in schema.items()
    }
    chance = np.random.default_rng(3)
    # Every number that a query names is a likely value of every coded column.
    numbers = sorted({int(number) for text in texts for number in re.findall(r"\b\d{3,9}\b", text)})
    omop = omop_catalogue(typed)
    with QueryRoom(tmp_path) as room:
        for table in omop.tables:
            rows = 60 if table.one_per_person else 900
            columns = {name: _random(name, kind, rows, numbers, chance) for name, kind in typed[table.name]}
            if table.one_per_person:
                columns["person_id"] = pa.array(range(rows))
            path = tmp_path / f"{table.name}-source.parquet"
            pq.write_table(pa.table(columns), path)
            room.load(table, {PartyId("north"): path})
        room.lock()
        plans = [plan_query(text, omop).plan for text in texts]
        groupings = [grouping for plan in plans if plan is not None for grouping in plan.groupings]
        assert len(groupings) >= len(texts)
        names = [table.name for table in omop.tables if any(column.uses for column in table.columns)]
        assert check_on_spark(room, names, tmp_path, ask_spark, groupings) > len(texts)


def _random(name: str, kind: ColumnType, rows: int, numbers: list[int], chance: np.random.Generator) -> pa.Array:
    days = np.datetime64("2015-01-01") + chance.integers(0, 3600, rows).astype("timedelta64[D]")
    values = {
        ColumnType.DATE: days,
        ColumnType.NUMBER: np.round(chance.gamma(2.0, 4.0, rows), 1),
        ColumnType.TEXT: chance.choice(["a", "b"], rows),
        ColumnType.INTEGER: chance.choice(numbers, rows),
    }
    named = {"person_id": chance.integers(0, 60, rows), "year_of_birth": chance.integers(1930, 2010, rows)}
    return pa.array(named.get(name, values[kind]))
