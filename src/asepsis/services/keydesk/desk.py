"""The key desk of one owner, verb by verb. What each verb does stands in the module of its subject.

The desk is the owner's: its state, keys and ledger lie in the owner's home. In embedded mode it is called in
process; as a program of its own the same object answers behind HTTPS, and every argument but the owner's own
acts is already treated as coming from a stranger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from asepsis.domain.attestation import NONCE_LENGTH, Grant
from asepsis.domain.budget import Budget
from asepsis.domain.contract import Contract
from asepsis.domain.documents import Document
from asepsis.domain.epoch import Commitment, EpochName, SealedShares, ShowRequest
from asepsis.domain.keydesk import GrantRequest, MemoryDeposit, NarrowRequest, PublicKeys, ShareDeposit
from asepsis.domain.ledger import Act
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.privacy import Account
from asepsis.domain.snapshot import Manifest
from asepsis.domain.statements import StatementKind
from asepsis.linkage.key import LinkKey
from asepsis.sealing.erasure import SignedErasure
from asepsis.sealing.incident import SignedAct, SignedAppointment
from asepsis.sealing.manifest import SignedManifest
from asepsis.sealing.statement import SignedStatement
from asepsis.services.keydesk import (
    consent,
    epochs,
    erasure,
    grants,
    holds,
    linkmap,
    memories,
    narrowing,
    recovery,
    review_lists,
    witness,
)
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.privacy import accounts

_NOBODY: Final[Mapping[PartyId, bytes]] = MappingProxyType({})


class KeyDesk:
    """One owner's desk: what the room may ask, and what the owner does at it."""

    def __init__(self, office: Office) -> None:
        self._office = office

    @property
    def owner(self) -> PartyId:
        """Whose desk it is."""
        return self._office.owner

    def public(self) -> PublicKeys:
        """The owner's public keys, as the contract names them."""
        return self._office.keys.public()

    def nonce(self) -> bytes:
        """A nonce for evidence: 32 bytes, for one use within 120 seconds."""
        nonce = self._office.randomness(NONCE_LENGTH)
        with self._office.acting() as records:
            records.add_nonce(nonce, at=self._office.now())
            self._office.write(records, Act.NONCE_ISSUED, subject="nonce", nonce=nonce.hex())
        return nonce

    def grant(self, request: GrantRequest) -> Grant:
        """The data keys of one run, sealed to its runtime. Raises what ``judgement.judge`` raises."""
        return grants.grant(self._office, request)

    def deposit_share(self, deposit: ShareDeposit) -> bytes:
        """Keep this owner's share of a new link map's key; returns the owner's endorsement of the map's manifest."""
        return linkmap.deposit_share(self._office, deposit)

    def commit(self, epoch: EpochName) -> Commitment:
        """Draw the owner's share of the link key of an epoch, and commit to it."""
        return epochs.commit(self._office, epoch)

    def show(self, request: ShowRequest) -> SealedShares:
        """The owner's share, sealed to each other owner, now that all have committed."""
        return epochs.show(self._office, request)

    def close(self, epoch: EpochName) -> tuple[SignedErasure, ...]:
        """Destroy the owner's share of an epoch and the key of the tokens; returns all such erasures so far."""
        return epochs.close(self._office, epoch)

    def link_key(self, epoch: EpochName, *, shares: SealedShares) -> LinkKey:
        """The link key of an epoch, for use at home; never asked for over the network."""
        return epochs.link_key(self._office, epoch, shares=shares)

    def keep_tokens(self, signed_manifest: SignedManifest, *, dek: bytes) -> None:
        """Take the data key of the owner's tokens into keeping, for the one run of their epoch."""
        epochs.keep_tokens(self._office, signed_manifest, dek=dek)

    def open_list(self, statistic: Document, *, signature: bytes) -> tuple[int, ...]:
        """The owner's persons on the review list of a linkage, for use at home; never asked for over the network."""
        return review_lists.open_list(self._office, statistic, signature=signature)

    def remember(self, deposit: MemoryDeposit) -> bytes:
        """Know a new version of a contract's memory of releases; returns the owner's receipt for its runtime."""
        return memories.remember(self._office, deposit)

    def narrow(self, request: NarrowRequest) -> bytes:
        """Confirm an amendment that another owner signed and that only narrows; returns the owner's signature."""
        return narrowing.confirm(self._office, request)

    def seen_size(self) -> int:
        """The size of the ledger that this desk cosigned last; 0 before the first time."""
        with self._office.state.reading() as records:
            head = records.head()
        return 0 if head is None else head.size

    def seen(self) -> str:
        """The newest checkpoint that this desk cosigned, as a note under its own signature. Raises NoCheckpoint."""
        with self._office.state.reading() as records:
            return witness.seen_note(self._office, records)

    def cosign(self, note: str, *, proof: Sequence[bytes], room_key: str | None = None) -> str:
        """The cosignature line for a checkpoint that extends the last one, by the consistency proof between them.

        ``room_key`` is the ledger's verifier key (``name+hash+key``); the first checkpoint needs it and pins it.
        """
        return witness.cosign(self._office, note, proof=proof, room_key=room_key)

    def sign_contract(self, contract_document: object, *, before: Mapping[PartyId, bytes] = _NOBODY) -> bytes:
        """Sign a contract as the owner; only texts signed here count at this desk.

        ``before`` are the signatures under the version that it amends, if any: with them, a text that only narrows is
        signed as one, so that the other owners' desks confirm it.
        """
        contract = consent.take_contract(self._office, contract_document)
        return narrowing.signature(self._office, contract, before=before)

    def signed(self, contract: Digest) -> Contract:
        """A contract that the owner signed at this desk. Raises ContractNotSignedHere."""
        with self._office.state.reading() as records:
            return consent.signed_contract(self._office, records, contract)

    def register(self, signed_manifest: SignedManifest, *, dek: bytes) -> None:
        """Take the data key of the owner's own snapshot into keeping; doing it again changes nothing."""
        consent.register(self._office, signed_manifest, dek=dek)

    def own_key(self, manifest: Manifest) -> bytes:
        """The data key of the owner's own snapshot, for use at home; never asked for over the network."""
        return consent.own_key(self._office, manifest)

    def stop(self, reason: str) -> None:
        """The kill switch: from now on nothing is granted, under no contract."""
        consent.turn_switch(self._office, stopped=True, reason=reason)

    def resume(self) -> None:
        """Turn the kill switch back."""
        consent.turn_switch(self._office, stopped=False, reason="")

    def is_stopped(self) -> bool:
        """Whether the kill switch is on."""
        with self._office.state.reading() as records:
            return records.is_stopped()

    def suspend(self, contract: Digest) -> SignedStatement:
        """Suspend one contract, for everybody."""
        return consent.state_about(self._office, contract, kind=StatementKind.SUSPEND)

    def resume_contract(self, contract: Digest) -> SignedStatement:
        """Lift the owner's own suspension of one contract."""
        return consent.state_about(self._office, contract, kind=StatementKind.RESUME)

    def end(self, contract: Digest) -> SignedStatement:
        """End one contract, for everybody and for ever."""
        return consent.state_about(self._office, contract, kind=StatementKind.END)

    def erase(self, contract: Digest, *, statements: Sequence[object] = ()) -> tuple[SignedErasure, ...]:
        """Destroy the keys of what may not be kept any longer under a contract; returns all its erasures so far."""
        return erasure.erase(self._office, contract, statements=statements)

    def heed_incident(self, acts: Sequence[SignedAct], *, appointments: Sequence[SignedAppointment], room: str) -> None:
        """Hold all keys while an incident of the owner is frozen, and let go when it is closed."""
        holds.heed_incident(self._office, acts, appointments=appointments, room=room)

    def holds(self) -> list[str]:
        """The incidents that hold all keys, oldest first."""
        with self._office.state.reading() as records:
            return records.holds()

    def approve_referral(self, analysis_digest: Digest, *, contract: Digest) -> bytes:
        """Approve exactly one referral; returns the owner's signature over it."""
        return consent.approve_referral(self._office, analysis_digest, contract=contract)

    def record_shares(self, *, shares: int, needed: int) -> None:
        """Record that the owner's key is about to be split into recovery shares."""
        recovery.record_shares(self._office, shares=shares, needed=needed)

    def take_back(self, *, shares: int) -> None:
        """Take the owner's key back, if it opens what the desk keeps. Raises KeyUnwrapRefused."""
        recovery.take_back(self._office, shares=shares)

    def rewrap(self, to: recovery.Wraps) -> int:
        """Wrap everything that is kept under another key of the owner; returns how many keys there are."""
        return recovery.rewrap(self._office, to=to)

    def opens_everything(self, key: recovery.Wraps) -> bool:
        """Whether a key of the owner opens everything that is kept."""
        return recovery.opens_everything(self._office, key)

    def newest_contracts(self) -> tuple[Digest, ...]:
        """The version of every contract's lineage that the owner signed last."""
        with self._office.state.reading() as records:
            return tuple(records.newest_versions())

    def budget(self, contract_digest: Digest) -> Budget:
        """The owner's budget under one contract."""
        return consent.budget(self._office, contract_digest)

    def privacy(self, contract_digest: Digest) -> tuple[Account, ...]:
        """What the persons of the owner's datasets have lost to noisy answers, under one contract's limits."""
        with self._office.state.reading() as records:
            contract = consent.signed_contract(self._office, records, contract_digest)
            return accounts(self._office, records, contract)
