"""The Kaplan-Meier estimate from (protected) counts.

S(t) = product over steps up to t of (1 - d / n): Kaplan and Meier, J Am Stat Assoc 53 (1958) 457-481.
Variance of ln S by Greenwood (1926): sum of d / (n (n - d)); confidence limits on the log(-log) scale,
S ** exp(+-z * sqrt(variance) / ln S): Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data,
2nd ed. (2002), section 1.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

Z95: Final = 1.959963984540054
"""97.5 % point of the standard normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Survival just after a step, with its 95 % confidence limits."""

    survival: float
    lower: float
    upper: float


@dataclass(slots=True)
class Estimator:
    """Runs through the steps of a curve in the order of time."""

    survival: float = 1.0
    variance: float = 0.0

    def step(self, *, at_risk: int, events: int) -> None:
        """``events`` persons of ``at_risk`` have the event."""
        if events <= 0:
            return
        deaths = min(events, at_risk)
        self.survival *= 1.0 - deaths / at_risk
        self.variance += deaths / (at_risk * (at_risk - deaths)) if deaths < at_risk else math.inf

    @property
    def estimate(self) -> Estimate:
        """The estimate after the steps so far."""
        survival = self.survival
        if survival >= 1.0 or survival <= 0.0 or not math.isfinite(self.variance):
            return Estimate(survival=survival, lower=survival, upper=survival)
        spread = math.exp(Z95 * math.sqrt(self.variance) / abs(math.log(survival)))
        return Estimate(survival=survival, lower=survival**spread, upper=survival ** (1.0 / spread))
