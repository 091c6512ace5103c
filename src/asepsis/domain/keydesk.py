"""What a key desk is asked and what it remembers: requests, registered snapshots, granted runs, link maps, its head.

A request is untrusted: documents as they came, which the desk reads itself. Over the network the same parts
travel as one document; in embedded mode they are handed over as they are. No value here holds an open key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.documents import Document
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId
from asepsis.domain.snapshot import Label

_NOBODY: Final[Mapping[PartyId, bytes]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """The public keys of a party: Ed25519 for signatures, X25519 for envelopes; 32 bytes each."""

    signing: bytes
    sealing: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRequest:
    """The request for the data keys of one run.

    ``contract``, ``job``, ``evidence`` and the signed ``statements`` are documents; ``signatures`` are those of all
    parties under the contract; ``nonce`` is the desk's own, to which the evidence is bound; ``checkpoint`` is the
    note of the ledger's checkpoint that the desk cosigned last; ``approvals`` are the owners' signatures over a
    referral, empty for other kinds.
    """

    contract: object
    signatures: Mapping[PartyId, bytes]
    job: object
    evidence: object
    nonce: bytes
    checkpoint: str
    statements: Sequence[object] = ()
    approvals: Mapping[PartyId, bytes] = field(default_factory=lambda: _NOBODY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareDeposit:
    """One owner's share of a new link map's key, with the linkage's statistic and the runtime's signature over it.

    ``sealed`` is the share as the statistic carries it for this owner.
    """

    run: RunId
    contract: Digest
    statistic: Document
    signature: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedNonce:
    """When a nonce was issued, and whether it was used before it was asked for now."""

    issued_at: datetime
    used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSnapshot:
    """A registered snapshot with its data key, wrapped under the owner's key."""

    snapshot: SnapshotId
    dataset: str
    manifest: Digest
    label: Label
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLinks:
    """An endorsed link map with the owner's share of its data key, wrapped under the owner's key."""

    snapshot: SnapshotId
    contract: Digest
    manifest: Digest
    label: Label
    wrapped: bytes
    endorsement: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedRun:
    """One grant that this desk gave: to which runtime key, for what, how long."""

    run: RunId
    job: Digest
    contract: Digest
    kind: AnalysisKind
    label: Label
    signing_key: bytes
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last checkpoint of the room's ledger that this desk cosigned, and the key that it was pinned to."""

    room_key: str
    origin: str
    size: int
    root: bytes


def checkpoint_digest(text: str) -> Digest:
    """What evidence names: SHA-256 over the text of a checkpoint, without its signatures."""
    return Digest(hashlib.sha256(text.encode()).hexdigest())
