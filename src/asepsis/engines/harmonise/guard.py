"""DuckDB inside bounds, and with its mouth shut: its error texts quote data, so only the class of an error passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from asepsis.errors.harmonise import HarmoniseFailed

IN_MEMORY: Final = Path(":memory:")
"""Where a work database stands that is never written to a disk; what has no room in memory is spilled."""


@contextmanager
def guarded(stage: str) -> Iterator[None]:
    """Map every engine error to one of ours; the text and the cause are dropped.

    Raises:
        HarmoniseFailed: the engine failed; names the stage and the class of the failure.
    """
    try:
        yield
    except duckdb.Error as error:
        # The error stays reachable as the context of ours, so its text is taken out of it, too.
        error.args = ()
        raise HarmoniseFailed(stage=stage, failure=type(error).__name__) from None


def connect(path: Path, *, scratch: Path, memory: str, threads: int) -> duckdb.DuckDBPyConnection:
    """Open a private work database: bounded memory, spilling to ``scratch``, no extensions, no way to change that."""
    with guarded("open"):
        connection = duckdb.connect(
            str(path),
            config={
                "memory_limit": memory,
                "threads": threads,
                "temp_directory": str(scratch),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
            },
        )
        connection.execute("SET errors_as_json = false")
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET TimeZone = 'UTC'")
        # The work database lives for one run: writing and reading it fast is worth more than keeping it small.
        connection.execute("PRAGMA force_compression = 'uncompressed'")
        if path == IN_MEMORY:
            connection.execute("SET checkpoint_threshold = '1TB'")  # a checkpoint would write all tables anew
    return connection
