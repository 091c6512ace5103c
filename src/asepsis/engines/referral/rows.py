"""Collects the patient-level rows of one hospital for its own clinical team.

The result is sealed at once: nothing here prints, logs or raises a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from asepsis.domain.names import PartyId
from asepsis.domain.sealed import Sealed
from asepsis.errors.engine import EngineFailed

_PEOPLE: Final = """
SELECT person_id FROM read_parquet($identity)
WHERE person_id IN (SELECT person_id FROM read_parquet($links) JOIN people ON link_id = id WHERE owner = $owner)
"""
_PEOPLE_ALONE: Final = "SELECT person_id FROM read_parquet($identity) WHERE person_id IN (SELECT id FROM people)"


def patient_rows(
    people: Sealed[Iterable[int]],
    *,
    owner: PartyId,
    identity: Path,
    tables: Mapping[str, Path],
    links: Path | None,
) -> Sealed[bytes]:
    """One JSON document: per patient the identity record and the rows of each table. Raises EngineFailed."""
    connection = duckdb.connect()
    try:
        connection.register("people", pa.table({"id": pa.array(list(people.unseal()), pa.int64())}))
        arguments: dict[str, object] = {"identity": str(identity)}
        if links is not None:
            arguments |= {"links": str(links), "owner": owner}
        chosen = connection.execute(_PEOPLE_ALONE if links is None else _PEOPLE, arguments).fetch_arrow_table()
        connection.register("chosen", chosen)
        records = {name: _records(connection, path) for name, path in {"identity": identity, **tables}.items()}
    except duckdb.Error:
        raise EngineFailed from None
    finally:
        connection.close()
    document = {"format": "asepsis/referral/1", "hospital": owner, "tables": records}
    return Sealed(json.dumps(document, default=str).encode())


def _records(connection: duckdb.DuckDBPyConnection, path: Path) -> list[dict[str, object]]:
    relation = connection.execute(
        "SELECT t.* FROM read_parquet($path) t SEMI JOIN chosen USING (person_id) ORDER BY ALL", {"path": str(path)}
    )
    rows: list[dict[str, object]] = relation.fetch_arrow_table().to_pylist()
    return rows
