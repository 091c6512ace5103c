"""Analyses: plan a question, run it once, settle it; equal questions on equal data are one release."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from asepsis.access.policies import ruling
from asepsis.domain.analysis import Analysis
from asepsis.domain.asking import Deed, party_principal
from asepsis.domain.finding import Assessment
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId, ReleaseId, RunId, SnapshotId
from asepsis.domain.release import Released, ReleaseStatus, move
from asepsis.domain.room import Release
from asepsis.domain.statistic import Statistic
from asepsis.errors.contract import ContractForbids
from asepsis.errors.room import OwnWorkReviewed
from asepsis.errors.runtime import StatisticNotTrusted
from asepsis.ports import Clock, Randomness, RoomState
from asepsis.sealing.agreement import Agreement, verify_agreement
from asepsis.sealing.canonical import digest
from asepsis.sealing.review import review_payload, verify_review
from asepsis.services.access import Access, about_release, require_asking
from asepsis.services.audit import Audit
from asepsis.services.contracts import Contracts
from asepsis.services.deciding import check_released, outcome
from asepsis.services.planning import PlannedAnalysis, plan_analysis
from asepsis.services.runs import Executed, Progress, Runs, question_digest, verify_statistic

_ACTS: Final = {
    ReleaseStatus.RELEASED: Act.RELEASE_RELEASED,
    ReleaseStatus.REFUSED: Act.RELEASE_REFUSED,
    ReleaseStatus.IN_REVIEW: Act.REVIEW_OPENED,
}


Sign = Callable[[bytes], bytes]
"""Signs a decision, with the key of who decides and ``Purpose.REVIEW``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the author of an analysis gets: a release with its protected table, or findings that say why not."""

    assessment: Assessment
    release: Release | None = None
    table: Released | None = None
    rewrite: str | None = None
    repeated: bool = False

    @property
    def released(self) -> bool:
        """Whether the table may leave the room."""
        return self.release is not None and self.release.status is ReleaseStatus.RELEASED


@dataclass(frozen=True, slots=True)
class Analyses:
    """Ask, review, and look at what was released."""

    state: RoomState
    runs: Runs
    contracts: Contracts
    audit: Audit
    clock: Clock
    randomness: Randomness

    def plan(self, analysis: Analysis) -> PlannedAnalysis:
        """All findings about an analysis before it runs: free, and without any data.

        Raises ContractForbids, UnknownParty.
        """
        contract = self.contracts.contract()
        require_asking(self._access, analysis, contract)
        return plan_analysis(analysis, contract)

    def ask(
        self, analysis: Analysis, *, without: Collection[SnapshotId] = (), progress: Progress = lambda _: None
    ) -> Answer:
        """Plan, run and settle one analysis; a question that was answered before gets the same answer, free.

        It reads the newest snapshots, ``without`` those that nobody trusts.

        Raises:
            ContractNotInForce, ContractExpired, ContractForbids: the contract does not carry it.
            AsepsisError: a desk or the runtime refused; run it again when the reason is gone.
        """
        agreement = self.contracts.in_force()
        progress("plan")
        planned = self.plan(analysis)
        if planned.plan is None:
            self._note_refusal(analysis, agreement, planned.assessment)
            return Answer(assessment=planned.assessment, rewrite=planned.rewrite)
        inputs = self.runs.inputs(agreement, analysis.kind, without=without)
        question = question_digest(
            agreement.digest,
            plan=planned.plan,
            inputs=inputs,
            purpose=analysis.purpose,
            certainty=agreement.contract.linkage.beyond(analysis.certainty),
        )
        for release in self.state.releases():
            if release.question == question:
                return self._answer(release, repeated=True)
        run = self.runs.submit(agreement, analysis, question=question, inputs=inputs)
        executed = self.runs.execute(run, progress=progress)
        progress("settle")
        return self._settle(executed, agreement)

    def review(self, release_id: ReleaseId, *, by: PartyId, release_it: bool, sign: Sign) -> Answer:
        """Decide on an output that waits for review.

        Raises OwnWorkReviewed, ContractForbids, UnknownParty, TransitionRefused.
        """
        release = self.state.release(release_id)
        contract = self.contracts.in_force().contract
        decider = self._access.party(contract, by, deed=Deed.DECIDE_RELEASE)
        self._access.require(
            about_release(decider, Deed.DECIDE_RELEASE, release),
            otherwise=ContractForbids(contract=contract.name, what=f"{by} deciding on outputs"),
            refusals={"nobody-decides-on-own-work": OwnWorkReviewed(party=by)},
        )
        status = move(release.status, ReleaseStatus.RELEASED if release_it else ReleaseStatus.REFUSED)
        statistic, agreement = self._statistic(release.run), self._agreement_of(release)
        payload = review_payload(
            release.id,
            contract=agreement.digest,
            statistic=digest(statistic.to_document()),
            released=release_it,
        )
        signature = sign(payload)
        verify_review(agreement, party=by, payload=payload, signature=signature)
        decided = replace(release, status=status, decided_by=by, decided_at=self.clock(), review=signature)
        act = Act.RELEASE_RELEASED if release_it else Act.RELEASE_REFUSED
        with self.state.acting(self._entry(act, decided, by, statistic)) as tables:
            tables.put_release(decided, was=release)
        self.audit.checkpoint()
        return self._answer(decided)

    def show(self, release_id: ReleaseId, *, to: PartyId | None = None) -> Answer:
        """A release and, once it is released, its table; who may decide on it sees the protected table before.

        Raises RecordMissing, UnknownParty.
        """
        release = self.state.release(release_id)
        decides = to is not None and self._may_see(release, to)
        return self._answer(release, shown=decides and release.status is ReleaseStatus.IN_REVIEW)

    def releases(self) -> list[Answer]:
        """All releases, oldest first."""
        return [self._answer(release) for release in self.state.releases()]

    def _settle(self, executed: Executed, agreement: Agreement) -> Answer:
        """One transaction: the run is finished and its output is released, refused or waits for review."""
        run = executed.finished
        status = outcome(executed.statistic.assessment, agreement.contract)
        release = Release(
            id=ReleaseId("release-" + self.randomness(8).hex()),
            run=run.id,
            contract=agreement.digest,
            question=run.question,
            author=run.job.analysis.author,
            status=status,
            decided_by=self.audit.host if status is not ReleaseStatus.IN_REVIEW else None,
            decided_at=self.clock(),
        )
        decided = self._entry(_ACTS[status], release, self.audit.host, executed.statistic)
        with self.state.acting(executed.entry, decided) as tables:
            tables.put_run(run, was=executed.started)
            tables.put_release(release, was=None)
        self.audit.checkpoint()
        return self._answer(release)

    @property
    def _access(self) -> Access:
        return Access(self.state, self.clock, self.audit.host)

    def _may_see(self, release: Release, party: PartyId) -> bool:
        principal = party_principal(self.contracts.contract(), party)
        return ruling(about_release(principal, Deed.SEE_UNRELEASED, release)).allowed

    def _answer(self, release: Release, *, repeated: bool = False, shown: bool = False) -> Answer:
        statistic = self._statistic(release.run)
        if release.status is ReleaseStatus.RELEASED:
            self._check_released(release, statistic)
        shown = shown or release.status is ReleaseStatus.RELEASED
        return Answer(
            assessment=statistic.assessment,
            release=release,
            table=statistic.table if shown else None,
            repeated=repeated,
        )

    def _check_released(self, release: Release, statistic: Statistic) -> None:
        """That a release is one, checked again: the room's own database proves nothing."""
        agreement, decided_by = self._agreement_of(release), release.decided_by or self.audit.host
        author, review = self.state.run(release.run).job.analysis.author, release.review
        check_released(release.id, statistic, agreement, author=author, decided_by=decided_by, review=review)

    def _agreement_of(self, release: Release) -> Agreement:
        papers = self.contracts.papers(release.contract)
        return verify_agreement(papers.contract, papers.signatures)

    def _statistic(self, run_id: RunId) -> Statistic:
        """The statistic of a finished run, verified again: the room's own database proves nothing."""
        run = self.state.run(run_id)
        if run.proof is None:
            raise StatisticNotTrusted(run=run_id, what="it has no proof")
        return verify_statistic(run, run.proof)

    def _note_refusal(self, analysis: Analysis, agreement: Agreement, assessment: Assessment) -> None:
        """A refused plan is an act too: probing leaves a trace, without the text of the probe."""
        code = next((finding.code for finding in assessment.findings), "sql.refused")
        facts = {"contract": agreement.digest, "code": code}
        entry = LedgerEntry(
            at=self.clock(),
            actor=analysis.author,
            act=Act.RELEASE_REFUSED,
            subject=digest(analysis.to_document()),
            facts=facts,
        )
        with self.state.acting(entry):
            pass

    def _entry(self, act: Act, release: Release, actor: PartyId, statistic: Statistic) -> LedgerEntry:
        facts = {
            "contract": release.contract,
            "run": release.run,
            "statistic": digest(statistic.to_document()),
        }
        return LedgerEntry(at=self.clock(), actor=actor, act=act, subject=release.id, facts=facts)
