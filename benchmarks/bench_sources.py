"""Streaming out of backups: Asepsis's readers against the tools' own, or against DuckDB, on the same files.

    python benchmarks/bench_sources.py [MEGABYTES]

restic: MB/s of ours and of `restic dump`, once with compressible and once with random content, and the time of a walk.
pg_dump: rows per CPU second from a dump to Parquet on one thread, the best of three runs, against DuckDB reading the
same rows from plain text, against a loop of `split`, and against sqlglot parsing INSERT statements.
zip and 7z: MB/s against `unzip -p` / `7z x -so`, where installed.
CPU rates count user and system time of the process that reads; the wall rate of `restic dump` includes its start.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random  # noqa: TID251  the same files on every run
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute  # here, so that no measurement pays for loading it
import pyarrow.csv
import pyarrow.parquet
import sqlglot

from asepsis.sources.registry import open_source

PIECE = 1 << 20
ROUNDS = 3


def main() -> None:
    """Build a repository in a temporary folder and read it both ways."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    with tempfile.TemporaryDirectory() as scratch:
        measure_dumps(Path(scratch), megabytes * 8000)
        measure_archives(Path(scratch), megabytes)
    if shutil.which("restic") is None:
        sys.exit("The restic command is needed to make the repository and as the baseline.")
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


def measure_dumps(root: Path, rows: int) -> None:
    """A table of ten columns like a laboratory's, as plain and as custom dump; to Parquet, against three others.

    The others: DuckDB on plain tab-separated text (no dump, no escapes); Python's own ``split`` of every line; sqlglot,
    which parses 2,000 rows of INSERT and builds nothing from them, counted per row.
    """
    generator = random.Random(2)  # noqa: S311  the same rows on every run
    lines = [lab_row(i, generator) for i in range(50_000)]
    block = "".join(lines).encode()
    times = max(rows // len(lines), 1)
    rows = times * len(lines)
    (root / "plain.tsv").write_bytes(block * times)
    head = f"COPY public.m ({', '.join(COLUMNS)}) FROM stdin;\n".encode()
    (root / "plain.sql").write_bytes(head + block * times + b"\\.\n")
    (root / "custom.dump").write_bytes(custom(head, zlib.compress(block * times + b"\\.\n\n\n", 6)))
    baseline = min(to_parquet(root / "plain.tsv", COLUMNS, header=False) for _ in range(ROUNDS))
    naive, parsed = split_lines(root / "plain.sql"), sqlglot_per_row(lines[:2000]) * rows
    print(f"pg_dump to Parquet, {rows} rows of {len(COLUMNS)} columns, rows per CPU second on one thread:")
    print(
        f"  DuckDB from plain text {rows / baseline:,.0f}; split in Python {rows / naive:,.0f}; ",
        end="",
    )
    print(f"sqlglot parsing INSERT {rows / parsed:,.0f}")
    for name in ("plain.sql", "custom.dump"):
        ours = min(exported(root / name, root / f"{name}.{number}", rows) for number in range(ROUNDS))
        print(
            f"  {name}: asepsis {rows / ours:,.0f}; ratio to DuckDB {baseline / ours:.2f}, "
            f"to split {naive / ours:.2f}, to sqlglot {parsed / ours:,.0f}"
        )


def exported(dump: Path, folder: Path, rows: int) -> float:
    """CPU seconds of one export."""
    source = open_source(f"pgdump:{dump}")
    cpu = time.process_time()
    (told,) = source.export(dump.name, folder)
    ours = time.process_time() - cpu
    if told.rows != rows:
        sys.exit("Rows were lost.")
    return ours


COLUMNS = ("id", "person_id", "concept_id", "day", "taken", "value", "note", "unit", "visit_id", "code")


def lab_row(i: int, generator: random.Random) -> str:
    """One result as COPY writes it."""
    day = f"2009-{1 + i % 12:02}-{1 + i % 28:02}"
    return (
        f"{i}\t{generator.randrange(10**6)}\t{generator.randrange(3 * 10**6, 3 * 10**6 + 99_999)}\t{day}\t"
        f"{day} 03:04:{i % 60:02}\t{generator.random() * 100:.3f}\t\\N\t{('mg/dL', 'mmol/L', 'g/L', '%', '')[i % 5]}\t"
        f"{generator.randrange(10**5)}\tLOINC {generator.randrange(500)}-{i % 9}\n"
    )


def split_lines(path: Path) -> float:
    """CPU seconds of the obvious loop: every line cut at its tabs, NULL replaced, columns to Parquet by pyarrow."""
    cpu = time.process_time()
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    with path.open(encoding="utf-8") as file, pyarrow.parquet.ParquetWriter(f"{path}.naive", schema) as out:
        next(file)
        while lines := list(itertools.islice(file, 200_000)):
            rows = [[None if v == "\\N" else v for v in line[:-1].split("\t")] for line in lines if line != "\\.\n"]
            if columns := [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]:
                out.write_table(pa.table(columns, schema=schema))
    return time.process_time() - cpu


def sqlglot_per_row(lines: list[str]) -> float:
    """CPU seconds for each row of one INSERT statement."""
    values = ", ".join(
        "(" + ", ".join("NULL" if v == "\\N" else f"'{v}'" for v in line[:-1].split("\t")) + ")" for line in lines
    )
    cpu = time.process_time()
    sqlglot.parse_one(f"INSERT INTO public.m ({', '.join(COLUMNS)}) VALUES {values}", dialect="postgres")
    return (time.process_time() - cpu) / len(lines)


def custom(head: bytes, packed: bytes) -> bytes:
    """A custom archive (1.14) of one table, as pg_dump 15 writes it."""

    def number(value: int) -> bytes:
        return struct.pack("<bL", int(value < 0), abs(value))

    def text(value: bytes | None) -> bytes:
        return number(-1) if value is None else number(len(value)) + value

    toc = b"PGDMP\x01\x0e\x00\x04\x08\x01" + number(-1) + number(0) * 7 + text(b"") * 3 + number(1)
    toc += number(1) * 2 + text(b"0") * 2 + text(b"m") + text(b"TABLE DATA") + number(3) + text(b"") * 2
    toc += text(head) + text(b"public") + text(b"") * 4 + text(None)
    chunks = (packed[at : at + 4096] for at in range(0, len(packed), 4096))
    data = b"\x01" + number(1) + b"".join(number(len(chunk)) + chunk for chunk in chunks) + number(0)
    return toc + struct.pack("<BQ", 2, len(toc) + 9) + data


def to_parquet(path: Path, columns: tuple[str, ...], *, header: bool) -> float:
    """CPU seconds that DuckDB needs on one thread from text to Parquet."""
    connection = duckdb.connect(config={"threads": 1})
    began = time.process_time()
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in columns)
    connection.execute(
        f"COPY (SELECT * FROM read_csv('{path}', delim='\t', quote='\"', escape='\"', nullstr='\\N', "
        f"auto_detect=false, header={header}, columns={{{types}}})) TO '{path}.parquet' (FORMAT parquet)"
    )
    return time.process_time() - began


def measure_archives(root: Path, megabytes: int) -> None:
    """One compressible file in a zip and a 7z archive."""
    (root / "t").mkdir()
    make_files(root / "t" / "data", megabytes // 2)
    text = root / "t" / "data" / "text.csv"
    with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.write(text, "text.csv")
    tools = [("zip", "a.zip", ["unzip", "-p", str(root / "a.zip")])]
    if program := shutil.which("7z") or shutil.which("7zz"):
        subprocess.run([program, "a", "-mx3", str(root / "a.7z"), str(text)], check=True, stdout=subprocess.DEVNULL)
        tools.append(("7z", "a.7z", [program, "x", "-so", str(root / "a.7z")]))
    for scheme, name, command in tools:
        source = open_source(f"{scheme}:{root / name}")
        with source.open(source.restore_points()[0].id, "/text.csv") as file:
            ours, _, our_hash = stream(file)
        size = text.stat().st_size / 1e6
        if shutil.which(command[0]) is None:
            print(f"{scheme}: asepsis {size / ours:.0f} MB/s; {command[0]} is not installed")
            continue
        theirs, _, their_hash = dump(command, dict(os.environ))
        if our_hash != their_hash:
            sys.exit("The two readers disagree.")
        print(f"{scheme}: asepsis {size / ours:.0f} MB/s, {command[0]} {size / theirs:.0f}; ratio {theirs / ours:.2f}")


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
