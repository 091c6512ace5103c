"""Linkage: one run finds the patients whom several owners know; its sealed map needs everybody's yes.

In mode ``keyed`` each run is an epoch of its own: the owners' desks agree on a key, the owners give tokens, and when
the map is there, key and tokens are destroyed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from asepsis.domain import review_list
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.epoch import ARGUMENT, LinkEpoch
from asepsis.domain.keydesk import ShareDeposit
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import PartyId
from asepsis.domain.review_list import draws_lists
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.statistic import Statistic, read_statistic
from asepsis.errors.incident import KeysHeld
from asepsis.errors.linkage import EpochsNotKeyed, ListsDrawn, TokensMissing
from asepsis.errors.runtime import StatisticNotTrusted
from asepsis.ports import Clock, RoomState, SnapshotFiles
from asepsis.sealing.agreement import Agreement, lineage_of
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.manifest import manifest_digest
from asepsis.services.access import Access, require_asking
from asepsis.services.audit import Audit
from asepsis.services.contracts import Contracts
from asepsis.services.epochs import Epochs
from asepsis.services.runs import Executed, Progress, Runs, question_digest


@dataclass(frozen=True, slots=True)
class Linkage:
    """Makes the link map. Who is linked with whom leaves the runtime only sealed."""

    state: RoomState
    files: SnapshotFiles
    runs: Runs
    contracts: Contracts
    epochs: Epochs
    audit: Audit
    clock: Clock

    def link(self, *, progress: Progress = lambda _: None) -> Statistic:
        """Link the newest identifiers, or tokens, of all owners, once; returns the protected quality report.

        Raises TokensMissing where an owner has not given its tokens yet, or what a desk or the runtime refuses with.
        """
        agreement = self.contracts.in_force()
        if not is_keyed(agreement):
            return self._identified(agreement, progress)
        epoch = self.epoch()
        known = self._made(epoch)
        if known is None:
            self._require_tokens(epoch, agreement)
            known = self._run(agreement, {ARGUMENT: epoch.name.number}, progress)
        progress("forget")
        if not epoch.is_over:
            with suppress(KeysHeld):  # an owner's incident puts it off: linking again, later, does it
                self.epochs.close(epoch)
        return known

    def epoch(self) -> LinkEpoch:
        """The epoch for the newest data: over, if they are linked; else open, begun if need be.

        Raises EpochsNotKeyed, SnapshotsMissing, or what a desk refuses with.
        """
        agreement = self.contracts.in_force()
        if not is_keyed(agreement):
            raise EpochsNotKeyed(contract=agreement.contract.name)
        data = digest(sorted(item.manifest for item in self.runs.persons(agreement)))
        newest = self.epochs.newest(agreement.digest)
        if newest is not None and newest.data == data and self._made(newest) is not None:
            return newest
        return self.epochs.agreed(agreement, data=data)

    def waits_for(self) -> tuple[PartyId, ...]:
        """The owners whose tokens are still to come; nobody, where identifiers are linked or everybody is linked."""
        agreement = self.contracts.in_force()
        if not is_keyed(agreement):
            return ()
        epoch = self.epoch()
        return () if self._made(epoch) is not None else self._missing(epoch, agreement)

    def _identified(self, agreement: Agreement, progress: Progress) -> Statistic:
        """Link identifiers; the first time under a contract with reviews, the owners' review lists are drawn too."""
        if agreement.contract.linkage.review and not self._drew_lists(agreement):
            with suppress(ListsDrawn):  # another linkage was granted that, and never came to its end
                return self._run(agreement, {review_list.ARGUMENT: True}, progress)
        return self._run(agreement, {}, progress)

    def _drew_lists(self, agreement: Agreement) -> bool:
        """Whether a linkage under any version of the contract drew review lists."""
        texts = self.state.contracts()
        done = {run.contract for run in self.state.runs() if run.proof and draws_lists(run.job.analysis)}
        return agreement.lineage in {lineage_of(read_contract(texts[one]), digest=one) for one in done}

    def _made(self, epoch: LinkEpoch) -> Statistic | None:
        """What the linkage of an epoch said, if there was one."""
        for run in self.state.runs():
            analysis = run.job.analysis
            is_of = run.contract == epoch.name.contract and analysis.arguments == {ARGUMENT: epoch.name.number}
            if is_of and analysis.kind is AnalysisKind.LINKAGE and run.proof is not None:
                return read_statistic(run.proof.statistic)
        return None

    def _missing(self, epoch: LinkEpoch, agreement: Agreement) -> tuple[PartyId, ...]:
        given = self.epochs.tokens(epoch)
        return tuple(owner.id for owner in agreement.contract.owners if owner.id not in given)

    def _require_tokens(self, epoch: LinkEpoch, agreement: Agreement) -> None:
        missing = self._missing(epoch, agreement)
        if missing:
            raise TokensMissing(owners=", ".join(missing))

    def _run(self, agreement: Agreement, arguments: Mapping[str, int | bool], progress: Progress) -> Statistic:
        analysis = Analysis(kind=AnalysisKind.LINKAGE, author=self.audit.host, arguments=arguments)
        require_asking(Access(self.state, self.clock, self.audit.host), analysis, agreement.contract)
        inputs = self.runs.inputs(agreement, AnalysisKind.LINKAGE)
        plain = replace(analysis, arguments={}) if draws_lists(analysis) else analysis  # the same map, once more
        question = question_digest(agreement.digest, plan=digest(plain.to_document()), inputs=inputs)
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
        acts = (Act.LINK_MADE, Act.LINK_LISTS_DRAWN) if executed.statistic.reviews else (Act.LINK_MADE,)
        made = (
            LedgerEntry(at=self.clock(), actor=self.audit.host, act=act, subject=links.manifest.snapshot, facts=facts)
            for act in acts
        )
        with self.state.acting(executed.entry, *made) as tables:
            tables.put_run(run, was=executed.started)
            tables.put_snapshot(snapshot)
        self.audit.checkpoint()


def is_keyed(agreement: Agreement) -> bool:
    """Whether patients are linked by keyed tokens."""
    return agreement.contract.linkage.mode is LinkMode.KEYED
