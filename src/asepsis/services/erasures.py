"""Erasures in the room: the ledger records what an owner's desk destroyed, the ciphertext goes, a certificate stays.

The certificate is one file that verifies offline: the owner's signed list of destroyed keys, under the contract whose
digest the verifier brings along, and the proof that the ledger, which every owner witnesses, records exactly that list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from asepsis.domain.contract_reading import read_contract
from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.erasure import Erasure, KeyKind
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, SnapshotId
from asepsis.errors.contract import ErasureNotTrusted
from asepsis.errors.room import BundleForged, KeysNotPinned, RecordMissing
from asepsis.ledger.proof import verify_entry_proof
from asepsis.ports import Clock, RoomState, SnapshotFiles
from asepsis.sealing.agreement import contract_digest
from asepsis.sealing.erasure import SignedErasure, read_signed_erasure, verify_erasure
from asepsis.services.audit import Audit, ledger_keys
from asepsis.services.contracts import Contracts

FORMAT: Final = "asepsis/erasure-certificate/1"
_EVERY_VERSION: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedErasure:
    """What a verified certificate shows."""

    erasure: Erasure
    contract: str
    position: int
    ledger_size: int


@dataclass(frozen=True, slots=True)
class Erasures:
    """Records erasures and writes their certificates."""

    state: RoomState
    files: SnapshotFiles
    contracts: Contracts
    audit: Audit
    clock: Clock

    def record(self, erasures: Sequence[SignedErasure]) -> None:
        """Record what a desk destroyed and remove the ciphertext; what was recorded before is only removed again.

        Raises:
            ErasureNotTrusted: an owner did not sign it, or it names what is not that owner's.
        """
        known = {signed.digest for signed in self.state.erasures()}
        for signed in erasures:
            self._check(signed)
            if signed.digest not in known:
                with self.state.acting(*self._entries(signed)) as tables:
                    tables.put_erasure(signed)
            for kind in (KeyKind.SNAPSHOT, KeyKind.LINKS):
                for name in signed.erasure.ids(kind):
                    self.files.erase(SnapshotId(name))
            if signed.erasure.ids(KeyKind.MEMORY):
                self.files.forget_memories(signed.erasure.lineage, before=_EVERY_VERSION)
        self.audit.checkpoint()

    def certificate(self, erasure: Digest) -> Document:
        """The certificate of a recorded erasure. Raises RecordMissing."""
        signed = next((one for one in self.state.erasures() if one.digest == erasure), None)
        if signed is None:
            raise RecordMissing(subject="erasure", id=erasure)
        entry, proof = self.audit.trail({erasure})[-1]
        return {
            "format": FORMAT,
            "contract": self.contracts.papers(signed.erasure.contract).contract,
            "erasure": signed.erasure.to_document(),
            "signature": encode_bytes(signed.signature),
            "entry": entry.to_document(),
            "proof": proof,
        }

    def _check(self, signed: SignedErasure) -> None:
        """It is an owner's word about its own snapshots, and about link maps that it endorsed."""
        contract = read_contract(self.contracts.papers(signed.erasure.contract).contract)
        erasure = verify_erasure(signed, contract)
        here = {item.manifest.snapshot: item for item in self.state.snapshots()}
        for kind in (KeyKind.SNAPSHOT, KeyKind.LINKS):
            for name in erasure.ids(kind):
                item = here.get(SnapshotId(name))
                if item is not None and erasure.owner not in (item.endorsements or {item.manifest.owner}):
                    raise ErasureNotTrusted(owner=erasure.owner)

    def _entries(self, signed: SignedErasure) -> list[LedgerEntry]:
        erasure, at = signed.erasure, self.clock()
        facts = {"contract": erasure.contract, "digest": signed.digest}
        shredded = [
            LedgerEntry(at=at, actor=erasure.owner, act=Act.KEY_SHREDDED, subject=key.id, facts=facts)
            for key in erasure.keys
        ]
        withdrawn = [
            LedgerEntry(at=at, actor=erasure.owner, act=Act.SNAPSHOT_WITHDRAWN, subject=name, facts=facts)
            for name in erasure.ids(KeyKind.SNAPSHOT)
        ]
        erased = LedgerEntry(
            at=at, actor=erasure.owner, act=Act.CONTRACT_ERASED, subject=signed.digest, facts=_facts(erasure)
        )
        return [*shredded, *withdrawn, erased]


def verify_certificate(document: object, *, contract: Digest) -> VerifiedErasure:
    """Check a certificate, offline, from the contract's digest down to the ledger's proof.

    Raises:
        KeysNotPinned: it is under another contract.
        ErasureNotTrusted: the owner did not sign this list.
        BundleForged, or what a proof is refused with: the ledger does not record it.
    """
    fields = Fields(document, document="certificate")
    if fields.text("format") != FORMAT:
        raise fields.malformed("format", f"'{FORMAT}' is needed")
    agreed = read_contract(fields.anything("contract"))
    if contract_digest(agreed) != contract:
        raise KeysNotPinned
    signed = read_signed_erasure({"erasure": fields.anything("erasure"), "signature": fields.anything("signature")})
    erasure = verify_erasure(signed, agreed)
    entry, keys = LedgerEntry.from_document(fields.anything("entry")), ledger_keys(agreed)
    verified = verify_entry_proof(
        fields.text("proof"), entry=entry, log_key=keys.log, witness_keys=keys.witnesses, quorum=len(keys.witnesses)
    )
    fields.close()
    told = (entry.act, entry.actor, entry.subject, dict(entry.facts))
    if told != (Act.CONTRACT_ERASED, erasure.owner, signed.digest, _facts(erasure)):
        raise BundleForged(what="the ledger records something else")
    return VerifiedErasure(
        erasure=erasure,
        contract=agreed.name,
        position=verified.index,
        ledger_size=verified.witnessed.checkpoint.size,
    )


def _facts(erasure: Erasure) -> dict[str, str | int]:
    return {"contract": erasure.contract, "count": len(erasure.keys)}
