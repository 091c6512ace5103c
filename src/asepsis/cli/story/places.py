"""Where the bundled backups and mappings are: in the repository, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

import asepsis
from asepsis.errors.room import FileUnreadable


def examples() -> Path:
    """The folder with ``two_hospitals`` and ``mappings``. Raises FileUnreadable if it is missing."""
    package = Path(asepsis.__file__).parent
    for candidate in (package / "examples", package.parents[1] / "examples"):
        if (candidate / "two_hospitals").is_dir():
            return candidate
    raise FileUnreadable(path="examples/two_hospitals")
