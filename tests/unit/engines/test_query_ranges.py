"""Ranges of persons: together everybody, each once; as long as the person-cells allow."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.engines.query.answers import merged
from asepsis.engines.query.codes import coded
from asepsis.engines.query.ranges import MOST_GROWTH, Clustering, Pace, pace, tables_of
from asepsis.sql import plan_query


@given(
    first=st.integers(-5, 5),
    length=st.integers(0, 60),
    cuts=st.sets(st.integers(-4, 70)),
    told=st.lists(st.integers(0, 40)),
)
def test_every_person_is_in_one_range(first: int, length: int, cuts: set[int], told: list[int]) -> None:
    last = first + length
    walk = Pace(first=first, last=last, cuts=tuple(sorted(cut for cut in cuts if first < cut <= last)), rows=10)
    seen: list[int] = []
    for place, part in enumerate(walk.ranges()):
        low, high = part or (first, last)
        assert low <= high
        seen += range(low, high + 1)
        walk.told(told[place] if place < len(told) else 10)
    assert seen == list(range(first, last + 1))


def test_a_range_grows_while_few_person_cells_come_out() -> None:
    walk = Pace(first=0, last=10**6, cuts=tuple(range(1, 1000)), rows=100)
    walk.told(100)
    assert walk.steps == 1
    walk.told(20)
    assert walk.steps == 5
    walk.told(0)
    assert walk.steps == MOST_GROWTH
    walk.told(10**6)
    assert walk.steps == 1


def test_ranges_are_cut_by_the_largest_table_that_is_read(catalogue: Any) -> None:
    text = "SELECT count(*) FROM person p WHERE p.person_id IN (SELECT person_id FROM visit WHERE kind = 1)"
    plan = plan_query(text, catalogue).plan
    assert plan is not None
    (grouping,) = plan.groupings
    assert tables_of(grouping) == {"person", "visit"}
    tables = {"person": Clustering(rows=10, starts=(0, 5)), "visit": Clustering(rows=90, starts=(0, 2, 4, 8, 8))}
    assert pace(grouping, tables, (0, 9), rows=3).cuts == (2, 4, 8)
    assert list(pace(grouping, {}, None, rows=3).ranges()) == [None]


def test_a_room_reads_range_by_range(open_room: Any, catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    visits = [{"person_id": place // 10, "kind": place % 10, "cost": 1.0} for place in range(400)]
    people = [{"person_id": place, "gender": 1} for place in range(40)]
    room = open_room({"person": {"n": people}, "visit": {"n": visits}}, batch=50)
    plan = plan_query("SELECT kind, count(*) AS n, sum(cost) AS s FROM visit GROUP BY kind", catalogue).plan
    assert plan is not None
    seen: list[Any] = []
    original = type(room)._table

    def counted(self: Any, made: Any) -> Any:
        seen.append(made)
        return original(self, made)

    monkeypatch.setattr(type(room), "_table", counted)
    (cells,) = room.cells(plan).unseal().branches
    assert len(seen) == 8
    assert {cell.persons for cell in cells} == {40}


def test_parts_add_up_and_missing_keys_are_one_cell() -> None:
    def part(keys: list[int | None], counts: list[int], totals: list[float | None], largest: list[Any]) -> pa.Table:
        columns = [
            pa.array(keys, pa.int64()),
            pa.array(counts, pa.int64()),
            pa.array(totals, pa.float64()),
            pa.array(largest, pa.list_(pa.float64())),
            pa.nulls(len(keys)),
        ]
        return pa.table(columns, names=list("abcde"))

    rows = merged(
        [
            part([1, None], [2, 3], [1.5, None], [[9.0, 4.0], None]),
            part([None, 2], [4, 1], [2.0, 1.0], [[7.0], [1.0, 1.0]]),
        ],
        1,
    )
    assert sorted(rows, key=str) == [
        (1, 2, 1.5, [9.0, 4.0], None),
        (2, 1, 1.0, [1.0, 1.0], None),
        (None, 7, 2.0, [7.0], None),
    ]


def test_keys_of_every_type_are_told_apart() -> None:
    days = pa.array([date(2020, 1, 1), None, date(2020, 2, 1)], pa.date32())
    towns = pa.array(["n", "n", None])
    part = pa.table({"day": days, "town": towns, "n": pa.array([1, 2, 3])})
    expected = {(date(2020, 1, 1), "n"): 2, (None, "n"): 4, (date(2020, 2, 1), None): 6}
    assert {row[:2]: row[2] for row in merged([part, part], 2)} == expected


def test_equal_values_have_equal_numbers() -> None:
    """Guard: two zeros that are one cell for Python would overwrite each other."""
    far = pa.chunked_array([pa.array([0, 1 << 60, 0, None, None])])
    zeros = pa.chunked_array([pa.array([0.0, 1.5, -0.0, None, None])])
    texts = pa.chunked_array([pa.array(["a", "b", "a"]), pa.array(["a", "b"])])
    for columns, groups in (((far,), 3), ((zeros,), 3), ((far, zeros), 3), ((far, zeros, texts), 4), ((), 1)):
        codes = coded(columns, 5)
        assert codes[0] == codes[2]
        assert len(set(codes.tolist())) == groups
        assert 0 <= codes.min() <= codes.max() < 1 << 20


@given(st.lists(st.tuples(*[st.none() | st.integers(-(1 << 62), 1 << 62)] * 4), max_size=30))
def test_numbers_stay_small(rows: list[tuple[int | None, ...]]) -> None:
    columns = [pa.chunked_array([pa.array([row[place] for row in rows], pa.int64())]) for place in range(4)]
    codes = coded(columns, len(rows)).tolist()
    assert len(set(zip(codes, rows, strict=True))) == len(set(codes)) == len(set(rows))
    assert all(0 <= code < 1 << 20 for code in codes)


def test_numbers_of_many_columns_stay_small() -> None:
    """Guard: what grew too large is numbered again; eight columns of thirty values would leave 2^39."""
    column = pa.chunked_array([pa.array(range(30))])
    assert max(coded([column] * 8, 30)) < 1 << 21


def test_a_person_with_the_rows_of_many_ranges_is_reduced_before(catalogue: Any) -> None:
    tables = {"visit": Clustering(rows=90, starts=(0, 2, 2, 4, 4, 4, 4, 4, 8))}
    plan = plan_query("SELECT kind, count(*) AS n FROM visit GROUP BY kind", catalogue).plan
    assert plan is not None
    walk = pace(plan.groupings[0], tables, (0, 9), rows=10)
    assert [(part, walk.is_crowded(part)) for part in walk.ranges()] == [
        ((0, 1), False),
        ((2, 3), False),
        ((4, 7), True),
        ((8, 9), False),
    ]
    assert pace(plan.groupings[0], {"visit": Clustering(rows=90, starts=(4,) * 9)}, (4, 4), rows=10).is_crowded(None)
