"""How old data are, and whether that is too old: the arithmetic behind every stamp DATA AS OF.

What is not known is never counted as fresh: data without an instant, or with one that lies in the future, are of
unknown age, and unknown is treated as too old.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from asepsis.domain.documents import Document, encode_time


class Freshness(StrEnum):
    """Whether data are recent enough for what they are used for."""

    FRESH = "fresh"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """The age of the data behind one output ``at`` an instant, against the most that is allowed."""

    as_of: datetime | None
    at: datetime
    most: timedelta

    @property
    def age(self) -> timedelta | None:
        """How old the data are; nothing, where that cannot be known."""
        return None if self.as_of is None or self.as_of > self.at else self.at - self.as_of

    @property
    def freshness(self) -> Freshness:
        """Fresh up to and including the most that is allowed."""
        if self.age is None:
            return Freshness.UNKNOWN
        return Freshness.FRESH if self.age <= self.most else Freshness.STALE

    @property
    def says(self) -> str:
        """The words that stand on every output."""
        if self.age is None:
            return "DATA AS OF AN UNKNOWN TIME"
        moment = "" if self.as_of is None else f"{self.as_of:%Y-%m-%d %H:%M} UTC"
        late = "" if self.freshness is Freshness.FRESH else ": TOO OLD"
        return f"DATA AS OF {moment} ({span(self.age)} old, at most {span(self.most)} allowed{late})"

    def to_document(self) -> Document:
        """The stamp as data; ages are in whole seconds."""
        return {
            "as_of": None if self.as_of is None else encode_time(self.as_of),
            "at": encode_time(self.at),
            "age_seconds": seconds(self.age),
            "max_age_seconds": seconds(self.most),
            "freshness": self.freshness.value,
            "says": self.says,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was reached of an objective: met only where it is known and no more than the objective."""

    actual: timedelta | None
    objective: timedelta

    @property
    def met(self) -> bool:
        """Whether the objective was met."""
        return self.actual is not None and timedelta(0) <= self.actual <= self.objective

    def to_document(self) -> Document:
        """Both in whole seconds; the actual one is rounded up, so that nothing looks better than it was."""
        return {"actual_seconds": seconds(self.actual), "objective_seconds": seconds(self.objective), "met": self.met}


def oldest(moments: Iterable[datetime | None]) -> datetime | None:
    """What several inputs together are as of: the oldest of them, and nothing where one of them is not known."""
    known = list(moments)
    return None if not known or None in known else min(moment for moment in known if moment is not None)


def seconds(length: timedelta | None) -> int | None:
    """Whole seconds, rounded up."""
    return None if length is None else -(-length // timedelta(seconds=1))


def span(length: timedelta | None) -> str:
    """A length of time in words, in its two largest units."""
    if length is None:
        return "unknown"
    whole = max(0, seconds(length) or 0)
    units = (("d", whole // 86_400), ("h", whole // 3_600 % 24), ("min", whole // 60 % 60), ("s", whole % 60))
    first = next((place for place, (_, count) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count) or "0 s"
