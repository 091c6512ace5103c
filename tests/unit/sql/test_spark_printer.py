# ruff: noqa: E501 - statements read better on one line
"""Every operator of a plan is written for both engines, and what differs between them differs."""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import Any

import pytest
import sqlglot

from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Table, Use
from asepsis.sql import duckdb, plan_query, spark
from asepsis.sql import plan as ir
from asepsis.sql.effects import variants

CODED = frozenset({Use.COMPARE, Use.GROUP})
PERSON = Column(name="person_id", type=ColumnType.INTEGER, uses=frozenset({Use.UNIT}))


def coded(name: str, kind: ColumnType = ColumnType.INTEGER) -> Column:
    return Column(name=name, type=kind, uses=CODED)


def dated(name: str) -> Column:
    return Column(name=name, type=ColumnType.DATE, uses=frozenset({Use.DATE}))


COST = Column(name="cost", type=ColumnType.NUMBER, uses=frozenset({Use.AGGREGATE}), bin_width=10)
CATALOGUE = Catalogue(
    tables=(
        Table(name="person", one_per_person=True, columns=(PERSON, coded("birth"), coded("town", ColumnType.TEXT))),
        Table(name="visit", columns=(PERSON, coded("kind"), dated("began"), dated("ended"), COST)),
        Table(name="concept", key="concept_id", columns=(coded("concept_id"), coded("concept_name", ColumnType.TEXT))),
    )
)
QUESTIONS = [
    "SELECT year(began) AS y, extract(isodow FROM began) AS w, count(*) AS n FROM visit WHERE kind IN (1, 2) GROUP BY 1, 2",
    "SELECT date_trunc('quarter', began) AS q, avg(cost) AS m, quantile_cont(cost, 0.5) AS h FROM visit GROUP BY 1",
    "SELECT count(*) AS n FROM visit WHERE ended <= began + INTERVAL 60 DAY AND ended - began > 3 AND cost IS NOT NULL",
    "SELECT floor(cost / 10) * 10 AS b, count(DISTINCT person_id) AS n FROM visit WHERE began >= DATE '2020-01-01' GROUP BY 1",
    "SELECT floor((year(v.began) - p.birth) / 10) AS b, count(*) AS n FROM visit v JOIN person p USING (person_id) GROUP BY 1",
    "SELECT CASE WHEN birth < 1950 OR town = 'n' THEN 'a' ELSE 'b' END AS k, count(*) AS n FROM person GROUP BY 1",
    "SELECT count(*) AS n FROM person p WHERE NOT EXISTS (SELECT 1 FROM visit v WHERE v.person_id = p.person_id AND v.kind = 1)",
    "SELECT count(*) AS n FROM visit WHERE kind IN (SELECT concept_id FROM concept WHERE concept_name = 'ward')",
    "SELECT c.concept_name, count(*) AS n FROM visit v JOIN concept c ON c.concept_id = v.kind GROUP BY 1",
    "SELECT n, avg(s) AS m FROM (SELECT person_id, kind, count(*) AS n, sum(cost) AS s, avg(cost) AS a, min(began) AS f, max(ended) AS l, count(DISTINCT kind) AS d FROM visit GROUP BY 1, 2 HAVING count(*) > 1) t GROUP BY 1",
    "SELECT count(*) AS n FROM person p LEFT JOIN visit v ON v.person_id = p.person_id AND v.kind = 2 WHERE v.person_id IS NULL",
    "SELECT count(*) AS n FROM (SELECT DISTINCT person_id, kind FROM visit UNION ALL SELECT person_id, birth FROM person) t",
    "SELECT count(v.person_id) AS n FROM person p LEFT JOIN visit v ON v.person_id = p.person_id AND v.kind = 2",
    "SELECT stddev(cost) AS d, sum(cost) FILTER (WHERE kind = 1) AS s FROM visit",
]


def planned(text: str) -> ir.QueryPlan:
    found = plan_query(text, CATALOGUE)
    assert found.plan is not None, (text, found.findings)
    return found.plan


def nodes(value: object) -> set[type]:
    if isinstance(value, tuple):
        return set().union(*(nodes(item) for item in value))
    if not dataclasses.is_dataclass(value):
        return set()
    inner = [nodes(getattr(value, item.name)) for item in dataclasses.fields(value)]
    return {type(value)}.union(*inner)


def both(grouping: ir.Grouping) -> list[tuple[duckdb.Generated, duckdb.Generated]]:
    here = {
        "counting": duckdb.Counting(owners=2),
        "persons": (1, 9),
        "populations": (ir.Truth(value=True), grouping.rows.where),
    }
    found = [(duckdb.cells_sql(grouping, **here), spark.cells_sql(grouping, **here))]
    found.append((duckdb.effects_sql(grouping, variants(grouping)), spark.effects_sql(grouping, variants(grouping))))
    found += [
        (duckdb.quantile_sql(grouping, place), spark.quantile_sql(grouping, place))
        for place, measure in enumerate(grouping.measures)
        if measure.level is not None
    ]
    return found


def test_the_questions_here_use_every_operator() -> None:
    unions: Any = (ir.Scalar, ir.Predicate, ir.Relational)
    expected = {node for union in unions for node in typing.get_args(union)}
    used = set().union(*(nodes(planned(text).groupings) for text in QUESTIONS))
    assert expected <= used, expected - used


@pytest.mark.parametrize("text", QUESTIONS)
def test_both_dialects_say_the_same_with_the_same_values(text: str) -> None:
    for grouping in planned(text).groupings:
        for here, there in both(grouping):
            assert dict(here.parameters) == dict(there.parameters)
            assert {name[1:] for name in re.findall(r"\$p\d+", here.text)} == set(here.parameters)
            assert {name[1:] for name in re.findall(r":p\d+", there.text)} == set(there.parameters)
            assert set(re.findall(r'"(\w+)"', here.text)) == set(re.findall(r"`(\w+)`", there.text))
            assert '"' not in there.text
            assert "$" not in there.text
            parsed = sqlglot.parse_one(there.text, read="spark")
            assert not list(parsed.find_all(sqlglot.exp.Command))


def test_what_spark_writes_differently() -> None:
    text = (
        "SELECT extract(isodow FROM began) AS w, floor(cost / 10) AS b, sum(cost) AS s, median(cost) AS m FROM visit "
        "WHERE ended - began > 3 AND ended <= began + INTERVAL 60 DAY GROUP BY 1, 2"
    )
    (grouping,) = planned(text).groupings
    (cells, _), (quantile, _) = (tuple(reversed(pair)) for pair in (both(grouping)[0], both(grouping)[2]))
    for word in (
        "dayofweek_iso",
        "datediff(",
        "date_add(",
        "max_by(abs(s0), abs(s0), 2)",
        "collect_list(",
        "9223372036854775807D",
    ):
        assert word in cells.text
    assert "percentile(v, " in quantile.text
    for word in ("isodow", "date_diff", "TRY_CAST", "list(unit_)", "VARCHAR"):
        assert word not in cells.text.replace("collect_list(unit_)", "")
