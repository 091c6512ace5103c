"""``python -I -m asepsis.runtime``: one order on standard input, one signed statistic on standard output."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from asepsis.runtime.dialogue import serve

if __name__ == "__main__":
    sys.exit(serve(sys.stdin.buffer, sys.stdout.buffer, clock=lambda: datetime.now(UTC)))
