"""Protected TPC-H questions against the raw ones on the same engine and tables, one core.

The privacy unit is the customer. The rows are made here with the distributions of the specification (TPC-H 3.0.1, §4.2)
that these questions see; ``ASEPSIS_BENCH_SCALE`` is the scale factor (default 0.1: 600,000 lines). The questions are
adapted to what a room holds, and both sides run the adapted ones on the same tables:

- A line carries its customer and the date of its order, as contributed records do; there is no join by order number.
- ``extendedprice * (1 - discount)`` and the like are registered columns, made when the data were contributed; so are
  the discount in percent and whether a part's type begins with PROMO. Parts, suppliers, nations, regions are public.
- Ranges of dates are whole months (Q1: shipped until the end of August 1998, not until 2 September).

Beside each ratio stands the published one of the DuckDB extension of cwida/privacy (DP-Bounded, scale factor 30; its
``benchmark/results/paper/dp_tpch_runtime_figure.csv``): another machine, scale and protection, so a mark and no race.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb

from asepsis.disclosure.gate import assess
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Table, Use
from asepsis.domain.names import PartyId
from asepsis.engines.query.room import QueryRoom
from asepsis.sql import plan_query
from asepsis.sql.plan import QueryPlan

SCALE: Final = float(os.environ.get("ASEPSIS_BENCH_SCALE", "0.1"))
REPEATS: Final = 5
PROFILE: Final = profile_named("strict-10")
CODED: Final = frozenset({Use.COMPARE, Use.GROUP})


def coded(*names: str, kind: ColumnType = ColumnType.INTEGER) -> tuple[Column, ...]:
    """Coded columns of those names."""
    return tuple(Column(name=name, type=kind, uses=CODED) for name in names)


def numbers(*names: str) -> tuple[Column, ...]:
    """Columns of amounts."""
    return tuple(Column(name=name, type=ColumnType.NUMBER, uses=frozenset({Use.AGGREGATE})) for name in names)


def unit(name: str) -> tuple[Column, ...]:
    """The customer."""
    return (Column(name=name, type=ColumnType.INTEGER, uses=frozenset({Use.UNIT})),)


def dated(*names: str) -> tuple[Column, ...]:
    """Columns of dates."""
    return tuple(Column(name=name, type=ColumnType.DATE, uses=frozenset({Use.DATE})) for name in names)


QUANTITY: Final = Column(
    name="l_quantity", type=ColumnType.INTEGER, uses=frozenset({Use.COMPARE, Use.GROUP, Use.AGGREGATE})
)
TEXT: Final = ColumnType.TEXT
CATALOGUE: Final = Catalogue(
    tables=(
        Table(name="customer", columns=(*unit("c_custkey"), *coded("c_nationkey")), one_per_person=True),
        Table(
            name="lineitem",
            columns=(
                *unit("l_custkey"),
                *coded("l_partkey", "l_suppkey", "l_percent"),
                *coded("l_returnflag", "l_linestatus", "l_shipmode", "l_shipinstruct", kind=TEXT),
                *dated("l_shipdate", "o_orderdate"),
                QUANTITY,
                *numbers("l_extendedprice", "l_discount", "l_discounted", "l_charge", "l_saved"),
            ),
        ),
        Table(
            name="part",
            key="p_partkey",
            columns=(*coded("p_partkey", "p_promo", "p_size"), *coded("p_brand", "p_container", kind=TEXT)),
        ),
        Table(name="supplier", key="s_suppkey", columns=coded("s_suppkey", "s_nationkey")),
        Table(
            name="nation",
            key="n_nationkey",
            columns=(*coded("n_nationkey", "n_regionkey"), *coded("n_name", kind=TEXT)),
        ),
        Table(name="region", key="r_regionkey", columns=(*coded("r_regionkey"), *coded("r_name", kind=TEXT))),
    )
)
MADE: Final = {
    "customer": """
        SELECT CAST(range + 1 AS BIGINT) AS c_custkey, CAST(floor(25 * random()) AS BIGINT) AS c_nationkey
        FROM range({customers})""",
    "part": """
        SELECT CAST(range + 1 AS BIGINT) AS p_partkey, CAST(random() < 1 / 6 AS BIGINT) AS p_promo,
               1 + CAST(floor(50 * random()) AS BIGINT) AS p_size,
               'Brand#' || (1 + CAST(floor(5 * random()) AS INTEGER)) || (1 + CAST(floor(5 * random()) AS INTEGER))
                   AS p_brand,
               ['SM', 'LG', 'MED', 'JUMBO', 'WRAP'][1 + CAST(floor(5 * random()) AS INTEGER)] || ' ' ||
               ['CASE', 'BOX', 'BAG', 'JAR', 'PKG', 'PACK', 'CAN', 'DRUM'][1 + CAST(floor(8 * random()) AS INTEGER)]
                   AS p_container
        FROM range({parts})""",
    "supplier": """
        SELECT CAST(range + 1 AS BIGINT) AS s_suppkey, CAST(floor(25 * random()) AS BIGINT) AS s_nationkey
        FROM range({suppliers})""",
    "nation": """
        SELECT CAST(range AS BIGINT) AS n_nationkey, CAST(range % 5 AS BIGINT) AS n_regionkey,
               'NATION ' || range AS n_name
        FROM range(25)""",
    "region": """
        SELECT CAST(range AS BIGINT) AS r_regionkey,
               ['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'][range + 1] AS r_name
        FROM range(5)""",
    # Two customers of three have orders; an order has one to seven lines.
    "lineitem": """
        WITH orders AS (
            SELECT 1 + CAST(floor({customers} / 3 * random()) AS BIGINT) * 3 + CAST(floor(2 * random()) AS BIGINT)
                       AS l_custkey,
                   DATE '1992-01-01' + CAST(floor(2406 * random()) AS INTEGER) AS o_orderdate,
                   1 + CAST(floor(7 * random()) AS INTEGER) AS lines
            FROM range({orders})
        ), drawn AS (
            SELECT l_custkey, o_orderdate, o_orderdate + 1 + CAST(floor(121 * random()) AS INTEGER) AS l_shipdate,
                   1 + CAST(floor(30 * random()) AS INTEGER) AS received,
                   1 + CAST(floor({parts} * random()) AS BIGINT) AS l_partkey,
                   1 + CAST(floor({suppliers} * random()) AS BIGINT) AS l_suppkey,
                   1 + CAST(floor(50 * random()) AS BIGINT) AS l_quantity,
                   CAST(floor(11 * random()) AS BIGINT) AS l_percent, floor(9 * random()) / 100 AS tax,
                   floor(2 * random()) AS returned,
                   ['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'][1 + CAST(floor(7 * random()) AS INTEGER)]
                       AS l_shipmode,
                   ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'][
                       1 + CAST(floor(4 * random()) AS INTEGER)] AS l_shipinstruct
            FROM (SELECT l_custkey, o_orderdate, unnest(range(lines)) FROM orders)
        ), priced AS (
            SELECT *, l_percent / 100 AS l_discount,
                   l_quantity * (90000 + (l_partkey // 10) % 20001 + 100 * (l_partkey % 1000)) / 100 AS l_extendedprice
            FROM drawn
        )
        SELECT l_custkey, o_orderdate, l_shipdate, l_partkey, l_suppkey, l_quantity, l_percent, l_shipmode,
               l_shipinstruct, l_discount, l_extendedprice, l_extendedprice * (1 - l_discount) AS l_discounted,
               l_extendedprice * (1 - l_discount) * (1 + tax) AS l_charge, l_extendedprice * l_discount AS l_saved,
               CASE WHEN l_shipdate + received > DATE '1995-06-17' THEN 'N' WHEN returned = 0 THEN 'R' ELSE 'A' END
                   AS l_returnflag,
               CASE WHEN l_shipdate > DATE '1995-06-17' THEN 'O' ELSE 'F' END AS l_linestatus
        FROM priced""",
}
QUESTIONS: Final = {
    "Q1": (
        11.2,
        (
            "SELECT l_returnflag, l_linestatus, sum(l_quantity) AS qty, sum(l_extendedprice) AS base, "
            "sum(l_discounted) AS disc, sum(l_charge) AS charge, avg(l_quantity) AS aq, avg(l_extendedprice) AS ap, "
            "avg(l_discount) AS ad, count(*) AS n FROM lineitem WHERE l_shipdate < DATE '1998-09-01' "
            "GROUP BY l_returnflag, l_linestatus"
        ),
    ),
    "Q5": (
        1.76,
        (
            "SELECT n.n_name, sum(l.l_discounted) AS revenue FROM customer c "
            "JOIN lineitem l ON l.l_custkey = c.c_custkey JOIN supplier s ON s.s_suppkey = l.l_suppkey "
            "JOIN nation n ON n.n_nationkey = s.s_nationkey "
            "JOIN region r ON r.r_regionkey = n.n_regionkey WHERE c.c_nationkey = s.s_nationkey AND r.r_name = 'ASIA' "
            "AND l.o_orderdate >= DATE '1994-01-01' AND l.o_orderdate < DATE '1995-01-01' GROUP BY n.n_name"
        ),
    ),
    "Q6": (
        2.83,
        (
            "SELECT sum(l_saved) AS revenue FROM lineitem WHERE l_shipdate >= DATE '1994-01-01' "
            "AND l_shipdate < DATE '1995-01-01' AND l_percent BETWEEN 5 AND 7 AND l_quantity < 24"
        ),
    ),
    "Q14": (
        3.07,
        (
            "SELECT 100.0 * sum(CASE WHEN p.p_promo = 1 THEN l.l_discounted ELSE 0 END) / sum(l.l_discounted) AS share "
            "FROM lineitem l JOIN part p ON p.p_partkey = l.l_partkey WHERE l.l_shipdate >= DATE '1995-09-01' "
            "AND l.l_shipdate < DATE '1995-10-01'"
        ),
    ),
    "Q19": (
        1.85,
        (
            "SELECT sum(l.l_discounted) AS revenue FROM lineitem l JOIN part p ON p.p_partkey = l.l_partkey "
            "WHERE l.l_shipmode IN ('AIR', 'REG AIR') AND l.l_shipinstruct = 'DELIVER IN PERSON' AND ("
            "(p.p_brand = 'Brand#12' AND p.p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG') "
            "AND l.l_quantity BETWEEN 1 AND 11 AND p.p_size BETWEEN 1 AND 5) OR "
            "(p.p_brand = 'Brand#23' AND p.p_container IN ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK') "
            "AND l.l_quantity BETWEEN 10 AND 20 AND p.p_size BETWEEN 1 AND 10) OR "
            "(p.p_brand = 'Brand#34' AND p.p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG') "
            "AND l.l_quantity BETWEEN 20 AND 30 AND p.p_size BETWEEN 1 AND 15))"
        ),
    ),
}


def open_room(folder: Path) -> QueryRoom:
    """A room with the generated tables, one owner, one thread."""
    sizes = {"customers": 150_000, "orders": 1_500_000, "parts": 200_000, "suppliers": 10_000}
    scaled = {name: max(30, int(size * SCALE)) for name, size in sizes.items()}
    room = QueryRoom(folder, threads=1, memory_limit="8GB")
    for table in CATALOGUE.tables:
        path = folder / f"{table.name}.parquet"
        with duckdb.connect() as connection:
            connection.execute("SELECT setseed(0.5)")
            connection.execute(f"COPY ({MADE[table.name].format(**scaled)}) TO '{path}' (FORMAT parquet)")
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


def planned(text: str) -> QueryPlan:
    """The plan of a question that must have one."""
    found = plan_query(text, CATALOGUE)
    if found.plan is None:
        sys.exit(f"{text}\n{[finding.code for finding in found.findings]}")
    return found.plan


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, open_room(Path(folder)) as room:
        print(f"TPC-H at scale factor {SCALE}; best of {REPEATS} in turns; CPU seconds on one core")
        for name, (published, text) in QUESTIONS.items():
            plan = planned(text)

            def raw(text: str = text) -> object:
                return room.statement(text).unseal().num_rows

            def protected(plan: QueryPlan = plan) -> object:
                return assess(room.cells(plan), plan.shape, PROFILE)

            def remembered(plan: QueryPlan = plan) -> object:
                cells, behind = room.cells_and_contributors(plan, least=PROFILE.threshold, needs=PROFILE.needs)
                return assess(cells, plan.shape, PROFILE), behind.unseal()

            plain, ours, whole = best(raw, protected, remembered)
            print(
                f"{name:4} raw {plain:6.3f}  protected {ours:6.3f}  ratio {ours / plain:5.2f}"
                f"  with the persons behind and effects {whole:6.3f}  ratio {whole / plain:5.2f}"
                f"  published for cwida/privacy {published:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
