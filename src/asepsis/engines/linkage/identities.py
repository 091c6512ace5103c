"""Reads an owner's identity table, as far as linkage needs it; what a reader says of a bad file would quote it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import PartyId
from asepsis.errors.linkage import IdentityColumnRefused, IdentityUnreadable, PersonIdMissing

_TYPES: Final = {"person_id": ("BIGINT", pa.int64()), "birth_date": ("DATE", pa.date32())}
_TEXT: Final = ("VARCHAR", pa.string())


def read_identities(owner: PartyId, path: Path | BinaryIO) -> pa.Table:
    """The identity table with all columns of ``IDENTITY_COLUMNS``; columns without values may be all NULL.

    Raises IdentityUnreadable, IdentityColumnRefused, PersonIdMissing.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _refuse_schema(owner, schema)
            table = file.read(columns=list(IDENTITY_COLUMNS))
        # Text that is no UTF-8 shows only when it is read.
        table.validate(full=True)
        columns = {name: table[name].cast(_TYPES.get(name, _TEXT)[1]) for name in IDENTITY_COLUMNS}
    except (pa.ArrowException, OSError, ValueError, OverflowError):
        raise IdentityUnreadable(owner=owner) from None
    missing = columns["person_id"].null_count
    if missing:
        raise PersonIdMissing(owner=owner, count=missing)
    return pa.table(columns)


def _refuse_schema(owner: PartyId, schema: pa.Schema) -> None:
    for column in IDENTITY_COLUMNS:
        expected, _ = _TYPES.get(column, _TEXT)
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
