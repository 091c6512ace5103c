"""Structured logs that cannot carry data: JSON lines with an allow-list of keys.

Invariant: what reaches the stream is a constant event name, a level, a time, and values of allowed keys that have
the shape of a public name or of a number. Everything else is dropped: unknown keys, free text, the text and the
traceback of exceptions, and the messages of libraries (engines and drivers quote values in theirs).
"""

from __future__ import annotations

import logging
import math
import re
import sys
import warnings
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Final, TextIO

from asepsis.errors import AsepsisError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

Loggable = str | int | float | bool

_EVENT: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@/+-]*")
_INVALID: Final = "event.invalid"
_LONGEST: Final = 200
_LARGEST: Final = 2**53

NAME_KEYS: Final = frozenset(
    {
        "at",
        "analysis",
        "check",
        "code",
        "contract",
        "dataset",
        "error",
        "kind",
        "level",
        "library",
        "party",
        "release",
        "run",
        "snapshot",
        "step",
        "table",
        "version",
    }
)
NUMBER_KEYS: Final = frozenset({"attempt", "bytes", "count", "exit_code", "port", "seconds", "status"})
PATH_KEYS: Final = frozenset({"path_name"})


class Log:
    """Writes events; the library behind it is imported by the first event, not by the first import."""

    def debug(self, event: str, **values: Loggable) -> None:
        """Log what helps to follow one process."""
        _bound().debug(event, **values)

    def info(self, event: str, **values: Loggable) -> None:
        """Log a step that was taken."""
        _bound().info(event, **values)

    def warning(self, event: str, **values: Loggable) -> None:
        """Log what an operator should look at."""
        _bound().warning(event, **values)

    def error(self, event: str, **values: Loggable) -> None:
        """Log a step that failed."""
        _bound().error(event, **values)

    def failed(self, event: str, error: BaseException, **values: Loggable) -> None:
        """Log a step that failed, with the class of the exception and, for our own errors, the code and the kind."""
        values["error"] = type(error).__name__
        if isinstance(error, AsepsisError):
            values |= {"code": error.code, "kind": error.kind.label}
        _bound().error(event, **values)


def get_logger() -> Log:
    """The log of this process; cheap, and useful at import time."""
    return Log()


def configure(stream: TextIO | None = None, *, level: str = "warning") -> None:
    """Send JSON lines to `stream` (standard error when none is given), from `level` on, and silence all other text.

    Messages of libraries become the event `library.message` with the name of the library only.
    """
    import structlog  # noqa: PLC0415 - the command line must start without it

    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _allow,
            structlog.processors.JSONRenderer(sort_keys=True, allow_nan=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: structlog.WriteLogger(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Library()], level=max(number, logging.WARNING), force=True)
    warnings.showwarning = _show_no_text


def allowed(values: Mapping[str, object]) -> dict[str, Loggable]:
    """Keep what may be logged: allowed keys, with values of the shape their key allows."""
    kept = {key: value for key, given in values.items() if (value := _value(key, given)) is not None}
    event = values.get("event")
    kept["event"] = event if isinstance(event, str) and len(event) <= _LONGEST and _EVENT.fullmatch(event) else _INVALID
    return kept


def _allow(_logger: object, _method: str, values: MutableMapping[str, object]) -> Mapping[str, Loggable]:
    return allowed(values)


def _value(key: str, given: object) -> Loggable | None:
    if key in NUMBER_KEYS:
        return given if isinstance(given, int | float) and _is_small(given) else None
    if key in NAME_KEYS | PATH_KEYS and isinstance(given, str) and len(given) <= _LONGEST:
        fits = given.isprintable() if key in PATH_KEYS else _NAME.fullmatch(given) is not None
        return str(given) if fits else None
    return None


def _is_small(given: float) -> bool:
    return math.isfinite(given) and abs(given) <= _LARGEST


def _bound() -> FilteringBoundLogger:
    import structlog  # noqa: PLC0415 - the command line must start without it

    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


class _Library(logging.Handler):
    """Says that a library said something, and never what."""

    def emit(self, record: logging.LogRecord) -> None:
        log = Log()
        say = log.error if record.levelno >= logging.ERROR else log.warning
        say("library.message", library=record.name)


def _show_no_text(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log the class of a warning; its text could quote a value."""
    del message, filename, lineno, file, line
    Log().warning("library.warning", error=category.__name__)
