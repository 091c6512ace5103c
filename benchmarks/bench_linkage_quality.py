"""How well linkage finds persons, by tokens and in clear, on sets with known truth: one table, with the lines to reach.

Run: python benchmarks/bench_linkage_quality.py [RECORDS_PER_HOUSEHOLD_LIST] [WORD ...]. Words choose sets by their
names, ``-WORD`` those without it. *raw* links whatever is likely enough; *one-to-one* is told that each list has
everybody once. Where the sets come from: ``linkage_sets.py``; nothing is tuned on the censuses. A ``!`` marks what
misses its line, at four decimals. Behind each set of two lists come exact rules and, where ``ASEPSIS_BENCH_PEERS`` is
``splink``, ``recordlinkage`` or both, the other tools of ``peers_linkage.py``, in the same run.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from linkage_peers import run_peers
from linkage_sets import LinkageSet, Pair, pairs, sets

from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.exact_linking import link_by_rules
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.linkage.key import LinkKey
from asepsis.linkage.tokens import tokenise

RECORDS = 20_000
MODES = (LinkMode.SEALED, LinkMode.KEYED)
RULES = ("open-link-token", "cms-style")
WITHIN, CALIBRATED, TWINS = 0.003, 0.01, 0.02
"""Lines: keyed F1 below that in clear, estimated precision beside the true one, twins linked."""
ENGINE = Engine(randomness=secrets.token_bytes, threads=2, memory_limit=4 << 30)


def main() -> None:
    """Print the table."""
    records = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else RECORDS
    words = [word for word in sys.argv[1:] if not word.isdigit()]
    for chosen in sets(records):
        if all((word.removeprefix("-") in chosen.name) is not word.startswith("-") for word in words):
            show(chosen)


def show(chosen: LinkageSet) -> None:
    """Link one set in all ways."""
    size = " x ".join(str(len(each)) for each in chosen.lists.values())
    print(f"{chosen.name}: {size} records, {len(chosen.truth)} pairs", flush=True)
    ways = {"raw": chosen.raw} | ({} if chosen.one_to_one is None else {"one-to-one": chosen.one_to_one})
    for way, line in ways.items():
        clear, tokens = (measure(chosen, way, mode, line) for mode in MODES)
        below = clear - tokens
        print(f"  {way}, keyed below sealed by {below:+.4f}{_mark(below <= WITHIN)}", flush=True)
    if len(chosen.lists) > 1:
        for profile in RULES:
            rules(chosen, profile)
        tools = os.environ.get("ASEPSIS_BENCH_PEERS", "").split()
        if tools:
            run_peers(chosen.lists, [(left[1], right[1]) for left, right in chosen.truth], *tools)


def measure(chosen: LinkageSet, way: str, mode: LinkMode, line: float) -> float:
    """Link once and print one line; the F1."""
    free = frozenset[PartyId](chosen.lists) if way == "one-to-one" else frozenset[PartyId]()
    options = LinkOptions(mode=mode, duplicate_free=free, may_be_one=len(chosen.lists) == 1)
    found, estimated, times = _linked(chosen, mode, partial(link_tokens, options=options, engine=ENGINE))
    precision, f1, quality = _quality(chosen, found)
    print(
        f"  {way:10} {mode.value:6} {quality}{_mark(round(f1, 4) >= line)} (line {line:.4f})  "
        f"missed {len(chosen.truth - found):5} false {len(found - chosen.truth):4}  estimated P {estimated:.4f}"
        f"{_mark(abs(estimated - precision) <= CALIBRATED)}{_twins(chosen, found)}  {times}",
        flush=True,
    )
    return f1


def rules(chosen: LinkageSet, profile: str) -> None:
    """Link once by exact rules and print one line."""
    run = partial(link_by_rules, profile=profile, options=LinkOptions(mode=LinkMode.RULES), engine=ENGINE)
    found, _, times = _linked(chosen, LinkMode.RULES, run)
    print(f"  rules, {profile:18} {_quality(chosen, found)[2]}{_twins(chosen, found)}  {times}", flush=True)


def _linked(chosen: LinkageSet, mode: LinkMode, run: Callable[..., Any]) -> tuple[frozenset[Pair], float, str]:
    """The pairs that a linkage finds, the precision that it estimates, and the time that it takes."""
    key = LinkKey(secret=secrets.token_bytes(32), epoch=1)
    clocks = [_clocks()]
    tables = {
        owner: tokenise(table, key=key, keep_texts=mode is LinkMode.SEALED) for owner, table in chosen.lists.items()
    }
    clocks.append(_clocks())
    with tempfile.TemporaryDirectory(prefix="asepsis-bench-") as name:
        output = Path(name) / "map.parquet"
        report = run(tables, output=output)
        clocks.append(_clocks())
        linked = pq.read_table(output, columns=["owner", "person_id", "link_id"]).to_pydict()
    members = zip(linked["owner"], linked["person_id"], strict=True)
    found = pairs(zip(members, linked["link_id"], strict=True))
    if len(chosen.lists) > 1:
        found = frozenset(pair for pair in found if pair[0][0] != pair[1][0])
    before, between, after = clocks
    times = (
        f"tokens {between[1] - before[1]:.1f} CPU s, "
        f"linked in {after[1] - between[1]:.1f} CPU s, {after[0] - between[0]:.1f} s"
    )
    return found, getattr(report, "precision", None) or 0.0, times


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _quality(chosen: LinkageSet, found: frozenset[Pair]) -> tuple[float, float, str]:
    """Precision, F1, and how they are printed."""
    true = len(found & chosen.truth)
    precision, recall = true / max(1, len(found)), true / len(chosen.truth)
    f1 = 2 * true / (len(found) + len(chosen.truth))
    return precision, f1, f"P {precision:.4f} R {recall:.4f} F1 {f1:.4f}"


def _twins(chosen: LinkageSet, found: frozenset[Pair]) -> str:
    if not chosen.twins:
        return ""
    linked = len(chosen.twins & found)
    return f"  twins linked {linked} of {len(chosen.twins)}{_mark(linked <= TWINS * len(chosen.twins))}"


def _mark(is_met: bool) -> str:  # noqa: FBT001 - what is marked
    return "  " if is_met else " !"


if __name__ == "__main__":
    main()
