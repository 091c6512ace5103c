"""The clause ``linkage`` of a contract: how patients of several owners are found, and how sure a link must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asepsis.domain.documents import Document, Fields
from asepsis.domain.linkage import GRADES, LEVELS, LinkGrade, LinkMode
from asepsis.domain.names import PartyId

MODES: Final = (LinkMode.KEYED, LinkMode.SEALED, LinkMode.RULES, LinkMode.IMPORT_CLK)
"""The modes that a room runs."""
PERCENTS: Final = tuple(round(100 * level) for level in LEVELS)
RULES: Final = ("open-link-token", "cms-style")
"""The rules of mode ``rules``, by name."""
MOST_DUMMIES: Final = 25
"""Per cent of an owner's records; with more of them the attacks that they hinder gain nothing either (PMC9499274)."""


_WHOLE: Final = 100
SIMILARITY: Final = 80
"""Per cent of Dice from which the tutorial of anonlink takes two filters for one person."""
MOST_REVIEWED: Final = 1000
"""More of an owner's persons than that nobody looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTerms:
    """``percent`` is the least posterior of a link, one of 50, 90 and 99; without posteriors it has no effect.

    ``duplicate_free`` names owners that list every patient once. ``rules`` is for mode ``rules``. ``dummies`` is for
    mode ``keyed``: for every hundred records, how many of nobody each owner adds. ``stricter`` are the higher percents
    that an analysis may state instead of ``percent``. ``similarity`` is for mode ``import-clk``:
    the least Dice of two filters, in per cent. ``review`` is for mode ``sealed``: about how many persons of each owner
    are drawn at random for its review list, among whom are those that a link is unsure of; 0 is no review.
    """

    mode: LinkMode = LinkMode.SEALED
    percent: int = PERCENTS[0]
    duplicate_free: frozenset[PartyId] = frozenset()
    rules: str = RULES[0]
    dummies: int = 0
    stricter: frozenset[int] = frozenset()
    similarity: int = SIMILARITY
    review: int = 0

    @property
    def at_home(self) -> bool:
        """Whether names and addresses stay in the owners' homes."""
        return self.mode in {LinkMode.KEYED, LinkMode.IMPORT_CLK}

    def admits(self, certainty: int) -> bool:
        """Whether an analysis may state that its links are at least this sure; 0 is what the contract says."""
        return certainty in {0, self.percent, *self.stricter}

    def beyond(self, certainty: int) -> int:
        """What an analysis states in per cent, if that is more than is agreed anyway; else 0."""
        return 0 if certainty == self.percent else certainty

    def least(self, certainty: int = 0) -> int:
        """How sure the links of an analysis are, in per cent; links without posteriors are all the same."""
        return max(self.percent, certainty) if GRADES[self.mode] is LinkGrade.A else PERCENTS[0]

    def to_document(self) -> Document:
        """The clause that :func:`read_link_terms` reads."""
        return {
            "mode": self.mode.value,
            "percent": self.percent,
            "duplicate_free": sorted(self.duplicate_free),
            "rules": self.rules,
            **({"dummies": self.dummies} if self.dummies else {}),
            **({"stricter": sorted(self.stricter)} if self.stricter else {}),
            **({"similarity": self.similarity} if self.similarity != SIMILARITY else {}),
            **({"review": self.review} if self.review else {}),
        }


def read_link_terms(fields: Fields) -> LinkTerms:
    """Read the clause; what is left out has its default. Raises DocumentMalformed."""
    standard = LinkTerms()
    mode = fields.choice("mode", LinkMode, default=standard.mode)
    if mode not in MODES:
        raise fields.malformed("mode", "a room links in one of the modes " + ", ".join(MODES))
    percent = fields.integer("percent", default=standard.percent)
    if percent not in PERCENTS:
        raise fields.malformed("percent", "one of " + ", ".join(map(str, PERCENTS)) + " is needed")
    rules = fields.text("rules", default=standard.rules)
    if rules not in RULES:
        raise fields.malformed("rules", "one of " + ", ".join(RULES) + " is needed")
    dummies = fields.integer("dummies", default=standard.dummies)
    if dummies > (MOST_DUMMIES if mode is LinkMode.KEYED else 0):
        raise fields.malformed("dummies", f"at most {MOST_DUMMIES} per cent are added, and in mode keyed alone")
    similarity = fields.integer("similarity", least=1, default=SIMILARITY)
    if similarity > _WHOLE or (mode is not LinkMode.IMPORT_CLK and similarity != SIMILARITY):
        raise fields.malformed("similarity", f"at most {_WHOLE} per cent are possible, and in mode import-clk alone")
    review = fields.integer("review", default=standard.review)
    if review > (MOST_REVIEWED if mode is LinkMode.SEALED else 0):
        raise fields.malformed("review", f"at most {MOST_REVIEWED} persons are drawn, and in mode sealed alone")
    free = frozenset(PartyId(name) for name in fields.texts("duplicate_free", default=()))
    return LinkTerms(
        mode=mode,
        percent=percent,
        duplicate_free=free,
        rules=rules,
        dummies=dummies,
        stricter=_read_stricter(fields, mode, percent),
        similarity=similarity,
        review=review,
    )


def _read_stricter(fields: Fields, mode: LinkMode, percent: int) -> frozenset[int]:
    if not fields.has("stricter"):
        return frozenset()
    possible = [higher for higher in PERCENTS if higher > percent and GRADES[mode] is LinkGrade.A]
    stricter = fields.items("stricter")
    if any(type(value) is not int or value not in possible for value in stricter):
        known = ", ".join(map(str, possible)) or "nothing"
        raise fields.malformed("stricter", f"with this mode and percent it lists {known}")
    return frozenset(value for value in stricter if isinstance(value, int))
