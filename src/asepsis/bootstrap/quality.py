"""The data-quality report of a contribution: made, kept and shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asepsis.desk_home import now
from asepsis.engines.quality.papers import papers_of
from asepsis.engines.quality.run import assess_quality
from asepsis.harmonise.quality.page import quality_html
from asepsis.harmonise.quality.text import quality_text
from asepsis.services.contribute import Harmonised


def quality_papers(run: Harmonised, vocabulary: Path | None) -> dict[str, str]:
    """Assess a contribution with a vocabulary, if there is one; returns the report's files by name."""
    books = run.books
    report = assess_quality(run.tables, run=books.run, as_of=now().date(), vocabulary=vocabulary, books=books)
    return papers_of(report)


def quality_page(document: Mapping[str, object]) -> str:
    """A data-quality report as a page that stands alone."""
    return quality_html(document)


def quality_words(document: Mapping[str, object]) -> str:
    """A data-quality report as text."""
    return quality_text(document)
