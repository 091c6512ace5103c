"""Version 1 of the API: what the room shows about contract, releases, runs, referrals, snapshots and ledger.

No shape here has a place for a patient's row, a cohort or a question's text; a table is a released one.
"""

from __future__ import annotations

from datetime import datetime

from asepsis.wire.base import Wire

Cell = int | float | str | bool | None


class Health(Wire):
    """That the room answers."""

    status: str
    version: str


class PartyStanding(Wire):
    """One party of the contract and whether it has signed."""

    party: str
    name: str
    roles: list[str]
    signed: bool
    signing_key: str
    """Ed25519, base64."""


class ContractStanding(Wire):
    """Where the contract stands."""

    name: str
    title: str
    purpose: str
    digest: str
    """SHA-256 of the canonical text that the parties sign."""

    status: str
    parties: list[PartyStanding]
    waiting_for: list[str]
    valid_from: datetime
    valid_until: datetime
    profile: str
    """The disclosure profile that every output is protected under."""

    level: int
    """The least level of evidence; 0 is NON-CONFIDENTIAL."""

    measurements: list[str]
    budgets: dict[str, int]


class Finding(Wire):
    """One check's word about an output."""

    code: str
    severity: str
    reason: str
    advice: str


class Table(Wire):
    """A released table; ``actions`` says what protection did to each cell, suppressed cells are null.

    ``within`` is null without noise; else the number without noise is that near, 95 times of 100.
    """

    columns: list[str]
    rows: list[list[Cell]]
    actions: list[list[str]]
    notes: list[str]
    within: list[list[float | None]] | None = None


class ReleaseLine(Wire):
    """An output that asked to leave the room."""

    release: str
    run: str
    contract: str
    author: str
    status: str
    decided_by: str | None
    decided_at: datetime


class Release(ReleaseLine):
    """An output with its findings; the table is there once it was released."""

    profile: str
    findings: list[Finding]
    table: Table | None


class RunLine(Wire):
    """One execution, without its question."""

    run: str
    kind: str
    author: str
    status: str
    contract: str
    submitted_at: datetime


class ReferralLine(Wire):
    """How far a referral is; neither its cohort nor its reason nor its packages."""

    referral: str
    author: str
    status: str
    approved_by: list[str]
    requested_at: datetime


class SealedFile(Wire):
    """A ciphertext file of a snapshot, as its owner signed it."""

    id: str
    table: str
    rows: int
    sealed_length: int
    root: str
    """BLAKE3 of the ciphertext."""


class Snapshot(Wire):
    """What the signed manifest of a sealed snapshot says."""

    snapshot: str
    owner: str
    dataset: str
    label: str
    manifest: str
    """SHA-256 of the manifest."""

    source_kind: str
    restore_point: str
    created_at: datetime
    published_at: datetime
    files: list[SealedFile]


class LedgerEntry(Wire):
    """One act of the ledger at its position."""

    position: int
    at: datetime
    actor: str
    act: str
    subject: str
    facts: dict[str, str | int]
    commitments: dict[str, str]


class LedgerPage(Wire):
    """A range of entries, oldest first; ``next`` is where to go on."""

    size: int
    start: int
    entries: list[LedgerEntry]
    next: int | None


class Cosignature(Wire):
    """That a witness saw the ledger only grow."""

    witness: str
    at: datetime


class Checkpoint(Wire):
    """The newest checkpoint that is kept, with the cosignatures that verify under the contract's keys."""

    origin: str
    size: int
    root: str
    """Hex."""

    cosignatures: list[Cosignature]
    missing: list[str]
    """Owners whose desk has not cosigned it."""

    note: str
    """The signed note, as https://c2sp.org/tlog-checkpoint describes it."""
