"""What each kind of analysis may read: identifiers and clinical data meet in a referral only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.contract import Holding

READS: Final[Mapping[AnalysisKind, frozenset[Holding]]] = {
    AnalysisKind.QUERY: frozenset({Holding.CLINICAL}),
    AnalysisKind.METHOD: frozenset({Holding.CLINICAL}),
    AnalysisKind.LINKAGE: frozenset({Holding.IDENTITY}),
    AnalysisKind.REFERRAL: frozenset({Holding.CLINICAL, Holding.IDENTITY}),
}

LINKED: Final = frozenset({AnalysisKind.QUERY, AnalysisKind.METHOD, AnalysisKind.REFERRAL})
"""The kinds that see one person per patient, and so read the link map where there are several owners."""
