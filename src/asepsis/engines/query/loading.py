"""SQL that opens owners' files as room-wide tables: one person key, one bit per owner, clustered by person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asepsis.domain.catalogue import AFFILIATIONS, Column, ColumnType, Table, Use
from asepsis.sql.affiliations import COLUMNS

LINKS: Final = "links_"
WHOLE: Final = "whole"
PERSON: Final = "person_"
OWNERS: Final = "owner_"

_TYPES: Final = {
    ColumnType.INTEGER: "BIGINT",
    ColumnType.NUMBER: "DOUBLE",
    ColumnType.DATE: "DATE",
    ColumnType.TEXT: "VARCHAR",
}
_USABLE: Final = {
    ColumnType.INTEGER: "{value} BETWEEN -2305843009213693952 AND 2305843009213693952",
    ColumnType.NUMBER: "abs({value}) <= 1e150",
    ColumnType.DATE: "{value} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'",
}
"""Values with which nothing in a plan can overflow: one that could would let a person decide whether a query fails.

For an analysis all others are missing, NaN and infinity among them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkMap:
    """A Parquet file that says which persons of several owners are one: owner VARCHAR, person_id BIGINT, and columns.

    ``person`` is the column of the persons that are counted. ``whole`` is a column of the same or coarser ones: what
    it joins and ``person`` does not is one person to the memory of releases.
    """

    path: Path
    person: str = "link_id"
    whole: str = "link_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerFile:
    """One owner's file of a table: the number of the owner, the bound name of its path, its columns."""

    owner: int
    path: str
    columns: frozenset[str]


def link_sql(unit: str, path: str, owner: int) -> str:
    """Give every person of a file who has no room-wide id yet a new one."""
    return f"""
        INSERT INTO {LINKS}
        SELECT {owner}, person, fresh, fresh FROM (
            SELECT person, row_number() OVER (ORDER BY person)
                + (SELECT coalesce(max(greatest(link, {WHOLE})), 0) FROM {LINKS}) AS fresh
            FROM (
                SELECT DISTINCT CAST("{unit}" AS BIGINT) AS person FROM read_parquet(${path}) WHERE "{unit}" IS NOT NULL
            )
            WHERE person NOT IN (SELECT person FROM {LINKS} WHERE owner = {owner})
        )
    """  # noqa: S608 - names of the catalogue and numbers only


def table_sql(table: Table, files: list[OwnerFile]) -> str:
    """Create the room-wide table from the files of all owners."""
    parts = [_rows(table, file) for file in files] or [_no_rows(table)]
    union = " UNION ALL ".join(parts)
    if table.unit is None:
        body = _look_up(table, union)
    elif table.one_per_person:
        body = _merged(table, union, table.unit.name)
    else:
        body = f"{union} ORDER BY {_quoted(table.unit)}"
    return f'CREATE TABLE "{table.name}" AS {body}'


def _rows(table: Table, file: OwnerFile) -> str:
    columns = _named(table, file)
    source = f"read_parquet(${file.path}) AS source"
    if table.unit is None:
        return f"SELECT CAST({1 << file.owner} AS BIGINT) AS {OWNERS}, {columns} FROM {source}"  # noqa: S608
    return f"""
        SELECT CAST({1 << file.owner} AS BIGINT) AS {OWNERS}, {columns}
        FROM {source} JOIN {LINKS} AS links
        ON links.owner = {file.owner} AND links.person = CAST(source.{_quoted(table.unit)} AS BIGINT)
    """  # noqa: S608 - names of the catalogue and numbers only


def _named(table: Table, file: OwnerFile) -> str:
    """The columns of a file, and what its rows belong to: no two owners have a provider or a site in common."""
    columns = [f"{_value(column, file)} AS {_quoted(column)}" for column in _used(table)]
    for name, column in _affiliations(table):
        found = f"source.{_quoted(column)}" if column.name in file.columns else "NULL"
        whose = f"CAST(hash({file.owner}, CAST({found} AS VARCHAR)) >> 1 AS BIGINT)"
        columns.append(f"CASE WHEN {found} IS NOT NULL THEN {whose} END AS {name}")
    return ", ".join(columns)


def _no_rows(table: Table) -> str:
    typed = [f"CAST(NULL AS {_TYPES[column.type]}) AS {_quoted(column)}" for column in _used(table)]
    columns = ", ".join([*typed, *(f"CAST(NULL AS BIGINT) AS {name}" for name, _ in _affiliations(table))])
    return f"SELECT CAST(0 AS BIGINT) AS {OWNERS}, {columns} WHERE FALSE"


def _value(column: Column, file: OwnerFile) -> str:
    if Use.UNIT in column.uses:
        return "links.link"
    if column.name not in file.columns:
        return f"CAST(NULL AS {_TYPES[column.type]})"
    value = f"CAST(source.{_quoted(column)} AS {_TYPES[column.type]})"
    usable = _USABLE.get(column.type)
    return value if usable is None else f"CASE WHEN {usable.format(value=value)} THEN {value} END"


def _merged(table: Table, union: str, unit: str) -> str:
    """One row per person: of each column the first value, in the order of the owners, that is not missing."""
    names = [_quoted(column) for column in _used(table) if Use.UNIT not in column.uses]
    names += [name for name, _ in _affiliations(table)]
    columns = ", ".join(f"arg_min({name}, {OWNERS}) FILTER (WHERE {name} IS NOT NULL) AS {name}" for name in names)
    chosen = f'"{unit}", bit_or({OWNERS}) AS {OWNERS}' + (f", {columns}" if columns else "")
    return f'SELECT {chosen} FROM ({union}) GROUP BY "{unit}" ORDER BY "{unit}"'  # noqa: S608


def _look_up(table: Table, union: str) -> str:
    """A public table once: by its key the row of the first owner, without a key all distinct rows."""
    columns = ", ".join(_quoted(column) for column in _used(table))
    if table.key is None:
        return f"SELECT DISTINCT {columns} FROM ({union})"  # noqa: S608
    ranked = (
        f'SELECT *, row_number() OVER (PARTITION BY "{table.key}" ORDER BY {OWNERS}, {columns}) AS rank_ FROM ({union})'  # noqa: S608
    )
    return f"SELECT {columns} FROM ({ranked}) WHERE rank_ = 1"  # noqa: S608


def _used(table: Table) -> list[Column]:
    return [column for column in table.columns if column.uses]


def _affiliations(table: Table) -> list[tuple[str, Column]]:
    """The columns of a table of persons that say what its rows belong to, by the name that they get in the room."""
    if table.unit is None:
        return []
    found = ((COLUMNS[kind], table.affiliation(kind)) for kind in AFFILIATIONS)
    return [(name, column) for name, column in found if column is not None]


def _quoted(column: Column) -> str:
    return f'"{column.name}"'
