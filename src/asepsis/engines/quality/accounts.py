"""What the tables hold: rows by field and year, and the codes of the source that have no concept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb

from asepsis.harmonise.quality import scan
from asepsis.harmonise.quality.checks import Kind
from asepsis.harmonise.quality.conditions import Shape
from asepsis.harmonise.quality.report import FieldAccount, TableAccount, UnmappedCodes
from asepsis.harmonise.quality.verdict import Result


def table_accounts(
    connection: duckdb.DuckDBPyConnection, shapes: Mapping[str, Shape], results: Sequence[Result]
) -> Iterator[TableAccount]:
    """An account per table; what the checks have counted is not counted again."""
    counted = {(one.check.kind, one.check.table, one.check.field): one for one in results if not one.check.concept}
    for shape in shapes.values():
        years = scan.years_sql(shape)
        placeholder = counted[Kind.PLACEHOLDER, shape.name, ""]
        yield TableAccount(
            name=shape.name,
            rows=placeholder.rows or 0,
            fields=tuple(_field(counted, shape.name, field) for field in shape.stored),
            years={} if years is None else dict(connection.execute(years).fetchall()),
            unmapped=tuple(_unmapped(connection, shape)),
        )


def _field(counted: Mapping[tuple[Kind, str, str], Result], table: str, field: str) -> FieldAccount:
    values = counted[Kind.VALUES, table, field]
    of = (counted.get((kind, table, field)) for kind in (Kind.STANDARD_ZERO, Kind.SOURCE_ZERO))
    zero = next((one.violated for one in of if one is not None), None)
    return FieldAccount(name=field, filled=(values.rows or 0) - (values.violated or 0), zero=zero)


def _unmapped(connection: duckdb.DuckDBPyConnection, shape: Shape) -> Iterator[UnmappedCodes]:
    for field in shape.spec.fields.values():
        if field.codes is None or not shape.has(field.name):
            continue
        found = connection.execute(scan.unmapped_sql(shape.name, field.name, field.codes.concept)).fetchall()
        if found:
            yield UnmappedCodes(
                field=field.name,
                concept=field.codes.concept,
                codes=len(found),
                rows=sum(rows for _, rows, _ in found),
                first=tuple(found[: scan.SHOWN_CODES]),
            )
