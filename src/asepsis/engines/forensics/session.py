"""A connection inside limits: bounded memory that spills into a folder of its own, and no reach beyond files."""

from __future__ import annotations

from pathlib import Path

import duckdb

from asepsis.engines.query.guard import guarded


def open_session(scratch: Path, *, threads: int, memory: str) -> duckdb.DuckDBPyConnection:
    """A connection of our own; ``memory`` as DuckDB writes it, such as ``2GB``."""
    spill = scratch / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads,
        "memory_limit": memory,
        "temp_directory": str(spill),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    return guarded(lambda: duckdb.connect(config=settings))
