"""GROUP BY with margins: ROLLUP, CUBE and GROUPING SETS as a list of groupings of the same rows.

Every margin is computed from the persons themselves, never by adding up cells; what the shape keeps of their kinship
lets the gate protect them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, product
from typing import Final

from sqlglot import exp

from asepsis.domain.cells import MeasureKind
from asepsis.sql.plan import Measure, Rows, Scalar
from asepsis.sql.references import sources_of
from asepsis.sql.refusals import RefusedError
from asepsis.sql.rows import Bound

MOST_SETS: Final = 16
"""Groupings in one table."""

WITH_MARGINS: Final = frozenset({MeasureKind.PERSONS, MeasureKind.ROWS, MeasureKind.SUM, MeasureKind.MEAN})
"""Measures of which it is known what sums tell about a cell."""

_MAKERS: Final = (exp.Rollup, exp.Cube, exp.GroupingSets)
_Nodes = tuple[exp.Expr, ...]


def has_margins(group: exp.Group) -> bool:
    """Whether a GROUP BY asks for margins."""
    return any(isinstance(part, _MAKERS) for part in group.expressions)


def grouping_sets(group: exp.Group) -> tuple[_Nodes, ...]:
    """The key nodes of every grouping that a GROUP BY with margins stands for. Raises RefusedError."""
    if any(group.args.get(key) for key in ("rollup", "cube", "grouping_sets", "all", "totals")):
        raise RefusedError("sql.construct_not_allowed", group)
    sets = [tuple(node for part in parts for node in part) for parts in product(*map(_sets, group.expressions))]
    if len(sets) > MOST_SETS:
        raise RefusedError("sql.too_many_margins", group)
    return tuple(sets)


def keyed(sets: Iterable[_Nodes], place: Callable[[exp.Expr], int | None]) -> tuple[tuple[int, ...], ...]:
    """The sets as places of keys, finest first, each once; ``place`` binds a node."""
    placed = {tuple(sorted({at for node in nodes if (at := place(node)) is not None})) for nodes in sets}
    return tuple(sorted(placed, key=lambda one: (-len(one), one)))


def check_measures(measures: Iterable[Measure], node: exp.Expr) -> None:
    """Refuse measures that have no margins. Raises RefusedError."""
    if any(measure.spec.kind not in WITH_MARGINS for measure in measures):
        raise RefusedError("sql.margin_measure", node)


def is_of_person(key: Scalar, bound: Bound) -> bool:
    """Whether a key has one value for each person, so that no person stands in two of its groups."""
    single = {entry.source for entry in bound.scope.entries if entry.single}
    return _is_of_person(key, bound.rows, single)


def _is_of_person(key: Scalar, rows: Rows, single: set[int]) -> bool:
    sources = {source.number: source for source in rows.sources}
    for number in sources_of(key) & sources.keys():
        lookup = sources[number].key
        if lookup is not None:
            if not _is_of_person(lookup, rows, single):
                return False
        elif number not in single:
            return False
    return True


def _sets(node: exp.Expr) -> Iterator[_Nodes]:
    """The alternatives of one element of a GROUP BY."""
    if isinstance(node, exp.Rollup):
        parts = [_nodes(part) for part in _elements(node)]
        yield from (_joined(parts[:length]) for length in range(len(parts), -1, -1))
    elif isinstance(node, exp.Cube):
        parts = [_nodes(part) for part in _elements(node)]
        if 2 ** len(parts) > MOST_SETS:
            raise RefusedError("sql.too_many_margins", node)
        yield from (_joined(chosen) for size in range(len(parts), -1, -1) for chosen in combinations(parts, size))
    elif isinstance(node, exp.GroupingSets):
        for part in node.expressions:
            yield from _sets(part)
    else:
        yield _nodes(node)


def _elements(node: exp.Rollup | exp.Cube) -> list[exp.Expr]:
    if len(node.expressions) >= MOST_SETS or any(isinstance(part, _MAKERS) for part in node.expressions):
        raise RefusedError("sql.too_many_margins", node)
    return list(node.expressions)


def _nodes(node: exp.Expr) -> _Nodes:
    if isinstance(node, exp.Tuple):
        return tuple(node.expressions)
    return (node.this,) if isinstance(node, exp.Paren) else (node,)


def _joined(parts: Iterable[_Nodes]) -> _Nodes:
    return tuple(node for part in parts for node in part)
