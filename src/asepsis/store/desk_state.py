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

from sqlalchemy import Connection, Engine, Row, Table, func, select, update
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
from asepsis.store import desk_schema as schema
from asepsis.store.database import open_database, reading, writing
from asepsis.store.epoch_tables import EPOCHS, EpochTables
from asepsis.store.erasure_tables import ErasureTables
from asepsis.store.hold_tables import HoldTables
from asepsis.store.ledger_tables import LedgerTables
from asepsis.store.list_tables import ListTables

_NONCES_KEPT: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class DeskTables:
    """The desk's memory, seen and changed through one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.ledger = LedgerTables(connection)
        self._erasures = ErasureTables(connection, schema.TABLES)
        self._holds = HoldTables(connection, schema.TABLES)
        self._epochs = EpochTables(connection, schema.TABLES)
        self._lists = ListTables(connection, schema.TABLES)

    def append(self, entries: Sequence[LedgerEntry]) -> range:
        """Add entries to the desk's own ledger and return their positions."""
        return self.ledger.append(entries)

    def latest(self) -> datetime | None:
        """The time of the newest entry of the desk's own ledger. Raises LedgerDamaged."""
        newest = self.ledger.newest()
        return None if newest is None else newest.at

    def is_stopped(self) -> bool:
        """Whether the owner's kill switch is on."""
        return bool(self._connection.execute(schema.LAST_TURN).scalar_one_or_none())

    def switch(self, *, stopped: bool, at: datetime, reason: str) -> None:
        """Turn the kill switch; earlier turns stay on record."""
        self._add(schema.SWITCH, at=_to_number(at), stopped=stopped, reason=reason)

    def add_nonce(self, nonce: bytes, *, at: datetime) -> None:
        """Remember a nonce, and forget those that nobody could use any more."""
        self._connection.execute(schema.FORGET_NONCES, {"before": _to_number(at - _NONCES_KEPT)})
        self._add(schema.NONCES, nonce=nonce, issued_at=_to_number(at), used=False)

    def use_nonce(self, nonce: bytes) -> IssuedNonce | None:
        """Use a nonce up and say what it was before; nothing, if this desk did not issue it."""
        row = self._one(schema.NONCES, nonce=nonce)
        if row is None:
            return None
        self._connection.execute(schema.USE_NONCE, {"used_up": nonce})
        return IssuedNonce(issued_at=_to_time(row.issued_at), used=bool(row.used))

    def add_contract(self, contract: Digest, *, lineage: Digest, text: bytes) -> None:
        """Remember a contract's canonical text, which the owner signed here, as the newest version of its lineage."""
        self._add(schema.CONTRACTS, contract=contract, document=text)
        self._add(schema.VERSIONS, contract=contract, lineage=lineage)

    def is_signed(self, contract: Digest) -> bool:
        """Whether the owner signed this contract text at this desk."""
        return self._connection.execute(schema.SIGNED, {"contract": contract}).one_or_none() is not None

    def contract(self, contract: Digest) -> bytes | None:
        """The canonical text of a contract that the owner signed at this desk."""
        row = self._one(schema.CONTRACTS, contract=contract)
        return None if row is None else bytes(row.document)

    def versions(self, lineage: Digest) -> list[Digest]:
        """All versions of a lineage that the owner signed at this desk, oldest first."""
        return [Digest(row.contract) for row in self._connection.execute(schema.VERSIONS_OF, {"lineage": lineage})]

    def lineages(self) -> list[Digest]:
        """All lineages of which the owner signed a version at this desk."""
        return [Digest(row.lineage) for row in self._connection.execute(schema.LINEAGES)]

    def newest_versions(self) -> list[Digest]:
        """The newest version of every lineage that the owner signed at this desk."""
        newest = select(func.max(schema.VERSIONS.c.number)).group_by(schema.VERSIONS.c.lineage)
        rows = self._connection.execute(
            select(schema.VERSIONS.c.contract)
            .where(schema.VERSIONS.c.number.in_(newest))
            .order_by(schema.VERSIONS.c.number)
        )
        return [Digest(row.contract) for row in rows]

    def rewrap(self, wrapped: bytes, *, again: bytes) -> None:
        """Put another wrapping of one kept key in the place of the one there was."""
        for table in (schema.SNAPSHOTS, schema.LINKS, schema.MEMORIES, schema.TABLES.tables[EPOCHS]):
            self._connection.execute(update(table).where(table.c.wrapped == wrapped).values(wrapped=again))

    def kept_links(self) -> list[KeptLinks]:
        """All endorsed link maps, by their names."""
        rows = self._connection.execute(select(schema.LINKS).order_by(schema.LINKS.c.snapshot))
        return [_kept_links(row) for row in rows]

    def add_statement(self, statement: Statement) -> bool:
        """Remember a verified statement; says whether it is new."""
        return self._add_once(
            schema.STATEMENTS,
            contract=statement.contract,
            party=statement.party,
            kind=statement.kind.value,
            at=_to_number(statement.at),
        )

    def statements(self, contract: Digest) -> list[Statement]:
        """All statements about a contract that this desk ever saw."""
        rows = self._connection.execute(schema.ABOUT, {"contract": contract})
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
        return self._add_once(schema.APPROVALS, contract=contract, analysis=analysis)

    def is_approved(self, analysis: Digest, *, contract: Digest) -> bool:
        """Whether the owner approved exactly this analysis under this contract."""
        return self._one(schema.APPROVALS, contract=contract, analysis=analysis) is not None

    def add_snapshot(self, kept: KeptSnapshot) -> None:
        """Remember a snapshot and its wrapped key."""
        self._add(
            schema.SNAPSHOTS,
            snapshot=kept.snapshot,
            dataset=kept.dataset,
            manifest=kept.manifest,
            label=kept.label.value,
            sealed_at=_to_number(kept.sealed_at),
            wrapped=kept.wrapped,
        )

    def snapshot(self, snapshot: SnapshotId) -> KeptSnapshot | None:
        """A registered snapshot."""
        row = self._one(schema.SNAPSHOTS, snapshot=snapshot)
        return None if row is None else _kept_snapshot(row)

    def kept_snapshots(self) -> list[KeptSnapshot]:
        """All registered snapshots, by their names."""
        rows = self._connection.execute(select(schema.SNAPSHOTS).order_by(schema.SNAPSHOTS.c.snapshot))
        return [_kept_snapshot(row) for row in rows]

    def add_links(self, kept: KeptLinks) -> None:
        """Remember an endorsed link map and the wrapped share of its key."""
        self._add(
            schema.LINKS,
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
        row = self._one(schema.LINKS, snapshot=snapshot)
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
        latest = select(func.max(schema.GRANTS.c.lease_until)).where(schema.GRANTS.c.contract.in_(contracts))
        number = self._connection.execute(latest).scalar_one_or_none()
        return None if number is None else _to_time(number)

    def memory(self, lineage: Digest) -> KeptMemory | None:
        """The newest memory of releases of a lineage that this desk knows."""
        row = self._one(schema.MEMORIES, lineage=lineage)
        return None if row is None else _kept_memory(row)

    def memories(self) -> list[KeptMemory]:
        """The newest memory of every lineage that this desk knows."""
        return [
            _kept_memory(row)
            for row in self._connection.execute(select(schema.MEMORIES).order_by(schema.MEMORIES.c.lineage))
        ]

    def put_memory(self, kept: KeptMemory) -> None:
        """Remember a version as the newest one."""
        values = {**kept.version.to_document(), "wrapped": kept.wrapped}
        statement = sqlite_insert(schema.MEMORIES).values(lineage=kept.lineage, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["lineage"], set_=values))

    def epochs(self) -> list[KeptEpoch]:
        """All epochs of linkage, by contract and number."""
        return self._epochs.all()

    def put_epoch(self, kept: KeptEpoch) -> None:
        """Remember an epoch, in the place of what was remembered of it."""
        self._epochs.put(kept)

    def drawing(self, lineage: Digest, *, job: Digest) -> Digest:
        """The job that draws the review lists of a lineage: the first that was named here, for ever."""
        return self._lists.drawing(lineage, job=job)

    def charged(self, lineage: Digest, *, owner: PartyId) -> int:
        """How many charges were counted under all versions of a contract."""
        count: int = self._connection.execute(schema.CHARGED, {"lineage": lineage, "owner": owner}).scalar_one()
        return count

    def is_charged(self, charge: Charge) -> bool:
        """Whether exactly this charge was counted before."""
        return self._one(schema.CHARGES, **_charge_values(charge)) is not None

    def add_charge(self, charge: Charge) -> None:
        """Count a charge, for ever."""
        self._add(schema.CHARGES, **_charge_values(charge))

    def spent(self, dataset: str) -> Loss:
        """What the persons of a dataset lost in all, under whatever contract."""
        micro_rho, pico_delta = self._connection.execute(schema.LOST, {"dataset": dataset}).one()
        return Loss(micro_rho=micro_rho or 0, pico_delta=pico_delta or 0)

    def is_spent(self, spending: Spending) -> bool:
        """Whether this job of this run was counted for this dataset before."""
        return self._one(schema.LOSSES, dataset=spending.dataset, run=spending.run, job=spending.job) is not None

    def add_spending(self, spending: Spending) -> None:
        """Count a loss, for ever."""
        self._add(
            schema.LOSSES,
            dataset=spending.dataset,
            run=spending.run,
            job=spending.job,
            contract=spending.contract,
            **spending.loss.to_document(),
        )

    def add_grant(self, granted: GrantedRun) -> None:
        """Remember a grant."""
        self._add(
            schema.GRANTS,
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
        rows = self._connection.execute(schema.OF_RUN, {"run": run})
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
        row = self._one(schema.HEAD, only=1)
        if row is None:
            return None
        return Head(room_key=row.room_key, origin=row.origin, size=row.size, root=row.root)

    def set_head(self, head: Head) -> None:
        """Remember a checkpoint as the last one cosigned."""
        values = {"room_key": head.room_key, "origin": head.origin, "size": head.size, "root": head.root}
        statement = sqlite_insert(schema.HEAD).values(only=1, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["only"], set_=values))

    def _add(self, table: Table, **values: object) -> None:
        self._connection.execute(schema.INSERT[table.name], values)

    def _add_once(self, table: Table, **values: object) -> bool:
        if self._one(table, **values) is not None:
            return False
        self._add(table, **values)
        return True

    def _one(self, table: Table, **key: object) -> Row[Any] | None:
        return self._connection.execute(schema.BY_KEY[table.name], key).one_or_none()


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
        self._engine: Engine = open_database(path, tables=schema.TABLES)

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
