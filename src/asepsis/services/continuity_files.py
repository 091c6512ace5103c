"""The files of a continuity pack: tables as CSV that carry their stamp, and the signed statement over all of them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from typing import Final

from asepsis.domain.continuity_age import Stamp, span
from asepsis.domain.continuity_pack import Pack
from asepsis.domain.documents import encode_bytes
from asepsis.domain.ledger import LedgerEntry
from asepsis.domain.names import Digest
from asepsis.domain.release import Cell, Released
from asepsis.sealing.canonical import canonical

SIGNED_FORMAT: Final = "asepsis/signed-continuity-pack/1"
STATEMENT: Final = "pack.json"
CONTRACT: Final = "contract.json"
PAGE: Final = "index.html"
TABLES: Final = "tables/{}.csv"
EVIDENCE: Final = "evidence/{}.json"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula."""

PackFiles = Mapping[str, bytes]
"""Every file of a pack by its path inside it."""


def table_csv(table: Released, stamp: Stamp, *, findings: int) -> bytes:
    """A protected table as CSV (RFC 4180); every row carries what it is as of, so that no copy of it goes without.

    Suppressed cells are empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*table.columns, "data_as_of", "data_age", "freshness", "open_findings"])
    moment = "unknown" if stamp.as_of is None else f"{stamp.as_of:%Y-%m-%dT%H:%M:%SZ}"
    for row in table.rows:
        said = [moment, span(stamp.age), stamp.freshness.value, findings]
        writer.writerow([*(_plain(cell) for cell in row), *said])
    return text.getvalue().encode()


def file_digests(files: PackFiles) -> dict[str, tuple[int, Digest]]:
    """Length and SHA-256 of every file."""
    return {name: (len(content), Digest(hashlib.sha256(content).hexdigest())) for name, content in files.items()}


def signed_pack(pack: Pack, files: PackFiles, *, signature: bytes, entry: LedgerEntry, proof: str) -> PackFiles:
    """All files of a pack, with the statement, its signature, and the proof that the witnessed ledger knows of it."""
    document = {
        "format": SIGNED_FORMAT,
        "pack": pack.to_document(),
        "signature": encode_bytes(signature),
        "entry": entry.to_document(),
        "proof": proof,
    }
    return {**files, STATEMENT: canonical(document)}


def _plain(cell: Cell) -> Cell:
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return "'" + cell
    return cell
