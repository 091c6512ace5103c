"""Contribution on DuckDB: landing, staging, splitting, provenance. The one public verb is ``harmonise``."""

from __future__ import annotations

from asepsis.engines.harmonise.checking import MappingRemark, check_mapping, mapping_docs
from asepsis.engines.harmonise.kept import KeptRun
from asepsis.engines.harmonise.load import load_mapping
from asepsis.engines.harmonise.provenance import Origin, where_from
from asepsis.engines.harmonise.rerun import rerun
from asepsis.engines.harmonise.result import HarmonisedRun, Progress
from asepsis.engines.harmonise.run import Resources, harmonise
from asepsis.engines.harmonise.trial import Trial, run_mapping_tests

__all__ = [
    "HarmonisedRun",
    "KeptRun",
    "MappingRemark",
    "Origin",
    "Progress",
    "Resources",
    "Trial",
    "check_mapping",
    "harmonise",
    "load_mapping",
    "mapping_docs",
    "rerun",
    "run_mapping_tests",
    "where_from",
]
