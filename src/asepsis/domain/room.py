"""What the room keeps beside runs and referrals: published snapshots, sealed memories, and decided releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from asepsis.domain.memory import MemoryStep, MemoryVersion
from asepsis.domain.names import Digest, PartyId, ReleaseId, RunId
from asepsis.domain.release import ReleaseStatus
from asepsis.domain.snapshot import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSnapshot:
    """A sealed snapshot in the room: its manifest as signed, and where it came from.

    A link map has no owner's signature but the endorsement of every owner. ``contribution`` identifies source,
    restore point and mapping, so that the same contribution is recognised when a command runs again.
    """

    manifest: Manifest
    digest: Digest
    document: bytes
    signature: bytes
    endorsements: Mapping[PartyId, bytes]
    contribution: Digest
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomMemory:
    """A sealed version of the memory of releases: the step of the run that made it, as its runtime signed it."""

    step: MemoryStep
    signature: bytes

    @property
    def version(self) -> MemoryVersion:
        """The version itself."""
        return self.step.use.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An output that asked to leave the room, and what was decided.

    ``review`` is the signature of who decided; it is empty where the contract's rules decided by themselves.
    """

    id: ReleaseId
    run: RunId
    contract: Digest
    question: Digest
    author: PartyId
    status: ReleaseStatus
    decided_by: PartyId | None
    decided_at: datetime
    review: bytes = b""
