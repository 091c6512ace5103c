"""Finding a version of a refused statement that passes: refused conditions and outputs are left out or coarsened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from sqlglot import exp

from asepsis.sql.aggregates import has_aggregate
from asepsis.sql.parse import DIALECT
from asepsis.sql.predicates import conjuncts
from asepsis.sql.scope import NAME, Problem

P_co = TypeVar("P_co", covariant=True)

MOST_ROUNDS: Final = 4
_MARK: Final = "asepsis.code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Generic[P_co]):
    """One planning of a statement; ``unit`` is the alias and key of its first source."""

    plan: P_co | None
    problems: tuple[Problem, ...]
    unit: tuple[str, str] | None


class Planning(Protocol[P_co]):
    """Plans a candidate; ``strict`` also demands that every parameter is used."""

    def __call__(self, candidate: exp.Expr, *, strict: bool) -> Attempt[P_co]:
        """Try the candidate."""


def find_rewrite(query: exp.Expr, tried: Attempt[object], plan: Planning[object]) -> str | None:
    """The text of a version that passes, or None. It holds only words of the author's own text."""
    candidate = query.copy()
    for attempted in range(MOST_ROUNDS):
        if attempted:
            tried = plan(candidate, strict=False)
        if tried.plan is not None:
            return candidate.sql(dialect=DIALECT, comments=False)
        if not isinstance(candidate, exp.Select):
            return None
        source = query if attempted == 0 else candidate
        if not _repair(source, candidate, tried):
            return None
    return None


def _repair(source: exp.Expr, candidate: exp.Select, tried: Attempt[object]) -> bool:
    """Apply one round of repairs to the candidate; whether anything changed."""
    before = candidate.sql(dialect=DIALECT)
    codes = {id(problem.part): problem.error.code for problem in tried.problems if problem.part is not None}
    marks = {place: codes[id(node)] for place, node in enumerate(source.walk()) if id(node) in codes}
    for place, node in enumerate(list(candidate.walk())):
        if place in marks:
            node.meta[_MARK] = marks[place]
    row_level = any(problem.error.code == "sql.row_level" for problem in tried.problems)
    _repair_conditions(candidate)
    _repair_outputs(candidate, tried.unit, everything=row_level)
    return candidate.sql(dialect=DIALECT) != before


def _repair_conditions(candidate: exp.Select) -> None:
    for where in list(candidate.find_all(exp.Where)):
        parts = conjuncts(where.this)
        kept = [part for part in parts if part.meta.get(_MARK) is None]
        if kept and len(kept) < len(parts):
            where.set("this", exp.and_(*kept))
        elif not kept:
            where.pop()


def _repair_outputs(candidate: exp.Select, unit: tuple[str, str] | None, *, everything: bool) -> None:
    kept = [_calmer(node) for node in candidate.expressions if not _refused(node, everything=everything)]
    group = candidate.args.get("group")
    changed = len(kept) < len(candidate.expressions) or (group is not None and _marked(group))
    candidate.set("expressions", kept)
    if not changed:
        return
    for clause in ("order", "limit", "distinct", "having"):
        candidate.set(clause, None)
    if not any(has_aggregate(node) for node in kept) and unit is not None and NAME.match(unit[1]):
        counted = exp.Count(this=exp.Distinct(expressions=[exp.column(unit[1], table=unit[0])]))
        candidate.set("expressions", [*kept, exp.alias_(counted, "persons")])
    grouped = any(not has_aggregate(node) for node in candidate.expressions)
    candidate.set("group", exp.Group(all=True) if grouped else None)


def _refused(node: exp.Expr, *, everything: bool) -> bool:
    """Whether an output goes: it was refused, or its key was, and nothing milder stands for it."""
    if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
        return True
    code = node.meta.get(_MARK) or node.unalias().meta.get(_MARK)
    if code == "sql.extreme_value":
        return not isinstance(node.unalias(), exp.Min | exp.Max)
    return code is not None or (everything and not has_aggregate(node))


def _calmer(node: exp.Expr) -> exp.Expr:
    """A quantile instead of an extreme value."""
    code = node.meta.get(_MARK) or node.unalias().meta.get(_MARK)
    extreme = node.unalias()
    if code != "sql.extreme_value" or not isinstance(extreme, exp.Min | exp.Max):
        return node
    level = "0.05" if isinstance(extreme, exp.Min) else "0.95"
    calm: exp.Expr = exp.PercentileCont(this=extreme.this.copy(), expression=exp.Literal.number(level))
    return exp.alias_(calm, node.alias) if isinstance(node, exp.Alias) else calm


def _marked(group: exp.Expr) -> bool:
    return any(node.meta.get(_MARK) for node in group.walk())
