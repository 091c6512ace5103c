"""What differential privacy costs: noisy count and sum by 500 diagnoses, against DuckDB's own count(DISTINCT person).

One core, same clustered table, CPU seconds, best of alternating runs. ``ASEPSIS_BENCH_ROWS`` sets the size (default
10,000,000 rows of a tenth as many persons, a heavy tail of records per person, Zipf-like diagnoses). Beside it: a cap
on records and groups by row_number, as other tools do it, and, where ``ASEPSIS_DP_PEERS`` names a Python of its own,
what other tools need (``peers_dp.py``).
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_query import peak
from peers import print_peers

from asepsis.disclosure.dp import bounds
from asepsis.disclosure.dp.bounds import buy_norms
from asepsis.disclosure.dp.noise import Bits, discrete_gaussian
from asepsis.disclosure.dp.release import release_noisy
from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Table, Use
from asepsis.domain.names import PartyId
from asepsis.domain.privacy import Bound, Loss, Privacy, Purchase
from asepsis.engines.query.room import QueryRoom
from asepsis.sql import plan_query
from asepsis.sql.private import PrivatePlan, plan_private, with_norms

ROWS = int(os.environ.get("ASEPSIS_BENCH_ROWS", "10000000"))
PERSONS = max(1, ROWS // 10)
DIAGNOSES = 500
REPEATS = 3
TABLE = Table(
    name="encounter",
    columns=(
        Column(name="person_id", type=ColumnType.INTEGER, uses=frozenset({Use.UNIT})),
        Column(name="dx", type=ColumnType.INTEGER, uses=frozenset({Use.COMPARE, Use.GROUP})),
        Column(name="cost", type=ColumnType.NUMBER, uses=frozenset({Use.AGGREGATE})),
    ),
)
CATALOGUE = Catalogue(tables=(TABLE,))
# (1, 1e-7) as zCDP; bounds as somebody would write who knows that people see a doctor a few times a year.
PRIVACY = Privacy(
    budget=Loss(micro_rho=1_000_000, pico_delta=200_000),
    question=Loss(micro_rho=20_187, pico_delta=0),
    records=16,
    cells=16,
    bounds={("encounter", "cost"): Bound(low=0, high=20_000, norm=80_000)},
    domains={("encounter", "dx"): tuple(range(DIAGNOSES))},
    purchase=Purchase(micro_rho=2_019, most=1_024),
)
QUESTION = "SELECT dx, count(*) AS n, sum(cost) AS s FROM encounter GROUP BY dx"
RAW = "SELECT dx, count(*), sum(cost) FROM encounter GROUP BY dx"
DISTINCT = "SELECT dx, count(*), count(DISTINCT person_id), sum(cost) FROM encounter GROUP BY dx"
CAPPED = """
    WITH person_cell AS (
        SELECT person_id, dx, least(count(*), 3) AS n, least(sum(least(cost, 20000)), 60000) AS s
        FROM encounter GROUP BY ALL
    )
    SELECT dx, sum(n), sum(s)
    FROM (SELECT *, row_number() OVER (PARTITION BY person_id ORDER BY hash(dx, person_id, 42)) AS place
          FROM person_cell)
    WHERE place <= 8 GROUP BY dx
"""


def make(path: Path) -> None:
    """Encounters: every person has one at least, a few have hundreds."""
    chance = np.random.default_rng(7)
    weights = chance.lognormal(0, 0.9, PERSONS)
    each = 1 + chance.multinomial(ROWS - PERSONS, weights / weights.sum())
    shares = 1 / np.arange(1, DIAGNOSES + 1) ** 1.05
    table = pa.table(
        {
            "person_id": np.repeat(np.arange(1, PERSONS + 1, dtype=np.int64), each),
            "dx": np.searchsorted(np.cumsum(shares / shares.sum()), chance.random(ROWS)).clip(0, DIAGNOSES - 1),
            "cost": np.round(chance.lognormal(7.5, 1.1, ROWS), 2),
        }
    )
    pq.write_table(table, path, compression="zstd", row_group_size=500_000)


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of one run, of all threads."""
    before = time.process_time()
    run()
    return time.process_time() - before


def best(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The least CPU time of each, in alternating runs."""
    found: dict[str, float] = {}
    for _ in range(REPEATS):
        for name, run in runs.items():
            found[name] = min(found.get(name, float("inf")), cpu(run))
    return found


def noisy(room: QueryRoom, plan: PrivatePlan) -> list[tuple[object, ...]]:
    """One answer with noise."""
    released = release_noisy(room.vectors(plan), plan.shape, PRIVACY, bits=Bits(secrets.token_bytes)).use()
    return list(released.rows)


def bought(room: QueryRoom, plan: PrivatePlan) -> tuple[list[tuple[object, ...]], str]:
    """One answer with noise whose bounds are bought, for a tenth of its cost on top; and what was bought."""
    bits = Bits(secrets.token_bytes)
    norms = buy_norms(room.lengths(plan), plan.shape, PRIVACY, bits=bits)
    bounded, word = with_norms(plan, norms), bounds.bought(plan.shape, norms)
    released = release_noisy(room.vectors(bounded), bounded.shape, PRIVACY, bits=bits, bounds=word).use()
    return list(released.rows), word.reason


def errors(rows: list[tuple[object, ...]], exact: dict[int, tuple[float, float]]) -> str:
    """The relative errors of counts and sums over all cells."""
    counts = [abs(float(str(n)) - exact[int(str(dx))][0]) / exact[int(str(dx))][0] for dx, n, _ in rows]
    totals = [abs(float(str(s)) - exact[int(str(dx))][1]) / exact[int(str(dx))][1] for dx, _, s in rows]
    return (
        f"median error of counts {np.median(counts):.2%} (p90 {np.quantile(counts, 0.9):.2%}), "
        f"of sums {np.median(totals):.2%}"
    )


def main() -> None:
    """Print every ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encounter.parquet"
        make(path)
        planned = plan_query(QUESTION, CATALOGUE).plan
        private = None if planned is None else plan_private(planned, PRIVACY, CATALOGUE).plan
        buying = None if planned is None else plan_private(planned, PRIVACY, CATALOGUE, buys=True).plan
        if private is None or buying is None:
            raise SystemExit(QUESTION)
        with QueryRoom(Path(folder), threads=1, memory_limit="4GB", seconds=600) as room:
            room.load(TABLE, {PartyId("north"): path})
            room.lock()
            rows, (unpeeked, word) = noisy(room, private), bought(room, buying)
            print(f"{ROWS:,} records of {PERSONS:,} persons, {DIAGNOSES} groups, one core, CPU seconds")
            found = best(
                {
                    "raw": lambda: room.statement(RAW),
                    "distinct": lambda: room.statement(DISTINCT),
                    "noisy": lambda: noisy(room, private),
                    "bought": lambda: bought(room, buying),
                    "capped": lambda: room.statement(CAPPED),
                }
            )
            peaks = {
                "noisy": peak(lambda: noisy(room, private)),
                "bought": peak(lambda: bought(room, buying)),
                "distinct": peak(lambda: room.statement(DISTINCT)),
            }
        exact = {dx: (n, s) for dx, n, s in duckdb.sql(RAW.replace("encounter", f"'{path}'")).fetchall()}
        print(f"raw count and sum           {found['raw']:6.2f} s")
        print(f"with count(DISTINCT person) {found['distinct']:6.2f} s")
        print(f"noisy, end to end           {found['noisy']:6.2f} s  ratio {found['noisy'] / found['distinct']:5.2f}")
        print(
            f"row_number cap              {found['capped']:6.2f} s  "
            f"ratio to noisy {found['capped'] / found['noisy']:5.2f}"
        )
        print(f"with bounds that it buys    {found['bought']:6.2f} s  ratio {found['bought'] / found['distinct']:5.2f}")
        print("peak over the table, MB:   ", ", ".join(f"{name} {size:.0f}" for name, size in peaks.items()))
        print("at (1, 1e-7) in all:", errors(rows, exact))
        print("with bounds that were bought:", errors(unpeeked, exact))
        print(f"    {word}")
        print_peers(path, found["noisy"])
    sample = Bits(secrets.token_bytes)
    spent = min(cpu(lambda: [discrete_gaussian(sample, numerator=10**12) for _ in range(5000)]) for _ in range(REPEATS))
    print(f"noise {spent / 5000 * 1e6:.1f} microseconds per cell")


if __name__ == "__main__":
    main()
