"""What is publicly known of values: bounds of what is measured, and the values that a key may have.

Only contract and plan are asked; no data are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asepsis.domain.privacy import LARGEST_NORM, Bound, Privacy
from asepsis.domain.release import Cell
from asepsis.sql.plan import (
    Choice,
    ColumnRef,
    DateField,
    DatePart,
    Difference,
    Feature,
    FeatureKind,
    Literal,
    LookupScan,
    PerPerson,
    Projection,
    Rows,
    Scalar,
    TableScan,
)

_PARTS: Final = {DateField.QUARTER: range(1, 5), DateField.MONTH: range(1, 13), DateField.WEEKDAY: range(1, 8)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicValues:
    """What the contract says of the values of some rows; ``most`` records of a person are in a stage."""

    privacy: Privacy
    most: int

    def bound(self, value: Scalar, rows: Rows) -> Bound | None:
        """Public bounds of a value: those of the contract, of differences of such, and of stages per person."""
        match value:
            case Literal(value=int() as number):
                return Bound(low=number, high=number)
            case Difference():
                left, right = self.bound(value.left, rows), self.bound(value.right, rows)
                if left is None or right is None:
                    return None
                return Bound(low=left.low - right.high, high=left.high - right.low)
            case ColumnRef():
                return self._column_bound(value, rows)
            case _:
                return None

    def domain(self, key: Scalar, rows: Rows) -> tuple[Cell, ...] | None:
        """The public values of a key: those of the contract, of parts of dates, and of choices among literals."""
        match key:
            case ColumnRef():
                origin = _origin(key, rows)
                return None if origin is None else self.privacy.domains.get(origin)
            case DatePart() if key.part in _PARTS:
                return tuple(_PARTS[key.part])
            case Choice():
                branches = [then for _, then in key.whens]
                if key.otherwise is not None:
                    branches.append(key.otherwise)
                codes = [branch.value for branch in branches if isinstance(branch, Literal)]
                listed = tuple(dict.fromkeys(code for code in codes if isinstance(code, int | str)))
                return listed if len(codes) == len(branches) else None
            case _:
                return None

    def _column_bound(self, column: ColumnRef, rows: Rows) -> Bound | None:
        relation = next((one.relation for one in rows.sources if one.number == column.source), None)
        match relation:
            case TableScan() | LookupScan():
                return self.privacy.bounds.get((relation.table, column.name))
            case Projection():
                return self.bound(relation.columns[_place(column)], relation.rows)
            case PerPerson():
                place = _place(column) - len(relation.keys)
                if place < 0:
                    return self.bound(relation.keys[_place(column)], relation.rows)
                return self._feature_bound(relation.features[place], relation.rows)
            case _:
                return None

    def _feature_bound(self, feature: Feature, rows: Rows) -> Bound | None:
        """Nobody has more records in a stage than the contract says; its values lie where those of the records do."""
        if feature.kind in {FeatureKind.COUNT, FeatureKind.KINDS}:
            return Bound(low=0, high=self.most)
        inner = None if feature.argument is None else self.bound(feature.argument, rows)
        if inner is None or feature.kind is not FeatureKind.SUM:
            return None if inner is None else Bound(low=inner.low, high=inner.high)
        low, high = min(0, inner.low) * self.most, max(0, inner.high) * self.most
        return Bound(low=max(low, -LARGEST_NORM), high=min(high, LARGEST_NORM))


def _origin(column: ColumnRef, rows: Rows) -> tuple[str, str] | None:
    """Table and name of the catalogue's column that a column is, through projections."""
    source = next((one for one in rows.sources if one.number == column.source), None)
    if source is None:
        return None
    relation = source.relation
    if isinstance(relation, TableScan | LookupScan):
        return relation.table, column.name
    if not isinstance(relation, Projection):
        return None
    inner = relation.columns[_place(column)]
    return _origin(inner, relation.rows) if isinstance(inner, ColumnRef) else None


def _place(column: ColumnRef) -> int:
    """The place of a column of a stage."""
    return int(column.name.removeprefix("c"))
