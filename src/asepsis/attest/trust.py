"""What a key desk believes in: pinned roots, issuers of launch endorsements, minimum firmware, and its own policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from asepsis.attest.policy import DEFAULT, Policy
from asepsis.attest.roots import AMD_ROOTS, INTEL_ROOTS, LAUNCH_ISSUERS, NITRO_ROOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Trust anchors and requirements; the default is the vendors' roots and what no owner can do without.

    ``minimum_tcb`` maps a product line (``Milan``, ``Genoa``, ``Turin``, ``Intel TDX``) to the least level of each
    component, and holds for every TCB in the report.
    """

    amd_roots: Mapping[str, str] = field(default_factory=lambda: AMD_ROOTS)
    intel_roots: Mapping[str, str] = field(default_factory=lambda: INTEL_ROOTS)
    nitro_roots: Mapping[str, str] = field(default_factory=lambda: NITRO_ROOTS)
    launch_issuers: Mapping[str, str] = field(default_factory=lambda: LAUNCH_ISSUERS)
    minimum_tcb: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    policy: Policy = field(default=DEFAULT)


VENDORS: Final = Trust()
"""The vendors' roots and the default policy."""
