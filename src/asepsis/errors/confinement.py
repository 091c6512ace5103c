"""Errors of the runtime's confinement: what the machine cannot give, and what a confined runtime must not leave."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class RuntimeUnconfined(AsepsisError):
    """The machine cannot confine the runtime as the contract's data needs it."""

    kind = Kind.UNAVAILABLE
    code = "confinement.missing"
    message = "The runtime cannot be confined on this machine: {missing}."
    hint = "Install bubblewrap, allow user namespaces and Landlock; only synthetic data at level 0 runs without them."


class ConfinementFailed(AsepsisError):
    """The runtime ended before it said how it is confined."""

    kind = Kind.UNAVAILABLE
    code = "confinement.failed"
    message = "The runtime ended before it said how it is confined."
    hint = "See 'asepsis doctor' for what this machine offers; the interpreter must start in an empty environment."


class OutputRefused(AsepsisError):
    """A run left something else than regular files in its output folder."""

    kind = Kind.UNTRUSTED
    code = "confinement.output_refused"
    message = "The run left something in its output folder that no run may leave: {what}."
    hint = "Do not open the folder with other programs; the program that ran may not be the one that was approved."
