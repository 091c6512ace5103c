"""Collects the patient-level rows of one hospital for its own clinical team.

The result is sealed at once: nothing here prints, logs or raises a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from asepsis.domain.names import PartyId
from asepsis.domain.sealed import Sealed
from asepsis.errors.runtime import ReferralRowsFailed


def patient_rows(
    people: Sealed[pa.Table], *, owner: PartyId, identity: Path, tables: Mapping[str, Path]
) -> Sealed[bytes]:
    """One JSON document: the identity records and table rows of the owner's own patients among ``people``.

    ``people`` has the columns owner and person_id (the owner's own). Raises ReferralRowsFailed.
    """
    connection = duckdb.connect()
    try:
        connection.register("people", people.unseal())
        connection.execute("CREATE TABLE chosen AS SELECT DISTINCT person_id FROM people WHERE owner = ?", [owner])
        records = {name: _records(connection, path) for name, path in {"identity": identity, **tables}.items()}
    except duckdb.Error:
        raise ReferralRowsFailed from None
    finally:
        connection.close()
    document = {"format": "asepsis/referral/1", "hospital": owner, "tables": records}
    return Sealed(json.dumps(document, default=str).encode())


def _records(connection: duckdb.DuckDBPyConnection, path: Path) -> list[dict[str, object]]:
    text = "SELECT t.* FROM read_parquet($path) t SEMI JOIN chosen USING (person_id) ORDER BY ALL"
    rows: pa.Table = connection.execute(text, {"path": str(path)}).to_arrow_table()
    return list(rows.to_pylist())
