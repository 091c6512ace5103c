"""Runs: one execution of an analysis, from submission to a signed statistic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from asepsis.domain.analysis import Job
from asepsis.domain.documents import Document
from asepsis.domain.names import Digest, PartyId, RunId
from asepsis.errors.contract import TransitionRefused


class RunStatus(StrEnum):
    """The life of a run. A run that was interrupted or refused can be started again as the same run."""

    SUBMITTED = "submitted"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"


TRANSITIONS: Final[Mapping[RunStatus, frozenset[RunStatus]]] = {
    RunStatus.SUBMITTED: frozenset({RunStatus.STARTED}),
    RunStatus.STARTED: frozenset({RunStatus.STARTED, RunStatus.FINISHED, RunStatus.FAILED}),
    RunStatus.FAILED: frozenset({RunStatus.STARTED}),
    RunStatus.FINISHED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a job. ``question`` identifies plan and inputs: equal questions are one release."""

    id: RunId
    job: Job
    question: Digest
    status: RunStatus
    submitted_at: datetime
    proof: RunProof | None = None

    @property
    def contract(self) -> Digest:
        """The contract that the run belongs to."""
        return self.job.contract


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProof:
    """What proves a finished run: evidence and grant per owner, the checkpoint, and the signed statistic."""

    checkpoint: str
    evidence: Mapping[PartyId, Document]
    grants: Mapping[PartyId, Document]
    statistic: Document
    signature: bytes


def move(status: RunStatus, to: RunStatus) -> RunStatus:
    """The new status, if the transition table has that move. Raises TransitionRefused."""
    if to not in TRANSITIONS[status]:
        raise TransitionRefused(subject="run", current=status.value, wanted=to.value)
    return to
