"""Collects the patient-level rows of one hospital for its own clinical team: all of them, or the essential lists.

The result is sealed at once: nothing here prints, logs or raises a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import duckdb
import pyarrow as pa

from asepsis.domain.datasets import NAME_KEYS, Holding
from asepsis.domain.documents import encode_time
from asepsis.domain.names import PartyId
from asepsis.domain.sealed import Sealed
from asepsis.engines.referral.essentials import EssentialRows
from asepsis.errors.runtime import ReferralRowsFailed

_NO_VALUES: Final[Mapping[str, object]] = MappingProxyType({})


Records = list[dict[str, object]]


def patient_rows(people: Sealed[pa.Table], *, owner: PartyId, tables: Mapping[str, Path]) -> Sealed[bytes]:
    """One JSON document: the rows of the owner's own patients among ``people``, table by table.

    ``people`` has the columns owner and person_id (the owner's own). Raises ReferralRowsFailed.
    """
    with _chosen(people, owner) as connection:
        records = {name: _records(connection, path) for name, path in tables.items()}
    document = {"format": "asepsis/referral/1", "hospital": owner, "tables": records}
    return Sealed(json.dumps(document, default=str).encode())


def essential_rows(
    people: Sealed[pa.Table],
    lists: Sequence[EssentialRows],
    *,
    owner: PartyId,
    as_of: datetime,
    files: Mapping[str, Path],
) -> Sealed[bytes]:
    """One JSON document: identity records and the essential lists of the owner's own patients, as of an instant.

    ``files`` are the owner's tables, with ``identity`` where it is in the room, and name keys where it is at home. A
    list of which no table was contributed is named as missing.
    Raises ReferralRowsFailed.
    """
    found: dict[str, Records] = {}
    missing: list[str] = []
    with _chosen(people, owner) as connection:
        found |= {who: _records(connection, files[who]) for who in (Holding.IDENTITY.value, NAME_KEYS) if who in files}
        for one in lists:
            present = [part for part in one.parts if part.table in files]
            missing += [] if present else [one.name]
            found[one.name] = [
                {**({"table": part.table} if len(one.parts) > 1 else {}), **row}
                for part in present
                for row in _records(connection, files[part.table], part.where, part.values)
            ]
    said = {"as_of": encode_time(as_of), "says": f"DATA AS OF {as_of:%Y-%m-%d %H:%M} UTC", "missing": missing}
    document = {"format": "asepsis/essentials/1", "hospital": owner, **said, "tables": found}
    return Sealed(json.dumps(document, default=str).encode())


@contextmanager
def _chosen(people: Sealed[pa.Table], owner: PartyId) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    try:
        connection.register("people", people.unseal())
        connection.execute("CREATE TABLE chosen AS SELECT DISTINCT person_id FROM people WHERE owner = ?", [owner])
        yield connection
    except duckdb.Error:
        raise ReferralRowsFailed from None
    finally:
        connection.close()


def _records(
    connection: duckdb.DuckDBPyConnection, path: Path, where: str = "true", values: Mapping[str, object] = _NO_VALUES
) -> Records:
    text = f"SELECT t.* FROM read_parquet($path) t SEMI JOIN chosen USING (person_id) WHERE {where} ORDER BY ALL"  # noqa: S608 - the conditions are this package's own
    rows: pa.Table = connection.sql(text, params={"path": str(path), **values}).to_arrow_table()
    return list(rows.to_pylist())
