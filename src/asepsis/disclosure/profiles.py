"""Disclosure profiles: named, versioned, hashed sets of rules, and the strictest of several.

Sources of the numbers: acro default.yaml (threshold 10, nk (2, 0.9), p 0.1, base 5); OpenSAFELY, "Statistical
disclosure control" (redact <= 7, round to 5, or midpoint-6); NHS England, HES disclosure control (1-7 suppressed,
nearest 5); CMS cell size policy (>= 11); ESSnet guidelines for output checking (10 units).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import reduce
from typing import Final

from asepsis.errors.disclosure import UnknownProfileError


class Rounding(StrEnum):
    """How counts are rounded."""

    NEAREST = "nearest"
    """To the nearest multiple of the base, halves up."""

    MIDPOINT = "midpoint"
    """To the middle of the band of ``base`` counts: ceil(n / base) * base - base / 2 (midpoint-6 of OpenSAFELY)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules of disclosure.

    ``threshold``: least number of distinct persons behind anything that is shown. ``outside``: least number of a
    cell's persons that each owner does not know (0: not asked for). ``share`` and ``percent``: dominance (n, k) with
    n = 2 and p %: nothing is shown where the two largest persons hold more than ``share`` of a total, or where the
    rest would let the second largest estimate the largest within ``percent``. ``digits``: significant digits of
    means and sums. ``freedom``: least degrees of freedom of a variance.
    """

    name: str
    version: int
    threshold: int
    rounding: Rounding
    base: int
    share: float
    percent: float
    digits: int
    freedom: int
    outside: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form: what a release names as its policy."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def label(self) -> str:
        """Name, version and digest, as assessments name it."""
        return f"{self.name}@{self.version}:{self.digest[:12]}"

    def bounds(self, shown: int) -> tuple[int, int]:
        """Least and greatest count that is shown as this number, given that it was shown at all."""
        if self.rounding is Rounding.MIDPOINT:
            high = shown + self.base // 2
            return max(self.threshold, high - self.base + 1), high
        return max(self.threshold, -(-(2 * shown - self.base) // 2)), -(-(2 * shown + self.base) // 2) - 1

    @property
    def width(self) -> int:
        """How far the bounds of a single rounded count lie apart."""
        return self.base - 1

    def round_count(self, count: int) -> int:
        """A count as it is shown."""
        if count <= 0:
            return 0
        if self.rounding is Rounding.MIDPOINT:
            return -(-count // self.base) * self.base - self.base // 2
        return (2 * count + self.base) // (2 * self.base) * self.base


def _nearest(name: str, *, threshold: int, base: int = 5) -> Profile:
    return Profile(
        name=name,
        version=1,
        threshold=threshold,
        rounding=Rounding.NEAREST,
        base=base,
        share=0.9,
        percent=0.1,
        digits=3,
        freedom=10,
    )


def _midpoint(name: str, *, threshold: int, base: int = 6) -> Profile:
    return Profile(
        name=name,
        version=1,
        threshold=threshold,
        rounding=Rounding.MIDPOINT,
        base=base,
        share=0.9,
        percent=0.1,
        digits=3,
        freedom=10,
    )


def _shared(profile: Profile, name: str, *, outside: int) -> Profile:
    fields = asdict(profile) | {"name": name, "outside": outside}
    return Profile(**fields)


_STRICT: Final = _nearest("strict-10", threshold=10)

PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        _STRICT,
        _shared(_STRICT, "strict-10-owners", outside=5),
        _nearest("acro-default", threshold=10),
        _nearest("opensafely-7-5", threshold=8),
        _midpoint("opensafely-mid6", threshold=8),
        _nearest("nhs-hes", threshold=8),
        _nearest("cms-11", threshold=11),
        _nearest("essnet", threshold=10),
    )
}


def profile_named(name: str) -> Profile:
    """The profile of that name, or the strictest of several whose names are joined by ``+``, one for each owner.

    Raises UnknownProfileError.
    """
    names = name.split("+")
    if not set(names) <= PROFILES.keys():
        raise UnknownProfileError(profile=name, known=", ".join(sorted(PROFILES)))
    return strictest(PROFILES[each] for each in sorted(set(names)))


def strictest(profiles: Iterable[Profile]) -> Profile:
    """The profile whose every rule is the strictest among the given ones. Raises ValueError for none."""
    return reduce(_stricter, profiles) if (profiles := tuple(profiles)) else _none()


def _none() -> Profile:
    raise ValueError


def _stricter(left: Profile, right: Profile) -> Profile:
    rounding = max((left, right), key=lambda profile: (profile.base, profile.rounding is Rounding.MIDPOINT))
    merged = Profile(
        name=left.name,
        version=left.version,
        threshold=max(left.threshold, right.threshold),
        rounding=rounding.rounding,
        base=rounding.base,
        share=min(left.share, right.share),
        percent=max(left.percent, right.percent),
        digits=min(left.digits, right.digits),
        freedom=max(left.freedom, right.freedom),
        outside=max(left.outside, right.outside),
    )
    for side in (left, right):
        if asdict(merged) | {"name": "", "version": 0} == asdict(side) | {"name": "", "version": 0}:
            return side
    name = "+".join(dict.fromkeys([*left.name.split("+"), *right.name.split("+")]))
    fields = asdict(merged) | {"name": name, "version": max(left.version, right.version)}
    return Profile(**{**fields, "rounding": Rounding(fields["rounding"])})
