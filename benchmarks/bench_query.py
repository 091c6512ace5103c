"""What protection costs: person-cell queries against DuckDB's own count(DISTINCT person), same table and run, one core.

Prints one line per question: CPU seconds of both and their ratio. ``ASEPSIS_BENCH_ROWS`` sets the size
(default 2,000,000). The data are made here: a heavy tail of encounters per person, 500 diagnosis codes with
Zipf-like frequencies.
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import yaml
from numpy.typing import NDArray

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

ROWS = int(os.environ.get("ASEPSIS_BENCH_ROWS", "2000000"))
PERSONS = max(1, ROWS // 10)
REPEATS = 5
CODED = frozenset({Use.COMPARE, Use.GROUP})
UNIT = Column(name="person_id", type=ColumnType.INTEGER, uses=frozenset({Use.UNIT}))


PROFILE = profile_named("strict-10")
ACROSS = {
    "by diagnosis (500 cells)": "SELECT dx, count(DISTINCT person_id) AS n FROM encounter GROUP BY dx",
    "by hospital and year (200)": "SELECT hospital, year, count(DISTINCT person_id) AS n FROM encounter GROUP BY 1, 2",
    "four conditions": (
        "SELECT dx, count(DISTINCT person_id) AS n FROM encounter WHERE hospital <> 3 AND year >= 2018 AND year < 2021 "
        "AND (band = 2 OR hospital = 1) GROUP BY dx"
    ),
}


def coded(*names: str) -> tuple[Column, ...]:
    """Coded columns of those names."""
    return tuple(Column(name=name, type=ColumnType.INTEGER, uses=CODED) for name in names)


COST = Column(name="cost", type=ColumnType.NUMBER, uses=frozenset({Use.AGGREGATE}))
CATALOGUE = Catalogue(
    tables=(
        Table(name="person", columns=(UNIT, *coded("sex", "region", "deprivation")), one_per_person=True),
        Table(name="encounter", columns=(UNIT, *coded("dx", "hospital", "year", "band"), COST)),
    )
)
ENCOUNTERS = """
    SELECT CAST(floor({persons} * pow(random(), 1.8)) AS BIGINT) AS person_id,
           CAST(floor(pow(500, random())) AS BIGINT) AS dx, CAST(floor(20 * random()) AS BIGINT) AS hospital,
           2015 + CAST(floor(10 * random()) AS BIGINT) AS year, CAST(floor(10 * random()) AS BIGINT) AS band,
           round(exp(7.5 + 1.1 * (random() + random() + random() - 1.5)), 2) AS cost
    FROM range({rows})
"""
PEOPLE = """
    SELECT range AS person_id, CAST(floor(2 * random()) AS BIGINT) AS sex,
           CAST(floor(12 * random()) AS BIGINT) AS region,
           1 + CAST(floor(5 * random()) AS BIGINT) AS deprivation
    FROM range({persons})
"""
QUESTIONS = {
    "by diagnosis (500 cells)": ("dx", "encounter", ""),
    "by hospital and year (200)": ("hospital, year", "encounter", ""),
    "by age band (10)": ("band", "encounter", ""),
    "joined: region, deprivation (60)": ("p.region, p.deprivation", "encounter e JOIN person p USING (person_id)", ""),
    "filtered: one diagnosis": ("band", "encounter", " WHERE dx = 20"),
}


def cpu(run: Callable[[], object]) -> float:
    """The median CPU time of a few runs, in seconds, of all threads."""
    times = []
    for _ in range(REPEATS):
        before = time.process_time()
        run()
        times.append(time.process_time() - before)
    return statistics.median(times)


def open_room(folder: Path) -> QueryRoom:
    """A room with generated data, one owner, one thread."""
    makers = {"person": PEOPLE, "encounter": ENCOUNTERS}
    room = QueryRoom(folder, threads=1, memory_limit="6GB")
    for table in CATALOGUE.tables:
        path = folder / f"{table.name}.parquet"
        source = makers[table.name].format(persons=PERSONS, rows=ROWS)
        with duckdb.connect() as connection:
            connection.execute("SELECT setseed(0.5)")
            connection.execute(f"COPY ({source}) TO '{path}' (FORMAT parquet)")
        room.load(table, {PartyId("north"): path})
    room.lock()
    return room


def across_queries(room: QueryRoom) -> None:
    """What is asked beyond one question: persons behind cells, effects of conditions, memory, linear programs."""
    print("across questions (baseline: the protected question itself)")
    for name, text in ACROSS.items():
        plan = plan_query(text, CATALOGUE).plan
        if plan is None:
            raise SystemExit(name)
        protected = cpu(lambda plan=plan: room.cells(plan).unseal())
        behind = cpu(lambda plan=plan: room.contributors(plan, least=10).unseal())
        effects = cpu(lambda plan=plan: room.effects(plan).unseal())
        tested = sum(len(variants(grouping)) for grouping in plan.groupings)
        print(
            f"{name:34} cells {protected:6.3f}  persons behind {behind - effects:6.3f}"
            f"  ratio {(behind - effects) / protected:5.2f}"
            f"  effects of {tested} conditions {effects:6.3f}  ratio {effects / protected:5.2f}"
        )
    persons, earlier = 100_000, 5_000
    chance = np.random.default_rng(1)
    shares = chance.uniform(0.001, 0.4, earlier + 40)
    cells = [
        shown(f"cell {place}", np.flatnonzero(chance.random(persons) < share)) for place, share in enumerate(shares)
    ]
    memory = Memory(key=bytes(32), tokens=np.arange(persons, dtype=np.uint64), shown=tuple(cells[:earlier]))
    new = [Candidate(shown=one, table=0, plain=True, effect=None) for one in cells[earlier:]]
    index = cpu(lambda: Index(memory.shown))
    ready = Index(memory.shown)
    pairs = cpu(lambda: [one.shown.persons.apart(near.persons) for one in new for near in ready.near(one.shown, 14)])
    whole = cpu(lambda: held(new, memory, threshold=10, width=4))
    print(
        f"a table of 40 cells against {earlier} earlier ones of {persons} persons: index {index * 1000:.1f} ms, "
        f"pairs of nearly equal size {pairs * 1000:.1f} ms"
    )
    print(f"  with linear programs over groups of 12 overlapping cells: {whole:.2f} s")
    size = len(to_bytes(memory))
    print(f"  as bytes {size / 1e6:.0f} MB, written and read in {cpu(lambda: from_bytes(to_bytes(memory))):.2f} s")


def shown(identity: str, places: NDArray[np.int64]) -> Shown:
    """A released count of these persons."""
    low, high = PROFILE.bounds(PROFILE.round_count(len(places)))
    return Shown(identity=identity, persons=people(places.astype(np.uint32)), low=low, high=high)


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
            raise SystemExit(text)
    ordered = sorted(times)
    print(
        f"analysis of {len(texts)} ordinary queries: median {statistics.median(times) * 1000:.1f} ms, "
        f"p95 {ordered[int(0.95 * len(ordered))] * 1000:.1f} ms, most {ordered[-1] * 1000:.1f} ms (target: p95 50 ms)"
    )


def main() -> None:
    """Measure and print."""
    analysis()
    profile = profile_named("strict-10")
    with tempfile.TemporaryDirectory() as folder, open_room(Path(folder)) as room:
        print(f"{ROWS} encounters of {PERSONS} persons; medians of {REPEATS}; CPU seconds on one core")
        for name, (keys, source, where) in QUESTIONS.items():
            person = "e.person_id" if " e " in source else "person_id"
            tail = f"FROM {source}{where} GROUP BY {keys}"
            raw = f"SELECT {keys}, count(*) AS n, sum(cost) AS s {tail}"
            distinct = f"SELECT {keys}, count(*) AS n, count(DISTINCT {person}) AS d, sum(cost) AS s {tail}"
            start = time.process_time()
            plan = plan_query(distinct, CATALOGUE).plan
            planning = time.process_time() - start
            if plan is None:
                raise SystemExit(name)
            protected = cpu(lambda plan=plan: assess(room.cells(plan), plan.shape, profile))
            baseline = cpu(lambda text=distinct: room.statement(text).unseal().num_rows)
            plain = cpu(lambda text=raw: room.statement(text).unseal().num_rows)
            print(
                f"{name:34} protected {protected:6.3f}  count(DISTINCT) {baseline:6.3f}"
                f"  ratio {protected / baseline:5.2f}"
                f"  raw {plain:6.3f}  ratio {protected / plain:6.2f}  planning {planning * 1000:5.1f} ms"
            )
        across_queries(room)
        print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
