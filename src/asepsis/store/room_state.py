"""The room's durable state in one SQLite file: contract, snapshots, runs, releases, referrals and the ledger.

Every change happens inside :meth:`SqlRoomState.acting`: the ledger entries and the writes of one act are one
transaction. Nothing here is patient data and nothing is a key; a copy of this file tells its thief what the
ledger tells an auditor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Column, Connection, Engine, Integer, LargeBinary, MetaData, String, Table, insert, select, update

from asepsis.domain.documents import Document
from asepsis.domain.epoch import LinkEpoch, read_epoch
from asepsis.domain.ledger import LedgerEntry
from asepsis.domain.memory import EMPTY, MemoryVersion
from asepsis.domain.names import Digest, PartyId, ReferralId, ReleaseId, RunId, SnapshotId
from asepsis.domain.referral import Referral
from asepsis.domain.room import PublishedSnapshot, Release, RoomMemory
from asepsis.domain.run import Run
from asepsis.domain.tokens import Token, read_token
from asepsis.errors.contract import NoContract
from asepsis.errors.room import RecordMissing, StateChanged
from asepsis.sealing.canonical import canonical, parse_canonical
from asepsis.sealing.erasure import SignedErasure, read_signed_erasure
from asepsis.sealing.statement import SignedStatement, read_signed_statement
from asepsis.store.database import open_database, reading, writing
from asepsis.store.ledger_tables import LedgerTables, add_ledger_tables
from asepsis.store.room_documents import (
    memory_document,
    read_memory,
    read_referral,
    read_release,
    read_run,
    read_snapshot,
    referral_document,
    release_document,
    run_document,
    snapshot_document,
)

T = TypeVar("T")

TABLES: Final = MetaData()
add_ledger_tables(TABLES)


def _records(name: str) -> Table:
    """A table of documents under an id, in the order of their arrival."""
    return Table(
        name,
        TABLES,
        Column("number", Integer, primary_key=True),
        Column("id", String, nullable=False, unique=True),
        Column("document", LargeBinary, nullable=False),
    )


_CONTRACTS: Final = _records("contracts")
_SNAPSHOTS: Final = _records("snapshots")
_RUNS: Final = _records("runs")
_RELEASES: Final = _records("releases")
_REFERRALS: Final = _records("referrals")
_ERASURES: Final = _records("erasures")
_EPOCHS: Final = _records("epochs")
_SIGNATURES: Final = Table(
    "signatures",
    TABLES,
    Column("contract", String, primary_key=True),
    Column("party", String, primary_key=True),
    Column("signature", LargeBinary, nullable=False),
)
_MEMORIES: Final = Table(
    "memories",
    TABLES,
    Column("lineage", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
)
_STATEMENTS: Final = Table(
    "statements",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("contract", String, nullable=False, index=True),
    Column("document", LargeBinary, nullable=False),
)
_CHECKPOINTS: Final = Table(
    "checkpoints",
    TABLES,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", String, nullable=False),
)

_TOKENS: Final = Table(
    "tokens",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("secret", String, nullable=False, unique=True),
    Column("document", LargeBinary, nullable=False),
)


class SqlRoomTables:
    """The writes of one act, in its open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put_contract(self, digest: Digest, *, document: Document) -> None:
        """Make this the room's contract."""
        self._insert(_CONTRACTS, digest, document)

    def put_signature(self, digest: Digest, *, party: PartyId, signature: bytes) -> None:
        """Keep a verified signature."""
        values = {"contract": digest, "party": party, "signature": signature}
        self._connection.execute(insert(_SIGNATURES).values(values))

    def put_statement(self, digest: Digest, *, signed: SignedStatement) -> None:
        """Keep a verified statement."""
        values = {"contract": digest, "document": canonical(signed.to_document())}
        self._connection.execute(insert(_STATEMENTS).values(values))

    def put_snapshot(self, snapshot: PublishedSnapshot) -> None:
        """Publish a sealed snapshot."""
        self._insert(_SNAPSHOTS, snapshot.manifest.snapshot, snapshot_document(snapshot))

    def put_erasure(self, signed: SignedErasure) -> None:
        """Keep what an owner's desk destroyed."""
        self._insert(_ERASURES, signed.digest, signed.to_document())

    def put_run(self, run: Run, *, was: Run | None) -> None:
        """Write a run, if it still is what it was. Raises StateChanged."""
        self._put(_RUNS, run.id, run_document(run), None if was is None else run_document(was))

    def put_memory(self, kept: RoomMemory, *, was: MemoryVersion) -> None:
        """Keep a new version of the memory of releases, if the newest one still is what it was. Raises StateChanged."""
        known = _newest_memory(self._connection, kept.step.lineage)
        if (EMPTY if known is None else known.version) != was:
            raise StateChanged(subject="memory")
        values = {"lineage": kept.step.lineage, "number": kept.version.number}
        document = canonical(memory_document(kept))
        self._connection.execute(insert(_MEMORIES).values(**values, document=document))

    def put_release(self, release: Release, *, was: Release | None) -> None:
        """Write a release, if it still is what it was. Raises StateChanged."""
        self._put(_RELEASES, release.id, release_document(release), None if was is None else release_document(was))

    def put_referral(self, referral: Referral, *, was: Referral | None) -> None:
        """Write a referral, if it still is what it was. Raises StateChanged."""
        before = None if was is None else referral_document(was)
        self._put(_REFERRALS, referral.id, referral_document(referral), before)

    def put_epoch(self, epoch: LinkEpoch, *, was: LinkEpoch | None) -> None:
        """Write an epoch of linkage, if it still is what it was. Raises StateChanged."""
        self._put(_EPOCHS, epoch.name.id, epoch.to_document(), None if was is None else was.to_document())

    def put_token(self, token: Token, *, secret: Digest) -> None:
        """Keep what a token stands for, under the digest of its secret."""
        document = canonical(token.to_document())
        changed = self._connection.execute(update(_TOKENS).where(_TOKENS.c.secret == secret).values(document=document))
        if changed.rowcount == 0:
            self._connection.execute(insert(_TOKENS).values(secret=secret, document=document))

    def put_checkpoint(self, size: int, *, note: str) -> None:
        """Keep a cosigned checkpoint; one of the same size is replaced, as it may have gained cosignatures."""
        known = self._connection.execute(select(_CHECKPOINTS.c.size).where(_CHECKPOINTS.c.size == size)).one_or_none()
        if known is None:
            self._connection.execute(insert(_CHECKPOINTS).values(size=size, note=note))
        else:
            self._connection.execute(update(_CHECKPOINTS).where(_CHECKPOINTS.c.size == size).values(note=note))

    def _insert(self, table: Table, key: str, document: Document) -> None:
        self._connection.execute(insert(table).values(id=key, document=canonical(document)))

    def _put(self, table: Table, key: str, document: Document, was: Document | None) -> None:
        """Compare and set: the record changes only from what the caller saw."""
        if was is None:
            self._insert(table, key, document)
            return
        unchanged = (table.c.id == key) & (table.c.document == canonical(was))
        changed = self._connection.execute(update(table).where(unchanged).values(document=canonical(document)))
        if changed.rowcount != 1:
            raise StateChanged(subject=table.name.removesuffix("s"))


class SqlLedger:
    """The room's ledger for reading; each call sees one consistent state."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def size(self) -> int:
        """How many entries it has."""
        return self._read(lambda ledger: ledger.size())

    def root(self, size: int) -> bytes:
        """The root of its first ``size`` entries."""
        return self._read(lambda ledger: ledger.root(size))

    def entries(self, start: int, stop: int) -> list[LedgerEntry]:
        """A range of entries."""
        return self._read(lambda ledger: list(ledger.entries(start, stop)))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The inclusion proof of one entry."""
        return self._read(lambda ledger: ledger.inclusion(index, size))

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The consistency proof between two sizes."""
        return self._read(lambda ledger: ledger.consistency(old, new))

    def _read(self, use: Callable[[LedgerTables], T]) -> T:
        with reading(self._engine) as connection:
            return use(LedgerTables(connection))


class SqlRoomState:
    """The room's state in one file of the host."""

    def __init__(self, path: Path) -> None:
        self._engine: Engine = open_database(path, tables=TABLES)

    @contextmanager
    def acting(self, *because: LedgerEntry) -> Iterator[SqlRoomTables]:
        """One transaction that appends the entries and makes the writes of one act."""
        with writing(self._engine) as connection:
            LedgerTables(connection).append(because)
            yield SqlRoomTables(connection)

    @contextmanager
    def noting(self) -> Iterator[SqlRoomTables]:
        """One transaction for writes that are about the ledger itself."""
        with writing(self._engine) as connection:
            yield SqlRoomTables(connection)

    def contract(self) -> tuple[Digest, Document]:
        """The room's contract: the one proposed last. Raises NoContract."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_CONTRACTS).order_by(_CONTRACTS.c.number.desc()).limit(1)).one_or_none()
        if row is None:
            raise NoContract
        return Digest(row.id), parse_canonical(row.document)

    def contracts(self) -> Mapping[Digest, Document]:
        """All contracts that were ever proposed, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_CONTRACTS).order_by(_CONTRACTS.c.number)).all()
        return {Digest(row.id): parse_canonical(row.document) for row in rows}

    def signatures(self, digest: Digest) -> Mapping[PartyId, bytes]:
        """The verified signatures under a contract."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_SIGNATURES).where(_SIGNATURES.c.contract == digest))
            return {PartyId(row.party): row.signature for row in rows}

    def statements(self, digest: Digest) -> list[SignedStatement]:
        """The verified statements about a contract, oldest first."""
        wanted = select(_STATEMENTS).where(_STATEMENTS.c.contract == digest).order_by(_STATEMENTS.c.number)
        with reading(self._engine) as connection:
            return [read_signed_statement(parse_canonical(row.document)) for row in connection.execute(wanted)]

    def snapshots(self) -> list[PublishedSnapshot]:
        """All published snapshots, oldest first."""
        return self._all(_SNAPSHOTS, read_snapshot)

    def erasures(self) -> list[SignedErasure]:
        """All erasures, oldest first."""
        return self._all(_ERASURES, read_signed_erasure)

    def erased(self) -> frozenset[SnapshotId]:
        """The snapshots and link maps whose keys were destroyed."""
        return frozenset(SnapshotId(key.id) for signed in self.erasures() for key in signed.erasure.keys)

    def epochs(self) -> list[LinkEpoch]:
        """All epochs of linkage, oldest first."""
        return self._all(_EPOCHS, read_epoch)

    def memory(self, lineage: Digest) -> RoomMemory | None:
        """The newest version of a lineage's memory of releases; none, if it still is empty."""
        with reading(self._engine) as connection:
            return _newest_memory(connection, lineage)

    def run(self, run: RunId) -> Run:
        """One run. Raises RecordMissing."""
        return self._one(_RUNS, run, read_run)

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return self._all(_RUNS, read_run)

    def release(self, release: ReleaseId) -> Release:
        """One release. Raises RecordMissing."""
        return self._one(_RELEASES, release, read_release)

    def releases(self) -> list[Release]:
        """All releases, oldest first."""
        return self._all(_RELEASES, read_release)

    def referral(self, referral: ReferralId) -> Referral:
        """One referral. Raises RecordMissing."""
        return self._one(_REFERRALS, referral, read_referral)

    def referrals(self) -> list[Referral]:
        """All referrals, oldest first."""
        return self._all(_REFERRALS, read_referral)

    def checkpoint(self) -> str | None:
        """The newest cosigned checkpoint."""
        newest = select(_CHECKPOINTS.c.note).order_by(_CHECKPOINTS.c.size.desc()).limit(1)
        with reading(self._engine) as connection:
            note = connection.execute(newest).scalar_one_or_none()
        return None if note is None else str(note)

    def ledger(self) -> SqlLedger:
        """The ledger for reading."""
        return SqlLedger(self._engine)

    def close(self) -> None:
        """Give the file back."""
        self._engine.dispose()

    def tokens(self) -> Mapping[Digest, Token]:
        """All tokens that were ever made by the digests of their secrets, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_TOKENS).order_by(_TOKENS.c.number)).all()
        return {Digest(row.secret): read_token(parse_canonical(row.document)) for row in rows}

    def token(self, secret: Digest) -> Token | None:
        """The token whose secret has this digest."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_TOKENS.c.document).where(_TOKENS.c.secret == secret)).one_or_none()
        return None if row is None else read_token(parse_canonical(row.document))

    def _all(self, table: Table, read: Callable[[Any], T]) -> list[T]:
        with reading(self._engine) as connection:
            rows: Sequence[Any] = connection.execute(select(table.c.document).order_by(table.c.number)).all()
        return [read(parse_canonical(row.document)) for row in rows]

    def _one(self, table: Table, key: str, read: Callable[[Any], T]) -> T:
        with reading(self._engine) as connection:
            row = connection.execute(select(table.c.document).where(table.c.id == key)).one_or_none()
        if row is None:
            raise RecordMissing(subject=table.name.removesuffix("s"), id=key)
        return read(parse_canonical(row.document))


def _newest_memory(connection: Connection, lineage: Digest) -> RoomMemory | None:
    wanted = select(_MEMORIES.c.document).where(_MEMORIES.c.lineage == lineage)
    row = connection.execute(wanted.order_by(_MEMORIES.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else read_memory(parse_canonical(row.document))
