"""What the owner does at their own desk: sign, stop, suspend, end, approve, register, and look at the budget.

Only texts that were signed here count later. Every act is durable, with its entry in the desk's own ledger,
before its signature leaves the desk.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from asepsis.domain.amendment import check_amendment
from asepsis.domain.budget import Budget
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.contract_state import ContractStatus, move
from asepsis.domain.erasure import Clause, Erasure
from asepsis.domain.keydesk import KeptSnapshot
from asepsis.domain.ledger import Act
from asepsis.domain.memory import EMPTY
from asepsis.domain.names import Digest, SnapshotId
from asepsis.domain.parties import Role
from asepsis.domain.snapshot import Label, Manifest
from asepsis.domain.statements import Statement, StatementKind, standing
from asepsis.errors.contract import AmendmentRefused, UnknownParty
from asepsis.errors.desk import (
    ContractNotSignedHere,
    MemoryLeftBehind,
    NotThisOwner,
    ReferralUnknown,
    SnapshotConflict,
    SnapshotNotOurs,
)
from asepsis.errors.keys import KeyDestroyed
from asepsis.sealing.agreement import contract_digest, lineage_of
from asepsis.sealing.approval import approval_payload
from asepsis.sealing.canonical import canonical, parse_canonical
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.links import LINKS
from asepsis.sealing.manifest import SignedManifest, manifest_digest, verify_manifest
from asepsis.sealing.signing import Purpose
from asepsis.sealing.statement import PURPOSES, SignedStatement, statement_payload
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords

ACTS: Final = {
    StatementKind.SUSPEND: Act.CONTRACT_SUSPENDED,
    StatementKind.RESUME: Act.CONTRACT_RESUMED,
    StatementKind.END: Act.CONTRACT_ENDED,
}

_TO: Final = {
    StatementKind.SUSPEND: ContractStatus.SUSPENDED,
    StatementKind.RESUME: ContractStatus.IN_FORCE,
    StatementKind.END: ContractStatus.ENDED,
}
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_TICK: Final = timedelta(microseconds=1)


def take_contract(office: Office, document: object) -> Contract:
    """Take in a contract text that the owner signs: the desk may grant under it, and no more under what it amends.

    Raises:
        DocumentMalformed: the text is no contract.
        NotThisOwner: it does not name this owner with the keys of this desk.
        AmendmentRefused: it amends a version that was not signed here, or what cannot be amended.
        MemoryLeftBehind: there is a memory of releases over this owner's data that it neither goes on with nor names.
    """
    contract = read_contract(document)
    _check_is_ours(office, contract)
    digest = contract_digest(contract)
    with office.acting() as records:
        if not records.is_signed(digest):
            check_lineage(records, contract)
            lineage = lineage_of(contract, digest=digest)
            require_named(office, records, contract, lineage=lineage)
            records.add_contract(digest, lineage=lineage, text=canonical(contract.to_document()))
            office.write(records, Act.CONTRACT_SIGNED, subject=digest, level=contract.level)
    return contract


def require_named(office: Office, records: DeskRecords, contract: Contract, *, lineage: Digest) -> None:
    """Raise MemoryLeftBehind if the owner's persons stand in another memory, and neither contract names the other.

    It counts whose persons they are, and not under which name their dataset is known: that is soon changed.
    """
    for kept in records.memories():
        if kept.lineage == lineage or kept.version == EMPTY or kept.lineage in contract.beside:
            continue
        if not any(lineage in other.beside for other in _versions(records, kept.lineage)):
            raise MemoryLeftBehind(owner=office.owner, contract=contract.name, lineage=kept.lineage)


def labels_of(records: DeskRecords, lineage: Digest) -> list[Label]:
    """How all versions of a contract label the data whose persons its memory may hold."""
    return [dataset.label for version in _versions(records, lineage) for dataset in version.datasets]


def signed_contract(office: Office, records: DeskRecords, digest: Digest) -> Contract:
    """A contract that the owner signed here. Raises ContractNotSignedHere."""
    contract = kept_contract(records, digest)
    if contract is None:
        raise ContractNotSignedHere(owner=office.owner)
    return contract


def turn_switch(office: Office, *, stopped: bool, reason: str) -> None:
    """Stop or resume everything. The reason stays in the desk's own memory, the act goes into its ledger.

    Works whatever the clock says; resuming puts a corrected clock on record.
    """
    with office.state.writing() as records:
        records.switch(stopped=stopped, at=office.now(), reason=reason)
        office.write(records, Act.DESK_STOPPED if stopped else Act.DESK_RESUMED, subject=office.owner)


def state_about(office: Office, contract: Digest, *, kind: StatementKind) -> SignedStatement:
    """Make and remember the owner's statement about a contract.

    Raises:
        ContractNotSignedHere: the owner did not sign that contract here.
        TransitionRefused: the owner's statements so far do not allow it, such as resuming after an end.
    """
    with office.acting() as records:
        signed_contract(office, records, contract)
        known = [one for one in records.statements(contract) if one.party == office.owner]
        move(standing(known), _TO[kind])
        statement = Statement(kind=kind, contract=contract, party=office.owner, at=_after(known, office.now()))
        signature = office.keys.sign(PURPOSES[kind], statement_payload(statement))
        records.add_statement(statement)
        office.write(records, ACTS[kind], subject=contract, party=office.owner)
    return SignedStatement(statement=statement, signature=signature)


def approve_referral(office: Office, analysis: Digest, *, contract: Digest) -> bytes:
    """Approve exactly one referral, by the digest of its analysis, under one contract.

    Raises:
        ContractNotSignedHere: the owner did not sign that contract here.
        ReferralUnknown: there are no referrals under the contract, or this is no digest of one.
    """
    with office.acting() as records:
        if not signed_contract(office, records, contract).referrals or _DIGEST.fullmatch(analysis) is None:
            raise ReferralUnknown(owner=office.owner)
        if records.add_approval(analysis, contract=contract):
            office.write(records, Act.REFERRAL_APPROVED, subject=analysis, contract=contract)
        return office.keys.sign(Purpose.APPROVAL, approval_payload(contract, analysis=analysis))


def register(office: Office, signed: SignedManifest, *, dek: bytes) -> None:
    """Take the data key of the owner's own snapshot into keeping. Registering it again changes nothing.

    Raises:
        SignatureInvalid: the owner did not sign this manifest with the key of this desk.
        SnapshotNotOurs: it is another owner's manifest.
        SnapshotConflict: another manifest or key is kept for this snapshot.
        KeyDestroyed: its key was destroyed.
    """
    manifest = verify_manifest(signed, office.keys.public().signing)
    if manifest.owner != office.owner or manifest.dataset == LINKS:
        raise SnapshotNotOurs(owner=office.owner)
    with office.acting() as records:
        known = records.snapshot(manifest.snapshot)
        if known is None:
            _keep(office, records, manifest, dek=dek)
        elif known.manifest != manifest_digest(manifest) or not _same_key(office, known, dek):
            raise SnapshotConflict(owner=office.owner)


def own_key(office: Office, manifest: Manifest) -> bytes:
    """Unwrap the key of a snapshot of the owner's own, to open it at home; the act is written down first.

    Raises:
        SnapshotNotOurs: this very manifest was never registered here.
        KeyDestroyed: its key was destroyed.
    """
    with office.acting() as records:
        known = records.snapshot(manifest.snapshot)
        if known is None or known.dataset != manifest.dataset or known.manifest != manifest_digest(manifest):
            raise SnapshotNotOurs(owner=office.owner)
        require_not_destroyed(known.wrapped)
        office.write(records, Act.KEY_OPENED, subject=known.snapshot, dataset=known.dataset, manifest=known.manifest)
    return kept_key(office, dataset=known.dataset, snapshot=known.snapshot, wrapped=known.wrapped)


def kept_key(office: Office, *, dataset: str, snapshot: SnapshotId, wrapped: bytes) -> bytes:
    """Unwrap a key that this desk keeps. Raises KeyUnwrapRefused or KeyDestroyed."""
    require_not_destroyed(wrapped)
    return office.keys.unwrap(wrapped, binding=snapshot_binding(office.owner, dataset=dataset, snapshot=snapshot))


def require_not_destroyed(wrapped: bytes) -> None:
    """Raise KeyDestroyed for what is left of a destroyed key: nothing."""
    if not wrapped:
        raise KeyDestroyed


def budget(office: Office, contract: Digest) -> Budget:
    """The owner's budget under a contract. Raises ContractNotSignedHere."""
    with office.state.reading() as records:
        return budget_of(office, records, signed_contract(office, records, contract), digest=contract)


def budget_of(office: Office, records: DeskRecords, contract: Contract, *, digest: Digest) -> Budget:
    """The budget as the records of one transaction show it."""
    used = records.charged(lineage_of(contract, digest=digest), owner=office.owner)
    return Budget(limit=contract.budgets[office.owner], used=used)


def _versions(records: DeskRecords, lineage: Digest) -> list[Contract]:
    found = (kept_contract(records, digest) for digest in records.versions(lineage))
    return [contract for contract in found if contract is not None]


def kept_contract(records: DeskRecords, digest: Digest) -> Contract | None:
    """A contract that the owner signed here, or that this desk confirmed; nothing, if it is not one."""
    text = records.contract(digest)
    return None if text is None else _read(text)


@lru_cache(maxsize=16)
def _read(text: bytes) -> Contract:
    """The contract of a text; every run asks for all versions of its lineage."""
    return read_contract(parse_canonical(text))


def check_lineage(records: DeskRecords, contract: Contract) -> None:
    """Raise AmendmentRefused unless the version that a text amends is one of its lineage that the owner signed here.

    It need not be the newest: a version that some party did not sign is given up by amending the one before it.
    """
    if contract.amends is None:
        return
    digest, lineage = contract.amends.contract, contract.amends.lineage
    before = kept_contract(records, digest) if digest in records.versions(lineage) else None
    if before is None:
        raise AmendmentRefused(contract=contract.name, problem="the version that it names was not signed here")
    if any(erasure.clause in {Clause.ENDED, Clause.EXPIRED} for erasure in _erasures(records, lineage)):
        raise AmendmentRefused(contract=contract.name, problem="the keys of its data were destroyed here")
    check_amendment(contract, before=before, digest=digest, lineage=lineage)


def _erasures(records: DeskRecords, lineage: Digest) -> list[Erasure]:
    return [*records.erasures(lineage, done=True), *records.erasures(lineage, done=False)]


def _check_is_ours(office: Office, contract: Contract) -> None:
    refusal = NotThisOwner(contract=contract.name, owner=office.owner)
    try:
        party = contract.party(office.owner)
    except UnknownParty:
        raise refusal from None
    public = office.keys.public()
    if Role.OWNER not in party.roles or (party.signing_key, party.sealing_key) != (public.signing, public.sealing):
        raise refusal


def _keep(office: Office, records: DeskRecords, manifest: Manifest, *, dek: bytes) -> None:
    binding = snapshot_binding(office.owner, dataset=manifest.dataset, snapshot=manifest.snapshot)
    kept = KeptSnapshot(
        snapshot=manifest.snapshot,
        dataset=manifest.dataset,
        manifest=manifest_digest(manifest),
        label=manifest.label,
        sealed_at=min(manifest.created_at, office.now()),
        wrapped=office.keys.wrap(dek, binding=binding),
    )
    records.add_snapshot(kept)
    office.write(
        records,
        Act.SNAPSHOT_INTENDED,
        subject=kept.snapshot,
        dataset=kept.dataset,
        manifest=kept.manifest,
        label=kept.label.value,
    )


def _same_key(office: Office, known: KeptSnapshot, dek: bytes) -> bool:
    key = kept_key(office, dataset=known.dataset, snapshot=known.snapshot, wrapped=known.wrapped)
    return hmac.compare_digest(key, dek)


def _after(known: list[Statement], now: datetime) -> datetime:
    """A time later than every earlier statement's, so that the order of statements is never in doubt."""
    return max([now, *(statement.at + _TICK for statement in known)])
