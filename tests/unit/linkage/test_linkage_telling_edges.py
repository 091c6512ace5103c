"""Edges that are left out before they are ranked would have changed nothing; and an edge leads by what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asepsis.linkage import best_first
from asepsis.linkage.best_first import Acceptable, Edges, acceptable, telling_from

NODES = 8
EDGES = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1), st.integers(-40, 40).map(lambda half: half / 2)),
    max_size=30,
)


def unique(edges: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    return [(a, b, w) for (a, b), w in {(min(a, b), max(a, b)): w for a, b, w in edges if a != b}.items()]


def ranked(edges: list[Any], owners: list[int], threshold: float, *, free: bool = False) -> Acceptable:
    return acceptable(
        Edges.of(edges),
        owners=np.array(owners, dtype=np.uint8),
        is_free=np.full(NODES, free, dtype=np.bool_),
        threshold=threshold,
    )


@given(EDGES, st.lists(st.integers(0, 2), min_size=NODES, max_size=NODES), st.sampled_from([-4.0, -1.0, 0.0, 3.0]))
def test_an_edge_that_tells_nothing_changes_nothing(edges: list[Any], owners: list[int], threshold: float) -> None:
    known = unique(edges)
    least = telling_from(is_free=np.zeros(NODES, dtype=np.bool_), threshold=threshold)
    whole = ranked(known, owners, threshold)
    cut = ranked([edge for edge in known if edge[2] >= least], owners, threshold)
    assert [*cut.edges] == [*whole.edges]
    assert cut.is_clear.tolist() == whole.is_clear.tolist()


def test_every_edge_tells_where_an_owner_lists_each_person_once() -> None:
    assert telling_from(is_free=np.array([False, True]), threshold=0.0) == -np.inf
    assert telling_from(is_free=np.array([False]), threshold=0.0) > -np.inf


def test_the_least_telling_edge_is_told_by_its_worth() -> None:
    """The rival that is least of all that count takes the rank from an edge that is taken for false."""
    short = [(0, 1, -3.0), (0, 3, -5.9), (4, 5, 12.0), (6, 7, -0.5)]
    owners = [0, 1] * 4
    alone = ranked(short[:1] + short[2:], owners, 0.0)
    assert [*ranked(short, owners, 0.0).edges] != [*alone.edges]
    assert telling_from(is_free=np.zeros(NODES, dtype=np.bool_), threshold=0.0) <= min(weight for _, _, weight in short)


@given(EDGES, st.lists(st.integers(0, 2), min_size=NODES, max_size=NODES))
def test_an_edge_leads_over_the_best_other_one_of_its_nodes(edges: list[Any], owners: list[int]) -> None:
    known = unique(edges)
    many = [owner * 100 for owner in owners]
    for each in (owners, many):
        found = best_first._leads(Edges.of(known), np.array(each, dtype=np.int32))
        assert found.tolist() == [_lead(edge, known, owners) for edge in known]


def _lead(edge: tuple[int, int, float], edges: list[tuple[int, int, float]], owners: list[int]) -> float:
    rivals = [
        other[2]
        for here, there in ((edge[0], edge[1]), (edge[1], edge[0]))
        for other in edges
        if other != edge and here in other[:2] and owners[sum(other[:2]) - here] == owners[there]
    ]
    return edge[2] - max(rivals, default=-np.inf)
