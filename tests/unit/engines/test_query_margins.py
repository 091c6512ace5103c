# ruff: noqa: E501 - statements read better on one line
"""Margins are made by the engine from distinct persons, and every one passes the gate and its memory."""

from __future__ import annotations

import random
from typing import Any

import pytest

from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import profile_named
from asepsis.disclosure.releasing import Asking, assess_with_memory
from asepsis.domain.release import CellAction, Released
from asepsis.sql import plan_query

STRICT = profile_named("strict-10")


def world(seed: int = 1, sizes: dict[tuple[int, str], int] | None = None) -> dict[str, Any]:
    """Persons by gender and town, each with one to three visits of two kinds."""
    sizes = sizes or {(1, "n"): 60, (2, "n"): 44, (1, "s"): 81, (2, "s"): 35, (1, "w"): 25, (2, "w"): 31}
    draw = random.Random(seed)
    people, visits = [], []
    for (gender, town), count in sizes.items():
        for _ in range(count):
            person = len(people)
            people.append({"person_id": person, "gender": gender, "birth": 1950, "town": town})
            kinds = draw.choices([10, 20], k=draw.randint(1, 3))
            visits += [{"person_id": person, "kind": kind, "cost": float(draw.randint(20, 90))} for kind in kinds]
    return {"person": {"n": people}, "visit": {"n": visits}}


class Session:
    def __init__(self, room: Any, catalogue: Any) -> None:
        self.room, self.catalogue = room, catalogue
        self.memory = Memory(key=bytes(32))

    def ask(self, text: str) -> Released | None:
        plan = plan_query(text, self.catalogue).plan
        assert plan is not None, plan_query(text, self.catalogue).findings
        asking = Asking(author="r", question=plan.digest, data="d")
        assessed, self.memory = assess_with_memory(
            self.room.cells(plan),
            self.room.contributors(plan, least=STRICT.threshold),
            plan.shape,
            STRICT,
            memory=self.memory,
            asking=asking,
        )
        return assessed.released


@pytest.fixture
def session(open_room: Any, catalogue: Any) -> Any:
    return lambda tables: Session(open_room(tables), catalogue)


def test_margins_count_distinct_persons_and_are_marked(session: Any) -> None:
    released = session(world()).ask(
        "SELECT kind, grouping(kind) AS all_kinds, count(DISTINCT person_id) AS n FROM visit GROUP BY ROLLUP (kind)"
    )
    assert released is not None
    by_kind = {row[0]: row for row in released.rows}
    assert [by_kind[kind][1] for kind in (10, 20, None)] == [0, 0, 1]
    assert by_kind[None][2] == 275 < by_kind[10][2] + by_kind[20][2]
    marked = {row[0]: actions[0] for row, actions in zip(released.rows, released.actions, strict=True)}
    assert marked == {10: CellAction.SHOWN, 20: CellAction.SHOWN, None: CellAction.MARGIN}


@pytest.mark.parametrize(
    ("clause", "sets"),
    [
        ("CUBE (gender, town)", [(0, 1), (0,), (1,), ()]),
        ("GROUPING SETS ((gender, town), (gender), (town), ())", [(0, 1), (0,), (1,), ()]),
        ("ROLLUP (gender, town)", [(0, 1), (0,), ()]),
        ("gender, ROLLUP (town)", [(0, 1), (0,)]),
        ("GROUPING SETS (gender, town)", [(0,), (1,)]),
        ("GROUPING SETS (ROLLUP (gender), (gender, town))", [(0, 1), (0,), ()]),
        ("ROLLUP ((gender, town))", [(0, 1), ()]),
        ("ROLLUP (1, 2)", [(0, 1), (0,), ()]),
    ],
)
def test_all_ways_to_write_margins(catalogue: Any, clause: str, sets: list[tuple[int, ...]]) -> None:
    plan = plan_query(f"SELECT gender, town, count(*) AS n FROM person GROUP BY {clause}", catalogue).plan
    assert plan is not None
    (margins,) = plan.shape.margins
    assert list(margins.keys) == sets
    assert margins.personal == (True, True)
    assert [len(grouping.keys) for grouping in plan.groupings] == [len(one) for one in sets]


def test_equal_margins_are_one_question(catalogue: Any) -> None:
    texts = ["CUBE (gender, town)", "GROUPING SETS ((), (town), (gender), (town, gender), (gender, town))"]
    plans = [
        plan_query(f"SELECT gender, town, count(*) AS n FROM person GROUP BY {text}", catalogue).plan for text in texts
    ]
    assert len({plan.digest for plan in plans if plan is not None}) <= 2


@pytest.mark.parametrize(
    ("text", "personal"),
    [
        ("SELECT v.kind, p.town, count(DISTINCT v.person_id) n FROM visit v JOIN person p ON p.person_id = v.person_id GROUP BY ROLLUP (p.town, v.kind)", (True, False)),
        ("SELECT c.concept_name, count(DISTINCT v.person_id) n FROM visit v JOIN concept c ON v.kind = c.concept_id GROUP BY ROLLUP (c.concept_name)", (False,)),
        ("SELECT c.concept_name, count(*) n FROM person p JOIN concept c ON p.gender = c.concept_id GROUP BY ROLLUP (c.concept_name)", (True,)),
        ("SELECT n, count(*) k FROM (SELECT person_id, count(*) n FROM visit GROUP BY 1) t GROUP BY ROLLUP (n)", (True,)),
    ],
)  # fmt: skip
def test_persons_add_up_only_where_a_key_is_one_of_the_person(
    catalogue: Any, text: str, personal: tuple[bool, ...]
) -> None:
    plan = plan_query(text, catalogue).plan
    assert plan is not None
    assert plan.shape.margins[0].personal == personal


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT kind, stddev(cost) FROM visit GROUP BY ROLLUP (kind)", "sql.margin_measure"),
        ("SELECT kind, median(cost) FROM visit GROUP BY CUBE (kind)", "sql.margin_measure"),
        ("SELECT kind, count(*) FROM visit GROUP BY kind UNION ALL SELECT NULL, count(*) FROM visit", "sql.margins"),
        ("SELECT kind, count(*) FROM visit GROUP BY ROLLUP (kind) UNION ALL SELECT NULL, count(*) FROM visit", "sql.margins"),
        ("SELECT person_id, count(*) FROM visit GROUP BY ROLLUP (person_id)", "sql.person_key_shown"),
        ("SELECT note, count(*) FROM visit GROUP BY CUBE (note)", "sql.unknown_column"),
        ("SELECT grouping(town), count(*) FROM person GROUP BY ROLLUP (gender)", "sql.not_grouped"),
        ("SELECT gender, count(*) FROM person GROUP BY CUBE (gender, town, birth, gender, town)", "sql.too_many_margins"),
        ("SELECT gender, count(*) n FROM person GROUP BY ROLLUP (gender) ORDER BY grouping(gender)", "sql.construct_not_allowed"),
    ],
)  # fmt: skip
def test_what_has_no_margins_is_refused(catalogue: Any, text: str, code: str) -> None:
    planned = plan_query(text, catalogue)
    assert planned.plan is None
    assert code in {finding.code for finding in planned.findings}


def test_a_measure_without_margins_is_refused_with_a_version_that_passes(catalogue: Any) -> None:
    text = "SELECT kind, count(*) AS n, stddev(cost) AS s FROM visit GROUP BY ROLLUP (kind)"
    planned = plan_query(text, catalogue)
    assert {finding.code for finding in planned.findings} == {"sql.margin_measure"}
    assert planned.rewrite is not None
    assert plan_query(planned.rewrite, catalogue).plan is not None
    hidden = plan_query("SELECT kind, count(*) AS n FROM visit GROUP BY ROLLUP (kind) ORDER BY stddev(cost)", catalogue)
    assert hidden.plan is None
    having = plan_query("SELECT kind, count(*) FROM visit GROUP BY ROLLUP (kind) HAVING stddev(cost) > 1", catalogue)
    assert having.plan is None


def test_having_and_order_see_protected_margins(session: Any) -> None:
    text = "SELECT gender, town, grouping(town) AS g, count(*) AS n FROM person GROUP BY ROLLUP (gender, town) HAVING {} ORDER BY n DESC, g"
    only = session(world()).ask(text.format("grouping(town) = 1"))
    assert only is not None
    assert [row[3] for row in only.rows] == [275, 165, 110]
    cells = session(world()).ask(text.format("town = 'n'"))
    assert cells is not None
    assert {row[1] for row in cells.rows} == {"n"}


def test_a_margin_hidden_for_a_small_cell_stays_hidden_under_the_contract(session: Any) -> None:
    names = [(gender, town) for gender in (1, 2, 3) for town in ("n", "s", "w")]
    sizes = dict(zip(names, (10, 9, 57, 13, 12, 12, 57, 57, 10), strict=True))
    towns = "SELECT town, count(*) AS n FROM person GROUP BY town"
    fresh = session(world(sizes=sizes)).ask(towns)
    assert fresh is not None
    assert {row[0] for row in fresh.rows} == {"n", "s", "w"}
    room = session(world(sizes=sizes))
    table = room.ask("SELECT gender, town, count(*) AS n FROM person GROUP BY CUBE (gender, town)")
    assert table is not None
    shown = {row[:2] for row in table.rows}
    assert (1, "s") not in shown
    assert {(2, "s"), (3, "s")} <= shown
    # 80 less 10 and 55, each give or take two, would leave 9 to 21: not nobody.
    assert (None, "s") not in shown
    later = room.ask(towns)
    assert later is not None
    assert {row[0] for row in later.rows} == {"n", "w"}
