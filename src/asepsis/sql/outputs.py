"""Binding of what is shown: group keys, protected measures and values derived from protected measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from asepsis.domain.catalogue import ColumnType, Use
from asepsis.domain.cells import (
    AllOf,
    AnyOf,
    ArithmeticOutput,
    ColumnOutput,
    Comparing,
    Condition,
    ConstantOutput,
    KeyOutput,
    MarginOutput,
    MeasureKind,
    MeasureOutput,
    MeasureSpec,
    Negation,
    Operator,
    Output,
    Relation,
    RoundedOutput,
)
from asepsis.domain.release import Cell
from asepsis.sql.aggregates import Call, Function, aggregate_of, has_aggregate
from asepsis.sql.canonical import conjunction, negation, rows_of
from asepsis.sql.plan import EVERYTHING, Literal, Measure, Predicate, Scalar
from asepsis.sql.predicates import bind_predicate, conjuncts, missing
from asepsis.sql.refusals import RefusedError
from asepsis.sql.scalars import bind_scalar
from asepsis.sql.scope import RELATIONS, Context, Scope, Typed

LOWEST_LEVEL: Final = 0.05
HIGHEST_LEVEL: Final = 0.95
MOST_DIGITS: Final = 6
_OPERATORS: Final[dict[type[exp.Expr], Operator]] = {
    exp.Add: Operator.ADD,
    exp.Sub: Operator.SUBTRACT,
    exp.Mul: Operator.MULTIPLY,
    exp.Div: Operator.DIVIDE,
}
_KINDS: Final = {
    Function.SUM: MeasureKind.SUM,
    Function.AVG: MeasureKind.MEAN,
    Function.VARIANCE: MeasureKind.VARIANCE,
    Function.DEVIATION: MeasureKind.DEVIATION,
    Function.QUANTILE: MeasureKind.QUANTILE,
}
_ADDED: Final = frozenset({MeasureKind.ROWS, MeasureKind.SUM})
"""Measures that grow with the number of rows."""


@dataclass(slots=True, kw_only=True)
class Outputs:
    """The outputs of one grouping while they are being bound.

    ``single`` says that a person has at most one row, ``multiplied`` that one record may stand in many rows;
    ``present`` are the places of the keys that the grouping has, where it is one of several in a table with margins.
    """

    scope: Scope
    context: Context
    single: bool
    multiplied: bool
    keys: list[Typed]
    measures: list[Measure] = field(default_factory=list)
    aliases: Mapping[str, int] = field(default_factory=dict)
    present: tuple[int, ...] | None = None

    def bind(self, node: exp.Expr) -> Output:
        """Bind one output. Raises RefusedError."""
        call = aggregate_of(node)
        if call is not None:
            known = len(self.measures)
            output = self._call(call)
            if self.multiplied and any(measure.spec.kind in _ADDED for measure in self.measures[known:]):
                del self.measures[known:]
                raise RefusedError("sql.multiplied_records", call.node)
            return output
        if has_aggregate(node):
            return self._derived(node)
        return self._grouping(node) if isinstance(node, exp.Grouping | exp.GroupingId) else self._plain(node)

    def condition(self, node: exp.Expr) -> Condition:
        """Bind a condition of HAVING, which sees protected values only. Raises RefusedError."""
        if isinstance(node, exp.And):
            return AllOf(items=tuple(self.condition(part) for part in conjuncts(node)))
        if isinstance(node, exp.Or):
            return AnyOf(items=(self.condition(node.this), self.condition(node.expression)))
        if isinstance(node, exp.Not):
            return Negation(item=self.condition(node.this))
        if isinstance(node, exp.Paren):
            return self.condition(node.this)
        if isinstance(node, exp.Between):
            low, high = self.shown(node.args["low"]), self.shown(node.args["high"])
            argument = self.shown(node.this)
            least = Comparing(relation=Relation.AT_LEAST, left=argument, right=low)
            return AllOf(items=(least, Comparing(relation=Relation.AT_MOST, left=argument, right=high)))
        if type(node) not in RELATIONS:
            raise RefusedError("sql.construct_not_allowed", node)
        left, right = self.shown(node.this), self.shown(node.args["expression"])
        return Comparing(relation=RELATIONS[type(node)], left=left, right=right)

    def shown(self, node: exp.Expr) -> Output:
        """A value of the protected row: an output by its alias, or any output. Raises RefusedError."""
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in self.aliases:
            return ColumnOutput(index=self.aliases[node.name.lower()])
        return self.bind(node)

    def _plain(self, node: exp.Expr) -> Output:
        inner = node
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, exp.Null):
            return ConstantOutput(value=None)
        typed = bind_scalar(inner, self.scope, self.context)
        if typed.is_unit:
            raise RefusedError("sql.person_key_shown", node)
        place = self._place(typed)
        if place is not None:
            return self._key(place)
        if isinstance(typed.scalar, Literal):
            return ConstantOutput(value=_cell(typed))
        raise RefusedError("sql.not_grouped" if self.keys else "sql.row_level", node)

    def _place(self, typed: Typed) -> int | None:
        return next((place for place, key in enumerate(self.keys) if key.scalar == typed.scalar), None)

    def _key(self, place: int) -> Output:
        present = range(len(self.keys)) if self.present is None else self.present
        if place not in present:
            return MarginOutput()
        return KeyOutput(index=present.index(place), labels=self.keys[place].labels)

    def _grouping(self, node: exp.Expr) -> Output:
        """GROUPING: one bit per key, set in the margins over it; the first key has the highest bit."""
        bits = 0
        for part in node.expressions:
            place = self._place(bind_scalar(part, self.scope, self.context))
            if place is None:
                raise RefusedError("sql.not_grouped", node)
            bits = 2 * bits + isinstance(self._key(place), MarginOutput)
        return ConstantOutput(value=bits)

    def _derived(self, node: exp.Expr) -> Output:
        if isinstance(node, exp.Paren):
            return self.bind(node.this)
        if isinstance(node, exp.Neg):
            zero = ConstantOutput(value=0)
            return ArithmeticOutput(operator=Operator.SUBTRACT, left=zero, right=self.bind(node.this))
        if type(node) in _OPERATORS:
            left, right = self.bind(node.this), self.bind(node.args["expression"])
            return ArithmeticOutput(operator=_OPERATORS[type(node)], left=left, right=right)
        if isinstance(node, exp.Round):
            return RoundedOutput(argument=self.bind(node.this), digits=self._digits(node))
        if isinstance(node, exp.Cast) and _numeric(node.args["to"]):
            return self.bind(node.this)
        if isinstance(node, exp.Nullif) and _is_zero(node.args["expression"]):
            # A division by a missing or by a zero value is missing here anyway.
            return self.bind(node.this)
        raise RefusedError("sql.function_not_allowed", node)

    def _digits(self, node: exp.Round) -> int:
        decimals = node.args.get("decimals")
        if decimals is None:
            return 0
        value = bind_scalar(decimals, self.scope, self.context).scalar
        if isinstance(value, Literal) and isinstance(value.value, int) and abs(value.value) <= MOST_DIGITS:
            return value.value
        raise RefusedError("sql.literal_out_of_range", node)

    def _call(self, call: Call) -> Output:
        where = EVERYTHING if call.where is None else bind_predicate(call.where, self.scope, self.context)
        if call.function is Function.COUNT:
            return self._count(call, where)
        if call.function in {Function.MIN, Function.MAX}:
            raise RefusedError("sql.extreme_value", call.node)
        if call.distinct or call.argument is None:
            raise RefusedError("sql.construct_not_allowed", call.node)
        return self._number(call, where)

    def _count(self, call: Call, where: Predicate) -> Output:
        if call.argument is None:
            kind = MeasureKind.PERSONS if self.single else MeasureKind.ROWS
            return self._measure(kind, None, where)
        argument, where = self._unwrapped(call.argument, where)
        present = negation(missing(argument, self.scope, call.node)) if not argument.is_literal else EVERYTHING
        where = conjunction([where, present])
        if argument.is_unit:
            kind = MeasureKind.PERSONS if call.distinct or self.single else MeasureKind.ROWS
            return self._measure(kind, None, where)
        if call.distinct:
            raise RefusedError("sql.distinct_values", call.node)
        return self._measure(MeasureKind.PERSONS if self.single else MeasureKind.ROWS, None, where)

    def _unwrapped(self, node: exp.Expr, where: Predicate) -> tuple[Typed, Predicate]:
        """``CASE WHEN p THEN x END`` as ``x`` of the rows where p holds."""
        inner = node
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if not _is_filter(inner):
            return bind_scalar(inner, self.scope, self.context), where
        branch = inner.args["ifs"][0]
        predicate = bind_predicate(branch.this, self.scope, self.context)
        return self._unwrapped(branch.args["true"], conjunction([where, predicate]))

    def _number(self, call: Call, where: Predicate) -> Output:
        node = call.argument if call.argument is not None else call.node
        default = node.args.get("default") if isinstance(node, exp.Case) else None
        zero_else = default is not None and _is_zero(default) and len(node.args["ifs"]) == 1 and node.this is None
        if zero_else and (_is_indicator(node) or call.function is Function.SUM):
            return self._conditional(call, node, where)
        argument, where = self._unwrapped(node, where)
        usable = Use.AGGREGATE in argument.uses and argument.type in {ColumnType.INTEGER, ColumnType.NUMBER}
        if argument.is_unit or argument.is_literal or not usable:
            code = "sql.person_key_shown" if argument.is_unit else "sql.column_not_usable"
            raise RefusedError(code, call.node)
        level = self._level(call) if call.function is Function.QUANTILE else None
        return self._measure(_KINDS[call.function], argument, where, level)

    def _conditional(self, call: Call, node: exp.Expr, where: Predicate) -> Output:
        """SUM or AVG of ``CASE WHEN p THEN x ELSE 0 END``: counts and shares, derived from protected counts."""
        bare = node.copy()
        bare.set("default", None)
        if not _is_indicator(node):
            argument, inner = self._unwrapped(bare, where)
            if Use.AGGREGATE not in argument.uses:
                raise RefusedError("sql.column_not_usable", call.node)
            return self._measure(MeasureKind.SUM, argument, inner)
        if call.function not in {Function.SUM, Function.AVG}:
            raise RefusedError("sql.function_not_allowed", call.node)
        _, inner = self._unwrapped(bare, where)
        kind = MeasureKind.PERSONS if self.single else MeasureKind.ROWS
        part = self._measure(kind, None, inner)
        if call.function is Function.SUM:
            return part
        return ArithmeticOutput(operator=Operator.DIVIDE, left=part, right=self._measure(kind, None, where))

    def _level(self, call: Call) -> float:
        scalar = None if call.level is None else bind_scalar(call.level, self.scope, self.context).scalar
        value = scalar.value if isinstance(scalar, Literal) else None
        if not isinstance(value, int | float) or not LOWEST_LEVEL <= value <= HIGHEST_LEVEL:
            raise RefusedError("sql.quantile_level", call.node)
        return float(value)

    def _measure(
        self, kind: MeasureKind, argument: Typed | None, where: Predicate, level: float | None = None
    ) -> MeasureOutput:
        spec = MeasureSpec(kind=kind, resolution=None if argument is None else argument.bin_width)
        scalar: Scalar | None = None if argument is None else argument.scalar
        measure = Measure(spec=spec, argument=scalar, where=where, level=level)
        if measure not in self.measures:
            self.measures.append(measure)
        return MeasureOutput(index=self.measures.index(measure))


def with_parts(measures: Sequence[Measure]) -> tuple[Measure, ...]:
    """Mark the measures that are a part of another one beside them, so that the rest follows by subtraction.

    A filtered measure that stands alone is no part: it asks the same as a condition in WHERE.
    """
    return tuple(
        replace(measure, spec=replace(measure.spec, partial=any(_beside(measure, other) for other in measures)))
        for measure in measures
    )


def _beside(part: Measure, other: Measure) -> bool:
    if part.where in {EVERYTHING, other.where}:
        return False
    if other.argument is None:
        return True
    # avg(x) is over the same rows as count(x).
    return rows_of(other) != part.where


def bind_key(node: exp.Expr, outputs: Outputs) -> int | None:
    """Add a group key, which must be registered for grouping, and tell its place; constants are no keys.

    Raises RefusedError.
    """
    if has_aggregate(node):
        raise RefusedError("sql.aggregate_place", node)
    if isinstance(node, exp.Null):
        return None
    typed = bind_scalar(node, outputs.scope, outputs.context)
    if typed.is_unit:
        raise RefusedError("sql.person_key_shown", node)
    if typed.is_literal:
        return None
    if Use.GROUP not in typed.uses:
        raise RefusedError("sql.column_not_usable", node)
    if all(key.scalar != typed.scalar for key in outputs.keys):
        outputs.keys.append(typed)
    return [key.scalar for key in outputs.keys].index(typed.scalar)


def _cell(typed: Typed) -> Cell:
    value = typed.scalar.value if isinstance(typed.scalar, Literal) else None
    return value if isinstance(value, int | float | str) or value is None else value.isoformat()


def _numeric(target: exp.Expr) -> bool:
    return isinstance(target, exp.DataType) and target.this in exp.DataType.NUMERIC_TYPES


def _is_filter(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Case) or node.this is not None or len(node.args["ifs"]) != 1:
        return False
    default = node.args.get("default")
    return default is None or isinstance(default, exp.Null)


def _is_zero(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.args.get("is_string") and float(node.this) == 0


def _is_indicator(node: exp.Expr) -> bool:
    value = node.args["ifs"][0].args["true"]
    return isinstance(value, exp.Literal) and not value.args.get("is_string") and float(value.this) == 1
