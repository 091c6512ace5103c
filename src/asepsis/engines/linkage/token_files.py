"""Token tables as the two files of a sealed snapshot, and back; what a reader says of a bad file is withheld."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.names import PartyId
from asepsis.errors.linkage import TokensUnreadable
from asepsis.linkage.key import LinkKey
from asepsis.linkage.token_fields import RECORDS, VARIANTS
from asepsis.linkage.tokens import TokenTable, read_dropped, read_header, shuffled, tokenise, with_header

RECORDS_FILE: Final = "records"
VARIANTS_FILE: Final = "variants"


def token_files(
    identities: pa.Table, *, key: LinkKey, dummies: int, randomness: Callable[[int], bytes]
) -> tuple[dict[str, bytes], int]:
    """The files of one owner's tokens, in random order, and how many records are in them.

    ``dummies`` of them are of nobody.
    """
    table = shuffled(tokenise(identities, key=key), randomness=randomness, dummies=dummies)
    parts = zip((RECORDS_FILE, VARIANTS_FILE), with_header(table), strict=True)
    return {name: _written(part) for name, part in parts}, len(table.records)


def read_token_files(owner: PartyId, files: Mapping[str, Path]) -> TokenTable:
    """The token table in two files. Raises TokensUnreadable."""
    try:
        records = _read(files[RECORDS_FILE], RECORDS)
        variants = _read(files[VARIANTS_FILE], VARIANTS)
    except (pa.ArrowException, OSError, KeyError, ValueError):
        raise TokensUnreadable(owner=owner) from None
    header = read_header(records.schema)
    if header is None or header != read_header(variants.schema):
        raise TokensUnreadable(owner=owner)
    return TokenTable(header=header, records=records, variants=variants, dropped=read_dropped(records.schema))


def _written(table: pa.Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    return content.getvalue()


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    with pq.ParquetFile(path) as file:
        table = file.read(columns=schema.names)
    table.validate(full=True)
    return table.cast(schema.with_metadata(table.schema.metadata))
