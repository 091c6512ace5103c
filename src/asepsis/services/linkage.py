"""Linkage: one run finds the patients whom several owners know; its sealed map needs everybody's yes."""

from __future__ import annotations

from dataclasses import dataclass

from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.keydesk import ShareDeposit
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.statistic import Statistic, read_statistic
from asepsis.errors.runtime import StatisticNotTrusted
from asepsis.ports import Clock, RoomState, SnapshotFiles
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.manifest import manifest_digest
from asepsis.services.access import Access, require_asking
from asepsis.services.audit import Audit
from asepsis.services.contracts import Contracts
from asepsis.services.runs import Executed, Progress, Runs, question_digest


@dataclass(frozen=True, slots=True)
class Linkage:
    """Makes the link map. Who is linked with whom leaves the runtime only sealed."""

    state: RoomState
    files: SnapshotFiles
    runs: Runs
    contracts: Contracts
    audit: Audit
    clock: Clock

    def link(self, *, progress: Progress = lambda _: None) -> Statistic:
        """Link the newest identity snapshots of all owners, once; returns the protected quality report.

        Raises what a desk or the runtime refuses with.
        """
        agreement = self.contracts.in_force()
        analysis = Analysis(kind=AnalysisKind.LINKAGE, author=self.audit.host, arguments={})
        require_asking(Access(self.state, self.clock, self.audit.host), analysis, agreement.contract)
        inputs = self.runs.inputs(agreement, AnalysisKind.LINKAGE)
        question = question_digest(agreement.digest, plan=digest(analysis.to_document()), inputs=inputs)
        done = self.runs.answered(question)
        if done is not None and done.proof is not None:
            return read_statistic(done.proof.statistic)
        run = self.runs.submit(agreement, analysis, question=question, inputs=inputs)
        executed = self.runs.execute(run, progress=progress)
        progress("endorse")
        self._publish(executed, agreement)
        return executed.statistic

    def _publish(self, executed: Executed, agreement: Agreement) -> None:
        """Deposit each owner's share, collect the endorsements, and make the link map visible."""
        run, links = executed.finished, executed.statistic.links
        if links is None:
            raise StatisticNotTrusted(run=run.id, what="it brings no link map")
        document = canonical(links.manifest.to_document())
        deposits = {share.owner: share.sealed for share in links.shares}
        endorsements = {}
        for owner in agreement.contract.owners:
            deposit = ShareDeposit(
                run=run.id,
                contract=agreement.digest,
                statistic=run.proof.statistic if run.proof else {},
                signature=run.proof.signature if run.proof else b"",
                sealed=deposits.get(owner.id, b""),
            )
            endorsements[owner.id] = self.runs.desks[owner.id].deposit_share(deposit)
        manifest = manifest_digest(links.manifest)
        snapshot = PublishedSnapshot(
            manifest=links.manifest,
            digest=manifest,
            document=document,
            signature=b"",
            endorsements=endorsements,
            contribution=run.question,
            published_at=self.clock(),
        )
        self.files.adopt(run.id, snapshot=links.manifest.snapshot)
        facts = {"contract": agreement.digest, "run": run.id, "manifest": manifest}
        made = LedgerEntry(
            at=self.clock(),
            actor=self.audit.host,
            act=Act.LINK_MADE,
            subject=links.manifest.snapshot,
            facts=facts,
        )
        with self.state.acting(executed.entry, made) as tables:
            tables.put_run(run, was=executed.started)
            tables.put_snapshot(snapshot)
        self.audit.checkpoint()
