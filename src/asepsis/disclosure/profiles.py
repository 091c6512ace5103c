"""Disclosure profiles: named, versioned, hashed sets of rules, and the strictest of several.

Sources of the numbers: acro default.yaml (threshold 10, nk (2, 0.9), p 0.1, base 5); OpenSAFELY, "Statistical
disclosure control" (redact <= 7, round to 5, or midpoint-6); NHS England, HES disclosure control (1-7 suppressed,
nearest 5); CMS cell size policy (>= 11); ESSnet guidelines for output checking (10 units, largest person at most 50 %).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Final

from asepsis.domain.cells import Needs
from asepsis.errors.disclosure import UnknownProfileError

BLUR: Final = 4
"""The threshold of a comparison lies between the profile's and this much more."""


class Rounding(StrEnum):
    """How counts are rounded."""

    NEAREST = "nearest"
    """To the nearest multiple of the base, halves up."""

    MIDPOINT = "midpoint"
    """To the middle of the band of ``base`` counts: ceil(n / base) * base - base / 2 (midpoint-6 of OpenSAFELY)."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Concentration:
    """The rule (n, k): nothing is shown where the ``persons`` largest hold more than ``share`` of a total."""

    persons: int
    share: float

    def implies(self, other: Concentration) -> bool:
        """Whether whatever the other rule withholds is withheld by this one."""
        return self.persons >= other.persons and self.share <= other.share


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules of disclosure.

    ``threshold``: least number of distinct persons behind anything that is shown. ``outside``: least number of a
    cell's persons that each owner does not know (0: not asked for). ``minimum_providers`` and ``minimum_sites``:
    least number of distinct ones behind anything that is shown (0: not asked for). ``concentrations`` and ``percent``:
    dominance (n, k), all of them, and p %: nothing is shown where the n largest persons hold more than k of a total,
    or where the rest would let the second largest estimate the largest within ``percent``. ``digits``: significant
    digits of means and sums. ``freedom``: least degrees of freedom of a variance. ``noise``: standard deviation of the
    sticky noise that counts get before they are rounded (0: none).
    """

    name: str
    version: int
    threshold: int
    rounding: Rounding
    base: int
    concentrations: tuple[Concentration, ...]
    percent: float
    digits: int
    freedom: int
    outside: int = 0
    minimum_providers: int = 0
    minimum_sites: int = 0
    noise: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form: what a release names as its policy."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def label(self) -> str:
        """Name, version and digest, as assessments name it."""
        return f"{self.name}@{self.version}:{self.digest[:12]}"

    @property
    def needs(self) -> Needs:
        """What these rules ask to be told of every cell; p % is about the two largest persons."""
        largest = max((2, *(rule.persons for rule in self.concentrations)))
        return Needs(
            largest=largest,
            effect=self.threshold + BLUR,
            providers=self.minimum_providers,
            sites=self.minimum_sites,
        )

    def bounds(self, shown: int) -> tuple[int, int]:
        """Least and greatest count that is shown as this number, given that it was shown at all."""
        if self.rounding is Rounding.MIDPOINT:
            high = shown + self.base // 2
            low = high - self.base + 1
        else:
            low, high = -(-(2 * shown - self.base) // 2), -(-(2 * shown + self.base) // 2) - 1
        return max(self.threshold, low - self.reach), high + self.reach

    @property
    def width(self) -> int:
        """How far the bounds of a single rounded count lie apart."""
        return self.base - 1 + 2 * self.reach

    @property
    def reach(self) -> int:
        """The most that noise moves a count."""
        return 3 * self.noise

    def noisy_count(self, count: int, noise: int | None) -> int:
        """A count as it is shown, with its noise; never less than what is shown of the smallest count."""
        moved = count + (noise or 0)
        return self.round_count(max(self.threshold, moved) if self.noise else moved)

    def round_count(self, count: int) -> int:
        """A count as it is shown."""
        if count <= 0:
            return 0
        if self.rounding is Rounding.MIDPOINT:
            return -(-count // self.base) * self.base - self.base // 2
        return (2 * count + self.base) // (2 * self.base) * self.base


_TWO_LARGEST: Final = Concentration(persons=2, share=0.9)


def _nearest(name: str, *, threshold: int, base: int = 5) -> Profile:
    return Profile(
        name=name,
        version=1,
        threshold=threshold,
        rounding=Rounding.NEAREST,
        base=base,
        concentrations=(_TWO_LARGEST,),
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
        concentrations=(_TWO_LARGEST,),
        percent=0.1,
        digits=3,
        freedom=10,
    )


_STRICT: Final = _nearest("strict-10", threshold=10)

PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        _STRICT,
        replace(_STRICT, name="strict-10-owners", outside=5),
        replace(_STRICT, name="strict-10-providers", minimum_providers=2),
        replace(_STRICT, name="strict-10-sites", minimum_sites=2),
        replace(_STRICT, name="strict-10-noise", noise=4),
        _nearest("acro-default", threshold=10),
        _nearest("opensafely-7-5", threshold=8),
        _midpoint("opensafely-mid6", threshold=8),
        _nearest("nhs-hes", threshold=8),
        _nearest("cms-11", threshold=11),
        replace(
            _nearest("essnet", threshold=10),
            version=2,
            concentrations=(Concentration(persons=1, share=0.5), _TWO_LARGEST),
        ),
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
        concentrations=_all_of(left.concentrations, right.concentrations),
        percent=max(left.percent, right.percent),
        digits=min(left.digits, right.digits),
        freedom=max(left.freedom, right.freedom),
        outside=max(left.outside, right.outside),
        minimum_providers=max(left.minimum_providers, right.minimum_providers),
        minimum_sites=max(left.minimum_sites, right.minimum_sites),
        noise=max(left.noise, right.noise),
    )
    for side in (left, right):
        if replace(merged, name=side.name, version=side.version) == side:
            return side
    name = "+".join(dict.fromkeys([*left.name.split("+"), *right.name.split("+")]))
    return replace(merged, name=name, version=max(left.version, right.version))


def _all_of(*rules: tuple[Concentration, ...]) -> tuple[Concentration, ...]:
    """All the rules, without those that follow from another one."""
    every = sorted({rule for part in rules for rule in part})
    return tuple(rule for rule in every if not any(other.implies(rule) for other in every if other != rule))
