"""What one owner's key desk remembers, in one SQLite file (``desk.db``) beside its own ledger.

State and ledger share every transaction, so that no charge, grant or statement exists without its entry and no
kill leaves one of them behind. Data keys are kept wrapped only; nonces are kept for a day after their use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Select,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.budget import Charge
from asepsis.domain.epoch import KeptEpoch
from asepsis.domain.erasure import Erasure
from asepsis.domain.keydesk import GrantedRun, Head, IssuedNonce, KeptLinks, KeptMemory, KeptSnapshot
from asepsis.domain.ledger import LedgerEntry
from asepsis.domain.memory import MemoryVersion
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId
from asepsis.domain.privacy import Loss, Spending
from asepsis.domain.snapshot import Label
from asepsis.domain.statements import Statement, StatementKind
from asepsis.store.database import open_database, reading, writing
from asepsis.store.epoch_tables import EPOCHS, EpochTables, add_epoch_table
from asepsis.store.erasure_tables import ErasureTables, add_erasure_table
from asepsis.store.hold_tables import HoldTables, add_hold_table
from asepsis.store.ledger_tables import LedgerTables, add_ledger_tables

_NONCES_KEPT: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

TABLES: Final = MetaData()
add_ledger_tables(TABLES)
add_erasure_table(TABLES)
add_hold_table(TABLES)
add_epoch_table(TABLES)
_SWITCH: Final = Table(
    "switch",
    TABLES,
    Column("turn", Integer, primary_key=True),
    Column("at", Integer, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("reason", String, nullable=False),
)
_NONCES: Final = Table(
    "nonces",
    TABLES,
    Column("nonce", LargeBinary, primary_key=True),
    Column("issued_at", Integer, nullable=False, index=True),
    Column("used", Boolean, nullable=False),
)
_CONTRACTS: Final = Table(
    "contracts",
    TABLES,
    Column("contract", String, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)
_VERSIONS: Final = Table(
    "versions",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("contract", String, nullable=False, unique=True),
    Column("lineage", String, nullable=False, index=True),
)
_STATEMENTS: Final = Table(
    "statements",
    TABLES,
    Column("contract", String, primary_key=True),
    Column("party", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("at", Integer, primary_key=True, autoincrement=False),
)
_APPROVALS: Final = Table(
    "approvals",
    TABLES,
    Column("contract", String, primary_key=True),
    Column("analysis", String, primary_key=True),
)
_SNAPSHOTS: Final = Table(
    "snapshots",
    TABLES,
    Column("snapshot", String, primary_key=True),
    Column("dataset", String, nullable=False),
    Column("manifest", String, nullable=False),
    Column("label", String, nullable=False),
    Column("sealed_at", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
_LINKS: Final = Table(
    "links",
    TABLES,
    Column("snapshot", String, primary_key=True),
    Column("contract", String, nullable=False),
    Column("manifest", String, nullable=False),
    Column("label", String, nullable=False),
    Column("sealed_at", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("endorsement", LargeBinary, nullable=False),
)
_MEMORIES: Final = Table(
    "memories",
    TABLES,
    Column("lineage", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("root", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
_CHARGES: Final = Table(
    "charges",
    TABLES,
    Column("lineage", String, primary_key=True),
    Column("owner", String, primary_key=True),
    Column("run", String, primary_key=True),
    Column("job", String, primary_key=True),
)
_LOSSES: Final = Table(
    "losses",
    TABLES,
    Column("dataset", String, primary_key=True),
    Column("run", String, primary_key=True),
    Column("job", String, primary_key=True),
    Column("contract", String, nullable=False),
    Column("micro_rho", Integer, nullable=False),
    Column("pico_delta", Integer, nullable=False),
)
_GRANTS: Final = Table(
    "grants",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("job", String, nullable=False),
    Column("contract", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("label", String, nullable=False),
    Column("signing_key", LargeBinary, nullable=False),
    Column("lease_until", Integer, nullable=False),
)
_HEAD: Final = Table(
    "head",
    TABLES,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("room_key", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False),
)

# Built once: building an expression costs several times what SQLite needs to answer it.
_BY_KEY: Final[Mapping[str, Select[Any]]] = {
    table.name: select(table).where(*(column == bindparam(column.name) for column in table.primary_key))
    for table in TABLES.sorted_tables
}
_INSERT: Final = {table.name: insert(table) for table in TABLES.sorted_tables}
_LAST_TURN: Final = select(_SWITCH.c.stopped).order_by(_SWITCH.c.turn.desc()).limit(1)
_FORGET_NONCES: Final = delete(_NONCES).where(_NONCES.c.issued_at < bindparam("before"))
_USE_NONCE: Final = update(_NONCES).where(_NONCES.c.nonce == bindparam("used_up")).values(used=True)
_SIGNED: Final = select(_CONTRACTS.c.contract).where(_CONTRACTS.c.contract == bindparam("contract"))
_VERSIONS_OF: Final = (
    select(_VERSIONS.c.contract).where(_VERSIONS.c.lineage == bindparam("lineage")).order_by(_VERSIONS.c.number)
)
_ABOUT: Final = select(_STATEMENTS).where(_STATEMENTS.c.contract == bindparam("contract"))
_CHARGED: Final = select(func.count()).where(
    _CHARGES.c.lineage == bindparam("lineage"), _CHARGES.c.owner == bindparam("owner")
)
_LOST: Final = select(func.sum(_LOSSES.c.micro_rho), func.sum(_LOSSES.c.pico_delta)).where(
    _LOSSES.c.dataset == bindparam("dataset")
)
_LINEAGES: Final = select(_VERSIONS.c.lineage).distinct().order_by(_VERSIONS.c.lineage)
_OF_RUN: Final = select(_GRANTS).where(_GRANTS.c.run == bindparam("run")).order_by(_GRANTS.c.number)


class DeskTables:
    """The desk's memory, seen and changed through one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.ledger = LedgerTables(connection)
        self._erasures = ErasureTables(connection, TABLES)
        self._holds = HoldTables(connection, TABLES)
        self._epochs = EpochTables(connection, TABLES)

    def append(self, entries: Sequence[LedgerEntry]) -> range:
        """Add entries to the desk's own ledger and return their positions."""
        return self.ledger.append(entries)

    def latest(self) -> datetime | None:
        """The time of the newest entry of the desk's own ledger. Raises LedgerDamaged."""
        newest = self.ledger.newest()
        return None if newest is None else newest.at

    def is_stopped(self) -> bool:
        """Whether the owner's kill switch is on."""
        return bool(self._connection.execute(_LAST_TURN).scalar_one_or_none())

    def switch(self, *, stopped: bool, at: datetime, reason: str) -> None:
        """Turn the kill switch; earlier turns stay on record."""
        self._add(_SWITCH, at=_to_number(at), stopped=stopped, reason=reason)

    def add_nonce(self, nonce: bytes, *, at: datetime) -> None:
        """Remember a nonce, and forget those that nobody could use any more."""
        self._connection.execute(_FORGET_NONCES, {"before": _to_number(at - _NONCES_KEPT)})
        self._add(_NONCES, nonce=nonce, issued_at=_to_number(at), used=False)

    def use_nonce(self, nonce: bytes) -> IssuedNonce | None:
        """Use a nonce up and say what it was before; nothing, if this desk did not issue it."""
        row = self._one(_NONCES, nonce=nonce)
        if row is None:
            return None
        self._connection.execute(_USE_NONCE, {"used_up": nonce})
        return IssuedNonce(issued_at=_to_time(row.issued_at), used=bool(row.used))

    def add_contract(self, contract: Digest, *, lineage: Digest, text: bytes) -> None:
        """Remember a contract's canonical text, which the owner signed here, as the newest version of its lineage."""
        self._add(_CONTRACTS, contract=contract, document=text)
        self._add(_VERSIONS, contract=contract, lineage=lineage)

    def is_signed(self, contract: Digest) -> bool:
        """Whether the owner signed this contract text at this desk."""
        return self._connection.execute(_SIGNED, {"contract": contract}).one_or_none() is not None

    def contract(self, contract: Digest) -> bytes | None:
        """The canonical text of a contract that the owner signed at this desk."""
        row = self._one(_CONTRACTS, contract=contract)
        return None if row is None else bytes(row.document)

    def versions(self, lineage: Digest) -> list[Digest]:
        """All versions of a lineage that the owner signed at this desk, oldest first."""
        return [Digest(row.contract) for row in self._connection.execute(_VERSIONS_OF, {"lineage": lineage})]

    def lineages(self) -> list[Digest]:
        """All lineages of which the owner signed a version at this desk."""
        return [Digest(row.lineage) for row in self._connection.execute(_LINEAGES)]

    def newest_versions(self) -> list[Digest]:
        """The newest version of every lineage that the owner signed at this desk."""
        newest = select(func.max(_VERSIONS.c.number)).group_by(_VERSIONS.c.lineage)
        rows = self._connection.execute(
            select(_VERSIONS.c.contract).where(_VERSIONS.c.number.in_(newest)).order_by(_VERSIONS.c.number)
        )
        return [Digest(row.contract) for row in rows]

    def rewrap(self, wrapped: bytes, *, again: bytes) -> None:
        """Put another wrapping of one kept key in the place of the one there was."""
        for table in (_SNAPSHOTS, _LINKS, _MEMORIES, TABLES.tables[EPOCHS]):
            self._connection.execute(update(table).where(table.c.wrapped == wrapped).values(wrapped=again))

    def kept_links(self) -> list[KeptLinks]:
        """All endorsed link maps, by their names."""
        rows = self._connection.execute(select(_LINKS).order_by(_LINKS.c.snapshot))
        return [_kept_links(row) for row in rows]

    def add_statement(self, statement: Statement) -> bool:
        """Remember a verified statement; says whether it is new."""
        return self._add_once(
            _STATEMENTS,
            contract=statement.contract,
            party=statement.party,
            kind=statement.kind.value,
            at=_to_number(statement.at),
        )

    def statements(self, contract: Digest) -> list[Statement]:
        """All statements about a contract that this desk ever saw."""
        rows = self._connection.execute(_ABOUT, {"contract": contract})
        return [
            Statement(
                kind=StatementKind(row.kind),
                contract=Digest(row.contract),
                party=PartyId(row.party),
                at=_to_time(row.at),
            )
            for row in rows
        ]

    def add_approval(self, analysis: Digest, *, contract: Digest) -> bool:
        """Remember that the owner approved exactly this analysis; says whether it is new."""
        return self._add_once(_APPROVALS, contract=contract, analysis=analysis)

    def is_approved(self, analysis: Digest, *, contract: Digest) -> bool:
        """Whether the owner approved exactly this analysis under this contract."""
        return self._one(_APPROVALS, contract=contract, analysis=analysis) is not None

    def add_snapshot(self, kept: KeptSnapshot) -> None:
        """Remember a snapshot and its wrapped key."""
        self._add(
            _SNAPSHOTS,
            snapshot=kept.snapshot,
            dataset=kept.dataset,
            manifest=kept.manifest,
            label=kept.label.value,
            sealed_at=_to_number(kept.sealed_at),
            wrapped=kept.wrapped,
        )

    def snapshot(self, snapshot: SnapshotId) -> KeptSnapshot | None:
        """A registered snapshot."""
        row = self._one(_SNAPSHOTS, snapshot=snapshot)
        return None if row is None else _kept_snapshot(row)

    def kept_snapshots(self) -> list[KeptSnapshot]:
        """All registered snapshots, by their names."""
        rows = self._connection.execute(select(_SNAPSHOTS).order_by(_SNAPSHOTS.c.snapshot))
        return [_kept_snapshot(row) for row in rows]

    def add_links(self, kept: KeptLinks) -> None:
        """Remember an endorsed link map and the wrapped share of its key."""
        self._add(
            _LINKS,
            snapshot=kept.snapshot,
            contract=kept.contract,
            manifest=kept.manifest,
            label=kept.label.value,
            sealed_at=_to_number(kept.sealed_at),
            wrapped=kept.wrapped,
            endorsement=kept.endorsement,
        )

    def links(self, snapshot: SnapshotId) -> KeptLinks | None:
        """An endorsed link map."""
        row = self._one(_LINKS, snapshot=snapshot)
        return None if row is None else _kept_links(row)

    def add_erasure(self, erasure: Erasure) -> None:
        """Remember what is about to be destroyed, and forget the wrapped keys."""
        self._erasures.add(erasure)

    def conclude_erasure(self, erasure: Erasure) -> bool:
        """Mark an erasure as done; says whether it was open until now."""
        return self._erasures.conclude(erasure)

    def erasures(self, lineage: Digest, *, done: bool) -> list[Erasure]:
        """The erasures under a lineage that are done, or that are not, oldest first."""
        return self._erasures.of(lineage, done=done)

    def add_hold(self, incident: str) -> bool:
        """Hold all keys for an incident; says whether it is new."""
        return self._holds.add(incident)

    def lift_hold(self, incident: str) -> bool:
        """End a hold, for ever; says whether there was one until now."""
        return self._holds.lift(incident)

    def holds(self) -> list[str]:
        """The incidents that hold all keys, oldest first."""
        return self._holds.current()

    def last_lease(self, contracts: Sequence[Digest]) -> datetime | None:
        """When the last lease under any of these contracts ends, or ended."""
        latest = select(func.max(_GRANTS.c.lease_until)).where(_GRANTS.c.contract.in_(contracts))
        number = self._connection.execute(latest).scalar_one_or_none()
        return None if number is None else _to_time(number)

    def memory(self, lineage: Digest) -> KeptMemory | None:
        """The newest memory of releases of a lineage that this desk knows."""
        row = self._one(_MEMORIES, lineage=lineage)
        return None if row is None else _kept_memory(row)

    def memories(self) -> list[KeptMemory]:
        """The newest memory of every lineage that this desk knows."""
        return [_kept_memory(row) for row in self._connection.execute(select(_MEMORIES).order_by(_MEMORIES.c.lineage))]

    def put_memory(self, kept: KeptMemory) -> None:
        """Remember a version as the newest one."""
        values = {**kept.version.to_document(), "wrapped": kept.wrapped}
        statement = sqlite_insert(_MEMORIES).values(lineage=kept.lineage, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["lineage"], set_=values))

    def epochs(self) -> list[KeptEpoch]:
        """All epochs of linkage, by contract and number."""
        return self._epochs.all()

    def put_epoch(self, kept: KeptEpoch) -> None:
        """Remember an epoch, in the place of what was remembered of it."""
        self._epochs.put(kept)

    def charged(self, lineage: Digest, *, owner: PartyId) -> int:
        """How many charges were counted under all versions of a contract."""
        count: int = self._connection.execute(_CHARGED, {"lineage": lineage, "owner": owner}).scalar_one()
        return count

    def is_charged(self, charge: Charge) -> bool:
        """Whether exactly this charge was counted before."""
        return self._one(_CHARGES, **_charge_values(charge)) is not None

    def add_charge(self, charge: Charge) -> None:
        """Count a charge, for ever."""
        self._add(_CHARGES, **_charge_values(charge))

    def spent(self, dataset: str) -> Loss:
        """What the persons of a dataset lost in all, under whatever contract."""
        micro_rho, pico_delta = self._connection.execute(_LOST, {"dataset": dataset}).one()
        return Loss(micro_rho=micro_rho or 0, pico_delta=pico_delta or 0)

    def is_spent(self, spending: Spending) -> bool:
        """Whether this job of this run was counted for this dataset before."""
        return self._one(_LOSSES, dataset=spending.dataset, run=spending.run, job=spending.job) is not None

    def add_spending(self, spending: Spending) -> None:
        """Count a loss, for ever."""
        self._add(
            _LOSSES,
            dataset=spending.dataset,
            run=spending.run,
            job=spending.job,
            contract=spending.contract,
            **spending.loss.to_document(),
        )

    def add_grant(self, granted: GrantedRun) -> None:
        """Remember a grant."""
        self._add(
            _GRANTS,
            run=granted.run,
            job=granted.job,
            contract=granted.contract,
            kind=granted.kind.value,
            label=granted.label.value,
            signing_key=granted.signing_key,
            lease_until=_to_number(granted.lease_until),
        )

    def grants(self, run: RunId) -> list[GrantedRun]:
        """The grants that one run got, in their order."""
        rows = self._connection.execute(_OF_RUN, {"run": run})
        return [
            GrantedRun(
                run=RunId(row.run),
                job=Digest(row.job),
                contract=Digest(row.contract),
                kind=AnalysisKind(row.kind),
                label=Label(row.label),
                signing_key=row.signing_key,
                lease_until=_to_time(row.lease_until),
            )
            for row in rows
        ]

    def head(self) -> Head | None:
        """The last checkpoint that this desk cosigned."""
        row = self._one(_HEAD, only=1)
        if row is None:
            return None
        return Head(room_key=row.room_key, origin=row.origin, size=row.size, root=row.root)

    def set_head(self, head: Head) -> None:
        """Remember a checkpoint as the last one cosigned."""
        values = {"room_key": head.room_key, "origin": head.origin, "size": head.size, "root": head.root}
        statement = sqlite_insert(_HEAD).values(only=1, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["only"], set_=values))

    def _add(self, table: Table, **values: object) -> None:
        self._connection.execute(_INSERT[table.name], values)

    def _add_once(self, table: Table, **values: object) -> bool:
        if self._one(table, **values) is not None:
            return False
        self._add(table, **values)
        return True

    def _one(self, table: Table, **key: object) -> Row[Any] | None:
        return self._connection.execute(_BY_KEY[table.name], key).one_or_none()


def _kept_snapshot(row: Row[Any]) -> KeptSnapshot:
    return KeptSnapshot(
        snapshot=SnapshotId(row.snapshot),
        dataset=row.dataset,
        manifest=Digest(row.manifest),
        label=Label(row.label),
        sealed_at=_to_time(row.sealed_at),
        wrapped=row.wrapped,
    )


def _kept_links(row: Row[Any]) -> KeptLinks:
    return KeptLinks(
        snapshot=SnapshotId(row.snapshot),
        contract=Digest(row.contract),
        manifest=Digest(row.manifest),
        label=Label(row.label),
        sealed_at=_to_time(row.sealed_at),
        wrapped=row.wrapped,
        endorsement=row.endorsement,
    )


def _kept_memory(row: Row[Any]) -> KeptMemory:
    version = MemoryVersion(number=row.number, root=row.root, size=row.size)
    return KeptMemory(lineage=Digest(row.lineage), version=version, wrapped=row.wrapped)


class SqlDeskState:
    """One desk's memory in one file of its owner."""

    def __init__(self, path: Path) -> None:
        self._engine: Engine = open_database(path, tables=TABLES)

    @contextmanager
    def writing(self) -> Iterator[DeskTables]:
        """One transaction that holds the write lock from its beginning. Raises StoreUnavailable."""
        with writing(self._engine) as connection:
            yield DeskTables(connection)

    @contextmanager
    def reading(self) -> Iterator[DeskTables]:
        """One consistent view. Raises StoreUnavailable."""
        with reading(self._engine) as connection:
            yield DeskTables(connection)

    def close(self) -> None:
        """Give the file back."""
        self._engine.dispose()


def _charge_values(charge: Charge) -> Mapping[str, str]:
    return {"lineage": charge.lineage, "owner": charge.owner, "run": charge.run, "job": charge.job}


def _to_number(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _to_time(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND
