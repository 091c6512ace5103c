# ruff: noqa: E501, S608 - quoted names and numbers only
"""SQL that lists every row and cell that differs between two versions of one table, without listing any that does not.

Rows that lie in the order of a whole-number key on both sides are compared while they are read
(``engines.forensics.side_by_side``), and those that may differ are kept. All other tables take two steps. *Buckets*: rows
are hashed (with a salt that nobody knows beforehand) and the hashes added up for each range of keys, on both sides. *Rows*:
those of the buckets whose sums or counts differ are read again. Then the *ledger* is a full join of what was kept on the key,
column by column; rows whose key is missing or occurs more than once are compared as a multiset, and so are the rows of
a table without a key.

In the ledger column ``i`` of the table is ``b{i}`` before and ``a{i}`` after; ``c{i}`` says that it was updated, ``explained`` by what,
``moved`` that a merge of persons explains its person. Two
values are equal when SQL says so (``IS NOT DISTINCT FROM``: NULL is NULL, NaN is NaN, zero has no sign). Where a column
has another type on either side, numbers are compared as numbers and everything else as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asepsis.integrity.records.layout import Family, family_of

HASH_BUCKETS_SHIFT: Final = 47
"""Keys that are no integers go by the upper 17 bits of their hash: 131,072 buckets."""

BUCKET_ROWS: Final = 128
"""So many neighbouring integer keys are one bucket. Fewer: a larger list of buckets; more: more rows to read again."""

RANGE_ROWS: Final = 4096
"""The size of a bucket where only the question is which ranges of keys differ, and nothing is read again."""

NO_KEY_BUCKET: Final = -1
"""Where rows without a key are looked for."""

_LARGEST: Final = 2**31
_NUMERIC: Final = frozenset({Family.INTEGER, Family.NUMBER})
_WHOLE: Final = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"})
_PLAIN: Final = _WHOLE | {"BOOLEAN", "FLOAT", "DOUBLE", "DATE", "TIME", "TIMESTAMP", "VARCHAR", "BLOB"}
"""Types whose values pass through Arrow as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of either side; the type is ``None`` on a side that has no such column."""

    name: str
    before: str | None
    after: str | None

    @property
    def is_common(self) -> bool:
        """Whether both sides have it."""
        return self.before is not None and self.after is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One table to compare: relations of both sides (SQL), the columns of both, its key, a salt for the hashes.

    ``name`` is a suffix for the tables that are made; it is safe as a part of a name.
    """

    name: str
    before: str
    after: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    salt: int

    @property
    def common(self) -> tuple[tuple[int, Column], ...]:
        """Columns of both sides with their numbers."""
        return tuple((index, column) for index, column in enumerate(self.columns) if column.is_common)

    @property
    def keys(self) -> tuple[tuple[int, Column], ...]:
        """Key columns with their numbers."""
        return tuple((index, column) for index, column in self.common if column.name in self.key)


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def comparable(column: Column, *, after: bool) -> str:
    """The value of a column of one side in the form in which both sides can be compared."""
    name, own = quoted(column.name), column.after if after else column.before
    if column.before == column.after or own is None:
        return name
    families = {family_of(column.before or ""), family_of(column.after or "")}
    if families <= _NUMERIC:
        return _as_number(name, own)
    if families == {Family.DATE}:
        return f"CAST({name} AS TIMESTAMP)"
    return _as_number(name, own) if family_of(own) in _NUMERIC else f"CAST({name} AS VARCHAR)"


def buckets_sql(comparison: Comparison, *, rows: int) -> str:
    """Make ``buckets_{name}``: the buckets whose content differs; ``rows`` neighbouring integer keys are one."""
    sides = " UNION ALL ".join(
        f"SELECT {_bucket(comparison, after=after, rows=rows)} AS bucket, "
        f"{sign}sum({_row_hash(comparison, after=after)}) AS total, {sign}count(*) AS rows FROM {comparison.after if after else comparison.before} GROUP BY 1"
        for after, sign in ((False, ""), (True, "-"))
    )
    return (
        f"CREATE OR REPLACE TABLE buckets_{comparison.name} AS SELECT bucket FROM ({sides}) "
        "GROUP BY bucket HAVING sum(total) <> 0 OR sum(rows) <> 0"
    )


def rows_sql(comparison: Comparison, *, after: bool, span: tuple[int, int] | None = None) -> str:
    """Make ``before_{name}`` or ``after_{name}``: the rows of the buckets that differ, columns by number.

    ``span`` is the least and the greatest of these buckets: parts of a file that hold none of them are not read.
    """
    bucket = _bucket(comparison, after=after, rows=BUCKET_ROWS)
    return (
        f"CREATE OR REPLACE TABLE {_kept(comparison, after=after)} AS {_side(comparison, after=after)} "
        f"WHERE {_range(comparison, span)}{bucket} IN (SELECT bucket FROM buckets_{comparison.name})"
    )


def ordered_key(comparison: Comparison) -> Column | None:
    """The key along which both sides can be read side by side: one whole number, and no column changed its type."""
    key = _integer_key(comparison)
    types = {own for column in comparison.columns for own in (column.before, column.after) if own is not None}
    same = all(column.before == column.after for _, column in comparison.common)
    return key if key is not None and key.before in _WHOLE and same and types <= _PLAIN else None


def read_sql(comparison: Comparison, *, after: bool) -> str:
    """All rows of one side, columns by number, in the order in which they lie."""
    values = ", ".join(f"{quoted(column.name)} AS v{index}" for index, column in _own(comparison, after=after))
    return f"SELECT {values} FROM {_relation(comparison, after=after)}"


def empty_sql(comparison: Comparison, *, after: bool) -> str:
    """Make ``before_{name}`` or ``after_{name}`` without a row."""
    return f"CREATE OR REPLACE TABLE {_kept(comparison, after=after)} AS {_side(comparison, after=after)} LIMIT 0"


def keep_sql(comparison: Comparison, *, after: bool) -> str:
    """Put the rows of ``kept``, which were read by ``read_sql``, into ``before_{name}`` or ``after_{name}``."""
    return f"INSERT INTO {_kept(comparison, after=after)} BY NAME FROM kept"


def repeated_sql(comparison: Comparison) -> str:
    """Make ``repeated_{name}``: keys that are missing in part, or that more than one row of a side has."""
    forms = [_form(index, column) for index, column in comparison.keys]
    keys, missing = ", ".join(forms), " OR ".join(f"{form} IS NULL" for form in forms)
    sides = " UNION ".join(
        f"SELECT {keys} FROM {side}_{comparison.name} GROUP BY {keys} HAVING count(*) > 1 OR {missing}"
        for side in ("before", "after")
    )
    return f"CREATE OR REPLACE TABLE repeated_{comparison.name} AS {sides}"


def ledger_sql(comparison: Comparison, *, repeated: bool) -> str:
    """Make ``ledger_{name}``. ``repeated`` says that there are rows to compare as a multiset."""
    parts = []
    if comparison.keys:
        parts.append(_joined(comparison, without_repeated=repeated))
    if repeated or not comparison.keys:
        parts.append(_multiset(comparison))
    return f"CREATE OR REPLACE TABLE ledger_{comparison.name} AS {' UNION ALL BY NAME '.join(parts)}"


def _side(comparison: Comparison, *, after: bool) -> str:
    """The rows of one side: ``v{i}`` as they are, and ``k{i}`` in the form in which other types can be compared."""
    own = dict(_own(comparison, after=after))
    values = [
        f"{quoted(column.name) if index in own else 'NULL'} AS v{index}"
        for index, column in enumerate(comparison.columns)
    ]
    forms = [
        f"{comparable(column, after=after)} AS {_form(index, column)}"
        for index, column in comparison.common
        if column.before != column.after
    ]
    return f"SELECT {', '.join([*values, *forms])} FROM {_relation(comparison, after=after)}"


def _form(index: int, column: Column) -> str:
    """The name of the form in which a common column is compared."""
    return f"v{index}" if column.before == column.after else f"k{index}"


def _own(comparison: Comparison, *, after: bool) -> list[tuple[int, Column]]:
    columns = enumerate(comparison.columns)
    return [(index, column) for index, column in columns if (column.after if after else column.before) is not None]


def _relation(comparison: Comparison, *, after: bool) -> str:
    return comparison.after if after else comparison.before


def _kept(comparison: Comparison, *, after: bool) -> str:
    return f"{'after' if after else 'before'}_{comparison.name}"


def _joined(comparison: Comparison, *, without_repeated: bool) -> str:
    keys = [index for index, _ in comparison.keys]
    others = [index for index, _ in comparison.common if index not in keys]
    forms = {index: _form(index, column) for index, column in comparison.common}
    changed = [f"b.{forms[index]} IS DISTINCT FROM a.{forms[index]}" for index in others]
    is_update = "b.present AND a.present"
    columns = [
        "CASE WHEN a.present IS NULL THEN 'delete' WHEN b.present IS NULL THEN 'insert' ELSE 'update' END AS change",
        "FALSE AS repeated",
        "CAST(NULL AS VARCHAR) AS explained",
        "FALSE AS moved",
        *(f"coalesce({is_update} AND {test}, FALSE) AS c{index}" for index, test in zip(others, changed, strict=True)),
        *(f"FALSE AS c{index}" for index in range(len(comparison.columns)) if index not in others),
        *(f"b.v{index} AS b{index}, a.v{index} AS a{index}" for index in range(len(comparison.columns))),
    ]
    test = " OR ".join(["b.present IS NULL", "a.present IS NULL", *changed])
    on = " AND ".join(f"b.{forms[index]} = a.{forms[index]}" for index in keys)
    sides = {}
    for side in ("before", "after"):
        anti = _not_repeated(comparison) if without_repeated else ""
        sides[side] = f"(SELECT *, TRUE AS present FROM {side}_{comparison.name} AS rows{anti})"
    return (
        f"SELECT {', '.join(columns)} FROM {sides['before']} AS b FULL JOIN {sides['after']} AS a ON {on} WHERE {test}"
    )


def _multiset(comparison: Comparison) -> str:
    """Rows by content: as many deletions or insertions as there are fewer or more of them."""
    count = len(comparison.columns)
    forms = [_form(index, column) for index, column in comparison.common]
    only = _repeated(comparison) if comparison.keys else ""
    sides = " UNION ALL ".join(
        f"SELECT {', '.join(forms)}, {sign} AS sign, "
        + ", ".join(_own_and_null(index, after=after) for index in range(count))
        + f" FROM {'after' if after else 'before'}_{comparison.name} AS rows{only}"
        for after, sign in ((False, 1), (True, -1))
    )
    values = ", ".join(f"any_value(b{index}) AS b{index}, any_value(a{index}) AS a{index}" for index in range(count))
    flags = ", ".join(f"FALSE AS c{index}" for index in range(count))
    kept = ", ".join(
        f"CASE WHEN net > 0 THEN b{index} END AS b{index}, CASE WHEN net < 0 THEN a{index} END AS a{index}"
        for index in range(count)
    )
    return (
        f"SELECT CASE WHEN net > 0 THEN 'delete' ELSE 'insert' END AS change, TRUE AS repeated, "
        f"CAST(NULL AS VARCHAR) AS explained, FALSE AS moved, {flags}, {kept} "
        f"FROM (SELECT {values}, sum(sign) AS net FROM ({sides}) GROUP BY {', '.join(forms)} HAVING sum(sign) <> 0), "
        "range(CAST(abs(net) AS BIGINT))"
    )


def _own_and_null(index: int, *, after: bool) -> str:
    return f"NULL AS b{index}, v{index} AS a{index}" if after else f"v{index} AS b{index}, NULL AS a{index}"


def _same_key(comparison: Comparison) -> str:
    forms = [_form(index, column) for index, column in comparison.keys]
    return " AND ".join(f"r.{form} IS NOT DISTINCT FROM rows.{form}" for form in forms)


def _repeated(comparison: Comparison) -> str:
    return f" SEMI JOIN repeated_{comparison.name} AS r ON {_same_key(comparison)}"


def _not_repeated(comparison: Comparison) -> str:
    return f" ANTI JOIN repeated_{comparison.name} AS r ON {_same_key(comparison)}"


def _integer_key(comparison: Comparison) -> Column | None:
    keys = [column for _, column in comparison.keys]
    is_integer = (
        len(keys) == 1 and family_of(keys[0].before or "") is Family.INTEGER and keys[0].before == keys[0].after
    )
    return keys[0] if is_integer else None


def _bucket(comparison: Comparison, *, after: bool, rows: int) -> str:
    if (key := _integer_key(comparison)) is not None:
        return f"coalesce({quoted(key.name)} // {rows}, {NO_KEY_BUCKET})"
    if comparison.keys:
        forms = ", ".join(comparable(column, after=after) for _, column in comparison.keys)
        return f"(hash({forms}) >> {HASH_BUCKETS_SHIFT})"
    return f"({_row_hash(comparison, after=after)} >> {HASH_BUCKETS_SHIFT})"


def _range(comparison: Comparison, span: tuple[int, int] | None) -> str:
    key = _integer_key(comparison)
    if key is None or span is None:
        return ""
    least, greatest = (span[0] - 1) * BUCKET_ROWS, (span[1] + 1) * BUCKET_ROWS
    if least < -_LARGEST or greatest > _LARGEST or span[0] <= NO_KEY_BUCKET:
        return ""
    return f"{quoted(key.name)} BETWEEN {least} AND {greatest} AND "


def _row_hash(comparison: Comparison, *, after: bool) -> str:
    forms = ", ".join(comparable(column, after=after) for _, column in comparison.common)
    return f"hash(CAST({comparison.salt} AS UBIGINT), {forms})"


def _as_number(value: str, type_name: str) -> str:
    """A number as text that does not depend on its type: whole numbers without a point."""
    if family_of(type_name) is Family.INTEGER:
        return f"CAST({value} AS VARCHAR)"
    number = f"CAST({value} AS DOUBLE)"
    return (
        f"CASE WHEN {number} = trunc({number}) AND abs({number}) < 9e15 "
        f"THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) ELSE CAST({number} AS VARCHAR) END"
    )
