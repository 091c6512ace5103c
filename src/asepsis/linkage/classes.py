"""The latent classes of record pairs, and what is believed of each before any data is seen.

A pair of records that agree somewhere is one person, or it agrees for one of six other reasons. Each class has a
Dirichlet prior over the levels of every comparison; the priors are informative enough to keep a class what its name
says while the data move it. Only class ``MATCH`` is a link.
Sources: Fellegi and Sunter, JASA 64 (1969), for levels of agreement; Dempster, Laird and Rubin, JRSS B 39 (1977),
for the estimation; the classes and priors were fitted by us on synthetic households.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MISSING: Final = -1
"""The level of a comparison where one side has no value; it has no weight."""


class LatentClass(StrEnum):
    """Why two records agree."""

    MATCH = "match"
    HOUSEHOLD = "household"
    """Relatives who live together."""
    NAMESAKE = "namesake"
    """The same given and family name by chance."""
    AREA = "area"
    """The same given name in the same area by chance."""
    BIRTH_DATE = "birth_date"
    """The same birth date by chance."""
    ADDRESS = "address"
    """The same address without being related."""
    TWIN = "twin"
    """Brothers or sisters of one birth."""


CLASSES: Final = tuple(LatentClass)

STARTING_SHARES: Final = (0.30, 0.15, 0.10, 0.15, 0.19, 0.10, 0.01)
"""Share of the classes among the compared pairs, before the data are seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One comparison: how many levels of agreement it has, and the prior over them by class, lowest level first."""

    name: str
    levels: int
    """How many levels there are besides ``MISSING``."""
    prior: Mapping[LatentClass, tuple[float, ...]] | None = None
    """``None`` where nothing is believed: the levels are then as common in every class as among all pairs."""


def _comparison(name: str, *rows: tuple[float, ...]) -> Comparison:
    return Comparison(name=name, levels=len(rows[0]), prior=dict(zip(CLASSES, rows, strict=True)))


COMPARISONS: Final = (
    _comparison(  # 0 none, 1 initial, 2 sound or one is an initial, 3 near, nickname or another form, 4 equal
        "given",
        (0.05, 0.03, 0.05, 0.12, 0.75),
        (0.75, 0.15, 0.05, 0.03, 0.02),
        (0.02, 0.02, 0.02, 0.04, 0.90),
        (0.02, 0.03, 0.05, 0.05, 0.85),
        (0.70, 0.15, 0.05, 0.05, 0.05),
        (0.80, 0.15, 0.03, 0.01, 0.01),
        (0.85, 0.11, 0.02, 0.015, 0.005),
    ),
    _comparison(  # as given
        "family",
        (0.05, 0.02, 0.04, 0.12, 0.77),
        (0.06, 0.02, 0.04, 0.10, 0.78),
        (0.02, 0.02, 0.02, 0.04, 0.90),
        (0.90, 0.06, 0.02, 0.01, 0.01),
        (0.80, 0.10, 0.04, 0.03, 0.03),
        (0.80, 0.15, 0.03, 0.01, 0.01),
        (0.06, 0.02, 0.04, 0.10, 0.78),
    ),
    _comparison(  # 0 none, 1 year, 2 two of year, month and day, 3 one digit differs, 4 day and month swapped, 5 equal
        "birth",
        (0.010, 0.005, 0.01, 0.040, 0.010, 0.925),
        (0.850, 0.080, 0.03, 0.010, 0.001, 0.029),
        (0.900, 0.060, 0.03, 0.008, 0.001, 0.001),
        (0.900, 0.060, 0.03, 0.008, 0.001, 0.001),
        (0.100, 0.050, 0.10, 0.050, 0.010, 0.690),
        (0.900, 0.060, 0.03, 0.008, 0.001, 0.001),
        (0.010, 0.005, 0.01, 0.040, 0.010, 0.925),
    ),
    _comparison(
        "sex", (0.02, 0.98), (0.50, 0.50), (0.03, 0.97), (0.05, 0.95), (0.40, 0.60), (0.50, 0.50), (0.40, 0.60)
    ),
    _comparison(  # 0 none, 1 area, 2 street, or number and area, 3 street with number or area, 4 nearly all, 5 all
        "address",
        (0.15, 0.05, 0.05, 0.150, 0.050, 0.550),
        (0.20, 0.05, 0.05, 0.150, 0.050, 0.500),
        (0.95, 0.03, 0.01, 0.005, 0.003, 0.002),
        (0.30, 0.40, 0.20, 0.060, 0.020, 0.020),
        (0.80, 0.10, 0.08, 0.010, 0.005, 0.005),
        (0.10, 0.30, 0.40, 0.100, 0.050, 0.050),
        (0.15, 0.05, 0.05, 0.150, 0.050, 0.550),
    ),
    _comparison(  # 0 none, 1 one place differs, 2 equal
        "phone",
        (0.35, 0.05, 0.60),
        (0.50, 0.05, 0.45),
        (0.98, 0.01, 0.01),
        (0.98, 0.01, 0.01),
        (0.98, 0.01, 0.01),
        (0.95, 0.02, 0.03),
        (0.40, 0.05, 0.55),
    ),
    _comparison(  # 0 none, 1 near or on the other line, 2 equal
        "second_line",
        (0.20, 0.10, 0.70),
        (0.30, 0.10, 0.60),
        (0.90, 0.05, 0.05),
        (0.90, 0.05, 0.05),
        (0.90, 0.05, 0.05),
        (0.80, 0.10, 0.10),
        (0.20, 0.10, 0.70),
    ),
    _comparison(
        "state", (0.05, 0.95), (0.10, 0.90), (0.60, 0.40), (0.60, 0.40), (0.60, 0.40), (0.30, 0.70), (0.05, 0.95)
    ),
    _comparison(  # 0 none, 1 one place differs, 2 equal
        "national_id",
        (0.015, 0.020, 0.965),
        (0.998, 0.001, 0.001),
        (0.998, 0.001, 0.001),
        (0.998, 0.001, 0.001),
        (0.998, 0.001, 0.001),
        (0.998, 0.001, 0.001),
        (0.998, 0.001, 0.001),
    ),
    Comparison(
        name="list", levels=2
    ),  # 0 of two owners, 1 of one: how often a list holds a person twice, it says itself
)

MOST_TWINS: Final = 0.005
"""Pairs of twins for one pair of a person with itself, at most, where no owner knows sexes.

Without sexes only the given name tells twins apart, and a given name full of typing errors would pass for a twin's.
"""

PRIOR_SHARE: Final = 0.02
PRIOR_FLOOR: Final = 20.0
"""Pseudo-counts of each prior: this share of the compared pairs by class, and at least this many."""
