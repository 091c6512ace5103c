"""Analyses: plan a question, run it once, settle it; equal questions on equal data are one release."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from asepsis.domain.access import require_allowed
from asepsis.domain.analysis import Analysis
from asepsis.domain.contract import Contract, Role
from asepsis.domain.finding import Assessment, Severity
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId, ReleaseId, RunId
from asepsis.domain.release import Released, ReleaseStatus, move
from asepsis.domain.room import Release
from asepsis.domain.statistic import Statistic
from asepsis.errors.contract import ContractForbids
from asepsis.errors.room import OwnWorkReviewed
from asepsis.errors.runtime import StatisticNotTrusted
from asepsis.ports import Clock, Randomness, RoomState
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import digest
from asepsis.services.audit import Audit
from asepsis.services.contracts import Contracts
from asepsis.services.planning import PlannedAnalysis, plan_analysis
from asepsis.services.runs import Executed, Progress, Runs, question_digest, verify_statistic

_ACTS: Final = {
    ReleaseStatus.RELEASED: Act.RELEASE_RELEASED,
    ReleaseStatus.REFUSED: Act.RELEASE_REFUSED,
    ReleaseStatus.IN_REVIEW: Act.REVIEW_OPENED,
}


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
        """All findings about an analysis before it runs: free, and without any data. Raises ContractForbids."""
        contract = self.contracts.contract()
        require_allowed(analysis, contract)
        return plan_analysis(analysis, contract)

    def ask(self, analysis: Analysis, *, progress: Progress = lambda _: None) -> Answer:
        """Plan, run and settle one analysis; a question that was answered before gets the same answer, free.

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
        inputs = self.runs.inputs(agreement, analysis.kind)
        question = question_digest(agreement.digest, plan=planned.plan, inputs=inputs)
        for release in self.state.releases():
            if release.question == question:
                return self._answer(release, repeated=True)
        run = self.runs.submit(agreement, analysis, question=question, inputs=inputs)
        executed = self.runs.execute(run, progress=progress)
        progress("settle")
        return self._settle(executed, agreement)

    def review(self, release_id: ReleaseId, *, by: PartyId, release_it: bool) -> Answer:
        """Decide on an output that waits for review. Raises OwnWorkReviewed, ContractForbids, TransitionRefused."""
        release = self.state.release(release_id)
        agreement = self.contracts.in_force()
        if by == release.author:
            raise OwnWorkReviewed(party=by)
        if not self._may_decide(by):
            raise ContractForbids(contract=agreement.contract.name, what=f"{by} deciding on outputs")
        status = ReleaseStatus.RELEASED if release_it else ReleaseStatus.REFUSED
        decided = replace(release, status=move(release.status, status), decided_by=by, decided_at=self.clock())
        act = Act.RELEASE_RELEASED if release_it else Act.RELEASE_REFUSED
        with self.state.acting(self._entry(act, decided, by, self._statistic(release.run))) as tables:
            tables.put_release(decided, was=release)
        self.audit.checkpoint()
        return self._answer(decided)

    def show(self, release_id: ReleaseId, *, to: PartyId | None = None) -> Answer:
        """A release and, once it is released, its table; who may decide on it sees the protected table before.

        Raises RecordMissing, UnknownParty.
        """
        release = self.state.release(release_id)
        decides = to is not None and to != release.author and self._may_decide(to)
        return self._answer(release, shown=decides and release.status is ReleaseStatus.IN_REVIEW)

    def releases(self) -> list[Answer]:
        """All releases, oldest first."""
        return [self._answer(release) for release in self.state.releases()]

    def _settle(self, executed: Executed, agreement: Agreement) -> Answer:
        """One transaction: the run is finished and its output is released, refused or waits for review."""
        run = executed.finished
        status = _outcome(executed.statistic.assessment, agreement.contract)
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

    def _may_decide(self, party: PartyId) -> bool:
        return bool(self.contracts.contract().party(party).roles & {Role.OWNER, Role.CHECKER})

    def _answer(self, release: Release, *, repeated: bool = False, shown: bool = False) -> Answer:
        statistic = self._statistic(release.run)
        shown = shown or release.status is ReleaseStatus.RELEASED
        return Answer(
            assessment=statistic.assessment,
            release=release,
            table=statistic.table if shown else None,
            repeated=repeated,
        )

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


def _outcome(assessment: Assessment, contract: Contract) -> ReleaseStatus:
    """Refused by a check; released where every owner opted in and every check passed; else a person decides."""
    if assessment.severity is Severity.REFUSE:
        return ReleaseStatus.REFUSED
    automatic = contract.automatic_release == {owner.id for owner in contract.owners}
    passed = assessment.severity is Severity.PASS
    return ReleaseStatus.RELEASED if automatic and passed else ReleaseStatus.IN_REVIEW
