"""What protection costs: questions in the room against DuckDB's own count(DISTINCT person); one table, run and core.

Every question is measured three times in turns, as the best of ``REPEATS``: the statement as its author wrote it, with
count(DISTINCT person), on the room's own engine; the room's cells and the gate; the same with the persons behind the
cells, which the memory of releases needs. Peak memory is what a forked copy of the process takes on top of the tables.
``ASEPSIS_BENCH_ROWS`` sets the size (default 2,000,000; the documentation has numbers of 10,000,000),
``ASEPSIS_BENCH_REPEATS`` the repeats. The data
are made here: a heavy tail of encounters per person, 500 diagnosis codes with Zipf-like frequencies.
"""

from __future__ import annotations

import ctypes
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray
from peers import print_peers

from asepsis.disclosure.gate import assess
from asepsis.disclosure.memory import Candidate, Index, Memory, Shown, held
from asepsis.disclosure.memory_bytes import from_bytes, to_bytes
from asepsis.disclosure.people import people
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Table, Use
from asepsis.domain.names import PartyId
from asepsis.engines.query.room import QueryRoom
from asepsis.sql import plan_query
from asepsis.sql.effects import variants
from asepsis.sql.omop import omop_catalogue
from asepsis.sql.plan import QueryPlan

ROWS: Final = int(os.environ.get("ASEPSIS_BENCH_ROWS", "2000000"))
PERSONS: Final = max(1, ROWS // 10)
REPEATS: Final = int(os.environ.get("ASEPSIS_BENCH_REPEATS", "5"))
CODED: Final = frozenset({Use.COMPARE, Use.GROUP})
UNIT: Final = Column(name="person_id", type=ColumnType.INTEGER, uses=frozenset({Use.UNIT}))
PROFILE: Final = profile_named("strict-10")


def coded(*names: str, kind: ColumnType = ColumnType.INTEGER) -> tuple[Column, ...]:
    """Coded columns of those names."""
    return tuple(Column(name=name, type=kind, uses=CODED) for name in names)


COST: Final = Column(name="cost", type=ColumnType.NUMBER, uses=frozenset({Use.AGGREGATE}))
CATALOGUE: Final = Catalogue(
    tables=(
        Table(name="person", columns=(UNIT, *coded("region", "deprivation")), one_per_person=True),
        Table(
            name="encounter",
            columns=(UNIT, *coded("dx", "year", "band"), *coded("hospital", "sex", kind=ColumnType.TEXT), COST),
        ),
    )
)
JOINED: Final = "encounter e JOIN person p USING (person_id)"
QUESTIONS: Final = {
    "by diagnosis (500 cells)": ("dx", "encounter", ""),
    "by hospital, year, sex (400)": ("hospital, year, sex", "encounter", ""),
    "by sex, age band (20)": ("sex, band", "encounter", ""),
    "joined: region, deprivation (60)": ("p.region, p.deprivation", JOINED, ""),
    "joined: three keys (1,200)": ("p.region, p.deprivation, e.hospital", JOINED, ""),
    "filtered: one diagnosis": ("hospital, year, sex", "encounter", " WHERE dx = 20"),
    "filtered: diagnosis and years": ("sex, band", "encounter", " WHERE dx = 20 AND year >= 2020"),
}
EFFECTS: Final = (
    "SELECT dx, count(DISTINCT person_id) AS n FROM encounter WHERE hospital <> 'H03' AND year >= 2018 AND year < 2021 "
    "AND (band = 2 OR hospital = 'H01') GROUP BY dx"
)


def made() -> Mapping[str, pa.Table]:
    """Encounters and persons, as the prototypes' generator makes them."""
    chance = np.random.default_rng(7)
    weights = chance.lognormal(0, 0.9, PERSONS)
    counts = 1 + chance.multinomial(ROWS - PERSONS, weights / weights.sum())
    person = np.repeat(np.arange(PERSONS, dtype=np.int64), counts)
    home, sex, birth = (chance.integers(low, high, PERSONS) for low, high in ((0, 20), (0, 2), (1925, 2015)))
    hospital = np.where(chance.random(ROWS) < 0.8, home[person], chance.integers(0, 20, ROWS))
    year = 2015 + chance.integers(0, 10, ROWS)
    frequency = 1 / np.arange(1, 501) ** 1.05
    order = chance.permutation(ROWS)
    encounter = {
        "person_id": person,
        "dx": chance.choice(500, ROWS, p=frequency / frequency.sum()),
        "year": year,
        "band": np.clip(year - birth[person], 0, 99) // 10,
        "hospital": np.array([f"H{place:02}" for place in range(20)])[hospital],
        "sex": np.array(["F", "M"])[sex[person]],
        "cost": np.round(chance.lognormal(7.5, 1.1, ROWS), 2),
    }
    people_ = {
        "person_id": np.arange(PERSONS),
        "region": chance.integers(0, 12, PERSONS),
        "deprivation": chance.integers(1, 6, PERSONS),
    }
    return {
        "encounter": pa.table({name: values[order] for name, values in encounter.items()}),
        "person": pa.table(people_),
    }


def open_room(folder: Path) -> QueryRoom:
    """A room with generated data, one owner, one thread."""
    room = QueryRoom(folder, threads=1, memory_limit="8GB")
    tables = made()
    for table in CATALOGUE.tables:
        path = folder / f"{table.name}.parquet"
        pq.write_table(tables[table.name], path)
        room.load(table, {PartyId("north"): path})
    room.lock()
    return room


def best(*runs: Callable[[], object]) -> list[float]:
    """The least CPU seconds of each, of all threads, measured in turns."""
    times = [float("inf")] * len(runs)
    for _ in range(REPEATS):
        for place, run in enumerate(runs):
            before = time.process_time()
            run()
            times[place] = min(times[place], time.process_time() - before)
    return times


def peak(run: Callable[[], object]) -> float:
    """Megabytes that a forked copy of this process takes at most while it runs, on top of what it has."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmHWM")
        run()
        os.write(writing, str(_status("VmHWM") - before).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return float(answer.read() or "nan") / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def planned(text: str) -> QueryPlan:
    """The plan of a question that must have one."""
    plan = plan_query(text, CATALOGUE).plan
    if plan is None:
        sys.exit(text)
    return plan


def questions(room: QueryRoom) -> float:
    """The ratios of all questions; the CPU seconds of the first one with its memory."""
    seconds = []
    print(f"{ROWS:,} encounters of {PERSONS:,} persons; best of {REPEATS} in turns; CPU seconds, one core; peak in MB")
    for name, (keys, source, where) in QUESTIONS.items():
        person = "e.person_id" if source == JOINED else "person_id"
        tail = f"FROM {source}{where} GROUP BY {keys}"
        raw = f"SELECT {keys}, count(*) AS n, sum(cost) AS s {tail}"
        distinct = f"SELECT {keys}, count(*) AS n, count(DISTINCT {person}) AS d, sum(cost) AS s {tail}"
        plan = planned(distinct)

        def protected(plan: QueryPlan = plan) -> object:
            return assess(room.cells(plan), plan.shape, PROFILE)

        def remembered(plan: QueryPlan = plan) -> object:
            cells, behind = room.cells_and_contributors(plan, least=PROFILE.threshold, needs=PROFILE.needs)
            return assess(cells, plan.shape, PROFILE), behind.unseal()

        def engine(text: str) -> Callable[[], object]:
            return lambda: room.statement(text).unseal().num_rows

        plain, counting, ours, whole = best(engine(raw), engine(distinct), protected, remembered)
        seconds.append(whole)
        cells = sum(len(rows) for rows in room.cells(plan).unseal().branches)
        print(
            f"{name:33} cells {cells:5}  raw {plain:6.3f}  count(DISTINCT) {counting:6.3f}  protected {ours:6.3f}"
            f"  ratio {ours / counting:5.2f} (to raw {ours / plain:6.2f})  with memory {whole:6.3f}"
            f"  ratio {whole / counting:5.2f}"
            f"  peak {peak(protected):4.0f}, memory {peak(remembered):4.0f}, DISTINCT {peak(engine(distinct)):4.0f}",
            flush=True,
        )
    return seconds[0]


def effects(room: QueryRoom) -> None:
    """How much the test for conditions of low effect costs."""
    plan = planned(EFFECTS)
    (grouping,) = plan.groupings
    cells = frozenset(row.keys for row in room.cells(plan).unseal().branches[0] if row.persons >= PROFILE.threshold)
    protected, tested, counted = best(
        lambda: room.cells(plan).unseal(),
        lambda: room._effects(grouping, cells, enough=PROFILE.needs.effect),  # noqa: SLF001 - a part of the work alone
        lambda: room.effects(plan).unseal(),
    )
    print(
        f"effects of {len(variants(grouping))} conditions {tested:6.3f}  ratio to the protected question "
        f"{tested / protected:5.2f}  (counted out {counted:6.3f}, ratio {counted / protected:5.2f})"
    )


def analysis() -> None:
    """How long it takes to parse, bind, check and rewrite the ordinary queries: the 95th percentile of all runs."""
    shared = Path(__file__).parents[1] / os.environ.get("ASEPSIS_SHARED", "../shared") / "attacks"
    if not (shared / "ordinary_queries.yaml").is_file():
        print("analysis: the ordinary queries are not here; set ASEPSIS_SHARED")
        return
    texts = yaml.safe_load((shared / "ordinary_queries.yaml").read_text())
    schema = yaml.safe_load((shared / "disclosure.yaml").read_text())["schema"]
    kinds = {"_date": ColumnType.DATE, "_source_value": ColumnType.TEXT, "value_as_number": ColumnType.NUMBER}
    catalogue = omop_catalogue(
        {
            table: [
                (name, next((kind for end, kind in kinds.items() if name.endswith(end)), ColumnType.INTEGER))
                for name in names
            ]
            for table, names in schema.items()
        }
    )
    times = []
    for text in texts * REPEATS:
        before = time.process_time()
        planned = plan_query(text, catalogue)
        times.append(time.process_time() - before)
        if planned.plan is None:
            sys.exit(text)
    ordered = sorted(times)
    print(
        f"analysis of {len(texts)} ordinary queries: median {statistics.median(times) * 1000:.1f} ms, "
        f"p95 {ordered[int(0.95 * len(ordered))] * 1000:.1f} ms, most {ordered[-1] * 1000:.1f} ms (target: p95 50 ms)"
    )


def memory() -> None:
    """Comparing with earlier cells, linear programs, bytes."""
    persons, earlier = 100_000, 5_000
    chance = np.random.default_rng(1)
    shares = chance.uniform(0.001, 0.4, earlier + 40)
    cells = [
        shown(f"cell {place}", np.flatnonzero(chance.random(persons) < share)) for place, share in enumerate(shares)
    ]
    memory = Memory(key=bytes(32), tokens=np.arange(persons, dtype=np.uint64), shown=tuple(cells[:earlier]))
    new = [Candidate(shown=one, table=0, plain=True, effect=None) for one in cells[earlier:]]
    ready = Index(memory.shown)
    index, pairs = best(
        lambda: Index(memory.shown),
        lambda: [one.shown.persons.apart(near.persons) for one in new for near in ready.near(one.shown, 14)],
    )
    print(
        f"a table of 40 cells against {earlier} earlier ones of {persons} persons: index {index * 1000:.1f} ms, "
        f"pairs of nearly equal size {pairs * 1000:.1f} ms"
    )
    before = time.process_time()
    held(new, memory, threshold=10, width=4)
    middle = time.process_time()
    size = len(to_bytes(memory))
    from_bytes(to_bytes(memory))
    after = time.process_time()
    print(f"  with linear programs over groups of 12 overlapping cells: {middle - before:.2f} s")
    print(f"  as bytes {size / 1e6:.0f} MB, written twice and read in {after - middle:.2f} s")


def shown(identity: str, places: NDArray[np.int64]) -> Shown:
    """A released count of these persons."""
    low, high = PROFILE.bounds(PROFILE.round_count(len(places)))
    return Shown(identity=identity, persons=people(places.astype(np.uint32)), low=low, high=high)


def main() -> None:
    """Measure and print."""
    analysis()
    with tempfile.TemporaryDirectory() as folder, open_room(Path(folder)) as room:
        ours = questions(room)
        effects(room)
        print("count and sum by diagnosis with other tools, which add noise:")
        print_peers(Path(folder) / "encounter.parquet", ours)
    memory()


if __name__ == "__main__":
    main()
