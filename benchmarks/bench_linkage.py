"""Times linkage on synthetic hospitals with known truth, by tokens and in clear, beside exact joins on the raw columns.

Run: python benchmarks/bench_linkage.py [RECORDS_PER_OWNER]. Half of each owner's persons are known to the other
(``linkage_synth.py``). Every line prints wall and CPU seconds, precision, recall and F1 of the pairs of two owners, and
the ratio of its wall time to the baseline's. Peers (Splink, recordlinkage) run in an environment of their own, which
``ASEPSIS_LINK_PEERS`` names by its Python (``peers_linkage.py``).
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from linkage_peers import run_peers
from linkage_synth import generate

from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.exact_linking import link_by_rules
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.engines.linkage.sealed_linking import link_sealed
from asepsis.linkage.key import LinkKey
from asepsis.linkage.tokens import TokenTable, tokenise

RECORDS, SEED = 50_000, 7
BASELINE = """
SELECT a.person_id, b.person_id FROM a JOIN b USING (national_id, birth_date_source)
UNION
SELECT a.person_id, b.person_id FROM a JOIN b USING (family_name, given_name, birth_date_source, sex)
"""
Tables = dict[PartyId, pa.Table]
Pairs = Iterable[tuple[int, int]]


def main() -> None:
    """Measure and print."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    made, persons = generate(records, seed=SEED)
    tables = {PartyId(owner): table for owner, table in made.items()}
    truth = _truth(tables, persons)
    engine = Engine(randomness=secrets.token_bytes, threads=min(2, os.cpu_count() or 1), memory_limit=4 << 30)
    key = LinkKey(secret=secrets.token_bytes(32), epoch=1)
    print(f"{records} records of each of two owners, {len(truth)} pairs of one person")
    with tempfile.TemporaryDirectory(prefix="asepsis-bench-") as name:
        output = Path(name) / "map.parquet"
        base = _timed("exact joins (baseline)", lambda: _joins(tables), truth)
        tokens: dict[PartyId, TokenTable] = {}

        def tokenised() -> Pairs:
            tokens.update({owner: tokenise(table, key=key) for owner, table in tables.items()})
            return ()

        def keyed() -> Pairs:
            link_tokens(tokens, output=output, options=LinkOptions(mode=LinkMode.KEYED), engine=engine)
            return _linked(output)

        def sealed() -> Pairs:
            link_sealed(tables, output=output, options=LinkOptions(), engine=engine)
            return _linked(output)

        def ruled() -> Pairs:
            link_by_rules(tokens, profile="cms-style", output=output, options=LinkOptions(), engine=engine)
            return _linked(output)

        for what, run in (
            ("tokens, at the owners", tokenised),
            ("keyed, in the room", keyed),
            ("sealed, tokens and all", sealed),
            ("exact rules, cms-style", ruled),
        ):
            _timed(what, run, truth, base)
    run_peers(tables, truth)


def _timed(what: str, run: Callable[[], Pairs], truth: set[tuple[int, int]], base: float = 0.0) -> float:
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = set(run())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    ratio = f"  {wall / base:7.1f} x the baseline" if base else ""
    print(f"{what:26} {wall:7.2f} s {cpu:7.2f} CPU s  {_quality(pairs, truth)}{ratio}", flush=True)
    return wall


def _quality(pairs: set[tuple[int, int]], truth: set[tuple[int, int]]) -> str:
    if not pairs:
        return " " * 42
    precision, recall = len(pairs & truth) / len(pairs), len(pairs & truth) / len(truth)
    return f"precision {precision:.4f} recall {recall:.4f} F1 {2 * precision * recall / (precision + recall):.4f}"


def _truth(tables: Tables, persons: dict[tuple[str, int], int]) -> set[tuple[int, int]]:
    left, right = sorted(tables)
    known: defaultdict[int, list[int]] = defaultdict(list)
    for (owner, person_id), person in persons.items():
        if owner == left:
            known[person].append(person_id)
    return {
        (mine, person_id) for (owner, person_id), person in persons.items() if owner == right for mine in known[person]
    }


def _joins(tables: Tables) -> Pairs:
    left, right = sorted(tables)
    with duckdb.connect() as connection:
        connection.register("a", tables[left])
        connection.register("b", tables[right])
        return connection.execute(BASELINE).fetchall()


def _linked(output: Path) -> Pairs:
    owners = sorted({*pq.read_table(output, columns=["owner"])["owner"].to_pylist()})
    with duckdb.connect() as connection:
        return connection.execute(
            "SELECT a.person_id, b.person_id FROM read_parquet($1) a JOIN read_parquet($1) b USING (link_id) "
            "WHERE a.owner = $2 AND b.owner = $3",
            [str(output), *owners],
        ).fetchall()


if __name__ == "__main__":
    main()
