"""Runs ``peers_linkage.py`` on two lists, in the environment of the Python that ``ASEPSIS_LINK_PEERS`` names."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def run_peers(lists: Mapping[str, pa.Table], truth: Iterable[tuple[int, int]], *tools: str) -> None:
    """Print what the peers find in two identity tables, of which ``truth`` are the persons; all tools unless named."""
    python = os.environ.get("ASEPSIS_LINK_PEERS", "")
    if not python:
        print("peers: not measured; name a Python with splink and recordlinkage in ASEPSIS_LINK_PEERS")
        return
    with tempfile.TemporaryDirectory(prefix="asepsis-bench-") as name:
        files = [Path(name) / f"{number}.parquet" for number in range(3)]
        left, right = zip(*truth, strict=True)
        tables = [table for _, table in sorted(lists.items())]
        for path, table in zip(files, [*tables, pa.table({"a": left, "b": right})], strict=True):
            pq.write_table(table, path)
        command = [python, str(Path(__file__).with_name("peers_linkage.py")), *map(str, files), *tools]
        subprocess.run(command, check=False)
