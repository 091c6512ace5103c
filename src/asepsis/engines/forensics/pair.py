# ruff: noqa: E501, ISC004, S608 - quoted names
"""Two snapshots side by side: ledgers of all tables, explained changes marked, evidence, and the rows behind it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import duckdb

from asepsis.engines.forensics.behind import detailed, write_rows
from asepsis.engines.forensics.gather import Asked, gather
from asepsis.engines.forensics.ledger import changed_buckets, make_ledger
from asepsis.engines.forensics.patch import PatchedTable, reverted, write_patch
from asepsis.engines.forensics.profile import SnapshotProfile, Types, count_orphans
from asepsis.engines.forensics.roots import digest_of
from asepsis.engines.forensics.tables import open_one, relation
from asepsis.engines.query.guard import guarded
from asepsis.errors.recovery import PatchInexact
from asepsis.integrity.records.evidence import Explained, PairEvidence, SchemaChange, TableEvidence
from asepsis.integrity.records.evidence_sql import LedgerSql
from asepsis.integrity.records.facts_sql import as_date
from asepsis.integrity.records.layout import Role, TableLayout
from asepsis.integrity.records.ledger_sql import Column, Comparison, quoted
from asepsis.integrity.records.merges_sql import explain_moves_sql, explain_persons_sql, moves_sql
from asepsis.integrity.records.roots import merkle_root
from asepsis.integrity.records.tickets import ChangeTicket, explains_table, ticket_condition
from asepsis.integrity.records.values import Divergence, TableLedger

_LATEST_SHARE: Final = 0.999
_FEW_GROUPS: Final = 40
_SALT_BITS: Final = 63


@dataclass(slots=True)
class ComparedPair:
    """The ledgers of two snapshots that are open as schemas of one connection."""

    connection: duckdb.DuckDBPyConnection
    before: str
    after: str
    types: tuple[Types, Types]
    profile: SnapshotProfile
    tickets: Sequence[ChangeTicket] = ()
    asked: dict[str, LedgerSql] = field(default_factory=dict)
    ledgers: dict[str, TableLedger] = field(default_factory=dict)

    @property
    def persons(self) -> str | None:
        """The table that has one row per person, if there is one."""
        return self.profile.layouts.persons

    def evidence(self) -> PairEvidence:
        """Make all ledgers, mark what is explained, and measure. Raises EngineError."""
        as_of = self._as_of()
        shared = [table for table in self.types[0] if table in self.types[1]]
        for number, table in enumerate(shared):
            comparison = self.comparison(table, number)
            self.ledgers[table] = make_ledger(self.connection, comparison, table=table)
            self.asked[table] = LedgerSql(comparison, self.profile.layouts.tables[table], as_of=as_of)
        merges, unmerges = self._merges()
        explained = self._tickets()
        return PairEvidence(
            tables={table: self._gather(table) for table in shared},
            schema=self._schema(),
            merges=merges,
            unmerges=unmerges,
            explained=explained,
            announced=self._announced(explained),
            unchecked=self._unchecked(as_of),
        )

    def same_as(self, table: str, folders: Mapping[str, Path]) -> str | None:
        """Which of some older snapshots held exactly what the newer one holds of a table, the newest first."""
        rows = self.ledgers[table].rows_after
        for number, (name, folder) in enumerate(folders.items()):
            columns = open_one(self.connection, f"past{table}{number}", table, folder)
            if columns != self.types[1][table]:
                continue
            past = relation(f"past{table}{number}", table)
            if int(self.counted(f"SELECT count(*) FROM {past}")[0]) != rows:
                continue
            comparison = replace(self.comparison(table, 0), name="past", before=past)
            comparison = replace(comparison, columns=tuple(_both(column) for column in comparison.columns))
            if changed_buckets(self.connection, comparison) == 0:
                return name
        return None

    def patched(self) -> list[PatchedTable]:
        """The tables that differ, and how each is put back; explained changes are differences, too."""
        old, new = self.types
        found = []
        for table in old:
            whole = old[table] != new.get(table) or list(old[table]) != list(new.get(table, {}))
            if table in new and not whole and self.ledgers[table].is_equal:
                continue
            sql = self.asked.get(table)
            found.append(
                PatchedTable(
                    name=table,
                    mode="whole" if whole or sql is None else "rows",
                    key=self._patch_key(table),
                    columns=old[table],
                    comparison=sql.comparison if sql else None,
                    before=relation(self.before, table),
                    after=relation(self.after, table) if table in new else "",
                )
            )
        return [*found, *(_extra(table) for table in new if table not in old)]

    def _patch_key(self, table: str) -> tuple[str, ...]:
        """Rows without a key are named by all their values."""
        sql = self.asked.get(table)
        return (sql.comparison.key if sql else ()) or tuple(self.types[0][table])

    def revert_into(self, folder: Path) -> bytes:
        """Write the revert patch into a new folder, apply it in passing, and return the root of what comes out.

        Every table is compared with the older snapshot, also those of which the ledger says that nothing changed.

        Raises:
            OutputExists, OutputUnwritable: the folder cannot be made.
            PatchInexact: the patch does not give the older snapshot back.
        """
        tables = self.patched()
        write_patch(self.connection, tables, folder)
        relations = {table.name: reverted(table, folder) for table in tables if table.mode != "extra"}
        digests = {}
        for table, columns in self.types[0].items():
            restored = relations.get(table, relation(self.after, table))
            digests[table] = digest_of(self.connection, restored, table=table, columns=columns)
            if digests[table] != digest_of(self.connection, relation(self.before, table), table=table, columns=columns):
                raise PatchInexact(table=table)
        return merkle_root(digests)

    def detailed(self, divergence: Divergence) -> Divergence:
        """The same divergence with what its rows have in common."""
        sql = self.asked.get(divergence.table)
        return detailed(self.connection, divergence, sql) if sql is not None else divergence

    def write_rows(self, divergences: Sequence[Divergence], path: Path) -> int:
        """Write the rows behind the divergences into a new file that only its owner reads. Raises OutputExists."""
        return write_rows(self.connection, divergences, self.asked, path)

    def days(self) -> list[tuple[str, str, str, int]]:
        """(table, day of the event, change, rows) of every changed row whose table has dates."""
        found = []
        for table, sql in self.asked.items():
            if sql.layout.date in sql.index and sql.layout.date is not None:
                new, old = sql.date("a", sql.layout.date), sql.date("b", sql.layout.date)
                text = (
                    f"SELECT strftime(coalesce({old}, {new}), '%Y-%m-%d') AS day, change, count(*) FROM {sql.ledger} "
                    "GROUP BY 1, 2 HAVING day IS NOT NULL ORDER BY 1, 2"
                )
                rows = guarded(lambda text=text: self.connection.execute(text).fetchall())  # type: ignore[misc]
                found += [(table, str(day), str(change), int(count)) for day, change, count in rows]
        return found

    def comparison(self, table: str, number: int) -> Comparison:
        """What is compared of a table that both snapshots have."""
        old, new = self.types[0][table], self.types[1][table]
        layout = self.profile.layouts.tables[table]
        names = [*old, *(name for name in new if name not in old)]
        return Comparison(
            name=f"t{number}",
            before=relation(self.before, table),
            after=relation(self.after, table),
            columns=tuple(Column(name=name, before=old.get(name), after=new.get(name)) for name in names),
            key=layout.key if all(name in new for name in layout.key) else (),
            salt=secrets.randbits(_SALT_BITS),
        )

    def counted(self, text: str) -> tuple[Any, ...]:
        """The one row of an answer that is counts."""
        return guarded(lambda: self.connection.execute(text).fetchone()) or ()

    def _gather(self, table: str) -> TableEvidence:
        sql, ledger = self.asked[table], self.ledgers[table]
        persons = self._persons()
        asked = Asked(
            sql=sql,
            ledger=ledger,
            orders=self.profile.orders[table],
            persons=persons if persons is not sql else None,
            attributes=self._attributes(),
        )
        evidence = gather(self.connection, asked)
        orphans = self._orphans(table)
        repeated = self._repeated_keys(table) if ledger.inserted else 0
        if not orphans and not repeated:
            return evidence
        values = {name: getattr(evidence, name) for name in TableEvidence.__slots__}
        return TableEvidence(**{**values, "orphans": orphans, "duplicate_keys": repeated})

    def _orphans(self, table: str) -> dict[str, int]:
        """New rows without the row that they name; asked only where rows came, moved, or the other table lost some."""
        found = {}
        for reference in (one for one in self.profile.references if one.table == table):
            target = self.ledgers.get(reference.target)
            own = self.ledgers[table]
            has_moved = own.inserted or reference.column in own.cells or (target is not None and target.deleted)
            if target is None or not has_moved or reference.column not in self.types[1][table]:
                continue
            key = self.profile.layouts.tables[reference.target].key[0]
            _, old = count_orphans(self.connection, self.before, reference, key)
            _, new = count_orphans(self.connection, self.after, reference, key)
            if new > old:
                found[reference.column] = new - old
        return found

    def _repeated_keys(self, table: str) -> int:
        sql = self.asked[table]
        row = self.counted(f"SELECT count(*) FROM {sql.open} WHERE repeated AND change = 'insert'")
        return int(row[0]) if sql.layout.key else 0

    def _tickets(self) -> tuple[Explained, ...]:
        found = []
        for ticket in self.tickets:
            fitting = {
                table: condition
                for table, sql in self.asked.items()
                if explains_table(ticket, table) and (condition := ticket_condition(ticket, sql)) is not None
            }
            counts = {
                table: int(self.counted(f"SELECT count(*) FROM {self.asked[table].ledger} WHERE {condition}")[0])
                for table, condition in fitting.items()
            }
            refused = sum(counts.values()) > ticket.rows_at_most
            for table, condition in fitting.items():
                if counts[table] and not refused:
                    text = f"UPDATE {self.asked[table].ledger} SET explained = $ticket WHERE {condition}"
                    names = {"ticket": f"ticket:{ticket.id}"}
                    guarded(lambda text=text, names=names: self.connection.execute(text, names))  # type: ignore[misc]
                if counts[table]:
                    found.append(Explained(by=ticket.id, table=table, rows=counts[table], refused=refused))
        return tuple(found)

    def _announced(self, explained: tuple[Explained, ...]) -> frozenset[tuple[str, str]]:
        used = {(one.by, one.table) for one in explained if not one.refused}
        return frozenset(
            (table, column)
            for ticket in self.tickets
            for by, table in used
            if by == ticket.id and ticket.kind == "update"
            for column in ticket.columns
        )

    def _merges(self) -> tuple[int, int]:
        persons = self._persons()
        moving = [
            sql
            for table, sql in self.asked.items()
            if sql is not persons and sql.layout.person in sql.index and self.ledgers[table].updated
        ]
        if persons is None or not moving:
            return 0, 0
        texts = [moves_sql(moving, persons), *map(explain_moves_sql, moving), explain_persons_sql(persons)]
        for text in texts:
            guarded(lambda text=text: self.connection.execute(text))  # type: ignore[misc]
        row = self.counted("SELECT count(*) FILTER (why = 'merge'), count(*) FILTER (why = 'unmerge') FROM moved")
        return int(row[0]), int(row[1])

    def _persons(self) -> LedgerSql | None:
        return self.asked.get(self.profile.layouts.persons or "")

    def _attributes(self) -> list[tuple[str, str]]:
        """What is known about persons once: codes of the tables that have at most one row per person."""
        found = []
        for table, layout in self.profile.layouts.tables.items():
            if layout.person is None or table not in self.asked or not _is_one_per_person(layout):
                continue
            found += [
                (
                    f"{table}.{column.name}",
                    f"(SELECT CAST({quoted(layout.person)} AS VARCHAR) AS p, CAST({quoted(column.name)} AS VARCHAR) AS g "
                    f"FROM {relation(self.before, table)})",
                )
                for column in layout.of_role(Role.CODE)
                if 1 < column.distinct <= _FEW_GROUPS
            ]
        return found

    def _schema(self) -> tuple[SchemaChange, ...]:
        old, new = self.types
        found = [SchemaChange(kind="schema.table_gone", table=table) for table in old if table not in new]
        found += [SchemaChange(kind="schema.table_added", table=table) for table in new if table not in old]
        for table in (table for table in old if table in new):
            for name in {**old[table], **new[table]}:
                if (kind := _column_change(old[table].get(name), new[table].get(name))) is not None:
                    found.append(self._ticketed(SchemaChange(kind=kind, table=table, column=name)))
        return tuple(found)

    def _ticketed(self, change: SchemaChange) -> SchemaChange:
        for ticket in self.tickets:
            if ticket.kind == "schema" and ticket.table == change.table and change.column in ticket.columns:
                return SchemaChange(kind=change.kind, table=change.table, column=change.column, ticket=ticket.id)
        return change

    def _as_of(self) -> str | None:
        """The day of the older snapshot by its own dates; the few that lie in the future do not count."""
        days = []
        for table, layout in self.profile.layouts.tables.items():
            if layout.date is not None and layout.date in self.types[0].get(table, {}):
                value = as_date(quoted(layout.date), self.types[0][table][layout.date])
                text = (
                    f"SELECT CAST(quantile_disc(v, {_LATEST_SHARE}) AS DATE) FROM (SELECT {value} AS v "
                    f"FROM {relation(self.before, table)}) WHERE v IS NOT NULL"
                )
                days += [str(day) for (day,) in [self.counted(text)] if day is not None]
        return max(days, default=None)

    def _unchecked(self, as_of: str | None) -> tuple[str, ...]:
        found = [] if as_of else ["no table has dates, so no row counts as old"]
        for table, sql in self.asked.items():
            if not sql.layout.key:
                found.append(f"{table} has no key: updates are seen as a deletion and an insertion")
            if not sql.layout.date:
                found.append(f"{table} has no date of its events: the age of its rows is not known")
        return tuple(found)


def _extra(table: str) -> PatchedTable:
    return PatchedTable(name=table, mode="extra", key=(), columns={})


def _both(column: Column) -> Column:
    return replace(column, before=column.after)


def _is_one_per_person(layout: TableLayout) -> bool:
    return layout.person is not None and layout.key == (layout.person,)


def _column_change(old: str | None, new: str | None) -> str | None:
    if old is None:
        return "schema.column_added"
    if new is None:
        return "schema.column_gone"
    return None if old == new else "schema.type_changed"
