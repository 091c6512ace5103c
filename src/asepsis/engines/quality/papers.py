"""The reports of a run as files beside its books, and how they are found again.

The exact numbers lie in one file whose name says so; every other file, and every answer unless it is asked for, is
masked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from asepsis.errors.quality import QualityMissing
from asepsis.harmonise.account import books_html
from asepsis.harmonise.quality.page import quality_html
from asepsis.harmonise.quality.report import FORMAT, QualityReport, masked
from asepsis.harmonise.quality.text import quality_text

EXACT: Final = "quality-exact.json"


def papers_of(report: QualityReport) -> dict[str, str]:
    """Name of the file to its text: exact JSON, masked JSON, text and page, and the books as a page."""
    exact = report.as_dict()
    shown = masked(exact)
    papers = {
        EXACT: _json(exact),
        "quality.json": _json(shown),
        "quality.txt": quality_text(shown),
        "quality.html": quality_html(shown),
    }
    return papers if report.books is None else papers | {"books.html": books_html(report.books)}


def read_quality(folder: Path, run: str | None, *, exact: bool) -> dict[str, Any]:
    """The document of a contribution: the one whose name begins with ``run``, or the newest.

    Raises:
        QualityMissing: there is none, there are several, or it cannot be read.
    """
    found = [path for path in folder.glob(f"*/{EXACT}") if path.parent.name.startswith(run or "")]
    if not found or (run is not None and len(found) > 1):
        raise QualityMissing(run=run or "newest")
    path = max(found, key=lambda one: one.stat().st_mtime_ns)
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise QualityMissing(run=path.parent.name)
        return document if exact else masked(document)
    except (OSError, ValueError, KeyError, TypeError):
        raise QualityMissing(run=path.parent.name) from None


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
