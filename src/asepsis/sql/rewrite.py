"""Finding a version of a refused statement that passes: refused conditions and outputs are left out or coarsened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Generic, Protocol, TypeVar

from sqlglot import exp

from asepsis.sql.aggregates import has_aggregate
from asepsis.sql.parse import DIALECT
from asepsis.sql.predicates import conjuncts
from asepsis.sql.scope import NAME, Problem

P_co = TypeVar("P_co", covariant=True)

MOST_ROUNDS: Final = 4
_MARK: Final = "asepsis.code"
_UPWARDS: Final = (exp.GT, exp.GTE)


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
        parts = [_repaired(part) for part in conjuncts(where.this)]
        kept = [part for part in parts if part is not None]
        if len(kept) == len(parts) and not any(part.meta.get(_MARK) for part in kept):
            if any(part is not old for part, old in zip(kept, conjuncts(where.this), strict=True)):
                where.set("this", exp.and_(*kept))
        elif kept:
            where.set("this", exp.and_(*kept))
        else:
            where.pop()


def _repaired(part: exp.Expr) -> exp.Expr | None:
    code = part.meta.get(_MARK)
    if code is None:
        return part
    return _on_months(part) if code == "sql.date_off_month" else None


def _on_months(part: exp.Expr) -> exp.Expr | None:
    """The comparison moved outwards to the beginning of months."""
    if isinstance(part, exp.Between):
        low, high = _month(part.args["low"], later=False), _month(part.args["high"], later=True)
        if low is None or high is None:
            return None
        return exp.and_(exp.GTE(this=part.this.copy(), expression=low), exp.LT(this=part.this.copy(), expression=high))
    if not isinstance(part, exp.GT | exp.GTE | exp.LT | exp.LTE):
        return None
    upwards = isinstance(part, _UPWARDS)
    moved = _month(part.expression, later=not upwards)
    kind = exp.GTE if upwards else exp.LT
    return None if moved is None else kind(this=part.this.copy(), expression=moved)


def _month(node: exp.Expr, *, later: bool) -> exp.Expr | None:
    literal = node.this if isinstance(node, exp.Cast) else node
    try:
        moment = date.fromisoformat(str(literal.this))
    except ValueError:
        return None
    start = moment.replace(day=1)
    if later and moment != start:
        start = (start + timedelta(days=32)).replace(day=1)
    return exp.cast(exp.Literal.string(start.isoformat()), exp.DType.DATE)


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
