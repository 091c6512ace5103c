"""A hospital's own record of a source: signed, in a line, and told to the ledger.

A record is kept first and told second, as the acts of an incident are: what was interrupted in between is told by the
next scan. A record that the ledger tells of and the hospital has not was taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from asepsis.domain.estate import IndexedPoint, Points
from asepsis.domain.estate_record import EstateRecord, points_of, source_name
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors.estate import RecordAltered
from asepsis.ports import Clock, EstateRecords, RoomState
from asepsis.sealing.estate_record import SignedRecord, record_payload, verify_records
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.audit import Audit


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalSeal:
    """Signs what a hospital keeps of its estate, and knows its own signature again."""

    signs: Callable[[Purpose, bytes], bytes]
    key: bytes

    def sign(self, payload: bytes) -> bytes:
        """Sign for ``Purpose.ESTATE_RECORD``."""
        return self.signs(Purpose.ESTATE_RECORD, payload)

    def verify(self, payload: bytes, signature: bytes) -> None:
        """Raises SignatureInvalid."""
        verify(self.key, purpose=Purpose.ESTATE_RECORD, payload=payload, signature=signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalRecord:
    """The record of one hospital in one room."""

    room: str
    party: PartyId
    seal: HospitalSeal
    records: EstateRecords
    state: RoomState
    audit: Audit
    clock: Clock

    def points(self, source: str) -> Points:
        """All restore points of a source that were ever seen. Raises RecordAltered."""
        return points_of(self._verified(source))

    def add(self, source: str, points: Iterable[IndexedPoint], *, present: int, checks: str, rules: str) -> None:
        """Record what a scan saw for the first time. Raises RecordAltered."""
        before = self._verified(source)
        kept = self.records.records(source)
        record = EstateRecord(
            room=self.room,
            party=self.party,
            source=source,
            number=len(before),
            previous=kept[-1].digest if kept else "",
            at=self.clock(),
            points=tuple(points),
            present=present,
            checks=checks,
            rules=rules,
        )
        signed = SignedRecord(record=record, signature=self.seal.sign(record_payload(record)))
        self.records.add(signed)
        self._tell(signed)

    def _verified(self, source: str) -> list[EstateRecord]:
        kept = self.records.records(source)
        found = verify_records(kept, of=(self.room, self.party, source), key=self.seal.key)
        told = [str(entry.facts.get("digest")) for entry in self.audit.entries() if self._is_about(entry, source)]
        digests = [str(signed.digest) for signed in kept]
        if digests[:-1] == told and kept:
            self._tell(kept[-1])  # it was interrupted
        elif digests != told:
            raise RecordAltered(problem="the ledger tells of other records than those that are here")
        return found

    def _is_about(self, entry: LedgerEntry, source: str) -> bool:
        of = (entry.act, entry.actor, entry.facts.get("source"))
        return of == (Act.RECOVERY_SCANNED, self.party, source_name(source))

    def _tell(self, signed: SignedRecord) -> None:
        record = signed.record
        entry = LedgerEntry(
            at=record.at,
            actor=self.party,
            act=Act.RECOVERY_SCANNED,
            subject=source_name(record.source),
            facts={
                "source": source_name(record.source),
                "digest": signed.digest,
                "sequence": record.number,
                "count": record.present,
            },
        )
        with self.state.acting(entry):
            pass
