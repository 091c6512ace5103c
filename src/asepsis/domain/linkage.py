"""What a linkage run reports: counts of rules, refusals and links, and what they say about its quality.

All numbers are raw and stay inside the runtime. Only :meth:`LinkageReport.counts` is meant to leave, and
only through the disclosure gate, which applies its threshold and rounding to every count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.domain.names import PartyId


class Grade(StrEnum):
    """How much one rule alone may decide, strongest first."""

    STRONG = "strong"
    """May also join two records of one owner, and is not overruled by a different national id."""
    FAIR = "fair"
    """Joins records of different owners where the partner is the only one."""
    LOOSE = "loose"
    """As fair, with inexact agreement in one field."""


class Conflict(StrEnum):
    """Why two records can never be the same person, whatever else agrees."""

    IDS_AND_BIRTH = "ids_and_birth"
    BIRTH = "birth"
    SEX_AND_GIVEN = "sex_and_given"
    TWINS = "twins"
    SAME_OWNER = "same_owner"
    """Two records of one owner would be joined by a rule that is not strong enough for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """What one rule found. A pair counts as ``linked`` at the first rule that joined its two clusters.

    ``witnessed`` pairs have the rule's witness field on both sides, a field that the rule does not use;
    ``agreeing`` of them agree in it. Both are counted before the national id may overrule the rule.
    """

    rule: str
    grade: Grade
    candidates: int
    witnessed: int
    agreeing: int
    linked: int
    ambiguous: int
    """Pairs not joined because a record had several partners in one owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRate:
    """Records of one group, and how many of them have a partner in another owner."""

    owner: PartyId
    group: str
    records: int
    linked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Quality without ground truth; ``None`` where too few pairs can bear witness.

    ``precision``: share of linked pairs that are right, judged by the national ids of pairs that were found
    without them, corrected for agreement by chance and for the typing errors of the ids themselves.
    ``recall``: share of the true pairs that were linked, judged by how many of the pairs with the same
    national id are also found without it. Both suppose that a missing id says nothing about the other fields.
    """

    precision: float | None
    recall: float | None
    precision_witnesses: int
    recall_witnesses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkageReport:
    """Everything counted in one linkage run; raw numbers that stay inside the runtime."""

    records: int
    persons: int
    """Distinct link identifiers."""
    persons_in_several_owners: int
    linked_pairs: int
    """Pairs of records of different owners that share a link identifier."""
    duplicate_pairs: int
    """Pairs of records of one owner that share a link identifier."""
    rules: tuple[RuleCount, ...]
    conflicts: Mapping[Conflict, int]
    """Unions refused, by the first reason found."""
    overruled_pairs: int
    """Candidate pairs dropped because their national ids are different."""
    crowded_keys: int
    """Key values shared by too many records to be evidence; their pairs were not compared."""
    defaults: Mapping[str, int]
    """Values dropped because they occur far too often to identify anybody, by field (records)."""
    chance_compared: int
    chance_agreeing: int
    """Pairs of records drawn without regard to identity, and how many of them agree in the national id."""
    rates: tuple[LinkRate, ...]
    estimate: Estimate

    def counts(self) -> dict[str, int]:
        """All counts by category, for the disclosure gate; the caller applies threshold and rounding."""
        counts = {
            "records": self.records,
            "persons": self.persons,
            "persons_in_several_owners": self.persons_in_several_owners,
            "linked_pairs": self.linked_pairs,
            "duplicate_pairs": self.duplicate_pairs,
            "overruled_pairs": self.overruled_pairs,
        }
        counts |= {f"rule.{count.rule}": count.linked for count in self.rules}
        counts |= {f"ambiguous.{count.rule}": count.ambiguous for count in self.rules}
        counts |= {f"conflict.{conflict}": self.conflicts.get(conflict, 0) for conflict in Conflict}
        counts |= {f"default.{field}": number for field, number in self.defaults.items()}
        counts |= {f"rate.{rate.owner}.{rate.group}.records": rate.records for rate in self.rates}
        counts |= {f"rate.{rate.owner}.{rate.group}.linked": rate.linked for rate in self.rates}
        return counts


def counted(keys: Iterable[Conflict]) -> dict[Conflict, int]:
    """How often each conflict occurs, with a zero for those that do not."""
    totals = dict.fromkeys(Conflict, 0)
    for key in keys:
        totals[key] += 1
    return totals


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
    """Links not made: ``duplicate_free``, ``contradiction``, ``tie``."""
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
        return counts
