"""Bloom filters that another tool made: read beside the keys of their records, and kept as a table of persons.

The format is clkhash's: ``{"clks": [base64, ...]}``, one filter for each record in the order of the tool's input. Its
records have no names, so the owner states their keys beside it, one a line. Source: clkhash, "CLK data format".
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.names import PartyId
from asepsis.errors.linkage import FilterRefused

_KEY: Final = 16
FILTERS: Final = "filters"
"""The one table of a snapshot of filters."""
_SCHEMA: Final = pa.schema(
    [pa.field("person_id", pa.int64(), nullable=False), pa.field("filter", pa.binary(), nullable=False)]
)


def read_clks(owner: PartyId, document: bytes) -> list[bytes]:
    """The filters of a clkhash file. Raises FilterRefused."""
    try:
        value = json.loads(document)
        texts = value["clks"]
        return [base64.b64decode(text, validate=True) for text in texts]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise FilterRefused(owner=owner, what="the file is not one of clkhash") from None


def filter_file(
    owner: PartyId, filters: Sequence[bytes], keys: Sequence[str], persons: Path, *, randomness: Callable[[int], bytes]
) -> tuple[bytes, int]:
    """The filters by ``person_id`` as Parquet, in random order, and how many they are.

    ``persons`` says which person a key of a record is. A record that is no person of the contribution is left out; of
    several records of one person the first one counts. Raises FilterRefused.
    """
    if len(filters) != len(keys):
        raise FilterRefused(owner=owner, what="there are not as many keys as filters")
    try:
        known = pq.read_table(persons, columns=["person_key", "person_id"])
    except (pa.ArrowException, OSError, ValueError):
        raise FilterRefused(owner=owner, what="the persons of the contribution cannot be read") from None
    person_of = dict(zip(known["person_key"].to_pylist(), known["person_id"].to_pylist(), strict=True))
    found: dict[int, bytes] = {}
    for key, bits in zip(keys, filters, strict=True):
        if key in person_of:
            found.setdefault(person_of[key], bits)
    if not found:
        raise FilterRefused(owner=owner, what="no key is one of the contribution's records")
    order = sorted(found, key=lambda _: randomness(_KEY))
    rows = [{"person_id": person, "filter": found[person]} for person in order]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), content, compression="none")
    return content.getvalue(), len(rows)


def read_filter_file(owner: PartyId, path: Path | BinaryIO) -> pa.Table:
    """What :func:`filter_file` wrote. Raises FilterRefused."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError):
        raise FilterRefused(owner=owner, what="the file cannot be read") from None
    if table.schema.remove_metadata() != _SCHEMA:
        raise FilterRefused(owner=owner, what="a column is missing or of another type")
    return table
