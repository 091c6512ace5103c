"""Planning: text in, typed plan or refusal out. A refusal is a value: all reasons and, where one exists, a rewrite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType
from typing import Final

from sqlglot import exp

from asepsis.domain.analysis import Argument
from asepsis.domain.catalogue import Catalogue
from asepsis.domain.cells import (
    BranchShape,
    ColumnOutput,
    Condition,
    ConstantOutput,
    Margins,
    Ordering,
    Output,
    Shape,
)
from asepsis.domain.finding import Finding
from asepsis.sql.aggregates import has_aggregate
from asepsis.sql.canonical import digest
from asepsis.sql.effects import MOST_PARTS, variants
from asepsis.sql.listings import bind_listed
from asepsis.sql.margins import check_measures, grouping_sets, has_margins, is_of_person, keyed
from asepsis.sql.normal import normalised
from asepsis.sql.outputs import Outputs, bind_key, with_parts
from asepsis.sql.parse import parse
from asepsis.sql.plan import Cohort, Grouping, QueryPlan, UnitRef
from asepsis.sql.predicates import bind_predicate
from asepsis.sql.refusals import RefusedError, snapped
from asepsis.sql.relations import (
    STAGE_CLAUSES,
    bind_exists,
    bind_names,
    bind_relation,
    group_nodes,
    is_multiplied,
    is_single,
    named_nodes,
    output_name,
    union_parts,
)
from asepsis.sql.rewrite import Attempt, find_rewrite
from asepsis.sql.rows import ROW_CLAUSES, Bound, attempt, bind_rows, only_clauses
from asepsis.sql.scalars import bind_scalar
from asepsis.sql.scope import Context, Problem, Scope

MOST_ROWS: Final = 100_000
MOST_KEYS: Final = 6
_QUERY_CLAUSES: Final = STAGE_CLAUSES | {"order", "limit"}
_NOTHING: Final = ConstantOutput(value=None)
_NO_PARAMETERS: Final[Mapping[str, Argument]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The outcome of planning: a plan, or the findings that refuse it and a version of the text that would pass.

    Findings carry fixed texts only. ``rewrite`` is made from the author's own words and is for the author alone:
    it must not be logged.
    """

    plan: QueryPlan | None
    findings: tuple[Finding, ...] = ()
    rewrite: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCohort:
    """The outcome of planning the persons of a referral."""

    cohort: Cohort | None
    findings: tuple[Finding, ...] = ()


def plan_query(text: str, catalogue: Catalogue, *, parameters: Mapping[str, Argument] = _NO_PARAMETERS) -> Planned:
    """Plan an aggregate query over the tables of the catalogue. Pure; never raises for what the text says."""
    try:
        query = parse(text)
    except RefusedError as error:
        return Planned(plan=None, findings=(error.finding(),))

    def plan(candidate: exp.Expr, *, strict: bool) -> Attempt[QueryPlan]:
        return _attempted(candidate, catalogue, parameters, strict=strict)

    tried = plan(query, strict=True)
    if tried.plan is not None:
        return Planned(plan=tried.plan)
    return Planned(plan=None, findings=_findings(tried.problems), rewrite=find_rewrite(query, tried, plan))


def plan_cohort(
    text: str, catalogue: Catalogue, *, parameters: Mapping[str, Argument] = _NO_PARAMETERS
) -> PlannedCohort:
    """Plan ``SELECT DISTINCT person_id FROM … WHERE …``. Pure; never raises for what the text says."""
    try:
        query = parse(text)
        context = _context(catalogue, parameters)
        cohort = _cohort(query, context)
        _check_parameters(context)
    except RefusedError as error:
        return PlannedCohort(cohort=None, findings=(error.finding(),))
    if context.problems:
        return PlannedCohort(cohort=None, findings=_findings(tuple(context.problems)))
    return PlannedCohort(cohort=cohort)


def _context(catalogue: Catalogue, parameters: Mapping[str, Argument]) -> Context:
    return Context(
        catalogue=catalogue,
        parameters=parameters,
        predicate=bind_predicate,
        relation=bind_relation,
        exists=bind_exists,
        listed=bind_listed,
    )


def _findings(problems: tuple[Problem, ...]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(problem.error.finding() for problem in problems))


def _attempted(
    query: exp.Expr, catalogue: Catalogue, parameters: Mapping[str, Argument], *, strict: bool
) -> Attempt[QueryPlan]:
    context = _context(catalogue, parameters)
    units: list[tuple[str, str]] = []
    plan: QueryPlan | None = None
    try:
        plan = _plan(query, context, units)
        if strict:
            _check_parameters(context)
    except RefusedError as error:
        context.problems.append(Problem(error=error, part=None))
    except RecursionError:
        context.problems.append(Problem(error=RefusedError("sql.too_deep"), part=None))
    problems = tuple(context.problems)
    return Attempt(plan=None if problems else plan, problems=problems, unit=units[0] if units else None)


def _check_parameters(context: Context) -> None:
    if set(context.parameters) - context.used:
        raise RefusedError("sql.unused_parameter")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One grouping of a SELECT: the places of its keys, its outputs and its condition."""

    keys: tuple[int, ...]
    shown: tuple[Output, ...]
    having: Condition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    """One bound SELECT; measures may still be added by the order of the result."""

    bound: Bound
    columns: tuple[str, ...]
    outputs: Outputs
    parts: tuple[_Part, ...]

    @property
    def shown(self) -> tuple[Output, ...]:
        return self.parts[0].shown

    def groupings(self) -> list[Grouping]:
        measures = with_parts(self.outputs.measures)
        scalars = [key.scalar for key in self.outputs.keys]
        return [
            Grouping(rows=self.bound.rows, keys=tuple(scalars[key] for key in part.keys), measures=measures)
            for part in self.parts
        ]

    def shapes(self) -> list[BranchShape]:
        measures = tuple(measure.spec for measure in with_parts(self.outputs.measures))
        return [
            BranchShape(keys=len(part.keys), measures=measures, outputs=part.shown, having=part.having)
            for part in self.parts
        ]

    def margins(self, first: int) -> list[Margins]:
        """How the groupings belong together, if there are several; ``first`` is the place of the first one."""
        if len(self.parts) == 1:
            return []
        return [
            Margins(
                branches=tuple(range(first, first + len(self.parts))),
                keys=tuple(part.keys for part in self.parts),
                personal=tuple(is_of_person(key.scalar, self.bound) for key in self.outputs.keys),
            )
        ]


def _plan(query: exp.Expr, context: Context, units: list[tuple[str, str]]) -> QueryPlan:
    names = bind_names(query, Scope(names={}), context)
    parts = union_parts(query)
    clauses = STAGE_CLAUSES if len(parts) > 1 else _QUERY_CLAUSES
    branches = [_branch(part, Scope(names=names), context, units, clauses) for part in parts]
    if len({len(branch.shown) for branch in branches}) != 1:
        raise RefusedError("sql.union_columns", query)
    order, limit = _order(query, branches), _limit(query)
    groupings = tuple(normalised(grouping) for branch in branches for grouping in branch.groupings())
    shapes = tuple(shape for branch in branches for shape in branch.shapes())
    margins: tuple[Margins, ...] = ()
    first = 0
    for branch in branches:
        margins += tuple(branch.margins(first))
        first += len(branch.parts)
        if len(branch.parts) > 1 and not context.problems:
            check_measures(branch.outputs.measures, query)
    _refuse_margins(groupings, margins, query)
    if any(len(variants(grouping)) > MOST_PARTS for grouping in groupings):
        raise RefusedError("sql.too_many_conditions", query)
    shape = Shape(columns=branches[0].columns, branches=shapes, order=order, limit=limit, margins=margins)
    notes = tuple(dict.fromkeys(snapped(node) for node in context.moved))
    return QueryPlan(groupings=groupings, shape=shape, digest=digest([groupings, shapes, order, limit]), notes=notes)


def _refuse_margins(groupings: tuple[Grouping, ...], margins: tuple[Margins, ...], node: exp.Expr) -> None:
    """Cells and their margins in one result would give withheld cells away, unless the gate knows their kinship."""
    family = {branch: number for number, one in enumerate(margins) for branch in one.branches}
    for left, right in permutations(range(len(groupings)), 2):
        if left in family and family[left] == family.get(right):
            continue
        coarse, fine = groupings[left], groupings[right]
        if coarse.rows == fine.rows and set(coarse.keys) < set(fine.keys):
            raise RefusedError("sql.margins", node)


def _branch(
    node: exp.Expr, scope: Scope, context: Context, units: list[tuple[str, str]], clauses: frozenset[str]
) -> _Branch:
    if not isinstance(node, exp.Select):
        raise RefusedError("sql.set_operation", node)
    only_clauses(node, clauses)
    bound = bind_rows(node, scope, context)
    units.append((bound.scope.entries[0].alias, bound.scope.entries[0].unit or ""))
    aliases = {part.alias.lower(): index for index, part in enumerate(node.expressions) if isinstance(part, exp.Alias)}
    outputs = Outputs(
        scope=bound.scope,
        context=context,
        single=is_single(bound),
        multiplied=is_multiplied(bound),
        keys=[],
        aliases=aliases,
    )
    sets = _bind_keys(node, outputs, context)
    parts = tuple(_part(node, outputs, keys, margins=len(sets) > 1) for keys in sets)
    if not outputs.keys and not outputs.measures and not context.problems:
        raise RefusedError("sql.row_level", node)
    return _Branch(bound=bound, columns=_columns(node.expressions), outputs=outputs, parts=parts)


def _part(node: exp.Select, outputs: Outputs, keys: tuple[int, ...], *, margins: bool) -> _Part:
    """Bind the outputs of one grouping, which has some of the keys; ``margins`` says that there are others."""
    outputs.present = keys

    def bind(part: exp.Expr) -> Output:
        known = len(outputs.measures)
        output = outputs.bind(part.unalias())
        if margins:
            check_measures(outputs.measures[known:], part)
        return output

    shown = tuple(
        attempt(outputs.context, part, lambda part=part: bind(part)) or _NOTHING  # type: ignore[misc]
        for part in node.expressions
    )
    having = node.args.get("having")
    return _Part(keys=keys, shown=shown, having=None if having is None else outputs.condition(having.this))


def _bind_keys(node: exp.Select, outputs: Outputs, context: Context) -> tuple[tuple[int, ...], ...]:
    """Bind the keys of a grouping, or of all groupings of a table with margins, and tell which ones each has."""
    group = node.args.get("group")
    sets: tuple[tuple[exp.Expr, ...], ...] = ((),)
    if group is not None and has_margins(group):
        sets = tuple(tuple(named_nodes(nodes, node.expressions)) for nodes in grouping_sets(group))
    elif group is not None:
        only_clauses(group, {"expressions", "all"})
        sets = (tuple(group_nodes(group, node.expressions)),)
    elif node.args.get("distinct"):
        only_clauses(node.args["distinct"], ())
        sets = (tuple(part.unalias() for part in node.expressions if not has_aggregate(part)),)
    places = keyed(sets, lambda part: attempt(context, part, lambda: bind_key(part, outputs)))
    if len(outputs.keys) > MOST_KEYS:
        raise RefusedError("sql.too_long", group)
    return places


def _columns(nodes: list[exp.Expr]) -> tuple[str, ...]:
    names: list[str] = []
    for position, node in enumerate(nodes):
        name = output_name(node, position)
        if name in names:
            raise RefusedError("sql.duplicate_output", node)
        names.append(name)
    return tuple(names)


def _order(query: exp.Expr, branches: list[_Branch]) -> tuple[Ordering, ...]:
    order = query.args.get("order")
    if order is None:
        return ()
    orderings = []
    for part in order.expressions:
        if not isinstance(part, exp.Ordered) or part.args.get("with_fill"):
            raise RefusedError("sql.construct_not_allowed", part)
        orderings.append(Ordering(output=_ordered(part.this, branches), descending=bool(part.args.get("desc"))))
    return tuple(orderings)


def _ordered(node: exp.Expr, branches: list[_Branch]) -> Output:
    columns = branches[0].columns
    if isinstance(node, exp.Literal) and str(node.this).isdigit() and 1 <= int(node.this) <= len(columns):
        return ColumnOutput(index=int(node.this) - 1)
    if isinstance(node, exp.Column) and not node.table and node.name.lower() in columns:
        return ColumnOutput(index=columns.index(node.name.lower()))
    if len(branches) > 1:
        raise RefusedError("sql.construct_not_allowed", node)
    branch = branches[0]
    branch.outputs.present = branch.parts[0].keys
    output = branch.outputs.bind(node)
    if output in branch.shown and not isinstance(output, ConstantOutput):
        return ColumnOutput(index=branch.shown.index(output))
    if len(branch.parts) > 1 and node.find(exp.Grouping, exp.GroupingId):
        raise RefusedError("sql.construct_not_allowed", node)
    return output


def _limit(query: exp.Expr) -> int | None:
    limit = query.args.get("limit")
    if limit is None:
        return None
    number = limit.args.get("expression")
    if not isinstance(number, exp.Literal) or not str(number.this).isdigit() or int(number.this) > MOST_ROWS:
        raise RefusedError("sql.construct_not_allowed", limit)
    return int(number.this)


def _cohort(query: exp.Expr, context: Context) -> Cohort:
    names = bind_names(query, Scope(names={}), context)
    if not isinstance(query, exp.Select):
        raise RefusedError("sql.not_a_cohort", query)
    only_clauses(query, ROW_CLAUSES | {"distinct"})
    bound = bind_rows(query, Scope(names=names), context)
    shown = [bind_scalar(part.unalias(), bound.scope, context) for part in query.expressions]
    unit = shown[0].scalar if len(shown) == 1 else None
    if not isinstance(unit, UnitRef) or bound.scope.is_outer(unit.source):
        raise RefusedError("sql.not_a_cohort", query)
    rows = normalised(Grouping(rows=bound.rows, keys=(), measures=())).rows
    return Cohort(rows=rows, unit=rows.sources[0].number, digest=digest(["cohort", rows]))
