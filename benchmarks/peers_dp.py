"""What other tools for differential privacy need for the question of ``bench_dp``: CPU seconds, children included.

Run in an environment of its own; imports nothing of Asepsis. Arguments: the Parquet file, and our CPU seconds for it.
Tools that read Python rows get the first million only, and their time is scaled up. Nothing is tuned: 8 groups and 3
records in each for every person, as their guides do.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

ROWS = 1_000_000
NEEDS = {"opendp.prelude": "polars", "pipeline_dp": "pyarrow.parquet", "snsql": "pandas"}
GROUPS, RECORDS, HIGH, DIAGNOSES = 8, 3, 20_000.0, 500


def main() -> None:
    """Measure what is installed."""
    path, ours = sys.argv[1], float(sys.argv[2])
    measure("opendp.prelude", "Polars, all rows", lambda: opendp(path), ours=ours)
    measure("pipeline_dp", "local, a million rows", lambda: pipeline_dp(path), ours=ours)
    measure("snsql", "pandas, a million rows", lambda: smartnoise(path), ours=ours)


def measure(module: str, what: str, call: Callable[[], float], *, ours: float) -> None:
    """Print CPU seconds, scaled to all rows, and the ratio to ours."""
    try:
        importlib.import_module(module)  # its own import is not what is measured
        importlib.import_module(NEEDS[module])
    except ImportError:
        print(f"{module:14} is not installed in {sys.prefix}")
        return
    start = _spent()
    try:
        scale = call()
    except Exception as error:  # noqa: BLE001 - a peer may fail in its own ways
        print(f"{module:14} {what}: stopped with {type(error).__name__}")
        return
    spent = (_spent() - start) * scale
    print(f"{module:14} {what}: {spent:7.1f} s CPU, ratio to ours {spent / ours:6.1f}", flush=True)


def _spent() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def opendp(path: str) -> float:
    """Count and sum with truncation by person, public keys, the rho of (1, 1e-7)."""
    import opendp.prelude as dp  # noqa: PLC0415 - a peer that may be absent
    import polars as pl  # noqa: PLC0415 - a peer that may be absent

    dp.enable_features("contrib")
    context = dp.Context.compositor(
        data=pl.scan_parquet(path).select("person_id", "dx", "cost"),
        privacy_unit=dp.unit_of(contributions=1, identifier="person_id"),
        privacy_loss=dp.loss_of(rho=0.020187),
        split_evenly_over=1,
        margins=[dp.polars.Margin(by=["dx"], max_length=10_000_000, max_groups=DIAGNOSES)],
    )
    query = (
        context.query()
        .truncate_per_group(RECORDS, by=["dx"])
        .truncate_num_groups(GROUPS, by=["dx"], keep="first")
        .group_by("dx")
        .agg(dp.len(), pl.col("cost").fill_null(0.0).dp.sum((0.0, HIGH)))
        .with_keys(pl.LazyFrame({"dx": list(range(DIAGNOSES))}, schema={"dx": pl.Int64}))
    )
    query.release().collect()
    return 1


def pipeline_dp(path: str) -> float:
    """Count and sum in local Python, public partitions, (1, 1e-7)."""
    import pipeline_dp as pipeline  # noqa: PLC0415 - a peer that may be absent
    import pyarrow.parquet as pq  # noqa: PLC0415 - a peer that may be absent

    rows = _first(pq.read_table(path))
    accountant = pipeline.NaiveBudgetAccountant(total_epsilon=1, total_delta=1e-7)
    engine = pipeline.DPEngine(accountant, pipeline.LocalBackend())
    parameters = pipeline.AggregateParams(
        noise_kind=pipeline.NoiseKind.GAUSSIAN,
        metrics=[pipeline.Metrics.COUNT, pipeline.Metrics.SUM],
        max_partitions_contributed=GROUPS,
        max_contributions_per_partition=RECORDS,
        min_value=0,
        max_value=HIGH,
    )
    extractors = pipeline.DataExtractors(
        privacy_id_extractor=lambda row: row[0],
        partition_extractor=lambda row: row[1],
        value_extractor=lambda row: row[2],
    )
    found = engine.aggregate(rows, parameters, extractors, public_partitions=list(range(DIAGNOSES)))
    accountant.compute_budgets()
    list(found)
    return parts(path)


def smartnoise(path: str) -> float:
    """Count and sum through SmartNoise SQL over pandas; its epsilon is for each column."""
    import pandas as pd  # noqa: PLC0415 - a peer that may be absent
    import snsql  # noqa: PLC0415 - a peer that may be absent

    columns = {
        "person_id": {"type": "int", "private_id": True},
        "dx": {"type": "int"},
        "cost": {"type": "float", "lower": 0.0, "upper": HIGH},
    }
    meta = {"": {"d": {"t": {"max_ids": GROUPS, "rows": ROWS, **columns}}}}
    reader = snsql.from_df(
        pd.read_parquet(path).head(ROWS), privacy=snsql.Privacy(epsilon=1.0, delta=1e-7), metadata=meta
    )
    reader.execute("SELECT dx, COUNT(*) AS n, SUM(cost) AS s FROM d.t GROUP BY dx")
    return parts(path)


def parts(path: str) -> float:
    """How many times the file has the rows that a tool for Python rows gets."""
    parquet = importlib.import_module("pyarrow.parquet")
    return max(1.0, parquet.ParquetFile(path).metadata.num_rows / ROWS)


def _first(table: Any) -> list[tuple[int, int, float]]:
    part = table.slice(0, ROWS)
    return list(zip(*(part.column(name).to_pylist() for name in ("person_id", "dx", "cost")), strict=True))


if __name__ == "__main__":
    main()
