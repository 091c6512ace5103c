"""Ports: what the services need from the outside, as Protocols; adapters implement them, bootstrap joins them.

State of the room changes only inside :meth:`RoomState.acting`, which takes the ledger entries that record the
act: forgetting them is a type error, and entries and state are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from asepsis.domain.attestation import Appraisal, Binding, Evidence, Grant
from asepsis.domain.contract import Contract
from asepsis.domain.documents import Document
from asepsis.domain.epoch import Commitment, EpochName, LinkEpoch, SealedShares, ShowRequest
from asepsis.domain.estate import IndexedObject, IndexedPoint, RuleSet
from asepsis.domain.integrity import ObjectFault, RuleHit
from asepsis.domain.keydesk import GrantRequest, MemoryDeposit, NarrowRequest, PublicKeys, ShareDeposit
from asepsis.domain.ledger import LedgerEntry
from asepsis.domain.memory import MemoryVersion
from asepsis.domain.names import Digest, PartyId, ReferralId, ReleaseId, RestorePointId, RunId, SnapshotId
from asepsis.domain.referral import Referral
from asepsis.domain.room import PublishedSnapshot, Release, RoomMemory
from asepsis.domain.run import Run
from asepsis.domain.snapshot import Manifest
from asepsis.domain.source import Capability, Change, Entry, ExportedTable, Remark, RestorePoint
from asepsis.domain.tokens import Token
from asepsis.integrity.records.evidence import PairEvidence
from asepsis.integrity.records.tickets import ChangeTicket
from asepsis.integrity.records.values import Divergence
from asepsis.ledger.checkpoint import Checkpoint
from asepsis.linkage.key import LinkKey
from asepsis.sealing.erasure import SignedErasure
from asepsis.sealing.estate_record import SignedRecord
from asepsis.sealing.incident import SignedAct, SignedAppointment
from asepsis.sealing.manifest import SignedManifest
from asepsis.sealing.signing import Purpose
from asepsis.sealing.statement import SignedStatement

Clock = Callable[[], datetime]
"""The present time, in UTC."""

Randomness = Callable[[int], bytes]
"""That many bytes from the operating system's generator."""


Reading = Callable[[int], None]
"""Told how many bytes have been read so far."""


class Source(Protocol):
    """A backup or folder, read-only by construction."""

    kind: str
    uri: str

    def capabilities(self) -> frozenset[Capability]:
        """What this source can do, and what its format can hold."""

    def remarks(self) -> list[Remark]:
        """What its keeper may want to know beside faults, such as locks that were ignored."""

    def restore_points(self) -> list[RestorePoint]:
        """All restore points, oldest first."""

    def walk(self, point: RestorePointId) -> Iterator[Entry]:
        """All entries of a restore point, sorted by path."""

    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A seekable, read-only stream of one file."""

    def diff(self, older: RestorePointId, newer: RestorePointId) -> list[Change]:
        """How two restore points differ in content, by content ids or by digests, ordered by path."""

    def verify(self, point: RestorePointId, *, reading: Reading | None = None) -> Iterator[ObjectFault]:
        """Read everything and tell what is damaged."""

    def fs(self, point: RestorePointId) -> Any:
        """A restore point as a read-only ``fsspec.AbstractFileSystem``."""


@runtime_checkable
class MountingSource(Source, Protocol):
    """A source that has restore points mounted by a backup server."""

    def reap(self) -> int:
        """Take down mounts that a killed program left behind; returns how many."""


@runtime_checkable
class TableSource(Source, Protocol):
    """A source whose entries are tables."""

    def export(
        self, point: RestorePointId, folder: Path, *, only: Collection[str] = (), reading: Reading | None = None
    ) -> list[ExportedTable]:
        """Write tables as Parquet files into an empty folder: values as text, exactly as the source has them."""


class Seal(Protocol):
    """Signs what is kept where others may write, and knows its own signature again."""

    def sign(self, payload: bytes) -> bytes:
        """Sign."""

    def verify(self, payload: bytes, signature: bytes) -> None:
        """Raises SignatureInvalid."""


class RuleWatch(Protocol):
    """Holds rules against one object, which comes piece by piece."""

    def feed(self, piece: bytes) -> None:
        """Take the next piece. Raises RuleTimeout."""

    def hits(self) -> tuple[RuleHit, ...]:
        """The rules that match; asked once, at the end of the object. Raises RuleTimeout."""


class ContentRules(Protocol):
    """A set of rules for the content of objects."""

    @property
    def known_as(self) -> RuleSet:
        """Its digest, engine and size."""

    def watch(self) -> RuleWatch:
        """Begin with an object."""


class ObjectIndex(Protocol):
    """What was seen of the objects and restore points of sources; every write is durable before it returns."""

    def known(self, source: str) -> dict[str, IndexedObject]:
        """All objects of a source, by key."""

    def hunted(self, source: str, rules: str) -> dict[str, tuple[RuleHit, ...]]:
        """The objects of a source that a set of rules was held against, and which of them matched."""

    def rule_sets(self) -> list[RuleSet]:
        """The sets of rules that were ever used, the last one at the end."""

    def use(self, rules: RuleSet) -> None:
        """Note that a set of rules is used now."""

    def add(
        self,
        source: str,
        objects: Iterable[IndexedObject],
        *,
        hunted: Mapping[str, tuple[RuleHit, ...]] | None = None,
        rules: str = "",
    ) -> None:
        """Keep objects, and what rules found in objects, all of it or none."""

    def points(self, source: str) -> dict[RestorePointId, IndexedPoint]:
        """All restore points of a source that were ever seen, by id."""

    def add_points(self, source: str, points: Iterable[IndexedPoint]) -> None:
        """Keep restore points as they were first seen; known ones stay as they were."""


class EstateRecords(Protocol):
    """The signed records of sources, at the hospital's home."""

    def records(self, source: str) -> list[SignedRecord]:
        """All records of a source, oldest first."""

    def add(self, signed: SignedRecord) -> None:
        """Keep a record; it is durable before this returns."""


class InventoryRecord(Protocol):
    """What is known of a source's restore points from a record that nobody else can change."""

    def points(self, source: str) -> Mapping[RestorePointId, IndexedPoint]:
        """All restore points that were ever seen. Raises RecordAltered."""

    def add(self, source: str, points: Iterable[IndexedPoint], *, present: int, checks: str, rules: str) -> None:
        """Record what a scan saw for the first time. Raises RecordAltered."""


class SnapshotPair(Protocol):
    """Two snapshots that are open side by side."""

    @property
    def persons(self) -> str | None:
        """The table that has one row per person, if there is one."""

    def evidence(self) -> PairEvidence:
        """Make the ledgers and measure them; comes before all others."""

    def same_as(self, table: str, folders: Mapping[str, Path]) -> str | None:
        """Which of some older snapshots held exactly what the newer one holds of a table."""

    def detailed(self, divergence: Divergence) -> Divergence:
        """The divergence with what its rows have in common."""

    def days(self) -> list[tuple[str, str, str, int]]:
        """(table, day of the event, change, rows) of every changed row whose table has dates."""

    def write_rows(self, divergences: Sequence[Divergence], path: Path) -> int:
        """Write the rows behind the divergences into a new file of their owner's."""

    def revert_into(self, folder: Path) -> bytes:
        """Write the revert patch, apply it to compare, and return the root that it gives."""


class Forensics(Protocol):
    """What opens snapshots side by side."""

    def pair(
        self, before: Path, after: Path, *, tickets: Sequence[ChangeTicket] = (), like: Path | None = None
    ) -> AbstractContextManager[SnapshotPair]:
        """Two folders of tables; what tables are like is learned from ``like``."""


class IncidentRecords(Protocol):
    """What a hospital keeps of its incidents at home; every write is durable before it returns."""

    def add_appointment(self, signed: SignedAppointment) -> None:
        """Keep an appointment."""

    def appointments(self) -> Sequence[SignedAppointment]:
        """All appointments, oldest first."""

    def add_act(self, incident: str, signed: SignedAct) -> None:
        """Keep an act. Raises IncidentStepRefused where somebody else kept one of that number meanwhile."""

    def acts(self, incident: str) -> Sequence[SignedAct]:
        """The acts of an incident, in the order of their numbers."""

    def incidents(self) -> Sequence[str]:
        """The names of all incidents."""


class RoomTables(Protocol):
    """The writes that one act may make; all of them, and its ledger entries, or none."""

    def put_contract(self, digest: Digest, *, document: Document) -> None:
        """Make this the room's contract."""

    def put_signature(self, digest: Digest, *, party: PartyId, signature: bytes) -> None:
        """Keep a verified signature; the same party's later one replaces it."""

    def put_statement(self, digest: Digest, *, signed: SignedStatement) -> None:
        """Keep a verified statement."""

    def put_snapshot(self, snapshot: PublishedSnapshot) -> None:
        """Publish a sealed snapshot."""

    def put_erasure(self, signed: SignedErasure) -> None:
        """Keep what an owner's desk destroyed."""

    def put_run(self, run: Run, *, was: Run | None) -> None:
        """Write a run, if it still is what it was. Raises StateChanged."""

    def put_memory(self, kept: RoomMemory, *, was: MemoryVersion) -> None:
        """Keep a new version of the memory of releases, if the newest one still is what it was. Raises StateChanged."""

    def put_release(self, release: Release, *, was: Release | None) -> None:
        """Write a release, if it still is what it was. Raises StateChanged."""

    def put_referral(self, referral: Referral, *, was: Referral | None) -> None:
        """Write a referral, if it still is what it was. Raises StateChanged."""

    def put_epoch(self, epoch: LinkEpoch, *, was: LinkEpoch | None) -> None:
        """Write an epoch of linkage, if it still is what it was. Raises StateChanged."""

    def put_token(self, token: Token, *, secret: Digest) -> None:
        """Keep what a token stands for, under the digest of its secret."""

    def put_checkpoint(self, size: int, *, note: str) -> None:
        """Keep a cosigned checkpoint."""


class RoomState(Protocol):
    """The control plane's durable state: no patient data, no data key."""

    def acting(self, *because: LedgerEntry) -> AbstractContextManager[RoomTables]:
        """One transaction that appends the entries and makes the writes of one act."""

    def noting(self) -> AbstractContextManager[RoomTables]:
        """One transaction for writes that are about the ledger itself (checkpoints)."""

    def contract(self) -> tuple[Digest, Document]:
        """The room's contract. Raises NoContract."""

    def contracts(self) -> Mapping[Digest, Document]:
        """All contracts that were ever proposed, oldest first."""

    def signatures(self, digest: Digest) -> Mapping[PartyId, bytes]:
        """The verified signatures under a contract."""

    def statements(self, digest: Digest) -> Sequence[SignedStatement]:
        """The verified statements about a contract."""

    def snapshots(self) -> Sequence[PublishedSnapshot]:
        """All published snapshots, oldest first."""

    def erasures(self) -> Sequence[SignedErasure]:
        """All erasures, oldest first."""

    def erased(self) -> Collection[SnapshotId]:
        """The snapshots and link maps whose keys were destroyed."""

    def memory(self, lineage: Digest) -> RoomMemory | None:
        """The newest version of a lineage's memory of releases; none, if it still is empty."""

    def run(self, run: RunId) -> Run:
        """One run. Raises RecordMissing."""

    def runs(self) -> Sequence[Run]:
        """All runs, oldest first."""

    def release(self, release: ReleaseId) -> Release:
        """One release. Raises RecordMissing."""

    def releases(self) -> Sequence[Release]:
        """All releases, oldest first."""

    def referral(self, referral: ReferralId) -> Referral:
        """One referral. Raises RecordMissing."""

    def referrals(self) -> Sequence[Referral]:
        """All referrals, oldest first."""

    def epochs(self) -> Sequence[LinkEpoch]:
        """All epochs of linkage, oldest first."""

    def tokens(self) -> Mapping[Digest, Token]:
        """All tokens that were ever made by the digests of their secrets, oldest first."""

    def token(self, secret: Digest) -> Token | None:
        """The token whose secret has this digest."""

    def checkpoint(self) -> str | None:
        """The newest cosigned checkpoint."""

    def ledger(self) -> Ledger:
        """The ledger for reading: entries, roots and proofs."""


class Ledger(Protocol):
    """An append-only RFC 6962 log, for reading."""

    def size(self) -> int:
        """How many entries it has."""

    def root(self, size: int) -> bytes:
        """The root of its first ``size`` entries."""

    def entries(self, start: int, stop: int) -> Sequence[LedgerEntry]:
        """A range of entries."""

    def inclusion(self, index: int, size: int) -> Sequence[bytes]:
        """The inclusion proof of one entry."""

    def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """The consistency proof between two sizes."""


class SnapshotFiles(Protocol):
    """The ciphertext store: sealed files in one folder per snapshot."""

    def incoming(self, snapshot: SnapshotId) -> Path:
        """An empty folder for a snapshot that is being made; leftovers of a killed run are removed."""

    def publish(self, snapshot: SnapshotId) -> None:
        """Move the incoming folder to its place, durably. It stays invisible until the state names it."""

    def folder(self, snapshot: SnapshotId) -> Path:
        """Where the sealed files of a published snapshot lie."""

    def erase(self, snapshot: SnapshotId) -> None:
        """Remove the sealed files of a snapshot, durably; doing it again changes nothing."""

    def forget(self, prefix: str, *, keep: Collection[SnapshotId]) -> None:
        """Remove folders of snapshots with that prefix that were never published."""

    def output(self, run: RunId) -> Path:
        """An empty folder for what one attempt of a run writes; leftovers of a killed attempt are removed."""

    def packages(self, run: RunId) -> Path:
        """The folder with what a run wrote: sealed packages, or a sealed link map."""

    def keep_memory(self, run: RunId, *, lineage: Digest, number: int) -> Path:
        """Move the sealed memory that a run wrote to its place, durably; returns the file."""

    def memory(self, run: RunId, *, lineage: Digest, number: int) -> Path:
        """The folder of the sealed memory that a run left."""

    def forget_memories(self, lineage: Digest, *, before: int) -> None:
        """Remove the sealed memories of earlier versions."""

    def adopt(self, run: RunId, *, snapshot: SnapshotId) -> None:
        """Move what a run wrote to the place of a snapshot, durably."""


Keep = Callable[[Document, bytes], Mapping[PartyId, bytes]]
"""Makes a step to a new memory of releases durable, tells every desk, and returns their receipts."""


class RuntimeSession(Protocol):
    """One runtime process, for one order."""

    def prove(self, order: Document) -> Mapping[PartyId, Document]:
        """Hand over the order; the runtime answers with one piece of evidence per desk."""

    def confined(self) -> str:
        """One word for the record: how the runtime was found to be confined, once it has proved itself."""

    def finish(self, grants: Sequence[Document], *, keep: Keep) -> tuple[Document, bytes]:
        """Hand over the grants; the runtime answers with its statistic and its signature over it.

        Before that it may show the step to a new memory of releases, for which it wants every owner's receipt.
        """


class RuntimeLauncher(Protocol):
    """Starts the runtime as a process of its own, with an empty environment."""

    def start(self) -> AbstractContextManager[RuntimeSession]:
        """A new runtime; ended, whatever happens, when the context ends."""


class HostKeys(Protocol):
    """The host's keys: it signs the ledger's checkpoints, and nothing that opens data."""

    def sign_checkpoint(self, checkpoint: Checkpoint) -> str:
        """The signed note of a checkpoint (https://c2sp.org/tlog-checkpoint)."""

    def public(self) -> PublicKeys:
        """The public halves, as the contract names them."""


class Desk(Protocol):
    """An owner's key desk, as the room sees it: it can be asked, never told."""

    def nonce(self) -> bytes:
        """A single-use nonce for evidence."""

    def grant(self, request: GrantRequest) -> Grant:
        """The data keys for one run, sealed to its runtime, or an error that says why not."""

    def deposit_share(self, deposit: ShareDeposit) -> bytes:
        """Leave a link map's key share in keeping; returns the owner's endorsement of its manifest."""

    def remember(self, deposit: MemoryDeposit) -> bytes:
        """Tell a new version of the memory of releases; returns the owner's receipt for the runtime that made it."""

    def narrow(self, request: NarrowRequest) -> bytes:
        """The owner's signature that an amendment which another owner signed only narrows."""

    def commit(self, epoch: EpochName) -> Commitment:
        """The owner's commitment to a share of the link key of an epoch; the same as long as the epoch is open."""

    def show(self, request: ShowRequest) -> SealedShares:
        """The owner's share, sealed to each other owner, by receiver; only under one set of commitments."""

    def close(self, epoch: EpochName) -> Sequence[SignedErasure]:
        """Destroy the owner's share and the key of the tokens; returns all such erasures of the contract so far."""

    def seen_size(self) -> int:
        """The size of the ledger that this desk cosigned last; 0 before the first time."""

    def cosign(self, note: str, *, proof: Sequence[bytes], room_key: str | None = None) -> str:
        """The cosignature line for a checkpoint, after the desk checked that the ledger only grew."""

    def public(self) -> PublicKeys:
        """The owner's public keys."""


class OwnDesk(Protocol):
    """The owner's own desk, as the owner's contributions use it."""

    def signed(self, contract: Digest) -> Contract:
        """A contract that the owner signed at this desk. Raises ContractNotSignedHere."""

    def register(self, signed_manifest: SignedManifest, *, dek: bytes) -> None:
        """Take the data key of the owner's own snapshot into keeping."""

    def own_key(self, manifest: Manifest) -> bytes:
        """The data key of the owner's own snapshot, for use at home. Raises SnapshotNotOurs."""

    def link_key(self, epoch: EpochName, *, shares: SealedShares) -> LinkKey:
        """The link key of an epoch, for use at home. Raises LinkShareMissing or LinkShareRefused."""

    def open_list(self, statistic: Document, *, signature: bytes) -> Sequence[int]:
        """The owner's persons on the review list of a linkage. Raises LinkageUnknown, ListMissing, EnvelopeRefused."""

    def keep_tokens(self, signed_manifest: SignedManifest, *, dek: bytes) -> None:
        """Take the data key of the owner's tokens into keeping, for the one run of their epoch."""


class OwnerKeys(Protocol):
    """The owner's keys, as contributions use them."""

    def sign(self, purpose: Purpose, payload: bytes) -> bytes:
        """Sign a payload for one purpose."""


class TeamKeys(Protocol):
    """A clinical team's keys."""

    def open_sealed(self, sealed: bytes, *, info: bytes) -> bytes:
        """Open an envelope that was sealed to this team. Raises EnvelopeRefused."""


class Appraise(Protocol):
    """Appraises evidence against what the caller itself expects."""

    def __call__(
        self,
        evidence: Evidence,
        *,
        binding: Binding,
        measurements: Collection[str],
        minimum_level: int,
        at: datetime | None = None,
    ) -> Appraisal:
        """What the evidence shows as of a time, which is the appraiser's own where none is given.

        Raises EvidenceRefused.
        """
