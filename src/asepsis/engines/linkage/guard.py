"""An engine for identities that cannot reach outside itself, and errors without text.

Invariant: the connection reads and writes no file, loads no extension and spills nothing to disk; an
exception of the engine is replaced by one that carries the stage and the number of records only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from asepsis.errors.linkage import LinkageExhausted, LinkageFailed

_SETTINGS = """
SET temp_directory = '';
SET preserve_insertion_order = false;
SET autoinstall_known_extensions = false;
SET autoload_known_extensions = false;
SET enable_external_access = false;
"""


@contextmanager
def private_engine(*, threads: int, memory_limit: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory engine with ``memory_limit`` bytes and no way out; closed, and its memory freed, afterwards."""
    connection = duckdb.connect(":memory:")
    try:
        connection.execute(f"SET threads = {int(threads)}")
        connection.execute(f"SET memory_limit = '{int(memory_limit)}B'")
        connection.execute(_SETTINGS)
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


@contextmanager
def withheld(stage: str, *, records: int) -> Iterator[None]:
    """Replace what the engine raises: its messages quote values.

    Raises LinkageExhausted, LinkageFailed.
    """
    try:
        yield
    except (duckdb.OutOfMemoryException, MemoryError):
        raise LinkageExhausted(count=records) from None
    except (duckdb.Error, pa.ArrowException, OSError):
        raise LinkageFailed(stage=stage) from None
