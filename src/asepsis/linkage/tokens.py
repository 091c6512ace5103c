"""Keyed tokens of identity records: what an owner sends in place of names, dates and addresses.

Invariant: nothing of a value is in the table but keyed BLAKE2b of 64 bits; a missing, placeholder or default value
has no token, so that it can never agree with anything. Each distinct value of a column is handled once.
Source: RFC 7693, section 2.9 (keyed BLAKE2b as a message authentication code).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from asepsis.linkage.defaults import Defaults
from asepsis.linkage.key import LinkKey
from asepsis.linkage.keyed_hash import KeyedHash
from asepsis.linkage.normal_columns import normal_columns
from asepsis.linkage.token_fields import DOMAIN_OF, LISTS, RECORDS, TOKENS, TOKENS_VERSION

_BYTES: Final = 8
_HEADER: Final = b"asepsis.tokens"
_DROPPED: Final = b"asepsis.dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHeader:
    """Which rules, epoch and key made a token table; tables are comparable only where all of it is equal."""

    version: str
    epoch: int
    key_check: str
    """The key-check value in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTable:
    """The tokens of one owner: one row per record, and the variants of the distinct values."""

    header: TokenHeader
    records: pa.Table
    variants: pa.Table
    dropped: Mapping[str, int]
    """Records whose value was a default, by field; it stays at the owner and in the sealed job."""
    texts: pa.Table | None = field(default=None, repr=False)
    """Only in mode ``sealed``: domain, value token and normalised text of every distinct value."""


def tokenise(
    identities: pa.Table, *, key: LinkKey, defaults: Defaults | None = None, keep_texts: bool = False
) -> TokenTable:
    """Make the token table of one owner's identity records, in the order of the records.

    ``identities`` has the columns of the identity dataset and may have ``second_line`` and ``state``: text, but for
    ``person_id`` (integer) and ``birth_date`` (date). ``defaults`` are the values that the contract names as
    defaults of this owner's systems; frequent values are found besides. ``keep_texts`` is for mode ``sealed`` alone.
    """
    normal = normal_columns(identities, defaults or Defaults())
    hashed = KeyedHash(key)
    columns = {name: hashed.column(DOMAIN_OF.get(name, name), normal.columns[name]) for name in TOKENS}
    columns |= {name: hashed.lists(DOMAIN_OF[name], normal.forms[name]) for name in LISTS}
    columns["person_id"] = identities["person_id"].cast(pa.int64())
    columns["is_initial"] = normal.columns["given"].marked(lambda name: len(name) == 1)
    header = TokenHeader(version=TOKENS_VERSION, epoch=key.epoch, key_check=key.check_value().hex())
    return TokenTable(
        header=header,
        records=pa.table({name: columns[name] for name in RECORDS.names}, schema=RECORDS),
        variants=hashed.variants(),
        dropped=normal.dropped,
        texts=hashed.texts() if keep_texts else None,
    )


def with_header(table: TokenTable) -> tuple[pa.Table, pa.Table]:
    """Records and variants with the header, and what was dropped, in the metadata of their schemas."""
    header = {"version": table.header.version, "epoch": table.header.epoch, "key_check": table.header.key_check}
    metadata = {
        _HEADER: json.dumps(header, sort_keys=True).encode(),
        _DROPPED: json.dumps(dict(table.dropped), sort_keys=True).encode(),
    }
    return table.records.replace_schema_metadata(metadata), table.variants.replace_schema_metadata(metadata)


def read_header(schema: pa.Schema) -> TokenHeader | None:
    """The header in the metadata of a schema, or ``None`` where there is none that can be read."""
    try:
        header = json.loads((schema.metadata or {})[_HEADER])
        return TokenHeader(
            version=str(header["version"]), epoch=int(header["epoch"]), key_check=str(header["key_check"])
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_dropped(schema: pa.Schema) -> dict[str, int]:
    """How many records had a default, by field, as the metadata of a schema say; nothing where they do not."""
    try:
        dropped = json.loads((schema.metadata or {})[_DROPPED])
        return {str(name): int(count) for name, count in dropped.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def shuffled(table: TokenTable, *, randomness: Callable[[int], bytes], dummies: int = 0) -> TokenTable:
    """The records in random order with ``dummies`` records added, and the variants in the order of their tokens.

    A dummy has the name of one record, the birth date and id of another, the home of a third, and a random
    ``person_id`` that no clinical table knows, so that whoever counts records or values counts too many.
    """
    records = table.records
    if dummies and len(records):
        records = pa.concat_tables([records, _dummies(records, dummies, randomness)])
    order = pc.sort_indices(_random_numbers(len(records), randomness))
    variants = table.variants.sort_by([(name, "ascending") for name in table.variants.schema.names])
    return replace(table, records=records.take(order), variants=variants)


_NAMES: Final = ("given", "family", "is_initial", "sex")
_HOME: Final = ("number", "street", "second_line", "city", "postal", "state", "phone")


def _group(name: str) -> int:
    if name.startswith(_NAMES):
        return 0
    return 1 if name.startswith(_HOME) else 2


def _dummies(records: pa.Table, count: int, randomness: Callable[[int], bytes]) -> pa.Table:
    picked = []
    for _ in range(3):
        numbers = _random_numbers(count, randomness).to_pylist()
        picked.append(records.take(pa.array([number % len(records) for number in numbers], pa.int64())))
    columns = {name: picked[_group(name)][name] for name in records.schema.names}
    columns["person_id"] = pc.shift_right(_random_numbers(count, randomness), pa.scalar(2, pa.uint64())).cast(
        pa.int64()
    )
    return pa.table(columns, schema=records.schema)


def _random_numbers(count: int, randomness: Callable[[int], bytes]) -> pa.Array:
    return pa.Array.from_buffers(pa.uint64(), count, [None, pa.py_buffer(randomness(count * _BYTES))])
