"""The trail of a release: every entry about it and its run, each with the proof that the witnessed ledger has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asepsis.domain.analysis import Job
from asepsis.domain.documents import Document, Fields
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, ReleaseId
from asepsis.errors.room import BundleForged
from asepsis.ledger.proof import verify_entry_proof
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import digest
from asepsis.services.audit import ledger_keys

_ORDER = (Act.RUN_SUBMITTED, Act.RUN_STARTED, Act.RUN_FINISHED, Act.RELEASE_RELEASED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry at its place in the ledger."""

    position: int
    entry: LedgerEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """All steps in the order of the ledger, and how many entries the ledger had."""

    steps: tuple[Step, ...]
    ledger_size: int

    @property
    def released(self) -> Step:
        """The step that let the output leave."""
        return self.steps[-1]


def trail_document(proven: Sequence[tuple[LedgerEntry, str]]) -> list[Document]:
    """The document form of what :meth:`asepsis.services.audit.Audit.trail` proves; :func:`check_trail` reads it."""
    return [{"entry": entry.to_document(), "proof": proof} for entry, proof in proven]


def check_trail(
    items: Sequence[object], *, release: ReleaseId, job: Job, statistic: Digest, agreement: Agreement
) -> Trail:
    """Check that the witnessed ledger tells how this output came about: submitted, started, finished, released.

    Raises:
        BundleForged: a step is missing, of something else, or out of order.
        AsepsisError: a proof does not verify.
    """
    steps = []
    size = 0
    for item in items:
        step, size = _step(item, agreement)
        steps.append(step)
    trail = Trail(steps=tuple(steps), ledger_size=size)
    if [step.position for step in steps] != sorted({step.position for step in steps}):
        raise BundleForged(what="the trail is not in the order of the ledger")
    if {step.entry.subject for step in steps} != {release, job.run}:
        raise BundleForged(what="the trail is of another run or release")
    last = {step.entry.act: step for step in steps}
    if not set(_ORDER) <= set(last) or steps[-1].entry.act is not Act.RELEASE_RELEASED:
        raise BundleForged(what="the trail lacks a step")
    if [last[act].position for act in _ORDER] != sorted(last[act].position for act in _ORDER):
        raise BundleForged(what="the trail is not in the order of a run")
    _check_facts({act: step.entry for act, step in last.items()}, job=job, statistic=statistic, agreement=agreement)
    return trail


def _step(item: object, agreement: Agreement) -> tuple[Step, int]:
    fields = Fields(item, document="bundle", place="trail")
    entry = LedgerEntry.from_document(fields.anything("entry"))
    keys = ledger_keys(agreement.contract)
    verified = verify_entry_proof(
        fields.text("proof"),
        entry=entry,
        log_key=keys.log,
        witness_keys=keys.witnesses,
        quorum=len(keys.witnesses),
    )
    fields.close()
    return Step(position=verified.index, entry=entry), verified.witnessed.checkpoint.size


def _check_facts(entries: Mapping[Act, LedgerEntry], *, job: Job, statistic: Digest, agreement: Agreement) -> None:
    """Each step is about this analysis, this job, this statistic, under this contract."""
    contract: dict[str, str | int] = {"contract": agreement.digest}
    wanted = {
        Act.RUN_SUBMITTED: {**contract, "analysis": digest(job.analysis.to_document())},
        Act.RUN_STARTED: {**contract, "job": digest(job.to_document())},
        Act.RUN_FINISHED: {**contract, "statistic": statistic},
        Act.RELEASE_RELEASED: {**contract, "statistic": statistic, "run": job.run},
    }
    for act, facts in wanted.items():
        if not facts.items() <= entries[act].facts.items():
            raise BundleForged(what=f"the ledger records another {act.value}")
