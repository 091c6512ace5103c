"""Faces: the identity records of all owners, normalised, as one table of the engine.

A face is one line of an identity table; a node is one (owner, person_id), which may have several faces. Each
distinct value of a batch is normalised once. Nothing is kept of the source values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.guard import one_number
from asepsis.errors.linkage import IdentityColumnRefused, IdentityUnreadable, PersonIdMissing
from asepsis.linkage import normalise
from asepsis.linkage.rules import COMMON_FROM

_BATCH_ROWS: Final = 131_072
_FACE: Final = pa.schema(
    [
        ("owner", pa.int32()),
        ("person_id", pa.int64()),
        ("national_id", pa.string()),
        ("family", pa.string()),
        ("family_sound", pa.string()),
        ("family_forms", pa.list_(pa.string())),
        ("given", pa.string()),
        ("given_every", pa.string()),
        ("given_canonical", pa.string()),
        ("given_sound", pa.string()),
        ("initial", pa.string()),
        ("birth", pa.string()),
        ("birth_swapped", pa.string()),
        ("year", pa.string()),
        ("sex", pa.string()),
        ("address", pa.string()),
        ("postal_code", pa.string()),
        ("phone", pa.string()),
    ],
)
_TEXT: Final[Mapping[str, tuple[str, Callable[[str | None], str | None]]]] = {
    "national_id": ("national_id", normalise.national_id),
    "sex": ("sex", normalise.sex),
    "address": ("address", normalise.address),
    "postal_code": ("postal_code", normalise.postal_code),
    "phone": ("phone", normalise.phone),
}
_READ: Final = [column for column in IDENTITY_COLUMNS if column not in {"mrn", "city"}]


def load(connection: duckdb.DuckDBPyConnection, identities: Mapping[PartyId, Path]) -> dict[str, int]:
    """Fill the tables ``face`` and ``node``; return how many values were dropped as defaults, by field.

    Raises IdentityUnreadable, IdentityColumnRefused, PersonIdMissing.
    """
    connection.register("batch", pa.Table.from_batches([], schema=_FACE))
    connection.execute("CREATE TABLE line AS SELECT * FROM batch")
    for number, owner in enumerate(sorted(identities)):
        for batch in _batches(owner, identities[owner]):
            _refuse_missing_ids(owner, batch)
            connection.register("batch", _readable(owner, number, batch))
            connection.execute("INSERT INTO line SELECT * FROM batch")
    connection.unregister("batch")
    dropped = _drop_defaults(connection)
    connection.execute(_NUMBER_NODES)
    return dropped


def _batches(owner: PartyId, path: Path) -> Iterator[pa.RecordBatch]:
    """Only reading happens inside the guarded steps, so that no error of a caller is taken for one of the file."""
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError, ValueError):
        raise IdentityUnreadable(owner=owner) from None
    with file:
        _refuse_schema(owner, schema)
        batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=_READ)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError, ValueError):
                raise IdentityUnreadable(owner=owner) from None
            if batch is None:
                return
            yield batch


def _refuse_schema(owner: PartyId, schema: pa.Schema) -> None:
    for column in IDENTITY_COLUMNS:
        expected = {"person_id": "BIGINT", "birth_date": "DATE"}.get(column, "VARCHAR")
        if schema.names.count(column) != 1 or not _fits(schema.field(column).type, expected):
            raise IdentityColumnRefused(owner=owner, column=column, expected=expected)


def _fits(kind: pa.DataType, expected: str) -> bool:
    if expected == "BIGINT":
        return bool(pa.types.is_integer(kind))
    if pa.types.is_null(kind):
        return True
    if expected == "DATE":
        return bool(pa.types.is_date32(kind))
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(values) or pa.types.is_large_string(values))


def _refuse_missing_ids(owner: PartyId, batch: pa.RecordBatch) -> None:
    missing = batch.column("person_id").null_count
    if missing:
        raise PersonIdMissing(owner=owner, count=missing)


def _readable(owner: PartyId, number: int, batch: pa.RecordBatch) -> pa.Table:
    """Text that is no UTF-8 and dates that are none show only when they are read; their errors quote them."""
    try:
        return _normalised(number, batch)
    except (pa.ArrowException, ValueError, OverflowError):
        raise IdentityUnreadable(owner=owner) from None


def _normalised(owner: int, batch: pa.RecordBatch) -> pa.Table:
    columns: dict[str, Any] = {
        "owner": [owner] * batch.num_rows,
        "person_id": batch.column("person_id").cast(pa.int64()),
    }
    for target, (source, function) in _TEXT.items():
        columns[target] = _each_once(function, _texts(batch, source))
    columns |= _families(_texts(batch, "family_name"), _texts(batch, "previous_family_name"))
    columns |= _givens(_texts(batch, "given_name"))
    columns |= _births(batch.column("birth_date").to_pylist(), _texts(batch, "birth_date_source"))
    return pa.table({field.name: pa.array(columns[field.name], type=field.type) for field in _FACE}, schema=_FACE)


def _texts(batch: pa.RecordBatch, column: str) -> list[str | None]:
    return list(batch.column(column).to_pylist())


def _each_once(function: Callable[[str | None], Any], texts: list[str | None]) -> list[Any]:
    results = {text: function(text) for text in set(texts)}
    return [results[text] for text in texts]


def _families(present: list[str | None], former: list[str | None]) -> dict[str, list[Any]]:
    names = _each_once(normalise.family_name, present)
    former_names = _each_once(normalise.family_name, former)
    forms = [
        sorted({*(name.forms if name else ()), *(before.forms if before else ())})
        for name, before in zip(names, former_names, strict=True)
    ]
    return {
        "family": [name and name.whole for name in names],
        "family_sound": [name and name.sound for name in names],
        "family_forms": forms,
    }


def _givens(texts: list[str | None]) -> dict[str, list[Any]]:
    names = _each_once(normalise.given_name, texts)
    return {
        "given": [name and name.first for name in names],
        "given_every": [name and name.every for name in names],
        "given_canonical": [name and name.canonical for name in names],
        "given_sound": [name and name.sound for name in names],
        "initial": [name and name.first[0] for name in names],
    }


def _births(values: list[date | None], sources: list[str | None]) -> dict[str, list[Any]]:
    births = [normalise.birth(value, source) for value, source in zip(values, sources, strict=True)]
    return {
        "birth": [birth and birth.day for birth in births],
        "birth_swapped": [birth and birth.swapped for birth in births],
        "year": [birth and birth.year for birth in births],
    }


def _drop_defaults(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """A value that one owner's records carry far too often is a default of its system, not a trait of persons."""
    dropped = {}
    for trait, (floor, factor) in COMMON_FROM.items():
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE common AS
            WITH counted AS (
                SELECT owner, {trait}, count(DISTINCT person_id) AS n
                FROM line WHERE {trait} IS NOT NULL GROUP BY ALL
            )
            SELECT owner, {trait}, n FROM counted
            WINDOW one_owner AS (PARTITION BY owner)
            QUALIFY n > {floor} AND (
                n * (count(*) OVER one_owner - 1) > {factor} * (sum(n) OVER one_owner - n)
                OR count(*) OVER one_owner = 1
            )
            """,  # noqa: S608 - trait names and numbers are constants of the rules
        )
        cleared = ", ".join(f"{column} = NULL" for column in _CLEARED.get(trait, (trait,)))
        dropped[str(trait)] = one_number(connection, "SELECT sum(n) FROM common")
        connection.execute(
            f"UPDATE line SET {cleared} FROM common "  # noqa: S608 - as above
            f"WHERE line.owner = common.owner AND line.{trait} = common.{trait}",
        )
    return dropped


_CLEARED: Final[Mapping[str, tuple[str, ...]]] = {"birth": ("birth", "birth_swapped", "year")}

_NUMBER_NODES: Final = """
CREATE TABLE node AS
SELECT (row_number() OVER (ORDER BY owner, person_id) - 1)::BIGINT AS node, owner, person_id
FROM (SELECT DISTINCT owner, person_id FROM line);

CREATE TABLE face AS
SELECT DISTINCT node.node, line.* EXCLUDE (person_id), coalesce(
    min(CASE WHEN length(given) > 1 THEN given_canonical END) OVER same_birth
    <> max(CASE WHEN length(given) > 1 THEN given_canonical END) OVER same_birth, false
) AS has_twin
FROM line JOIN node USING (owner, person_id)
WINDOW same_birth AS (PARTITION BY line.owner, family, birth);

DROP TABLE line;

CREATE TABLE face_form AS SELECT *, unnest(family_forms) AS family_form FROM face;
"""
