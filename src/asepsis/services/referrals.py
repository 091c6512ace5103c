"""Referrals: rows for the clinical team of the patients' own hospital, with every owner's signed approval.

The one who asks learns that something was delivered, and nothing about whom or how many.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.asking import Deed
from asepsis.domain.contract import Contract
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId, ReferralId, RunId, SnapshotId
from asepsis.domain.referral import Referral, ReferralStatus, move
from asepsis.domain.statistic import Package
from asepsis.errors.contract import ApprovalMissing, ContractForbids
from asepsis.errors.room import CohortRefused, PackageMissing
from asepsis.errors.sealing import SignatureInvalid
from asepsis.ports import Clock, Randomness, RoomState, SnapshotFiles, TeamKeys
from asepsis.sealing.approval import approval_payload
from asepsis.sealing.canonical import digest
from asepsis.sealing.package import package_info, unpad
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.access import Access, about_referral, require_asking
from asepsis.services.audit import Audit
from asepsis.services.contracts import Contracts
from asepsis.services.planning import plan_analysis
from asepsis.services.runs import Progress, Runs, question_digest


@dataclass(frozen=True, slots=True)
class Referrals:
    """Ask, approve, deliver, collect."""

    state: RoomState
    files: SnapshotFiles
    runs: Runs
    contracts: Contracts
    audit: Audit
    clock: Clock
    randomness: Randomness

    def request(self, author: PartyId, *, cohort: str, reason: str) -> Referral:
        """Ask for follow-up of a cohort (SQL that selects ``person_id``). Raises ContractForbids, CohortRefused."""
        return self.ask(Analysis(kind=AnalysisKind.REFERRAL, author=author, body=cohort, arguments={}), reason=reason)

    def ask(self, analysis: Analysis, *, reason: str) -> Referral:
        """Ask for the rows of a referral's analysis. Raises ContractForbids, CohortRefused."""
        agreement = self.contracts.in_force()
        contract, author = agreement.contract, analysis.author
        require_asking(self._access, analysis, contract)
        _check_cohort(analysis, contract)
        referral = Referral(
            id=ReferralId("referral-" + self.randomness(8).hex()),
            contract=agreement.digest,
            analysis=analysis,
            analysis_digest=digest(analysis.to_document()),
            reason=reason,
            status=ReferralStatus.REQUESTED,
            requested_at=self.clock(),
            approvals={},
        )
        with self.state.acting(self._entry(Act.REFERRAL_REQUESTED, referral, author)) as tables:
            tables.put_referral(referral, was=None)
        return referral

    def approve(self, referral_id: ReferralId, *, owner: PartyId, signature: bytes) -> Referral:
        """Keep an owner's signed approval of exactly this analysis; once is enough.

        Raises:
            ApprovalMissing: the signature is not the owner's, or is over something else.
            TransitionRefused: the referral is beyond approval.
        """
        referral = self.state.referral(referral_id)
        agreement = self.contracts.in_force()
        approver = self._access.party(agreement.contract, owner, deed=Deed.APPROVE_REFERRAL)
        self._access.require(
            about_referral(approver, Deed.APPROVE_REFERRAL, referral),
            otherwise=ContractForbids(contract=agreement.contract.name, what=f"{owner} approving referrals"),
        )
        payload = approval_payload(agreement.digest, analysis=referral.analysis_digest)
        try:
            verify(
                agreement.contract.party(owner).signing_key,
                purpose=Purpose.APPROVAL,
                payload=payload,
                signature=signature,
            )
        except SignatureInvalid:
            raise ApprovalMissing(owner=owner) from None
        if owner in referral.approvals:
            return referral
        approvals = {**referral.approvals, owner: signature}
        everyone = set(approvals) == {party.id for party in agreement.contract.owners}
        status = move(referral.status, ReferralStatus.APPROVED if everyone else ReferralStatus.REQUESTED)
        approved = replace(referral, approvals=approvals, status=status)
        with self.state.acting(self._entry(Act.REFERRAL_APPROVED, approved, owner)) as tables:
            tables.put_referral(approved, was=referral)
        return approved

    def deliver(
        self,
        referral_id: ReferralId,
        *,
        without: Collection[SnapshotId] = (),
        progress: Progress = lambda _: None,
    ) -> Referral:
        """Run an approved referral: the rows are sealed to the teams inside the runtime. Raises TransitionRefused.

        It reads the newest snapshots, ``without`` those that nobody trusts.
        """
        referral = self.state.referral(referral_id)
        delivered_status = move(referral.status, ReferralStatus.DELIVERED)
        agreement = self.contracts.in_force()
        inputs = self.runs.inputs(agreement, AnalysisKind.REFERRAL, without=without)
        question = question_digest(agreement.digest, plan=digest({"referral": referral.id}), inputs=inputs)
        run = self.runs.submit(agreement, referral.analysis, question=question, inputs=inputs)
        executed = self.runs.execute(run, approvals=referral.approvals, progress=progress)
        delivered = replace(
            referral, status=delivered_status, run=executed.finished.id, packages=executed.statistic.packages
        )
        entry = self._entry(Act.REFERRAL_DELIVERED, delivered, self.audit.host)
        with self.state.acting(executed.entry, entry) as tables:
            tables.put_run(executed.finished, was=executed.started)
            tables.put_referral(delivered, was=referral)
        self.audit.checkpoint()
        return delivered

    def collect(self, referral_id: ReferralId, *, team: PartyId) -> tuple[Package, bytes]:
        """The sealed package for a clinical team; only its key opens it. Raises PackageMissing, UnknownParty."""
        referral = self.state.referral(referral_id)
        package = next((package for package in referral.packages if package.team == team), None)
        collector = self._access.party(self.contracts.contract(), team, deed=Deed.COLLECT_REFERRAL)
        missing = PackageMissing(team=team)
        self._access.require(about_referral(collector, Deed.COLLECT_REFERRAL, referral), otherwise=missing)
        if package is None or referral.run is None:
            raise missing
        sealed = (self.files.packages(referral.run) / package.file).read_bytes()
        collected = replace(referral, collected_by=referral.collected_by | {team})
        with self.state.acting(self._entry(Act.REFERRAL_COLLECTED, referral, team)) as tables:
            tables.put_referral(collected, was=referral)
        return package, sealed

    def open_package(self, referral_id: ReferralId, *, team: PartyId, keys: TeamKeys) -> bytes:
        """Collect a package and open it with the team's key: one JSON document. Raises EnvelopeRefused."""
        package, sealed = self.collect(referral_id, team=team)
        referral = self.state.referral(referral_id)
        run = self.state.run(referral.run or RunId(""))
        job = digest(run.job.to_document())
        info = package_info(referral.contract, job=job, owner=package.owner, team=team)
        return unpad(keys.open_sealed(sealed, info=info))

    @property
    def _access(self) -> Access:
        return Access(self.state, self.clock, self.audit.host)

    def _entry(self, act: Act, referral: Referral, actor: PartyId) -> LedgerEntry:
        facts = {"contract": referral.contract, "analysis": referral.analysis_digest}
        return LedgerEntry(at=self.clock(), actor=actor, act=act, subject=referral.id, facts=facts)


def _check_cohort(analysis: Analysis, contract: Contract) -> None:
    planned = plan_analysis(analysis, contract)
    if planned.plan is None:
        first = planned.assessment.findings[0]
        raise CohortRefused(finding=first.code, reason=first.reason, advice=first.advice)
