"""The estate index beside a source: what was seen once need not be read again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from asepsis.bootstrap.backups import look_into
from asepsis.desk_home import now
from asepsis.domain.estate import EstateScan
from asepsis.services.estate import Estate, Progress
from asepsis.store.estate_index import EstateIndex


def scan_estate(uri: str, *, index: Path, rate: int | None, report: Callable[[Progress], None]) -> EstateScan:
    """Scan a source into an index; ``rate`` limits reading to so many bytes a second.

    Raises the errors of the source, and IndexUnusable.
    """
    opened = EstateIndex(index)
    try:
        return Estate(source=look_into(uri), index=opened, clock=now, pace=pace(rate)).scan(report=report)
    finally:
        opened.close()


def pace(rate: int | None) -> Callable[[int], None]:
    """Waits so that on the average no more than ``rate`` bytes a second are read."""
    started, read = time.monotonic(), 0

    def wait(count: int) -> None:
        nonlocal read
        read += count
        if rate is not None:
            time.sleep(max(0.0, read / rate - (time.monotonic() - started)))

    return wait
