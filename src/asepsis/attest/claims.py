"""What a genuine report says, in one shape for all kinds of hardware, and the digest that a contract names it by.

A measurement is the SHA-256 of the canonical form of everything that decides which code runs. The kind is inside,
so that a digest never means the same for two kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from asepsis.attest.signatures import Scheme
from asepsis.domain.attestation import EvidenceKind
from asepsis.domain.names import Digest
from asepsis.sealing.canonical import digest

_FORMAT: Final = "asepsis/measurement/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Claims of one report whose signature and chain were verified; nothing in it is the attester's mere word.

    ``report_data`` is what the runtime had the hardware sign. ``measurements`` are all the digests under which this
    code may be named. ``parts`` are single values for people, in text. ``tcb`` maps the name of each trusted
    computing base in the report to the levels of its components.
    """

    kind: EvidenceKind
    product: str
    algorithm: Scheme
    report_data: bytes
    measurements: frozenset[Digest]
    parts: Mapping[str, str]
    report_digest: Digest
    is_debug: bool = False
    is_migratable: bool = False
    privilege: int | None = None
    host_data: bytes | None = None
    tcb: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    tcb_status: str | None = None

    def to_texts(self) -> dict[str, str]:
        """The claims of an appraisal: names and values as text."""
        texts = {"product": self.product, "algorithm": self.algorithm.value, **self.parts}
        for which, levels in self.tcb.items():
            texts[f"{which}_tcb"] = " ".join(f"{name}={level}" for name, level in levels.items())
        if self.tcb_status is not None:
            texts["tcb_status"] = self.tcb_status
        return texts


def measurement_of(kind: EvidenceKind, **parts: str | int | list[str] | list[int]) -> Digest:
    """The digest that names some code on some kind of hardware."""
    return digest({"format": _FORMAT, "kind": kind.value, "parts": parts})
