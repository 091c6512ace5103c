"""Progress on standard error: one line that is rewritten as the work goes on; nothing where nobody watches."""

from __future__ import annotations

import sys
from typing import Final

_WIDTH: Final = 78


def step_line(step: str, done: int = 0, *, quiet: bool = False) -> None:
    """Show what is being done; ``done`` counts records where that means something."""
    if quiet or not sys.stderr.isatty():
        return
    text = f"  {step}" + (f" · {done:,}" if done else "")
    sys.stderr.write("\r" + text[:_WIDTH].ljust(_WIDTH))
    sys.stderr.flush()


def end_steps(*, quiet: bool = False) -> None:
    """Clear the line of the last step."""
    if not quiet and sys.stderr.isatty():
        sys.stderr.write("\r" + " " * _WIDTH + "\r")
