"""Continuity: when production is down, the pre-approved analyses run on last-known-good data, and are packed.

Every analysis goes the way of any other run: the same desks grant keys to the same proven runtime, the same gate judges
the output against the same memory of releases, and the run is charged. Nothing runs here that the contract does not
name with its digest. Patient-level essentials leave the runtime sealed to the clinical teams only; the pack says that
they were delivered, and nothing about whom or how many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.continuity import ESSENTIALS, ContinuityTerms, Essentials, Limits, PreApproved, WhenStale
from asepsis.domain.continuity_age import Freshness, Measured, Stamp, oldest
from asepsis.domain.continuity_pack import (
    ANSWERED,
    Outcome,
    Pack,
    PackedOutput,
)
from asepsis.domain.datasets import Holding
from asepsis.domain.documents import Document
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.domain.referral import Referral, ReferralStatus
from asepsis.domain.release import Released, ReleaseStatus
from asepsis.errors import AsepsisError
from asepsis.errors.continuity import EssentialsMissing, NothingPreApproved
from asepsis.ports import Clock, Randomness, RoomState
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.epochs import TOKENS
from asepsis.services.analyses import Analyses, Answer
from asepsis.services.audit import Audit
from asepsis.services.continuity_choice import Chosen, Judged, Occasion, choose
from asepsis.services.continuity_files import (
    CONTRACT,
    EVIDENCE,
    PAGE,
    TABLES,
    PackFiles,
    file_digests,
    signed_pack,
    table_csv,
)
from asepsis.services.continuity_metrics import metrics, not_checked
from asepsis.services.continuity_page import pack_page
from asepsis.services.contracts import Contracts
from asepsis.services.evidence import Evidences
from asepsis.services.referrals import Referrals
from asepsis.services.runs import Progress

_OUTCOMES: Final = {
    ReleaseStatus.RELEASED: Outcome.RELEASED,
    ReleaseStatus.IN_REVIEW: Outcome.IN_REVIEW,
    ReleaseStatus.CHECKED: Outcome.IN_REVIEW,
}

Sign = Callable[[bytes], bytes]
"""Signs a pack with the key of the lead and ``Purpose.CONTINUITY_PACK``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """One output, with what is shown of it."""

    output: PackedOutput
    table: Released | None = None
    bundle: Document | None = None


@dataclass(frozen=True, slots=True)
class Continuity:
    """Runs what was pre-approved, and packs it."""

    state: RoomState
    contracts: Contracts
    analyses: Analyses
    referrals: Referrals
    evidences: Evidences
    audit: Audit
    clock: Clock
    randomness: Randomness

    def terms(self) -> ContinuityTerms:
        """The clause of the contract in force. Raises NothingPreApproved."""
        contract = self.contracts.in_force().contract
        if contract.continuity is None:
            raise NothingPreApproved(contract=contract.name)
        return contract.continuity

    def standing(self) -> Referral | None:
        """The referral of the essentials under the contract in force, the newest one, if anybody approved one."""
        agreement, essentials = self.contracts.in_force(), self.terms().essentials
        if essentials is None:
            return None
        wanted = essentials.analysis(self.terms().lead)
        found = (one for one in self.state.referrals() if one.contract == agreement.digest and one.analysis == wanted)
        return next((one for one in reversed(list(found)) if one.status is not ReferralStatus.REFUSED), None)

    def ask_essentials(self) -> Referral:
        """The referral that owners approve before it is needed. Raises EssentialsMissing, NothingPreApproved."""
        terms = self.terms()
        if terms.essentials is None:
            raise EssentialsMissing(contract=self.contracts.in_force().contract.name)
        reason = f"continuity: {terms.essentials.responsible}"
        return self.standing() or self.referrals.ask(terms.essentials.analysis(terms.lead), reason=reason)

    def choose(self, judged: Mapping[PartyId, Judged]) -> Chosen:
        """Last-known-good snapshots. Raises SnapshotsMissing, NoCleanSnapshot."""
        erased = self.state.erased()
        published = [
            item
            for item in self.state.snapshots()
            if item.manifest.snapshot not in erased or item.manifest.origin.source_kind == TOKENS
        ]
        return choose(self.contracts.in_force().contract, published, self.state.runs(), judged=judged)

    def readiness(self, occasion: Occasion) -> list[PackedOutput]:
        """What would come of every pre-approved analysis now: each is planned, none is run. Raises SnapshotsMissing."""
        terms, chosen = self.terms(), self.choose(occasion.judged)
        ready = []
        for one in terms.analyses:
            stamp, planned = self._stamp(chosen, one.limits, occasion), self.analyses.plan(terms.asked(one))
            late = Outcome.STALE if _must_not_run(stamp, one.limits) else Outcome.READY
            outcome = late if planned.plan is not None else Outcome.REFUSED
            code = None if planned.plan is not None else planned.assessment.findings[0].code
            ready.append(self._output(one, stamp, outcome, occasion, code=code))
        if terms.essentials is not None:
            stamp = self._stamp(chosen, terms.essentials.limits, occasion)
            outcome = self._hindered(terms.essentials, stamp) or Outcome.READY
            ready.append(self._essentials(terms.essentials, stamp, outcome, occasion))
        return ready

    def pack(self, occasion: Occasion, *, sign: Sign, progress: Progress = lambda _: None) -> tuple[Pack, PackFiles]:
        """Run everything that was pre-approved, and sign what came of it.

        An analysis that fails does not stop the others: the pack says why it is missing.

        Raises:
            ContractNotInForce, ContractExpired, NothingPreApproved: nothing may run.
            SnapshotsMissing, NoCleanSnapshot: there are no data that may be trusted.
        """
        agreement, terms = self.contracts.in_force(), self.terms()
        progress("choose")
        chosen = self.choose(occasion.judged)
        done = [self._run(one, chosen, occasion, progress) for one in terms.analyses]
        if terms.essentials is not None:
            done.append(self._deliver(terms.essentials, chosen, occasion, progress))
        progress("sign")
        return self._signed(agreement, terms, chosen, done, occasion, sign=sign)

    def _run(self, one: PreApproved, chosen: Chosen, occasion: Occasion, progress: Progress) -> _Done:
        stamp = self._stamp(chosen, one.limits, occasion)
        if _must_not_run(stamp, one.limits):
            return _Done(output=self._output(one, stamp, Outcome.STALE, occasion))
        try:
            answer = self.analyses.ask(
                self.terms().asked(one),
                without=chosen.without,
                progress=lambda step: progress(f"{one.name}: {step}"),
            )
            return self._answered(one, answer, stamp, occasion)
        except AsepsisError as error:
            return _Done(output=self._output(one, stamp, Outcome.FAILED, occasion, code=error.code))

    def _answered(self, one: PreApproved, answer: Answer, stamp: Stamp, occasion: Occasion) -> _Done:
        release = answer.release
        outcome = Outcome.REFUSED if release is None else _OUTCOMES.get(release.status, Outcome.REFUSED)
        code = next((item.code for item in answer.assessment.findings), None) if outcome is Outcome.REFUSED else None
        bundle = self.evidences.bundle(release.id) if release is not None and answer.released else None
        output = self._output(one, stamp, outcome, occasion, code=code, answer=answer)
        return _Done(output=output, table=answer.table if answer.released else None, bundle=bundle)

    def _deliver(self, essentials: Essentials, chosen: Chosen, occasion: Occasion, progress: Progress) -> _Done:
        """Seal the essentials to the clinical teams, once for the same snapshots."""
        stamp = self._stamp(chosen, essentials.limits, occasion)
        standing, hindered = self.standing(), self._hindered(essentials, stamp)
        if standing is None or hindered is not None:
            return _Done(output=self._essentials(essentials, stamp, hindered or Outcome.NOT_APPROVED, occasion))
        try:
            delivered = self._delivered(standing, chosen, progress)
        except AsepsisError as error:
            failed = self._essentials(essentials, stamp, Outcome.FAILED, occasion)
            return _Done(output=replace(failed, code=error.code))
        output = self._essentials(essentials, stamp, Outcome.DELIVERED, occasion)
        return _Done(output=replace(output, referral=delivered.id, run=delivered.run))

    def _hindered(self, essentials: Essentials, stamp: Stamp) -> Outcome | None:
        """Why the essentials cannot be delivered."""
        if _must_not_run(stamp, essentials.limits):
            return Outcome.STALE
        standing = self.standing()
        is_approved = standing is not None and standing.status is not ReferralStatus.REQUESTED
        return None if is_approved else Outcome.NOT_APPROVED

    def _essentials(self, essentials: Essentials, stamp: Stamp, outcome: Outcome, occasion: Occasion) -> PackedOutput:
        rpo, rto = self._measured(essentials.limits, stamp, outcome, occasion)
        analysis = digest(essentials.analysis(self.terms().lead).to_document())
        return PackedOutput(
            name=ESSENTIALS,
            title="Patient-level essentials, sealed to the clinical teams of the patients' own hospitals",
            responsible=essentials.responsible,
            digest=analysis,
            outcome=outcome,
            stamp=stamp,
            rpo=rpo,
            rto=rto,
            last_drill=occasion.last_drills.get(analysis),
        )

    def _delivered(self, standing: Referral, chosen: Chosen, progress: Progress) -> Referral:
        inputs = self.referrals.runs.inputs(self.contracts.in_force(), AnalysisKind.REFERRAL, without=chosen.without)
        if standing.run is not None and self.state.run(standing.run).job.inputs == inputs:
            return standing
        return self.referrals.deliver(
            standing.id, without=chosen.without, progress=lambda step: progress(f"{ESSENTIALS}: {step}")
        )

    def _stamp(self, chosen: Chosen, limits: Limits, occasion: Occasion) -> Stamp:
        clinical = [item for item in chosen.inputs if item.dataset in self._clinical()]
        at = self.clock() + occasion.ahead
        return Stamp(as_of=oldest(item.taken_at for item in clinical), at=at, most=limits.most_age)

    def _clinical(self) -> set[str]:
        contract = self.contracts.in_force().contract
        return {dataset.name for dataset in contract.datasets if dataset.holds is Holding.CLINICAL}

    def _output(
        self,
        one: PreApproved,
        stamp: Stamp,
        outcome: Outcome,
        occasion: Occasion,
        *,
        code: str | None = None,
        answer: Answer | None = None,
    ) -> PackedOutput:
        rpo, rto = self._measured(one.limits, stamp, outcome, occasion)
        release = None if answer is None else answer.release
        return PackedOutput(
            name=one.name,
            title=one.title,
            responsible=one.responsible,
            digest=one.digest,
            outcome=outcome,
            stamp=stamp,
            rpo=rpo,
            rto=rto,
            code=code,
            release=None if release is None else release.id,
            run=None if release is None else release.run,
            last_drill=occasion.last_drills.get(one.digest),
        )

    def _measured(
        self, limits: Limits, stamp: Stamp, outcome: Outcome, occasion: Occasion
    ) -> tuple[Measured, Measured]:
        """What was lost before the incident (RPO), and how long the answer took after it (RTO)."""
        lost = Stamp(as_of=stamp.as_of, at=occasion.declared_at, most=limits.rpo).age
        took = self.clock() + occasion.ahead - occasion.declared_at if outcome in ANSWERED else None
        return Measured(actual=lost, objective=limits.rpo), Measured(actual=took, objective=limits.rto)

    def _signed(
        self,
        agreement: Agreement,
        terms: ContinuityTerms,
        chosen: Chosen,
        done: list[_Done],
        occasion: Occasion,
        *,
        sign: Sign,
    ) -> tuple[Pack, PackFiles]:
        signed_at = self.clock()
        outputs = tuple(one.output for one in done)
        at = signed_at + occasion.ahead
        pack = Pack(
            id="pack-" + self.randomness(8).hex(),
            number=1 + sum(entry.act is Act.CONTINUITY_PACKED for entry in self.audit.entries()),
            contract=agreement.digest,
            lead=terms.lead,
            drill=occasion.drill,
            declared_at=occasion.declared_at,
            at=at,
            signed_at=signed_at,
            inputs=chosen.inputs,
            outputs=outputs,
            metrics=metrics(chosen.inputs, outputs, occasion, signed_at=signed_at),
            not_checked=not_checked(agreement.contract, chosen.inputs, outputs),
        )
        tables = {one.output.name: one.table for one in done if one.table is not None}
        files = {CONTRACT: canonical(self.contracts.papers().to_document())}
        files |= {EVIDENCE.format(one.output.name): canonical(one.bundle) for one in done if one.bundle is not None}
        files |= {
            TABLES.format(name): table_csv(table, _stamped(outputs, name), findings=pack.findings)
            for name, table in tables.items()
        }
        files[PAGE] = pack_page(pack, tables)
        whole = _with_files(pack, files)
        entry = self._entry(whole, agreement)
        with self.state.acting(entry):
            pass
        [(_, proof)] = self.audit.trail({whole.id})
        return whole, signed_pack(
            whole, files, signature=sign(canonical(whole.to_document())), entry=entry, proof=proof
        )

    def _entry(self, pack: Pack, agreement: Agreement) -> LedgerEntry:
        return LedgerEntry(
            at=pack.signed_at,
            actor=pack.lead,
            act=Act.CONTINUITY_PACKED,
            subject=pack.id,
            facts={
                "contract": agreement.digest,
                "digest": digest(pack.to_document()),
                "sequence": pack.number,
                "mode": "drill" if pack.drill else "incident",
                "count": sum(output.outcome in ANSWERED for output in pack.outputs),
            },
        )


def _must_not_run(stamp: Stamp, limits: Limits) -> bool:
    return limits.when_stale is WhenStale.REFUSE and stamp.freshness is not Freshness.FRESH


def _stamped(outputs: Iterable[PackedOutput], name: str) -> Stamp:
    return next(output.stamp for output in outputs if output.name == name)


def _with_files(pack: Pack, files: Mapping[str, bytes]) -> Pack:
    return replace(pack, files=file_digests(files))
