"""Runs: from a job to a signed statistic, with every owner's desk in between.

The order of steps is the guarantee: the ledger knows of a run before it starts; evidence is bound to nonces of
the desks; no key moves before every desk has looked at the job itself; no statistic leaves the runtime before every
desk knows the memory of releases that holds it; the statistic counts only if the very runtime that got the keys
signed it. A run that was interrupted goes on as the same run and the same job, so that no owner's budget is charged
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from asepsis.domain.access import LINKED, READS, template_of
from asepsis.domain.analysis import Analysis, AnalysisKind, Job, SnapshotInput
from asepsis.domain.attestation import read_evidence
from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Holding
from asepsis.domain.documents import Document, encode_bytes
from asepsis.domain.keydesk import GrantRequest, checkpoint_digest
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.run import Run, RunProof, RunStatus, move
from asepsis.domain.statistic import Statistic, read_statistic
from asepsis.errors import AsepsisError
from asepsis.errors.desk import CheckpointStale, MemoryBehind, MemoryRolledBack
from asepsis.errors.linkage import IdentifiersNotInRoom
from asepsis.errors.room import LinksMissing, SnapshotsMissing, StateChanged
from asepsis.errors.runtime import StatisticNotTrusted
from asepsis.errors.sealing import SignatureInvalid
from asepsis.ports import Clock, Desk, Randomness, RoomState, RuntimeLauncher, SnapshotFiles
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.links import LINKS
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.audit import Audit
from asepsis.services.contracts import Contracts
from asepsis.services.memories import Memories, Start

_ATTEMPTS: Final = 4

Progress = Callable[[str], None]
"""Called with the name of a step as it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A run that brought a verified statistic, not yet settled.

    The caller writes ``finished`` over ``started`` with ``entry``, in the transaction of what it decides.
    """

    started: Run
    finished: Run
    entry: LedgerEntry
    statistic: Statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What one attempt of a run begins with: the ledger's checkpoint, approvals, and the memory it starts from."""

    checkpoint: str
    approvals: Mapping[PartyId, bytes]
    memory: Start | None


@dataclass(frozen=True, slots=True)
class Runs:
    """Submits jobs and executes them."""

    state: RoomState
    files: SnapshotFiles
    desks: Mapping[PartyId, Desk]
    launcher: RuntimeLauncher
    memories: Memories
    audit: Audit
    contracts: Contracts
    clock: Clock
    randomness: Randomness

    def inputs(
        self, agreement: Agreement, kind: AnalysisKind, *, without: Collection[SnapshotId] = ()
    ) -> tuple[SnapshotInput, ...]:
        """The newest snapshot of every dataset that this kind reads.

        Raises SnapshotsMissing, IdentifiersNotInRoom or LinksMissing.

        Left out are snapshots with free text that the contract does not ask for, and those that it must do ``without``.
        """
        contract = agreement.contract
        newest = self._newest(contract, without=without)
        if kind is AnalysisKind.LINKAGE and not contract.linkage.at_home:
            _require_identifiers(contract, newest)
        inputs = _held(contract, newest, holds=READS[kind])
        if kind in LINKED and len(contract.owners) > 1:
            if LINKS not in newest:
                raise LinksMissing
            inputs = (*inputs, _input(newest[LINKS]))
        return inputs

    def persons(self, agreement: Agreement) -> tuple[SnapshotInput, ...]:
        """The newest clinical snapshots, whose persons a linkage finds. Raises SnapshotsMissing."""
        contract = agreement.contract
        return _held(contract, self._newest(contract), holds=frozenset({Holding.CLINICAL}))

    def submit(
        self, agreement: Agreement, analysis: Analysis, *, question: Digest, inputs: tuple[SnapshotInput, ...]
    ) -> Run:
        """The run for this question: the one that waits, was interrupted or refused, or a new one."""
        for run in reversed(self.state.runs()):
            if run.question == question and run.job.analysis == analysis and run.status is not RunStatus.FINISHED:
                return run
        run_id = RunId("run-" + self.randomness(8).hex())
        job = Job(run=run_id, contract=agreement.digest, analysis=analysis, inputs=inputs)
        run = Run(id=run_id, job=job, question=question, status=RunStatus.SUBMITTED, submitted_at=self.clock())
        template = template_of(analysis, agreement.contract)
        stated = {"purpose": analysis.purpose} if analysis.purpose else {}
        stated |= {"template": template.digest} if template is not None else {}
        asked = digest(analysis.to_document())
        entry = self._entry(Act.RUN_SUBMITTED, run, actor=analysis.author, analysis=asked, **stated)
        with self.state.acting(entry) as tables:
            tables.put_run(run, was=None)
        return run

    def execute(
        self, run: Run, *, approvals: Mapping[PartyId, bytes] | None = None, progress: Progress = lambda _: None
    ) -> Executed:
        """Run it: start, prove, grant, compute, verify.

        Raises whatever a desk or the runtime refuses with; the run is then FAILED and may be started again.
        """
        agreement = self.contracts.in_force()
        started = replace(run, status=move(run.status, RunStatus.STARTED))
        with self.state.acting(self._entry(Act.RUN_STARTED, run, job=digest(run.job.to_document()))) as tables:
            tables.put_run(started, was=run)
        try:
            proof, confinement = self._proven(started, agreement, approvals or {}, progress)
            statistic = verify_statistic(started, proof)
        except AsepsisError as error:
            self._fail(started, error)
            raise
        finished = replace(started, status=move(started.status, RunStatus.FINISHED), proof=proof)
        entry = self._entry(Act.RUN_FINISHED, run, statistic=digest(proof.statistic), confinement=confinement)
        return Executed(started=started, finished=finished, entry=entry, statistic=statistic)

    def answered(self, question: Digest) -> Run | None:
        """The finished run for this question, if there is one."""
        return next((run for run in self.state.runs() if run.question == question and run.proof is not None), None)

    def _newest(self, contract: Contract, *, without: Collection[SnapshotId] = ()) -> dict[str, PublishedSnapshot]:
        """The newest snapshot of every dataset that may be used under a contract."""
        asked = {dataset.name: dataset.free_text for dataset in contract.datasets}
        gone = {*self.state.erased(), *without}
        return {
            snapshot.manifest.dataset: snapshot
            for snapshot in self.state.snapshots()
            if snapshot.manifest.snapshot not in gone
            and asked.get(snapshot.manifest.dataset, frozenset()).issuperset(snapshot.manifest.origin.free_text)
        }

    def _proven(
        self, run: Run, agreement: Agreement, approvals: Mapping[PartyId, bytes], progress: Progress
    ) -> tuple[RunProof, str]:
        """The dialogue, begun anew where another run's checkpoint or memory overtook ours."""
        for _ in range(_ATTEMPTS):
            memory = self.memories.start(run, agreement)
            try:
                return self._dialogue(run, agreement, approvals, progress)
            except CheckpointStale:
                continue
            except MemoryBehind:
                self.memories.tell_again(agreement)
            except (StateChanged, MemoryRolledBack):
                if memory == self.memories.start(run, agreement):  # no other run came between: a desk knows more
                    raise
        return self._dialogue(run, agreement, approvals, progress)

    def _dialogue(
        self, run: Run, agreement: Agreement, approvals: Mapping[PartyId, bytes], progress: Progress
    ) -> tuple[RunProof, str]:
        """The proof of a run, and in one word how its runtime was confined."""
        progress("cosign")
        memory = self.memories.start(run, agreement)
        opening = Opening(checkpoint=self.audit.checkpoint(), approvals=approvals, memory=memory)
        nonces = {owner.id: self.desks[owner.id].nonce() for owner in agreement.contract.owners}
        with self.launcher.start() as runtime:
            progress("prove")
            evidence = runtime.prove(self._order(run, opening, nonces=nonces))
            progress("grant")
            grants = {
                owner: self._grant(owner, run, opening, nonce=nonce, evidence=evidence.get(owner, {}))
                for owner, nonce in nonces.items()
            }
            progress("compute")
            statistic, signature = runtime.finish(
                list(grants.values()),
                keep=lambda step, signed: self.memories.keep(run, step, signed, agreement=agreement),
            )
            confinement = runtime.confined()
        proof = RunProof(
            checkpoint=opening.checkpoint, evidence=evidence, grants=grants, statistic=statistic, signature=signature
        )
        return proof, confinement

    def _order(self, run: Run, opening: Opening, *, nonces: Mapping[PartyId, bytes]) -> Document:
        by_id = {snapshot.manifest.snapshot: snapshot for snapshot in self.state.snapshots()}
        papers = self.contracts.papers()
        return {
            **papers.to_document(),
            "job": run.job.to_document(),
            "snapshots": [self._snapshot_document(by_id[item.snapshot]) for item in run.job.inputs],
            "nonces": _encoded(nonces),
            "approvals": _encoded(opening.approvals),
            "checkpoint": checkpoint_digest(opening.checkpoint.partition("\n\n")[0] + "\n"),
            "memory": None if opening.memory is None else opening.memory.to_document(),
            "output": str(self.files.output(run.id)),
        }

    def _snapshot_document(self, snapshot: PublishedSnapshot) -> Document:
        return {
            "owner": snapshot.manifest.owner,
            "manifest": encode_bytes(snapshot.document),
            "signature": encode_bytes(snapshot.signature),
            "endorsements": _encoded(snapshot.endorsements),
            "folder": str(self.files.folder(snapshot.manifest.snapshot)),
        }

    def _grant(self, owner: PartyId, run: Run, opening: Opening, *, nonce: bytes, evidence: Document) -> Document:
        papers = self.contracts.papers()
        request = GrantRequest(
            contract=papers.contract,
            signatures=papers.signatures,
            statements=papers.statements,
            job=run.job.to_document(),
            evidence=evidence,
            nonce=nonce,
            checkpoint=opening.checkpoint,
            approvals=opening.approvals,
            memory=None if opening.memory is None else opening.memory.version.to_document(),
        )
        return self.desks[owner].grant(request).to_document()

    def _fail(self, run: Run, error: AsepsisError) -> None:
        failed = replace(run, status=move(run.status, RunStatus.FAILED))
        with self.state.acting(self._entry(Act.RUN_FAILED, run, code=error.code)) as tables:
            tables.put_run(failed, was=run)

    def _entry(self, act: Act, run: Run, *, actor: PartyId | None = None, **facts: str) -> LedgerEntry:
        facts = {"contract": run.contract, **facts}
        return LedgerEntry(at=self.clock(), actor=actor or self.audit.host, act=act, subject=run.id, facts=facts)


def question_digest(
    contract: Digest, *, plan: Digest, inputs: Iterable[SnapshotInput], purpose: str = "", certainty: int = 0
) -> Digest:
    """What makes two analyses the same question: the contract, the canonical plan, the exact inputs and the purpose.

    ``certainty`` is that of the links, where it is not the contract's.
    """
    manifests = sorted(item.manifest for item in inputs)
    stated: dict[str, str | int] = {"purpose": purpose} if purpose else {}
    stated |= {"certainty": certainty} if certainty else {}
    return digest({"contract": contract, "plan": plan, "inputs": list(manifests), **stated})


def verify_statistic(run: Run, proof: RunProof) -> Statistic:
    """Check that the runtime to which every desk sealed keys signed this statistic. Raises StatisticNotTrusted."""
    if not proof.evidence or set(proof.evidence) != set(proof.grants):
        raise StatisticNotTrusted(run=run.id, what="evidence or grants are missing")
    for item in proof.evidence.values():
        key = read_evidence(item).signing_key
        payload = canonical(proof.statistic)
        try:
            verify(key, purpose=Purpose.STATISTIC, payload=payload, signature=proof.signature)
        except SignatureInvalid:
            raise StatisticNotTrusted(run=run.id, what="its signature is another's") from None
    statistic = read_statistic(proof.statistic)
    if (statistic.run, statistic.contract, statistic.job) != (run.id, run.contract, digest(run.job.to_document())):
        raise StatisticNotTrusted(run=run.id, what="it belongs to another run")
    return statistic


def _held(
    contract: Contract, newest: Mapping[str, PublishedSnapshot], *, holds: frozenset[Holding]
) -> tuple[SnapshotInput, ...]:
    """The newest snapshots of the datasets that hold this. Raises SnapshotsMissing."""
    wanted = [dataset.name for dataset in contract.datasets if dataset.holds in holds]
    for name in wanted:
        if name not in newest:
            raise SnapshotsMissing(dataset=name)
    return tuple(_input(newest[name]) for name in wanted)


def _require_identifiers(contract: Contract, newest: Mapping[str, PublishedSnapshot]) -> None:
    """The identifiers of each owner's newest persons are in the room, if the contract has them there.

    Raises IdentifiersNotInRoom where they stayed in the owner's home: older ones would leave out newer persons.
    """
    came = {
        (dataset.owner, dataset.holds): newest[dataset.name].contribution
        for dataset in contract.datasets
        if dataset.name in newest
    }
    for dataset in contract.datasets:
        persons = came.get((dataset.owner, Holding.CLINICAL))
        if dataset.holds is Holding.IDENTITY and persons not in {None, came.get((dataset.owner, Holding.IDENTITY))}:
            raise IdentifiersNotInRoom(owner=dataset.owner)


def _input(snapshot: PublishedSnapshot) -> SnapshotInput:
    manifest = snapshot.manifest
    return SnapshotInput(
        owner=manifest.owner, dataset=manifest.dataset, snapshot=manifest.snapshot, manifest=snapshot.digest
    )


def _encoded(values: Mapping[PartyId, bytes]) -> Document:
    return {name: encode_bytes(value) for name, value in values.items()}
