"""The runtime as it is on this machine: its measurement, and what confines it."""

from __future__ import annotations

from dataclasses import dataclass

from asepsis.attest.process import measure
from asepsis.domain.names import Digest
from asepsis.engines.runtime_process import confinement_here


def runtime_measurement() -> Digest:
    """The measurement of the runtime as it is installed here, for a contract to name."""
    return measure()


@dataclass(frozen=True, kw_only=True)
class ConfinementFound:
    """What confines a runtime on this machine, and what data that are not synthetic need besides."""

    summary: str
    missing: tuple[str, ...]


def confinement_found() -> ConfinementFound:
    """Start a runtime's process and see how it is confined. Raises ConfinementFailed."""
    found = confinement_here()
    return ConfinementFound(summary=found.summary, missing=found.missing())
