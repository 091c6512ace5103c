"""Granting: judge, write the intent, seal the keys, then charge and answer in one transaction.

The intent is durable before a key is unwrapped, and the charge is durable before a sealed key leaves: a crash
at any point loses no charge and gives no key without an entry. The same job of the same run is charged once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from asepsis.access.policies import policies
from asepsis.domain.access import template_of
from asepsis.domain.attestation import LEASE_SECONDS, Grant, SealedKey
from asepsis.domain.budget import Budget
from asepsis.domain.keydesk import GrantedRun, GrantRequest
from asepsis.domain.ledger import Act
from asepsis.errors import AsepsisError
from asepsis.errors.attest import EvidenceRefused
from asepsis.sealing.canonical import canonical
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.grant import grant_info
from asepsis.sealing.memory import memory_id
from asepsis.sealing.signing import Purpose
from asepsis.services.keydesk.consent import budget_of, kept_key
from asepsis.services.keydesk.epochs import bind_tokens
from asepsis.services.keydesk.going import require_going_on
from asepsis.services.keydesk.judgement import Case, check_budget, judge
from asepsis.services.keydesk.memories import own_share, require_same
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords
from asepsis.services.keydesk.privacy import Paid, paid
from asepsis.services.keydesk.review_lists import claim_lists


def grant(office: Office, request: GrantRequest) -> Grant:
    """Grant the keys of one run, or refuse; both are in the desk's own ledger before anybody learns of it.

    Raises what :func:`asepsis.services.keydesk.judgement.judge` raises, and KeyUnwrapRefused.
    """
    case = _intend(office, request)
    try:
        given = _seal(office, case)
    except AsepsisError as refusal:
        with office.acting() as records:
            _write_refusal(office, records, refusal)
        raise
    return _give(office, case, given)


def _intend(office: Office, request: GrantRequest) -> Case:
    with office.acting() as records:
        try:
            case = judge(office, records, request)
        except AsepsisError as error:
            refusal = error
            _write_refusal(office, records, error)
        else:
            analysis = case.job.analysis
            template = template_of(analysis, case.agreement.contract)
            office.write(
                records,
                Act.GRANT_INTENDED,
                subject=case.job.run,
                contract=case.agreement.digest,
                job=case.job_digest,
                evidence=case.evidence_digest,
                measurement=case.evidence.measurement,
                policy=policies().digest,
                **({"purpose": analysis.purpose} if analysis.purpose else {}),
                **({"template": template.digest} if template is not None else {}),
            )
            return case
    raise refusal


def _seal(office: Office, case: Case) -> Grant:
    until = min(case.at + timedelta(seconds=LEASE_SECONDS), case.agreement.contract.valid_until)
    bare = Grant(
        owner=office.owner,
        run=case.job.run,
        contract=case.agreement.digest,
        job=case.job_digest,
        evidence=case.evidence_digest,
        nonce=case.nonce,
        keys=(),
        granted_at=case.at,
        lease_until=until,
        memory=None if case.memory is None else case.memory.version,
        accounts=tuple(one.account for one in case.paid),
    )
    info = grant_info(bare)
    keys = tuple(
        SealedKey(
            snapshot=key.item.snapshot,
            sealed=seal_to(
                case.evidence.sealing_key,
                kept_key(office, dataset=key.item.dataset, snapshot=key.item.snapshot, wrapped=key.wrapped),
                info=info,
            ),
        )
        for key in case.keys
    )
    if case.memory is not None:
        share = seal_to(case.evidence.sealing_key, own_share(office, case.memory), info=info)
        keys = (*keys, SealedKey(snapshot=memory_id(case.memory.lineage), sealed=share))
    return replace(bare, keys=keys)


def _give(office: Office, case: Case, given: Grant) -> Grant:
    with office.acting() as records:
        try:
            require_going_on(office, records, case.agreement, at=case.at)  # somebody may have stopped it meanwhile
            require_same(office, records, case.memory)
            budget = check_budget(office, records, case)
            costs = paid(office, records, case.job, agreement=case.agreement, job_digest=case.job_digest)
            claim_lists(office, records, case.job, lineage=case.agreement.lineage)
        except AsepsisError as error:
            refusal = error
            _write_refusal(office, records, error)
        else:
            bind_tokens(records, case.job, contract=case.agreement.contract, owner=office.owner)
            _write_costs(office, records, case, costs)
            _write_grant(office, records, case, given, after=budget)
            standing = budget or budget_of(office, records, case.agreement.contract, digest=case.agreement.digest)
            return _signed(office, replace(given, charge=standing))
    raise refusal


def _signed(office: Office, given: Grant) -> Grant:
    """Signed last, and in the transaction of the charge: what the owner signs says what the run was charged."""
    return replace(given, signature=office.keys.sign(Purpose.GRANT, canonical(given.body())))


def _write_costs(office: Office, records: DeskRecords, case: Case, costs: tuple[Paid, ...]) -> None:
    for cost in costs:
        if cost.spending is not None:
            records.add_spending(cost.spending)
            office.write(
                records,
                Act.PRIVACY_CHARGED,
                subject=case.job.run,
                contract=case.agreement.digest,
                job=case.job_digest,
                dataset=cost.spending.dataset,
                charge=cost.spending.loss.micro_rho,
                remaining=cost.account.remaining.micro_rho,
            )


def _write_grant(office: Office, records: DeskRecords, case: Case, given: Grant, *, after: Budget | None) -> None:
    run, job, contract = case.job.run, case.job_digest, case.agreement.digest
    records.add_grant(
        GrantedRun(
            run=run,
            job=job,
            contract=contract,
            kind=case.job.analysis.kind,
            label=case.label,
            signing_key=case.evidence.signing_key,
            lease_until=given.lease_until,
        ),
    )
    facts: dict[str, str | int] = {"contract": contract, "job": job}
    entries = []
    if after is not None:
        records.add_charge(case.charge(office.owner))
        charged = {**facts, "remaining": after.remaining}
        entries.append(office.entry(Act.BUDGET_CHARGED, subject=run, facts=charged))
    granted = {**facts, "count": len(case.keys), "label": case.label.value}
    records.append([*entries, office.entry(Act.GRANT_GIVEN, subject=run, facts=granted)])


def _write_refusal(office: Office, records: DeskRecords, refusal: AsepsisError) -> None:
    """The code and nothing else: what a refused request said is nobody's record."""
    act = Act.EVIDENCE_REFUSED if isinstance(refusal, EvidenceRefused) else Act.GRANT_REFUSED
    office.write(records, act, subject="request", code=refusal.code)
