"""The bytes of an entry: what is hashed into the tree is its canonical JSON (RFC 8785), and nothing else.

Entries hold only ASCII identifiers and whole numbers below 2**53 (see `domain.ledger`). For such values the
standard library, told to sort keys and to put no spaces, writes exactly the form of RFC 8785, an order of
magnitude faster than a general implementation; auditors hash hundreds of thousands of entries. A property
test compares the two.
"""

from __future__ import annotations

import json

from asepsis.domain.ledger import LedgerEntry
from asepsis.errors.ledger import EntryMalformed
from asepsis.ledger.tree import leaf_hash


def entry_bytes(entry: LedgerEntry) -> bytes:
    """Canonical JSON of an entry; it contains no newline."""
    return json.dumps(entry.to_document(), sort_keys=True, separators=(",", ":")).encode("ascii")


def entry_hash(entry: LedgerEntry) -> bytes:
    """Leaf hash of an entry."""
    return leaf_hash(entry_bytes(entry))


def parse_entry(data: bytes) -> LedgerEntry:
    """Read an entry from exactly its canonical bytes.

    Raises:
        EntryMalformed: it is no JSON, not of the closed schema, or spelled in another way.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise EntryMalformed(place="entry") from None
    entry = LedgerEntry.from_document(document)
    if entry_bytes(entry) != data:
        raise EntryMalformed(place="entry")
    return entry
