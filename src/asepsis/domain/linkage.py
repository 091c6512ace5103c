"""The modes of linkage, and what a run reports of its quality.

All numbers are raw and stay inside the runtime. Only the counts are meant to leave, through the disclosure gate, which
applies its threshold and rounding to every one; and the estimates of quality, which are means over all links.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from asepsis.domain.names import PartyId
from asepsis.domain.review_list import ReviewPool


class LinkMode(StrEnum):
    """How the contract lets persons be linked."""

    KEYED = "keyed"
    """Keyed tokens from the owners; no identifier enters the room."""
    SEALED = "sealed"
    """Identifiers in clear inside the attested linkage job and nowhere else."""
    RULES = "rules"
    """Exact rules over keyed tokens."""
    IMPORT_CLK = "import-clk"
    """Bloom filters that another tool made."""


class LinkGrade(StrEnum):
    """How far links can be trusted; carried into every result that used them."""

    A = "A"
    """A fitted model with calibrated posteriors."""
    B = "B"
    """Exact rules: few false links, many missed ones, no posterior."""
    C = "C"
    """Similarity of imported filters: neither calibrated nor safe against re-identification."""


GRADES: Final[Mapping[LinkMode, LinkGrade]] = {
    LinkMode.KEYED: LinkGrade.A,
    LinkMode.SEALED: LinkGrade.A,
    LinkMode.RULES: LinkGrade.B,
    LinkMode.IMPORT_CLK: LinkGrade.C,
}
LEVELS: Final = (0.5, 0.9, 0.99)
"""Minimum posteriors that an analysis can state; the link map knows no finer ones."""
LINK_COLUMNS: Final[Mapping[int, str]] = {50: "link_id", 90: "link_id_90", 99: "link_id_99"}
"""The columns of the link map that tell persons apart, by the least posterior of their links in per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRate:
    """Records of one group, and how many of them have a partner in another owner."""

    owner: PartyId
    group: str
    records: int
    linked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBand:
    """Links of one band of posteriors: how many, and their mean posterior; the band is closed below, open above."""

    lowest: float
    highest: float
    links: int
    mean: float
    judged: int
    """Links of the band with a national id on both sides."""
    agreeing: int
    """Those with alike ids; the fitted model used them unless the run left the ids out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBand:
    """Records whose best pair has at least ``lowest`` bits, up to the next band, and agrees for one reason."""

    lowest: int
    why: str
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEstimate:
    """Estimated precision and recall of the links of at least one posterior; means over all of them."""

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """Quality of one latent-class run without ground truth; raw numbers, which leave through the gate alone."""

    grade: LinkGrade
    records: int
    persons: int
    persons_in_several_owners: int
    links: int
    """Pairs of records that share a link identifier."""
    compared: int
    precision: float | None
    """Mean posterior of the links; ``None`` without links or in a mode without posteriors."""
    recall: float | None
    """Share of the expected true pairs among the candidates that were linked, times ``blocking_recall``."""
    blocking_recall: float | None
    """Share of the true pairs that some key finds, by capture and recapture over the keys."""
    calibration: tuple[CalibrationBand, ...]
    rates: tuple[LinkRate, ...]
    weak: Mapping[float, int]
    """Persons in several owners at each minimum posterior of ``LEVELS``."""
    refused: Mapping[str, int]
    """Links not made: ``duplicate_free``, ``twice``, ``contradiction``, ``tie``."""
    impossible: Mapping[str, int]
    """Linked pairs with different sexes, or with different national ids."""
    canaries_planted: int
    canaries_found: int
    missing: Mapping[str, int]
    """Records without a value, by field."""
    dropped: Mapping[str, int]
    """Records whose value was a default, by field."""
    crowded_keys: int
    shares: Mapping[str, float]
    """Estimated share of each latent class among the candidates."""
    scores: tuple[ScoreBand, ...] = ()
    curve: tuple[LinkEstimate, ...] = ()
    """By rising threshold; no two points are so near that a few links lie between them."""
    pools: Mapping[PartyId, ReviewPool] = field(default_factory=dict, repr=False)
    """What review lists are drawn from, where the run draws them."""

    def counts(self) -> dict[str, int]:
        """All counts by category, for the disclosure gate; estimates are ratios of model sums and not among them."""
        counts = {
            "records": self.records,
            "persons": self.persons,
            "persons_in_several_owners": self.persons_in_several_owners,
            "links": self.links,
        }
        counts |= {f"persons_in_several_owners.at_{level}": number for level, number in self.weak.items()}
        counts |= {f"refused.{reason}": number for reason, number in self.refused.items()}
        counts |= {f"impossible.{kind}": number for kind, number in self.impossible.items()}
        counts |= {f"missing.{field}": number for field, number in self.missing.items()}
        counts |= {f"default.{field}": number for field, number in self.dropped.items()}
        counts |= {f"rate.{rate.owner}.{rate.group}.records": rate.records for rate in self.rates}
        counts |= {f"rate.{rate.owner}.{rate.group}.linked": rate.linked for rate in self.rates}
        counts |= {f"score.{band.why}.{band.lowest}": band.records for band in self.scores}
        return counts

    def quality(self) -> tuple[float | None, float | None]:
        """Estimated precision and recall, without ground truth."""
        return self.precision, self.recall

    def estimates(self) -> tuple[LinkEstimate, ...]:
        """The same at higher thresholds."""
        return self.curve


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesReport:
    """What a run without a model found; raw numbers, which leave through the gate alone."""

    grade: LinkGrade
    records: int
    persons: int
    persons_in_several_owners: int
    links: int

    def counts(self) -> dict[str, int]:
        """All counts by category, for the disclosure gate."""
        return {
            "records": self.records,
            "persons": self.persons,
            "persons_in_several_owners": self.persons_in_several_owners,
            "links": self.links,
        }

    def quality(self) -> tuple[float | None, float | None]:
        """No model, no estimates."""
        return None, None

    def estimates(self) -> tuple[LinkEstimate, ...]:
        """None at any threshold."""
        return ()
