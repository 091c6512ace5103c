"""The record: checkpoints that every owner's desk cosigns, the export for an auditor, and its offline check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.domain.contract import Contract
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.domain.parties import Role
from asepsis.errors.ledger import RollbackDetected
from asepsis.errors.room import RecordMissing
from asepsis.ledger.bundle import AuditReport, check_seen, verify_bundle, write_bundle
from asepsis.ledger.checkpoint import Checkpoint, parse_checkpoint
from asepsis.ledger.fhir import fhir_bundle
from asepsis.ledger.note import Algorithm, VerifierKey, add_signature, verify_note
from asepsis.ledger.ocsf import ocsf_events
from asepsis.ledger.proof import write_entry_proof
from asepsis.ports import Clock, Desk, HostKeys, Ledger, RoomState
from asepsis.sealing.canonical import canonical

_ATTEMPTS: Final = 5


class ExportFormat(StrEnum):
    """What an export is for: to be verified, or to be read by other systems, which trust whoever hands it to them."""

    BUNDLE = "bundle"
    FHIR = "fhir"
    OCSF = "ocsf"


@dataclass(frozen=True, slots=True)
class Audit:
    """The room's side of the ledger: it signs what it has, the desks witness that it only grew."""

    state: RoomState
    keys: HostKeys
    desks: Mapping[PartyId, Desk]
    host: PartyId
    origin: str
    clock: Clock

    def checkpoint(self) -> str:
        """A checkpoint over everything so far, signed by the room and cosigned by every desk.

        Raises:
            RollbackDetected, ConsistencyRefused: a desk has seen another history of this ledger.
        """
        ledger = self.state.ledger()
        for _ in range(_ATTEMPTS):
            size = ledger.size()
            try:
                return self._cosigned(ledger, size)
            except RollbackDetected:
                if ledger.size() == size:  # nobody else's checkpoint came between: a desk knows more than we have
                    raise
        return self._cosigned(ledger, ledger.size())

    def _cosigned(self, ledger: Ledger, size: int) -> str:
        note = self.keys.sign_checkpoint(Checkpoint(origin=self.origin, size=size, root=ledger.root(size)))
        for desk in self.desks.values():
            seen = desk.seen_size()
            proof = ledger.consistency(seen, size) if 0 < seen <= size else []
            note = add_signature(note, line=desk.cosign(note, proof=proof, room_key=self.log_key.text))
        with self.state.noting() as tables:
            tables.put_checkpoint(size, note=note)
        return note

    def entries(self) -> list[LedgerEntry]:
        """All entries, oldest first."""
        ledger = self.state.ledger()
        return list(ledger.entries(0, ledger.size()))

    def export(self, kind: ExportFormat = ExportFormat.BUNDLE) -> bytes:
        """The whole ledger under a fresh checkpoint: a file that verifies offline, or records for other systems.

        That it was exported is an act, and the last entry of what is exported.
        """
        facts = {"mode": kind.value}
        entry = LedgerEntry(at=self.clock(), actor=self.host, act=Act.LEDGER_EXPORTED, subject=self.origin, facts=facts)
        with self.state.acting(entry):
            pass
        note = self.checkpoint()
        entries = self.state.ledger().entries(0, note_size(note))
        if kind is ExportFormat.FHIR:
            return canonical(fhir_bundle(entries, parse_checkpoint(note.partition("\n\n")[0] + "\n"))) + b"\n"
        if kind is ExportFormat.OCSF:
            return b"".join(canonical(event) + b"\n" for event in ocsf_events(entries, origin=self.origin))
        return write_bundle(
            entries,
            checkpoint_note=note,
            log_key=self.log_key,
            witness_keys=[witness_key(owner, desk.public().signing) for owner, desk in self.desks.items()],
        )

    def trail(self, subjects: AbstractSet[str]) -> list[tuple[LedgerEntry, str]]:
        """All entries about these subjects, oldest first, each with the proof that the ledger contains it.

        Raises RecordMissing if there is none.
        """
        note = self.checkpoint()
        ledger = self.state.ledger()
        size = note_size(note)
        found = [
            (entry, write_entry_proof(note, index=index, hashes=ledger.inclusion(index, size)))
            for index, entry in enumerate(ledger.entries(0, size))
            if entry.subject in subjects
        ]
        if not found:
            raise RecordMissing(subject="ledger entry", id=min(subjects))
        return found

    @property
    def log_key(self) -> VerifierKey:
        """The ledger's own key under its name."""
        return VerifierKey(name=self.origin, public_key=self.keys.public().signing)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerKeys:
    """The public keys that a ledger is verified with: its own, and those of its witnesses."""

    log: VerifierKey
    witnesses: tuple[VerifierKey, ...]


def ledger_keys(contract: Contract) -> LedgerKeys:
    """The keys as the contract names them: the host signs the ledger, every owner's desk witnesses it."""
    host = contract.with_role(Role.HOST)[0]
    return LedgerKeys(
        log=VerifierKey(name=contract.ledger_origin, public_key=host.signing_key),
        witnesses=tuple(witness_key(owner.id, owner.signing_key) for owner in contract.owners),
    )


def witness_key(owner: PartyId, public_key: bytes) -> VerifierKey:
    """An owner's key as a witness."""
    return VerifierKey(name=owner, public_key=public_key, algorithm=Algorithm.COSIGNATURE)


def note_size(note: str) -> int:
    """How many entries a checkpoint that this room has just made covers."""
    return int(note.split("\n")[1])


def verify_export(data: bytes, keys: LedgerKeys, *, seen: Iterable[str] = ()) -> AuditReport:
    """Check an exported ledger offline: every entry, the root, the room's signature and every owner's cosignature.

    ``seen`` are checkpoints that owners got from their own desks; the ledger must continue each of them.

    Raises:
        HistorySplit: an owner's desk saw another history.
        NoteRefused, CheckpointRefused: a checkpoint is none, or no owner's desk signed it.
        AsepsisError: what :func:`asepsis.ledger.bundle.verify_bundle` raises.
    """
    report = verify_bundle(data, log_key=keys.log, witness_keys=keys.witnesses, quorum=len(keys.witnesses))
    check_seen(report, [_seen(note, keys) for note in seen])
    return report


def _seen(note: str, keys: LedgerKeys) -> tuple[str, Checkpoint]:
    verified = verify_note(note, keys=keys.witnesses)
    return verified.signatures[0].key.name, parse_checkpoint(verified.text)
