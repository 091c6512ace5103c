"""The room of one run: owners' tables in one private DuckDB, linked, locked, and answering in sealed values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asepsis.disclosure.contributors import Contributors, Population
from asepsis.domain.catalogue import Table
from asepsis.domain.cells import CellTable, MeasureKind
from asepsis.domain.names import PartyId
from asepsis.domain.private import Keys, PrivateSums
from asepsis.domain.sealed import Sealed
from asepsis.engines.query.answers import Raw, Rows, cell_keys, cell_rows, merged, whole
from asepsis.engines.query.guard import guarded, timed
from asepsis.engines.query.loading import LINKS, OwnerFile, link_sql, table_sql
from asepsis.engines.query.people import Gathering, Links, populations_of, tokens
from asepsis.errors.engine import EngineDataError, EngineLockedError, EngineOwnersError, EngineTableError
from asepsis.sql.duckdb import Generated, cells_sql, effects_sql, people_of_cells_sql, people_sql, quantile_sql
from asepsis.sql.effects import variants
from asepsis.sql.identity import skeleton
from asepsis.sql.plan import Cohort, Grouping, QueryPlan
from asepsis.sql.private import PrivateGrouping, PrivatePlan
from asepsis.sql.private_duckdb import vectors_sql

T = TypeVar("T")

MOST_OWNERS: Final = 60
DEFAULT_SECONDS: Final = 60.0
DEFAULT_BATCH: Final = 100_000
"""Persons per range."""

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class QueryRoom:
    """Loads tables, locks itself, then answers plans. One per run, inside the runtime's own process.

    Without ``temp_directory`` nothing is ever written to a disk: what does not fit in memory fails.
    """

    def __init__(
        self,
        temp_directory: Path | None = None,
        *,
        threads: int = 1,
        memory_limit: str = "1GB",
        seconds: float = DEFAULT_SECONDS,
        batch: int = DEFAULT_BATCH,
    ) -> None:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": "" if temp_directory is None else str(temp_directory),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "preserve_insertion_order": True,
        }
        self._seconds = seconds
        self._owners: list[PartyId] = []
        self._links: set[Path] = set()
        self._locked = False
        self._batch = batch
        self._ranges: list[tuple[int, int] | None] = [None]
        self._names: tuple[Links, NDArray[np.uint64]] | None = None
        self._connection = guarded(lambda: duckdb.connect(":memory:", config=settings))
        self._do(f"CREATE TABLE {LINKS} (owner INTEGER, person BIGINT, link BIGINT)")

    def __enter__(self) -> Self:
        """The room itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()

    def close(self) -> None:
        """Forget everything."""
        guarded(self._connection.close)

    @property
    def owners(self) -> tuple[PartyId, ...]:
        """The owners whose files were loaded."""
        return tuple(self._owners)

    def load(self, table: Table, files: Mapping[PartyId, Path], links: Path | None = None) -> None:
        """Open the owners' Parquet files of one table as a single table of linked persons.

        ``links`` is a Parquet file (owner VARCHAR, person_id BIGINT, link_id BIGINT); persons whom it does not
        name get ids of their own, so persons of different owners coincide only where it says so.
        Raises EngineTableError, EngineOwnersError, EngineLockedError.
        """
        if self._locked:
            raise EngineLockedError
        if not any(column.uses for column in table.columns):
            return
        if links is not None and links not in self._links:
            self._read_links(links)
        opened = [self._open(table, owner, path) for owner, path in sorted(files.items())]
        paths = {file.path: str(files[self._owners[file.owner]]) for file in opened}
        self._naming(table, "the owners", lambda: self._connection.execute(table_sql(table, opened), paths))

    def lock(self) -> None:
        """Close all doors of the engine: no files, no extensions, no change of settings. Only then it answers."""
        self._do("SET enable_external_access = false")
        self._do("SET lock_configuration = true")
        self._ranges = self._split_persons()
        self._locked = True

    def cells(self, plan: QueryPlan) -> Sealed[CellTable]:
        """The cells of a plan. Raises EngineMemoryError, EngineTimeError, EngineDataError, EngineLockedError."""
        return Sealed(CellTable(branches=tuple(self._cells(grouping) for grouping in plan.groupings)))

    def contributors(self, plan: QueryPlan, *, least: int) -> Sealed[Contributors]:
        """The persons behind all cells of at least ``least`` persons. Raises the errors of :meth:`cells`."""
        links, names = self._tokens()
        found: list[Population] = []
        for branch, grouping in enumerate(plan.groupings):
            wheres = tuple(where for where, _ in populations_of(grouping))
            gathering = Gathering(grouping=grouping, known=links)
            for part in self._ranges:
                gathering.add(self._table(people_of_cells_sql(grouping, wheres, persons=part)))
            found += gathering.populations(branch, least=least, effects=self._effects(grouping))
        return Sealed(Contributors(tokens=names, populations=tuple(found), skeleton=skeleton(plan.groupings)))

    def vectors(self, plan: PrivatePlan) -> Sealed[PrivateSums]:
        """The exact vectors of a private plan. Raises the errors of :meth:`cells`."""
        return Sealed(PrivateSums(branches=tuple(self._vectors(grouping) for grouping in plan.groupings)))

    def effects(self, plan: QueryPlan) -> Sealed[tuple[dict[Raw, int] | None, ...]]:
        """By grouping and cell, the least number of persons that any one tested condition matters for."""
        return Sealed(tuple(self._effects(grouping) for grouping in plan.groupings))

    def people(self, cohort: Cohort) -> Sealed[pa.Table]:
        """The persons of a cohort as their owners know them: owner, person_id (the owner's own), link_id."""
        persons = people_sql(cohort)
        names = ", ".join(f"({place}, '{owner}')" for place, owner in enumerate(self._owners)) or "(-1, '')"
        text = f"""
            SELECT names.name AS owner, links.person AS person_id, links.link AS link_id
            FROM ({persons.text}) AS persons
            JOIN {LINKS} AS links ON links.link = persons.unit_
            JOIN (VALUES {names}) AS names (number, name) ON names.number = links.owner
            ORDER BY ALL
        """  # noqa: S608 - generated text and party names
        return Sealed(self._table(Generated(text=text, parameters=persons.parameters)))

    def statement(self, text: str, parameters: Mapping[str, object] = _NOTHING) -> Sealed[pa.Table]:
        """The result of a method's own generated SQL."""
        return Sealed(self._answer(lambda: self._connection.sql(text, params=dict(parameters)).to_arrow_table()))

    def _cells(self, grouping: Grouping) -> Rows:
        owners = len(self._owners)
        parts = (self._fetch(cells_sql(grouping, owners=owners, persons=part)) for part in self._ranges)
        rows = merged(parts, len(grouping.keys))
        quantiles = {
            place: self._fetch(quantile_sql(grouping, place))
            for place, measure in enumerate(grouping.measures)
            if measure.spec.kind is MeasureKind.QUANTILE
        }
        return cell_rows(rows, grouping, owners=owners, quantiles=quantiles)

    def _vectors(self, private: PrivateGrouping) -> dict[Keys, tuple[int, ...]]:
        keys = len(private.grouping.keys)
        parts = (self._fetch(vectors_sql(private, persons=part)) for part in self._ranges)
        return {cell_keys(row[:keys]): whole(row[keys:]) for row in merged(parts, keys)}

    def _effects(self, grouping: Grouping) -> dict[Raw, int] | None:
        """By cell, the least effect of a tested condition; None where the question has none."""
        tested = variants(grouping)
        if not tested:
            return None
        parts = (self._fetch(effects_sql(grouping, tested, persons=part)) for part in self._ranges)
        keys = len(grouping.keys)
        return {row[:keys]: min(int(str(count)) for count in row[keys:]) for row in merged(parts, keys)}

    def _tokens(self) -> tuple[Links, NDArray[np.uint64]]:
        """The persons of the room, and their tokens."""
        if self._names is None:
            text = f"SELECT owner, person, link FROM {LINKS}"  # noqa: S608 - a constant
            table = self._answer(lambda: self._connection.sql(text).to_arrow_table())
            owners = np.array([str(owner) for owner in self._owners] or [""], object)[table.column(0).to_numpy()]
            self._names = tokens(table.column(2).to_numpy(), table.column(1).to_numpy(), owners.tolist())
        return self._names

    def _split_persons(self) -> list[tuple[int, int] | None]:
        """Ranges of persons that are computed one after the other, so that memory does not grow with the room."""
        numbered = f"SELECT link, row_number() OVER (ORDER BY link) AS place FROM (SELECT DISTINCT link FROM {LINKS})"  # noqa: S608
        text = f"SELECT min(link), max(link) FROM ({numbered}) GROUP BY (place - 1) // $batch ORDER BY 1"  # noqa: S608
        found = guarded(lambda: self._connection.execute(text, {"batch": self._batch}).fetchall())
        return [(int(low), int(high)) for low, high in found] if len(found) > 1 else [None]

    def _fetch(self, generated: Generated) -> list[tuple[object, ...]]:
        run = lambda: self._connection.execute(generated.text, dict(generated.parameters)).fetchall()  # noqa: E731
        return self._answer(run)

    def _table(self, generated: Generated) -> pa.Table:
        return self._answer(
            lambda: self._connection.sql(generated.text, params=dict(generated.parameters)).to_arrow_table()
        )

    def _answer(self, run: Callable[[], T]) -> T:
        if not self._locked:
            raise EngineLockedError
        return timed(self._connection, self._seconds, run)

    def _do(self, text: str, parameters: Mapping[str, object] = _NOTHING) -> None:
        guarded(lambda: self._connection.execute(text, dict(parameters)))

    def _number(self, owner: PartyId) -> int:
        if owner not in self._owners:
            if len(self._owners) >= MOST_OWNERS:
                raise EngineOwnersError(limit=MOST_OWNERS)
            self._owners.append(owner)
        return self._owners.index(owner)

    def _read_links(self, path: Path) -> None:
        self._links.add(path)
        text = "SELECT DISTINCT owner FROM read_parquet($path) ORDER BY owner"
        owners = guarded(lambda: self._connection.execute(text, {"path": str(path)}).fetchall())
        for (owner,) in owners:
            insert = f"""
                INSERT INTO {LINKS} SELECT $number, CAST(person_id AS BIGINT), CAST(link_id AS BIGINT)
                FROM read_parquet($path) WHERE owner = $owner
            """  # noqa: S608 - a constant
            number = self._number(PartyId(str(owner)))
            self._do(insert, {"path": str(path), "owner": owner, "number": number})

    def _open(self, table: Table, owner: PartyId, path: Path) -> OwnerFile:
        number = self._number(owner)
        source = {"path": str(path)}

        def columns() -> frozenset[str]:
            described = self._connection.execute("SELECT * FROM read_parquet($path) LIMIT 0", source).description
            return frozenset(str(column[0]).lower() for column in described)

        names = self._naming(table, owner, columns)
        if table.unit is not None:
            unit = table.unit.name
            if unit not in names:
                raise EngineTableError(owner=owner, table=table.name)
            self._naming(table, owner, lambda: self._connection.execute(link_sql(unit, "path", number), source))
        return OwnerFile(owner=number, path=f"path{number}", columns=names)

    @staticmethod
    def _naming(table: Table, owner: str, run: Callable[[], T]) -> T:
        """Run a step of loading; what does not fit is told by the names of table and owner."""
        try:
            return guarded(run)
        except EngineDataError:
            pass
        raise EngineTableError(owner=owner, table=table.name)
