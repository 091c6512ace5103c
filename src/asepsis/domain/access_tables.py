"""Compiled from ``asepsis/access/policies.cedar`` by ``scripts/compile_access.py``; a test compares. Do not edit.

The runtime applies the rules itself and carries no policy engine: these tables are what the policies say of analyses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.datasets import Holding
from asepsis.domain.parties import Role

READS: Final[Mapping[AnalysisKind, frozenset[Holding]]] = {
    AnalysisKind.QUERY: frozenset({Holding.CLINICAL}),
    AnalysisKind.METHOD: frozenset({Holding.CLINICAL}),
    AnalysisKind.LINKAGE: frozenset({Holding.IDENTITY, Holding.TOKENS}),
    AnalysisKind.REFERRAL: frozenset({Holding.CLINICAL, Holding.IDENTITY}),
}
"""What each kind may read."""

ASKS: Final[Mapping[AnalysisKind, frozenset[Role]]] = {
    AnalysisKind.QUERY: frozenset({Role.RESEARCHER}),
    AnalysisKind.METHOD: frozenset({Role.RESEARCHER}),
    AnalysisKind.LINKAGE: frozenset({Role.OWNER, Role.HOST}),
    AnalysisKind.REFERRAL: frozenset({Role.RESEARCHER}),
}
"""Who may be the author of each kind."""
