"""Progress on standard error: one line that is rewritten on a terminal, one line per step elsewhere."""

from __future__ import annotations

import sys
from typing import Final

_WIDTH: Final = 78
_last = {"step": ""}


def step_line(step: str, done: int = 0, *, quiet: bool = False) -> None:
    """Show what is being done; ``done`` counts records where that means something."""
    if quiet:
        return
    text = f"  {step}" + (f" · {done:,}" if done else "")
    if sys.stderr.isatty():
        sys.stderr.write("\r" + text[:_WIDTH].ljust(_WIDTH))
        sys.stderr.flush()
    elif step != _last["step"]:
        sys.stderr.write(text + "\n")
    _last["step"] = step


def end_steps(*, quiet: bool = False) -> None:
    """Clear the line of the last step."""
    if not quiet and sys.stderr.isatty():
        sys.stderr.write("\r" + " " * _WIDTH + "\r")
