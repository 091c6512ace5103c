"""What is found, and what is called so wrongly: damaged files, and with ``records`` tampered rows.

Prints, for each pattern, how many damaged files there are and which share is found beside the version before and
without it; then restore points, clean files, clean later versions, and sixty days of ordinary work. Real files are
those of ASEPSIS_SHARED (default: ../shared); more folders may be named as arguments.

``bench_detection.py records FIRST COUNT`` makes a hospital's days from each of so many seeds and prints which of sixty
ordinary days raise an alarm, and with ``suite`` behind it how the record-level cases and announced bulk changes go.
A seed takes about two minutes of CPU, with the suite three. SIZE is the hospital's size (default .25: 600 persons).
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - test data from a seed
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from asepsis.domain.source import Verdict  # noqa: E402
from encryption_patterns import generated_files, real_files  # noqa: E402
from encryption_suite import clean_days, damaged_suite, points_found, versions_called_damaged  # noqa: E402
from records_chain import chain, run_suite  # noqa: E402

SHARE, RUNS, DAYS, LARGEST = 0.35, 1_000, 60, 2_000_000
SIZE, FIRST_JUDGED = float(os.environ.get("SIZE", "0.25")), 25


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["records"]:
        records(int(sys.argv[2]), int(sys.argv[3]), with_suite="suite" in sys.argv[4:])
    else:
        damaged_files()


def records(first: int, count: int, *, with_suite: bool) -> None:
    """Ordinary days, and the tamper suite, from seeds that nothing else uses."""
    loud = []
    for seed in range(first, first + count):
        days = chain(seed, SIZE, FIRST_JUDGED + DAYS)
        alarms = days.loud_days(FIRST_JUDGED)
        loud.append(len(alarms))
        told = "; ".join(f"day {day}: {' '.join(one.code for one in found)}" for day, found in alarms.items())
        print(f"seed {seed}: {len(alarms)} of {DAYS} ordinary days alarm  {told}", flush=True)
        if with_suite:
            result = run_suite(days, FIRST_JUDGED - 1)
            missed = [case for case, place in result.places.items() if place is None or place > 3]
            print(
                f"  tampered: {result.alarms} of {len(result.places)} alarm, cause in the top three "
                f"{result.in_top_three} (not: {missed}); announced: {len(result.loud_tickets)} of {result.ticketed}",
                flush=True,
            )
        shutil.rmtree(days.folder)
        chain.cache_clear()
    more, mean = sum(1 for days in loud if days > 1), sum(loud) / count
    print(f"{count} seeds: {mean:.2f} alarms in {DAYS} ordinary days; more than one in {more} of {count} seeds")


def damaged_files() -> None:
    """Damaged and clean files."""
    dice = random.Random(1)  # noqa: S311 - test data from a seed
    folders = [Path(os.environ.get("ASEPSIS_SHARED", ROOT / ".." / "shared")) / "data", *map(Path, sys.argv[1:])]
    files = generated_files(dice)
    for folder in folders:
        files |= real_files(folder, largest=LARGEST) if folder.is_dir() else {}
    chosen = {name: content for name, content in files.items() if name.startswith("/made/") or dice.random() < SHARE}
    suite = damaged_suite(chosen, dice)
    print(f"{len(files)} files, of which {len(chosen)} are damaged in {len(suite.rows)} patterns\n")
    print(f"{'pattern':45} {'files':>6} {'beside':>8} {'alone':>8}")
    for name, row in suite.rows.items():
        if row.files:
            print(f"{name:45} {row.files:6} {row.beside / row.files:8.2%} {row.alone / row.files:8.2%}")
    total = sum(row.files for row in suite.rows.values())
    print(f"{'all':45} {total:6} {suite.share('beside'):8.2%} {suite.share('alone'):8.2%}\n")
    points, found = points_found(suite, dice, runs=RUNS)
    print(f"affected restore points, one file to all of them damaged: {found} of {points} found")
    whole = damaged_suite(files, dice, patterns={})
    called = len(whole.called_damaged)
    print(f"clean files called anything else: {called} of {len(files)} ({called / len(files):.2%})")
    versions, alarms = versions_called_damaged(files, whole, dice)
    print(f"clean later versions called anything else: {len(alarms)} of {versions} ({len(alarms) / versions:.3%})")
    days = [point.verdict for point in clean_days(chosen, dice, days=DAYS).points[1:]]
    print(f"alarms on {DAYS} ordinary days: {len(days) - days.count(Verdict.CLEAN)}")


if __name__ == "__main__":
    main()
