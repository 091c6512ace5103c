"""From classes of engine exceptions to our own errors; the engine's words are dropped, for they quote data."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

import duckdb

from asepsis.errors import AsepsisError
from asepsis.errors.engine import EngineDataError, EngineFailureError, EngineMemoryError, EngineTimeError

T = TypeVar("T")

_CLASSES: Final[tuple[tuple[type[BaseException], type[AsepsisError]], ...]] = (
    (duckdb.InterruptException, EngineTimeError),
    (duckdb.OutOfMemoryException, EngineMemoryError),
    (MemoryError, EngineMemoryError),
    (duckdb.ConversionException, EngineDataError),
    (duckdb.OutOfRangeException, EngineDataError),
    (duckdb.InvalidInputException, EngineDataError),
    (duckdb.TypeMismatchException, EngineDataError),
)


def guarded(run: Callable[[], T]) -> T:
    """Run, and raise our own error in place of any error of the engine.

    The new error is raised outside of the handler, so that it does not carry the old one as its context.
    """
    failure: AsepsisError
    try:
        return run()
    except AsepsisError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the engine raises may quote data
        failure = _mapped(error)
    raise failure


def timed(connection: duckdb.DuckDBPyConnection, seconds: float, run: Callable[[], T]) -> T:
    """Run like :func:`guarded`, but interrupt the connection after some seconds. Raises EngineTimeError then."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        return guarded(run)
    finally:
        timer.cancel()


def _mapped(error: Exception) -> AsepsisError:
    for engine_class, own in _CLASSES:
        if isinstance(error, engine_class):
            return own()
    return EngineFailureError()
