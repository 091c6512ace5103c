"""Streaming out of a restic repository: Asepsis's reader against `restic dump` on the same repository.

    python benchmarks/bench_sources.py [MEGABYTES]

Prints MB/s of both and the ratio, once with compressible and once with random content, and the time of a walk.
CPU rates count user and system time of the process that reads; the wall rate of `restic dump` includes its start.
"""

from __future__ import annotations

import hashlib
import os
import random  # noqa: TID251  the same files on every run
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from asepsis.sources.registry import open_source

PIECE = 1 << 20


def main() -> None:
    """Build a repository in a temporary folder and read it both ways."""
    if shutil.which("restic") is None:
        sys.exit("The restic command is needed to make the repository and as the baseline.")
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        make_files(root / "data", megabytes)
        for version in ("1", "2"):
            measure(root, version)


def make_files(folder: Path, megabytes: int) -> None:
    """One file like a laboratory export, one like an archive, and a thousand small ones."""
    generator = random.Random(1)  # noqa: S311  the same files on every run
    folder.mkdir()
    with (folder / "text.csv").open("wb") as file:
        while file.tell() < megabytes << 20:
            rows = (
                f"1008{generator.randrange(10**4):04};04.01.1985;HDL;{generator.random():.3f};mg/dL\r\n"
                for _ in range(5000)
            )
            file.write("".join(rows).encode())
    with (folder / "noise.bin").open("wb") as file:
        for _ in range(megabytes):
            file.write(generator.randbytes(1 << 20))
    for number in range(1000):
        path = folder / "small" / f"{number % 10}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.randbytes(2000))


def measure(root: Path, version: str) -> None:
    """Back up, then read each big file both ways."""
    repository = root / f"repository{version}"
    environment = {**os.environ, "RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(repository)}
    run = ["restic", "--quiet", "--no-cache"]
    subprocess.run([*run, "init", "--repository-version", version], check=True, env=environment)
    subprocess.run([*run, "backup", "data"], check=True, env=environment, cwd=root)
    source = open_source(f"restic:{repository}", secret=lambda: "bench")
    point = source.restore_points()[-1].id
    began = time.perf_counter()
    entries = {entry.path: entry for entry in source.walk(point)}
    print(f"version {version}: walk of {len(entries)} entries {time.perf_counter() - began:.2f} s")
    for path in ("/data/text.csv", "/data/noise.bin"):
        size = entries[path].size / 1e6
        ours, our_cpu, our_hash = stream(source.open(point, path))
        command = [*run, "--no-lock", "dump", point, path]
        theirs, their_cpu, their_hash = dump(command, environment)
        if our_hash != their_hash:
            sys.exit("The two readers disagree.")
        print(
            f"  {path}: asepsis {size / ours:.0f} MB/s wall, {size / our_cpu:.0f} per CPU s; "
            f"restic dump {size / theirs:.0f} wall, {size / their_cpu:.0f} per CPU s; "
            f"ratio {theirs / ours:.2f} wall, {their_cpu / our_cpu:.2f} CPU"
        )


def stream(file) -> tuple[float, float, str]:  # noqa: ANN001  whatever the source opens
    """Wall and CPU seconds of reading a stream, and its SHA-256 (which both sides pay for here)."""
    began, cpu = time.perf_counter(), time.process_time()
    digest = hashlib.sha256()
    with file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return time.perf_counter() - began, time.process_time() - cpu, digest.hexdigest()


def dump(command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """The same for what a command writes to its output; CPU seconds are the command's and ours."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            sys.exit("no output to read")
        wall, cpu, digest = stream(process.stdout)
        began = time.perf_counter()
        process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    children = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall + time.perf_counter() - began, cpu + children, digest


if __name__ == "__main__":
    main()
