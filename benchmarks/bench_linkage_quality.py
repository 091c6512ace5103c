"""How well linkage finds persons, by tokens and in clear, on sets with known truth: one table, with the lines to reach.

Run: python benchmarks/bench_linkage_quality.py [RECORDS_PER_HOUSEHOLD_LIST] [WORD ...]. Words choose sets by their
names. *raw* links whatever is likely enough; *one-to-one* is told that each list has everybody once. Where the sets
come from: ``linkage_sets.py``; nothing is tuned on the censuses. A ``!`` marks what misses its line, at four decimals.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from linkage_sets import LinkageSet, pairs, sets

from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.linkage.key import LinkKey
from asepsis.linkage.tokens import tokenise

RECORDS = 20_000
MODES = (LinkMode.SEALED, LinkMode.KEYED)
WITHIN, CALIBRATED, TWINS = 0.003, 0.01, 0.02
"""Lines: keyed F1 below that in clear, estimated precision beside the true one, twins linked."""


def main() -> None:
    """Print the table."""
    records = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else RECORDS
    words = [word for word in sys.argv[1:] if not word.isdigit()]
    for chosen in sets(records):
        if all(word in chosen.name for word in words):
            print(
                f"{chosen.name}: {' x '.join(str(len(each)) for each in chosen.lists.values())} records, "
                f"{len(chosen.truth)} pairs",
                flush=True,
            )
            ways = {"raw": chosen.raw} | ({} if chosen.one_to_one is None else {"one-to-one": chosen.one_to_one})
            for way, line in ways.items():
                clear, tokens = (measure(chosen, way, mode, line) for mode in MODES)
                below = clear - tokens
                print(f"  {way}, keyed below sealed by {below:+.4f}{_mark(below <= WITHIN)}", flush=True)


def measure(chosen: LinkageSet, way: str, mode: LinkMode, line: float) -> float:
    """Link once and print one line; the F1."""
    key = LinkKey(secret=secrets.token_bytes(32), epoch=1)
    tables = {
        owner: tokenise(table, key=key, keep_texts=mode is LinkMode.SEALED) for owner, table in chosen.lists.items()
    }
    engine = Engine(randomness=secrets.token_bytes, threads=2, memory_limit=4 << 30)
    free = frozenset[PartyId](chosen.lists) if way == "one-to-one" else frozenset[PartyId]()
    options = LinkOptions(mode=mode, duplicate_free=free, may_be_one=len(chosen.lists) == 1)
    start = time.process_time()
    with tempfile.TemporaryDirectory(prefix="asepsis-bench-") as name:
        output = Path(name) / "map.parquet"
        report = link_tokens(tables, output=output, options=options, engine=engine)
        linked = pq.read_table(output, columns=["owner", "person_id", "link_id"]).to_pydict()
    seconds = time.process_time() - start
    members = zip(linked["owner"], linked["person_id"], strict=True)
    found = pairs(zip(members, linked["link_id"], strict=True))
    if len(chosen.lists) > 1:
        found = frozenset(pair for pair in found if pair[0][0] != pair[1][0])
    true = len(found & chosen.truth)
    precision, recall = true / max(1, len(found)), true / len(chosen.truth)
    f1 = 2 * true / (len(found) + len(chosen.truth))
    estimated = report.precision or 0.0
    print(
        f"  {way:10} {mode.value:6} P {precision:.4f} R {recall:.4f} F1 {f1:.4f}{_mark(round(f1, 4) >= line)} "
        f"(line {line:.4f})  "
        f"missed {len(chosen.truth) - true:5} false {len(found) - true:4}  estimated P {estimated:.4f}"
        f"{_mark(abs(estimated - precision) <= CALIBRATED)}{_twins(chosen, found)}  {seconds:.1f} CPU s",
        flush=True,
    )
    return f1


def _twins(chosen: LinkageSet, found: frozenset[object]) -> str:
    if not chosen.twins:
        return ""
    linked = len(chosen.twins & found)
    return f"  twins linked {linked} of {len(chosen.twins)}{_mark(linked <= TWINS * len(chosen.twins))}"


def _mark(is_met: bool) -> str:  # noqa: FBT001 - what is marked
    return "  " if is_met else " !"


if __name__ == "__main__":
    main()
