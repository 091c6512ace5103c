"""The ledger on SQL tables: entries and tree nodes that can only be added, in the caller's transaction.

An act and its entry are one transaction, because the caller opens it and this module only writes into it.
Triggers forbid change, removal and insertion out of order to whoever uses the database as it is; whoever drops
the triggers is found by the tree (RFC 6962/9162), whose roots the witnesses have cosigned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    event,
    func,
    insert,
    select,
)

from asepsis.domain.ledger import LedgerEntry
from asepsis.errors.ledger import EntryMalformed
from asepsis.errors.store import LedgerDamaged
from asepsis.ledger.entry import entry_bytes, parse_entry
from asepsis.ledger.tree import append_nodes, consistency_proof, inclusion_proof, leaf_hash, root

_SQLITE_ONLY: Final = "sqlite"
_NO_CHANGE: Final = (
    "CREATE TRIGGER IF NOT EXISTS {table}_no_{verb} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"
)
_IN_ORDER: Final = (
    "CREATE TRIGGER IF NOT EXISTS ledger_entries_in_order BEFORE INSERT ON ledger_entries "
    "WHEN NEW.position <> (SELECT COALESCE(MAX(position), -1) + 1 FROM ledger_entries) "
    "BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"
)
_ONCE: Final = (
    "CREATE TRIGGER IF NOT EXISTS ledger_nodes_once BEFORE INSERT ON ledger_nodes "
    "WHEN EXISTS (SELECT 1 FROM ledger_nodes WHERE level = NEW.level AND position = NEW.position) "
    "BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"
)


def add_ledger_tables(tables: MetaData) -> None:
    """Add the tables of a ledger, with their triggers, to the tables of a database that keeps one."""
    entries = Table(
        "ledger_entries",
        tables,
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("entry", LargeBinary, nullable=False),
        CheckConstraint("position >= 0"),
    )
    nodes = Table(
        "ledger_nodes",
        tables,
        Column("level", Integer, primary_key=True, autoincrement=False),
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("hash", LargeBinary, nullable=False),
        CheckConstraint("length(hash) = 32"),
        sqlite_with_rowid=False,
    )
    for table, texts in ((entries, (_IN_ORDER,)), (nodes, (_ONCE,))):
        forbidden = [_NO_CHANGE.format(table=table.name, verb=verb) for verb in ("UPDATE", "DELETE")]
        for text in (*texts, *forbidden):
            event.listen(table, "after_create", DDL(text).execute_if(dialect=_SQLITE_ONLY))  # type: ignore[no-untyped-call]


_SHAPES: Final = MetaData()
add_ledger_tables(_SHAPES)
_ENTRIES: Final = _SHAPES.tables["ledger_entries"]
_NODES: Final = _SHAPES.tables["ledger_nodes"]
_SIZE: Final = select(func.max(_ENTRIES.c.position))
_NEWEST: Final = select(_ENTRIES.c.position, _ENTRIES.c.entry).order_by(_ENTRIES.c.position.desc()).limit(1)
_NODE: Final = select(_NODES.c.hash).where(
    _NODES.c.level == bindparam("level"), _NODES.c.position == bindparam("position")
)
_ADD_ENTRIES: Final = insert(_ENTRIES)
_ADD_NODES: Final = insert(_NODES)


class LedgerTables:
    """One ledger, seen and extended through one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._end: int | None = None  # the size, once an append holds the write lock and nobody else can change it
        self._written: dict[tuple[int, int], bytes] = {}

    def append(self, entries: Sequence[LedgerEntry]) -> range:
        """Add entries at the end and return their positions. They count once the caller's transaction commits."""
        first = self.size() if self._end is None else self._end
        leaves: list[dict[str, object]] = []
        nodes: list[dict[str, object]] = []
        for position, entry in enumerate(entries, start=first):
            data = entry_bytes(entry)
            leaves.append({"position": position, "entry": data})
            for new in append_nodes(position, leaf_hash=leaf_hash(data), node=self._known):
                self._written[new.level, new.index] = new.hash
                nodes.append({"level": new.level, "position": new.index, "hash": new.hash})
        if leaves:
            self._connection.execute(_ADD_ENTRIES, leaves)
            self._connection.execute(_ADD_NODES, nodes)
        self._end = first + len(leaves)
        return range(first, self._end)

    def size(self) -> int:
        """How many entries the ledger has."""
        last = self._connection.execute(_SIZE).scalar_one()
        return 0 if last is None else int(last) + 1

    def newest(self) -> LedgerEntry | None:
        """The last entry, if there is one. Raises LedgerDamaged."""
        row = self._connection.execute(_NEWEST).one_or_none()
        return None if row is None else _parse(row.position, bytes(row.entry))

    def entries(self, start: int, stop: int) -> Iterator[LedgerEntry]:
        """The entries at the positions from ``start`` up to, not including, ``stop``.

        Raises:
            LedgerDamaged: an entry is missing or is none.
        """
        for position, data in enumerate(self._leaves(start, stop), start=start):
            yield _parse(position, data)

    def root(self, size: int | None = None) -> bytes:
        """The root over the first ``size`` entries (all, if not given). Raises TreeRangeRefused or LedgerDamaged."""
        return root(self, size=self.size() if size is None else size)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that entry ``index`` is among the first ``size``. Raises TreeRangeRefused or LedgerDamaged."""
        return inclusion_proof(self, index=index, size=size)

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The proof that the ledger only grew between two sizes. Raises TreeRangeRefused or LedgerDamaged."""
        return consistency_proof(self, old_size=old_size, new_size=new_size)

    def leaf_count(self) -> int:
        """The number of entries, as the tree asks for it."""
        return self.size()

    def node(self, level: int, index: int) -> bytes:
        """The hash of one complete subtree. Raises LedgerDamaged if it is missing."""
        found = self._connection.execute(_NODE, {"level": level, "position": index}).scalar_one_or_none()
        if found is None:
            raise LedgerDamaged(index=index << level)
        return bytes(found)

    def _known(self, level: int, index: int) -> bytes:
        return self._written.get((level, index)) or self.node(level, index)

    def _leaves(self, start: int, stop: int) -> Iterator[bytes]:
        rows = self._connection.execute(
            select(_ENTRIES.c.position, _ENTRIES.c.entry)
            .where(_ENTRIES.c.position >= start, _ENTRIES.c.position < stop)
            .order_by(_ENTRIES.c.position),
        )
        expected = start
        for position, data in rows:
            if position != expected:
                break
            yield bytes(data)
            expected += 1
        if expected < stop:
            raise LedgerDamaged(index=expected)


def _parse(position: int, data: bytes) -> LedgerEntry:
    try:
        return parse_entry(data)
    except EntryMalformed:
        raise LedgerDamaged(index=position) from None
