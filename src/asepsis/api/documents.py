"""From the values of the domain to the shapes on the wire; only released tables have one."""

from __future__ import annotations

from asepsis.domain.contract_state import ContractState
from asepsis.domain.documents import encode_bytes
from asepsis.domain.ledger import LedgerEntry
from asepsis.domain.referral import Referral
from asepsis.domain.release import Released
from asepsis.domain.room import PublishedSnapshot, Release
from asepsis.domain.run import Run
from asepsis.services.analyses import Answer
from asepsis.wire import v1


def contract_standing(state: ContractState) -> v1.ContractStanding:
    """Where the contract stands."""
    contract = state.contract
    parties = [
        v1.PartyStanding(
            party=party.id,
            name=party.name,
            roles=sorted(party.roles),
            signed=party.id in state.signed_by,
            signing_key=encode_bytes(party.signing_key),
        )
        for party in contract.parties
    ]
    return v1.ContractStanding(
        name=contract.name,
        title=contract.title,
        purpose=contract.purpose,
        digest=state.digest,
        status=state.status.value,
        parties=parties,
        waiting_for=list(state.waiting_for),
        valid_from=contract.valid_from,
        valid_until=contract.valid_until,
        profile=contract.profile,
        level=contract.level,
        measurements=list(contract.measurements),
        budgets={str(owner): runs for owner, runs in contract.budgets.items()},
    )


def release_line(release: Release) -> v1.ReleaseLine:
    """One line of the list of releases."""
    return v1.ReleaseLine(
        release=release.id,
        run=release.run,
        contract=release.contract,
        author=release.author,
        status=release.status.value,
        decided_by=release.decided_by,
        decided_at=release.decided_at,
    )


def release_document(release: Release, answer: Answer) -> v1.Release:
    """A release with its findings and, where the answer hands one out, its released table."""
    findings = [
        v1.Finding(code=finding.code, severity=finding.severity.value, reason=finding.reason, advice=finding.advice)
        for finding in answer.assessment.findings
    ]
    return v1.Release(
        **release_line(release).model_dump(),
        profile=answer.assessment.profile,
        findings=findings,
        table=None if answer.table is None else released_table(answer.table),
    )


def released_table(released: Released) -> v1.Table:
    """A released table."""
    return v1.Table(
        columns=list(released.columns),
        rows=[list(row) for row in released.rows],
        actions=[[action.value for action in row] for row in released.actions],
        notes=list(released.notes),
        within=[list(row) for row in released.within] if released.within else None,
    )


def run_line(run: Run) -> v1.RunLine:
    """A run without its question."""
    return v1.RunLine(
        run=run.id,
        kind=run.job.analysis.kind.value,
        author=run.job.analysis.author,
        status=run.status.value,
        contract=run.contract,
        submitted_at=run.submitted_at,
    )


def referral_line(referral: Referral) -> v1.ReferralLine:
    """How far a referral is."""
    return v1.ReferralLine(
        referral=referral.id,
        author=referral.analysis.author,
        status=referral.status.value,
        approved_by=sorted(referral.approvals),
        requested_at=referral.requested_at,
    )


def snapshot_facts(snapshot: PublishedSnapshot) -> v1.Snapshot:
    """What a signed manifest says."""
    manifest = snapshot.manifest
    files = [
        v1.SealedFile(id=file.id, table=file.table, rows=file.rows, sealed_length=file.sealed_length, root=file.root)
        for file in manifest.files
    ]
    return v1.Snapshot(
        snapshot=manifest.snapshot,
        owner=manifest.owner,
        dataset=manifest.dataset,
        label=manifest.label.value,
        manifest=snapshot.digest,
        source_kind=manifest.origin.source_kind,
        restore_point=manifest.origin.restore_point,
        created_at=manifest.created_at,
        published_at=snapshot.published_at,
        files=files,
    )


def ledger_entry(position: int, entry: LedgerEntry) -> v1.LedgerEntry:
    """One act at its position."""
    return v1.LedgerEntry(
        position=position,
        at=entry.at,
        actor=entry.actor,
        act=entry.act.value,
        subject=entry.subject,
        facts=dict(entry.facts),
        commitments=dict(entry.commitments),
    )
