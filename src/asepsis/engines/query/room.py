"""The room of one run: owners' tables in one private DuckDB, linked, locked, and answering in sealed values."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asepsis.disclosure.contributors import Contributors, Population
from asepsis.domain.catalogue import Table
from asepsis.domain.cells import CellTable, MeasureKind, Needs
from asepsis.domain.names import PartyId
from asepsis.domain.private import Keys, PrivateLengths, PrivateSums
from asepsis.domain.sealed import Sealed
from asepsis.engines.query.affiliations import Tally
from asepsis.engines.query.answers import Raw, Rows, cell_keys, cell_rows, merged, whole
from asepsis.engines.query.effects import Effects
from asepsis.engines.query.guard import guarded, timed
from asepsis.engines.query.loading import LINKS, WHOLE, LinkMap, OwnerFile, link_sql, table_sql
from asepsis.engines.query.parts import Parts
from asepsis.engines.query.people import Gathering, Links, populations_of, tokens
from asepsis.engines.query.ranges import DEFAULT_ROWS, Clustering, Range, pace
from asepsis.engines.query.splits import Splits, split
from asepsis.errors.engine import EngineDataError, EngineLockedError, EngineOwnersError, EngineTableError
from asepsis.sql.duckdb import Counting, Generated, cells_sql, effects_sql, people_sql, quantile_sql
from asepsis.sql.effects import variants
from asepsis.sql.identity import skeleton
from asepsis.sql.plan import Cohort, Grouping, QueryPlan
from asepsis.sql.private import PrivateGrouping, PrivatePlan
from asepsis.sql.private_duckdb import parts_sql

T = TypeVar("T")

MOST_OWNERS: Final = 60
DEFAULT_SECONDS: Final = 60.0
PLAIN: Final = Needs()
"""Rules that ask for no more than persons and their two largest."""

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class QueryRoom:
    """Loads tables, locks itself, then answers plans. One per run, inside the runtime's own process.

    Without ``temp_directory`` nothing is ever written to a disk: what does not fit in memory fails. ``batch`` is the
    number of rows of a first range of persons.
    """

    def __init__(
        self,
        temp_directory: Path | None = None,
        *,
        threads: int = 1,
        memory_limit: str = "1GB",
        seconds: float = DEFAULT_SECONDS,
        batch: int = DEFAULT_ROWS,
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
        self._units: dict[str, str] = {}
        self._tables: list[Table] = []
        self._clustered: dict[str, Clustering] = {}
        self._persons: Range | None = None
        self._names: tuple[Links, NDArray[np.uint64], Splits | None] | None = None
        self._connection = guarded(lambda: duckdb.connect(":memory:", config=settings))
        self._do(f"CREATE TABLE {LINKS} (owner INTEGER, person BIGINT, link BIGINT, {WHOLE} BIGINT)")

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

    def load(self, table: Table, files: Mapping[PartyId, Path], links: LinkMap | None = None) -> None:
        """Open the owners' Parquet files of one table as a single table of linked persons.

        Persons whom the ``links`` do not name get ids of their own, so persons of different owners coincide only where
        they say so.
        Raises EngineTableError, EngineOwnersError, EngineLockedError.
        """
        if self._locked:
            raise EngineLockedError
        if not any(column.uses for column in table.columns):
            return
        if links is not None and links.path not in self._links:
            self._read_links(links)
        opened = [self._open(table, owner, path) for owner, path in sorted(files.items())]
        paths = {file.path: str(files[self._owners[file.owner]]) for file in opened}
        self._naming(table, "the owners", lambda: self._connection.execute(table_sql(table, opened), paths))
        if table.unit is not None:
            self._units[table.name] = table.unit.name
            self._tables.append(table)

    def lock(self) -> None:
        """Close all doors of the engine: no files, no extensions, no change of settings. Only then it answers."""
        self._do("SET enable_external_access = false")
        self._do("SET lock_configuration = true")
        self._persons = self._first_and_last()
        self._clustered = {table: self._clustering(table, unit) for table, unit in self._units.items()}
        self._locked = True

    def cells(self, plan: QueryPlan, *, needs: Needs = PLAIN) -> Sealed[CellTable]:
        """The cells of a plan. Raises EngineMemoryError, EngineTimeError, EngineDataError, EngineLockedError."""
        return Sealed(CellTable(branches=tuple(self._cells(grouping, needs)[0] for grouping in plan.groupings)))

    def contributors(self, plan: QueryPlan, *, least: int) -> Sealed[Contributors]:
        """The persons behind all cells of at least ``least`` persons. Raises the errors of :meth:`cells`."""
        return self.cells_and_contributors(plan, least=least)[1]

    def cells_and_contributors(
        self, plan: QueryPlan, *, least: int, needs: Needs = PLAIN
    ) -> tuple[Sealed[CellTable], Sealed[Contributors]]:
        """The cells of a plan and the persons behind them, from the same person-cells. Raises as :meth:`cells`."""
        links, names, splits = self._tokens()
        branches: list[Rows] = []
        found: list[Population] = []
        for branch, grouping in enumerate(plan.groupings):
            cells, gathering = self._cells(grouping, needs, Gathering(grouping=grouping, known=links, splits=splits))
            branches.append(cells)
            if gathering is not None:
                relevant = frozenset(key for key, count in gathering.sizes().items() if count >= least)
                effects = self._effects(grouping, relevant, enough=needs.effect)
                found += gathering.populations(branch, least=least, effects=effects)
        contributors = Contributors(tokens=names, populations=tuple(found), skeleton=skeleton(plan.groupings))
        return Sealed(CellTable(branches=tuple(branches))), Sealed(contributors)

    def vectors(self, plan: PrivatePlan) -> Sealed[PrivateSums]:
        """The exact vectors of a private plan. Raises the errors of :meth:`cells`."""
        return Sealed(PrivateSums(branches=tuple(self._vectors(grouping) for grouping in plan.groupings)))

    def lengths(self, plan: PrivatePlan) -> Sealed[PrivateLengths]:
        """How long persons' parts of the unbought vectors of a plan are. Raises the errors of :meth:`cells`."""
        return Sealed(PrivateLengths(branches=tuple(self._lengths(grouping) for grouping in plan.groupings)))

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

    def _cells(
        self, grouping: Grouping, needs: Needs, gathering: Gathering | None = None
    ) -> tuple[Rows, Gathering | None]:
        """The cells of a grouping; their persons go to the ``gathering``."""
        owners, keys = len(self._owners), len(grouping.keys)
        wheres = tuple(where for where, _ in populations_of(grouping)) if gathering is not None else ()
        tally = Tally.of(grouping, needs, self._tables)
        counting = Counting(owners=owners, largest=needs.largest, affiliations=tally.affiliations)

        def of_range(persons: Range | None) -> pa.Table:
            table = self._table(cells_sql(grouping, counting=counting, persons=persons, populations=wheres))
            people = table.num_columns - len(wheres)
            numbers = people - len(tally.slots)
            if gathering is not None:
                gathering.add(table.select([*range(keys), *range(people, table.num_columns)]))
            tally.add(table.select([*range(keys), *range(numbers, people)]))
            return table.select(range(numbers))

        rows = merged(list(self._by_ranges(grouping, of_range)), keys, largest=needs.largest)
        quantiles = {
            place: self._fetch(quantile_sql(grouping, place))
            for place, measure in enumerate(grouping.measures)
            if measure.spec.kind is MeasureKind.QUANTILE
        }
        cells = cell_rows(rows, grouping, owners=owners, quantiles=quantiles)
        return tally.counted(cells), gathering

    def _vectors(self, private: PrivateGrouping) -> dict[Keys, tuple[int, ...]]:
        if not private.vectors:
            return {}
        keys = len(private.grouping.keys)
        rows = merged(list(self._by_parts(private, Parts.sums)), keys)
        return {cell_keys(row[:keys]): whole(row[keys:]) for row in rows}

    def _lengths(self, private: PrivateGrouping) -> tuple[tuple[int, ...], ...]:
        if not any(vector.spec.unbought for vector in private.vectors):
            return ((),) * len(private.vectors)
        ranges = self._by_parts(private, Parts.lengths)
        return tuple(tuple(map(sum, zip(*places, strict=True))) for places in zip(*ranges, strict=True))

    def _by_parts(self, private: PrivateGrouping, found: Callable[[Parts], T]) -> Iterator[T]:
        """What is found in the rows of every range: joined rows, or those of crowded persons, are reduced before."""
        walk = pace(private.grouping, self._clustered, self._persons, rows=self._batch)
        for persons in walk.ranges():
            reduced = private.multiplied or walk.is_crowded(persons)
            yield self._answer(partial(self._found, private, found, persons=persons, reduced=reduced))

    def _found(
        self, private: PrivateGrouping, found: Callable[[Parts], T], *, persons: Range | None, reduced: bool
    ) -> T:
        table = self._planned_once(parts_sql(private, persons=persons, reduced=reduced))
        return found(Parts(private=private, table=table, reduced=reduced))

    def _effects(
        self, grouping: Grouping, relevant: frozenset[Raw] = frozenset(), *, enough: int = 0
    ) -> dict[Raw, int] | None:
        """By cell, the least effect of a tested condition; None where the question has none.

        With ``enough``, of the ``relevant`` cells alone, and counted only until it is enough.
        """
        tested = variants(grouping)
        if not tested:
            return None
        effects = Effects(grouping=grouping, variants=len(tested), relevant=relevant, enough=enough)
        walk = pace(grouping, self._clustered, self._persons, rows=self._batch)
        for part, asked in effects.parts(walk, self._persons):
            chosen = tuple(tested[place] for place in asked.places)
            table = self._table(effects_sql(grouping, chosen, persons=part, cells=asked.cells))
            walk.told(effects.add(zip(*(column.to_pylist() for column in table.columns), strict=True), asked))
        return effects.least()

    def _by_ranges(self, grouping: Grouping, run: Callable[[Range | None], pa.Table]) -> Iterator[pa.Table]:
        """Results range by range; the persons of their cells, after the keys, decide about the next range."""
        walk = pace(grouping, self._clustered, self._persons, rows=self._batch)
        for part in walk.ranges():
            table = run(part)
            walk.told(pc.sum(table.column(len(grouping.keys))).as_py() or 0)
            yield table

    def _tokens(self) -> tuple[Links, NDArray[np.uint64], Splits | None]:
        """The persons of the room, and their tokens; and how links that are stricter than agreed split them."""
        if self._names is None:
            text = f"SELECT owner, person, link, {WHOLE} FROM {LINKS}"  # noqa: S608 - constants
            table = self._answer(lambda: self._connection.sql(text).to_arrow_table())
            owners = np.array([str(owner) for owner in self._owners] or [""], object)[table.column(0).to_numpy()]
            persons, parts, wholes = (column.to_numpy() for column in table.columns[1:])
            known = tokens(wholes, persons, owners.tolist())
            self._names = (*known, None) if np.array_equal(parts, wholes) else split(parts, wholes, known)
        return self._names

    def _first_and_last(self) -> Range | None:
        found = guarded(lambda: self._connection.execute(f"SELECT min(link), max(link) FROM {LINKS}").fetchall())  # noqa: S608
        ((first, last),) = found
        return None if first is None else (int(first), int(last))

    def _clustering(self, table: str, unit: str) -> Clustering:
        """The persons at every so many rows of a table, which was written in the order of its persons."""
        counted = guarded(lambda: self._connection.execute(f'SELECT count(*) FROM "{table}"').fetchall())  # noqa: S608
        text = f'SELECT "{unit}" FROM "{table}" WHERE rowid % $rows = 0 ORDER BY rowid'  # noqa: S608
        starts = guarded(lambda: self._connection.execute(text, {"rows": self._batch}).fetchall())
        return Clustering(rows=int(counted[0][0]), starts=tuple(int(start) for (start,) in starts))

    def _fetch(self, generated: Generated) -> list[tuple[object, ...]]:
        run = lambda: self._connection.execute(generated.text, dict(generated.parameters)).fetchall()  # noqa: E731
        return self._answer(run)

    def _table(self, generated: Generated) -> pa.Table:
        return self._answer(lambda: self._planned_once(generated))

    def _planned_once(self, generated: Generated) -> pa.Table:
        """A relation would be planned twice. A result is copied, of which the engine warns; ours are small."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            answer: pa.Table = self._connection.execute(generated.text, dict(generated.parameters)).to_arrow_table()
            return answer

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

    def _read_links(self, links: LinkMap) -> None:
        path = links.path
        self._links.add(path)
        text = "SELECT DISTINCT owner FROM read_parquet($path) ORDER BY owner"
        owners = guarded(lambda: self._connection.execute(text, {"path": str(path)}).fetchall())
        for (owner,) in owners:
            insert = f"""
                INSERT INTO {LINKS}
                SELECT $number, CAST(person_id AS BIGINT), CAST({links.person} AS BIGINT), CAST({links.whole} AS BIGINT)
                FROM read_parquet($path) WHERE owner = $owner
            """  # noqa: S608 - constants
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
