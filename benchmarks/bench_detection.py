"""Which damaged files a scan finds: every pattern of the suite on real and generated files, and false alarms.

Prints, for each pattern, how many damaged files there are and which share is found beside the version before and
without it; then restore points, clean files, clean later versions, and sixty days of ordinary work. Real files are
those of ASEPSIS_SHARED (default: ../shared); more folders may be named as arguments.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - test data from a seed
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from asepsis.domain.source import Verdict  # noqa: E402
from encryption_patterns import generated_files, real_files  # noqa: E402
from encryption_suite import clean_days, damaged_suite, points_found, versions_called_damaged  # noqa: E402

SHARE, RUNS, DAYS, LARGEST = 0.35, 1_000, 60, 2_000_000


def main() -> None:
    """Measure and print."""
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
