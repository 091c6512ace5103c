"""Judging one request for keys, step by step; each step refuses with its own error.

Nothing that a request says is believed: contract, job and evidence are read here, the nonce and the checkpoint
are the desk's own, and the binding of the evidence is computed again. Names appear in errors only once they
stand in a contract that the owner signed at this desk.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from asepsis.domain.access import LINKED
from asepsis.domain.analysis import AnalysisKind, Job, SnapshotInput, read_job
from asepsis.domain.attestation import NONCE_SECONDS, Appraisal, Binding, Evidence, read_evidence
from asepsis.domain.budget import Budget, Charge, charge
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.datasets import Holding
from asepsis.domain.keydesk import GrantRequest, KeptMemory, checkpoint_digest
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.snapshot import Label
from asepsis.errors.contract import ApprovalMissing, ContractNotSigned, DocumentMalformed, UnknownParty
from asepsis.errors.desk import (
    ContractNotSignedHere,
    DeskStopped,
    InputRefused,
    NonceExpired,
    NonceReplayed,
    NonceUnknown,
    RequestMalformed,
    WrongContract,
)
from asepsis.sealing.agreement import Agreement, contract_digest, verify_agreement
from asepsis.sealing.approval import verify_approvals
from asepsis.sealing.canonical import digest
from asepsis.sealing.links import LINKS
from asepsis.sealing.statement import read_statements
from asepsis.services.keydesk.consent import budget_of, labels_of, require_not_destroyed
from asepsis.services.keydesk.epochs import check_tokens
from asepsis.services.keydesk.going import require_going_on
from asepsis.services.keydesk.memories import memory_for
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords
from asepsis.services.keydesk.privacy import Paid, paid
from asepsis.services.keydesk.rules import Shown, check_asking, check_runtime, strictest
from asepsis.services.keydesk.witness import require_head

_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """One key that the job needs from this desk: a data key, or the share of a link map's."""

    item: SnapshotInput
    label: Label
    sealed_at: datetime
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request that passed every rule at ``at``."""

    at: datetime
    agreement: Agreement
    job: Job
    job_digest: Digest
    evidence: Evidence
    evidence_digest: Digest
    nonce: bytes
    label: Label
    keys: tuple[WrappedKey, ...]
    memory: KeptMemory | None
    paid: tuple[Paid, ...] = ()

    def charge(self, owner: PartyId) -> Charge:
        """What the grant costs the owner."""
        return Charge(lineage=self.agreement.lineage, owner=owner, run=self.job.run, job=self.job_digest)


def judge(office: Office, records: DeskRecords, request: GrantRequest) -> Case:
    """Check a request against every rule of the desk, and use its nonce up.

    Raises:
        DeskStopped: the owner pulled the kill switch.
        RequestMalformed: a part of the request does not follow its schema.
        ContractNotSignedHere, ContractNotSigned: the contract is not one that this owner and all others signed.
        ContractExpired, ContractNotYetValid, ContractNotInForce, StatementNotTrusted: it is not in force.
        ContractSuperseded: the owner signed an amendment of it here.
        WrongContract, AuthorWithoutRole, AnalysisNotAllowed, HoldingRefused, InputRefused: it does not carry the job.
        KeyDestroyed, RetentionOver: an input was erased, or is older than the contract keeps data.
        MemoryLeftBehind: another memory of releases over the owner's data exists, which the contracts do not name.
        MemoryRolledBack, MemoryBehind: it starts from another memory of releases than the newest one known here.
        NonceUnknown, NonceReplayed, NonceExpired: the evidence is not fresh.
        NoCheckpoint, CheckpointStale, CheckpointForked, RoomKeyUnknown: the room's ledger is not as witnessed.
        EvidenceRefused: the evidence does not count (its subclasses say why).
        ApprovalMissing: the owners did not approve this referral.
        BudgetExhausted: nothing remains of the owner's budget.
        PrivacyExhausted: the persons of a dataset of the owner have nothing left to lose.
    """
    if records.is_stopped():
        raise DeskStopped(owner=office.owner)
    at = office.now()
    agreement = _agreement(office, records, request)
    require_going_on(office, records, agreement, at=at)
    job, job_digest = _job(office, request, agreement)
    keys = _keys(office, records, job, agreement, at=at)
    memory = memory_for(office, records, request.memory, agreement=agreement, kind=job.analysis.kind)
    remembered = [] if memory is None else labels_of(records, memory.lineage)
    label = strictest([*_labels(job, agreement.contract), *(key.label for key in keys), *remembered])
    _use_nonce(office, records, request.nonce, at=at)
    evidence, appraisal = _evidence(office, records, request, agreement=agreement, job=job_digest)
    shown = Shown(run=job.run, evidence=evidence, level=appraisal.level)
    check_runtime(office, shown, contract=agreement.contract, label=label)
    case = Case(
        at=at,
        agreement=agreement,
        job=job,
        job_digest=job_digest,
        evidence=evidence,
        evidence_digest=digest(evidence.to_document()),
        nonce=request.nonce,
        label=label,
        keys=keys,
        memory=memory,
        paid=paid(office, records, job, agreement=agreement, job_digest=job_digest),
    )
    _check_approval(office, records, request, case)
    check_budget(office, records, case)
    return case


def check_budget(office: Office, records: DeskRecords, case: Case) -> Budget | None:
    """The budget after the charge that the case needs; none, if it was charged before. Raises BudgetExhausted."""
    wanted = case.charge(office.owner)
    if records.is_charged(wanted):
        return None
    before = budget_of(office, records, case.agreement.contract, digest=case.agreement.digest)
    return charge(before, wanted, charged=frozenset())


def _agreement(office: Office, records: DeskRecords, request: GrantRequest) -> Agreement:
    try:
        text = json.dumps(request.contract, sort_keys=True, allow_nan=False)
        agreement = _verified(text, tuple(sorted(request.signatures.items())))
    except (DocumentMalformed, TypeError, ValueError, RecursionError):
        raise RequestMalformed(part="contract", owner=office.owner) from None
    except ContractNotSigned:
        _require_signed_here(office, records, contract_digest(read_contract(request.contract)))
        raise
    _require_signed_here(office, records, agreement.digest)
    try:
        statements = read_statements(request.statements, agreement)
    except (DocumentMalformed, UnknownParty):
        raise RequestMalformed(part="statement", owner=office.owner) from None
    for statement in statements:
        records.add_statement(statement)  # stays, even if this request is refused: it cannot be withheld later
    return agreement


@lru_cache(maxsize=16)
def _verified(text: str, signatures: tuple[tuple[PartyId, bytes], ...]) -> Agreement:
    """The agreement of a contract's text; the runs under one contract all bring the same one."""
    return verify_agreement(json.loads(text), dict(signatures))


def _require_signed_here(office: Office, records: DeskRecords, contract: Digest) -> None:
    """Until the owner signed a text here, nothing that stands in it may be repeated, not even its name."""
    if not records.is_signed(contract):
        raise ContractNotSignedHere(owner=office.owner)


def _job(office: Office, request: GrantRequest, agreement: Agreement) -> tuple[Job, Digest]:
    job = office.read("job", lambda: read_job(request.job))
    job_digest = office.read("job", lambda: digest(job.to_document()))
    if _RUN.fullmatch(job.run) is None or len({item.snapshot for item in job.inputs}) != len(job.inputs):
        raise RequestMalformed(part="job", owner=office.owner)
    if job.contract != agreement.digest:
        raise WrongContract(contract=agreement.contract.name)
    check_asking(job.analysis, agreement.contract, reads=_holdings(job, agreement.contract))
    return job, job_digest


def _keys(
    office: Office, records: DeskRecords, job: Job, agreement: Agreement, *, at: datetime
) -> tuple[WrappedKey, ...]:
    """The keys that this desk gives for the job, after every input was checked."""
    found = (
        _links_key(office, records, item, job.analysis.kind, agreement=agreement)
        if item.dataset == LINKS
        else _dataset_key(office, records, item, job=job, contract=agreement.contract)
        for item in job.inputs
    )
    keys = tuple(key for key in found if key is not None)
    for key in keys:
        require_not_destroyed(key.wrapped)
        agreement.contract.require_retained(key.item.dataset, sealed_at=key.sealed_at, now=at)
    return keys


def _dataset_key(
    office: Office, records: DeskRecords, item: SnapshotInput, *, job: Job, contract: Contract
) -> WrappedKey | None:
    dataset = next((one for one in contract.datasets if one.name == item.dataset), None)
    if dataset is None or dataset.owner != item.owner:
        raise InputRefused(owner=office.owner, problem="the contract names no such dataset of that owner")
    if dataset.owner != office.owner:
        return None
    kept = records.snapshot(item.snapshot)
    if kept is None or kept.dataset != item.dataset:
        raise InputRefused(owner=office.owner, problem="the snapshot is not registered here for that dataset")
    if kept.manifest != item.manifest:
        raise InputRefused(owner=office.owner, problem="the manifest is not the registered one")
    if kept.label is not dataset.label:
        raise InputRefused(owner=office.owner, problem="snapshot and contract do not label the data alike")
    if dataset.holds is Holding.TOKENS:
        check_tokens(office, records, item, job=job)
    return WrappedKey(item=item, label=kept.label, sealed_at=kept.sealed_at, wrapped=kept.wrapped)


def _links_key(
    office: Office, records: DeskRecords, item: SnapshotInput, kind: AnalysisKind, *, agreement: Agreement
) -> WrappedKey:
    if kind not in LINKED:
        raise InputRefused(owner=office.owner, problem=f"a {kind.value} does not read a link map")
    kept = records.links(item.snapshot)
    if kept is None or kept.contract not in records.versions(agreement.lineage):
        raise InputRefused(owner=office.owner, problem="the link map was not endorsed here under this contract")
    if kept.manifest != item.manifest:
        raise InputRefused(owner=office.owner, problem="the link map is not the endorsed one")
    return WrappedKey(item=item, label=kept.label, sealed_at=kept.sealed_at, wrapped=kept.wrapped)


def _holdings(job: Job, contract: Contract) -> frozenset[Holding]:
    """What the datasets hold that the job reads; one that the contract does not name is refused by itself."""
    named = {item.dataset for item in job.inputs}
    return frozenset(dataset.holds for dataset in contract.datasets if dataset.name in named)


def _labels(job: Job, contract: Contract) -> list[Label]:
    """What the contract calls the data of all owners that the job reads."""
    return [contract.dataset(item.dataset).label for item in job.inputs if item.dataset != LINKS]


def _use_nonce(office: Office, records: DeskRecords, nonce: bytes, *, at: datetime) -> None:
    issued = records.use_nonce(nonce)
    if issued is None:
        raise NonceUnknown(owner=office.owner)
    if issued.used:
        raise NonceReplayed(owner=office.owner)
    if not 0 <= (at - issued.issued_at).total_seconds() < NONCE_SECONDS:
        raise NonceExpired(owner=office.owner, seconds=NONCE_SECONDS)


def _evidence(
    office: Office, records: DeskRecords, request: GrantRequest, *, agreement: Agreement, job: Digest
) -> tuple[Evidence, Appraisal]:
    contract = agreement.contract
    checkpoint = require_head(office, records, request.checkpoint, contract=contract)
    evidence = office.read("evidence", lambda: read_evidence(request.evidence))
    binding = Binding(
        nonce=request.nonce,
        contract=agreement.digest,
        job=job,
        profile=contract.profile,
        checkpoint=checkpoint_digest(checkpoint.text),
        sealing_key=evidence.sealing_key,
        signing_key=evidence.signing_key,
    )
    appraisal = office.appraise(evidence, binding=binding, measurements=contract.measurements, minimum_level=0)
    return evidence, appraisal


def _check_approval(office: Office, records: DeskRecords, request: GrantRequest, case: Case) -> None:
    if case.job.analysis.kind is not AnalysisKind.REFERRAL:
        return
    analysis = digest(case.job.analysis.to_document())
    if not records.is_approved(analysis, contract=case.agreement.digest):
        raise ApprovalMissing(owner=office.owner)
    verify_approvals(case.agreement, analysis=analysis, approvals=request.approvals)
