"""How the pages write times, sizes and cells; the result is text that the template escapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from asepsis.domain.release import Cell

_KIBI: Final = 1024
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def moment(value: datetime) -> str:
    """A point in time in UTC, to the minute."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def octets(value: int) -> str:
    """A number of bytes in the unit that reads best."""
    size, unit = float(value), 0
    while size >= _KIBI and unit < len(_UNITS) - 1:
        size, unit = size / _KIBI, unit + 1
    return f"{value:,} bytes" if unit == 0 else f"{size:,.1f} {_UNITS[unit]}"


def count(value: int, noun: str) -> str:
    """A number with its noun."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def cell(value: Cell) -> str:
    """A value of a released table."""
    if value is None:
        return "·"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def is_number(value: Cell) -> bool:
    """Whether a cell is set to the right."""
    return isinstance(value, int | float) and not isinstance(value, bool)


FILTERS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {"moment": moment, "octets": octets, "count": count, "cell": cell, "is_number": is_number}
)
