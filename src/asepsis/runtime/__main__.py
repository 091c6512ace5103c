"""``python -I -m asepsis.runtime``: one order on standard input, one signed statistic on standard output."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from asepsis.runtime.dialogue import serve
from asepsis.runtime.grid import Grid

if __name__ == "__main__":
    grid = Grid(monotonic=time.monotonic, pause=time.sleep)
    sys.exit(serve(sys.stdin.buffer, sys.stdout.buffer, clock=lambda: datetime.now(UTC), grid=grid))
