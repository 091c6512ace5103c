"""Data quality of a harmonised run on DuckDB. The one public verb is ``assess_quality``."""

from __future__ import annotations

from asepsis.engines.quality.run import assess_quality

__all__ = ["assess_quality"]
