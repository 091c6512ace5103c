"""What a sandbox costs at the start of a run: Python bare, and Python inside the outer rings that this machine offers.

The target is 80 ms over bare Python, median. Both start the same interpreter on the same trivial code, in turns, and
are timed by the wall from the call until the process ended: starting waits for the kernel more than it computes.

Run: python benchmarks/bench_confinement.py [rounds]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from asepsis.engines.confinement.launch import Reach, confined
from asepsis.engines.confinement.report import Ring
from asepsis.errors import AsepsisError

ROUNDS = 15
TARGET = 80
CONFINED = """
import json, sys
from asepsis.engines.confinement import inside
print(json.dumps(inside.confine(json.loads(sys.stdin.buffer.readline()))), flush=True)
print("ready", flush=True)
"""
BARE = "import json, sys\nprint('ready', flush=True)\n"


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    for ring in Ring:
        try:
            inside(ring)
        except AsepsisError as error:
            print(f"{ring}: not offered here ({error.code})")
            continue
        times = [(bare(), inside(ring)) for _ in range(rounds)]
        plain, ringed = (statistics.median(column) for column in zip(*times, strict=True))
        over = statistics.median(two - one for one, two in times)
        print(
            f"start inside {ring.value}: median {ringed:.0f} ms; bare Python {plain:.0f} ms; over it {over:.0f} ms"
            f" (ratio {ringed / plain:.2f})  target {TARGET} ms over"
        )


def bare() -> float:
    """Milliseconds until a bare interpreter answers."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", BARE], check=True, capture_output=True)
    return (time.perf_counter() - start) * 1e3


def inside(ring: Ring) -> float:
    """Milliseconds until an interpreter inside all rings answers, its end included as for the bare one."""
    start = time.perf_counter()
    with confined(sys.executable, Reach(), ring=ring, arguments=("-I", "-c", CONFINED)) as process:
        answer = process.answers.readline()
        if answer.strip() != b"ready":
            sys.exit("the confined process did not answer")
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    main()
