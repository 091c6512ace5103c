"""One digest for the content of a snapshot, whatever the order of its rows: the root over which a restore is judged.

Every row has a SHA-256 over its columns by name, each value with its length in front; the digests of a table's rows are
sorted and hashed as one text, so that equal tables have equal digests, and another table with the same digest would be
a collision of SHA-256. The digests of the tables, by name, are the leaves of a Merkle tree (RFC 6962, section 2.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from asepsis.integrity.records.layout import Family, family_of
from asepsis.integrity.records.ledger_sql import quoted

_TABLE: Final = b"asepsis/table-root/1\x00"
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def row_digest_sql(columns: Mapping[str, str]) -> str:
    """The SHA-256 of a row as hexadecimal text; ``columns`` are names with their types."""
    parts = ", ".join(_part(name, columns[name]) for name in sorted(columns))
    return f"sha256(concat({parts}))"


def table_digest(name: str, columns: Mapping[str, str], *, rows: int, content: bytes) -> bytes:
    """The digest of a table from that of its sorted rows."""
    digest = hashlib.sha256(_TABLE)
    for text in (name, *(f"{column}:{columns[column]}" for column in sorted(columns)), str(rows)):
        octets = text.encode()
        digest.update(len(octets).to_bytes(8, "big") + octets)
    digest.update(content)
    return digest.digest()


def merkle_root(tables: Mapping[str, bytes]) -> bytes:
    """The root over all tables, by name. Source: RFC 6962, section 2.1."""
    return _root([_LEAF + tables[name] for name in sorted(tables)])


def _root(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(leaves[0]).digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(_NODE + _root(leaves[:half]) + _root(leaves[half:])).digest()


def _part(name: str, type_name: str) -> str:
    value = quoted(name)
    if family_of(type_name) is Family.NUMBER:
        value = f"CASE WHEN {value} = 0 THEN 0 ELSE {value} END"
    text = f"CAST({value} AS VARCHAR)"
    return f"coalesce(strlen({text}) || ':' || {text}, '~')"
