"""What an owner asks of a runtime beyond the contract: rules of their own desk, which can only narrow.

They stand in the settings of the desk, are nobody else's business, and hold from the desk's next start on. Whatever
they say, they never make a desk grant what the contract or the policies refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import Digest

PRODUCT_LINES: Final = ("Milan", "Genoa", "Turin", "Intel TDX")

_HIGHEST_LEVEL: Final = 2
_MEASUREMENT: Final = re.compile(r"[0-9a-f]{64,128}")
_NOTHING: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskRules:
    """One owner's rules.

    ``measurements`` are the only ones that count, if there are any; ``denied`` never count. ``minimum_tcb`` maps a
    product line (one of ``PRODUCT_LINES``) to the least level of each component.
    """

    minimum_level: int = 0
    needs_confinement: bool = False
    measurements: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    minimum_tcb: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: _NOTHING)

    def trusts(self, measurement: Digest) -> bool:
        """Whether the owner trusts this code, as far as the owner says anything."""
        return measurement not in self.denied and (not self.measurements or measurement in self.measurements)

    def to_document(self) -> Document:
        """The document form; :func:`read_desk_rules` reads it."""
        return {
            "minimum_level": self.minimum_level,
            "needs_confinement": self.needs_confinement,
            "measurements": sorted(self.measurements),
            "denied": sorted(self.denied),
            "minimum_tcb": {line: dict(levels) for line, levels in self.minimum_tcb.items()},
        }


def read_desk_rules(fields: Fields) -> DeskRules:
    """Read an owner's rules. Raises DocumentMalformed."""
    level = fields.integer("minimum_level")
    if level > _HIGHEST_LEVEL:
        raise fields.malformed("minimum_level", "the level is 0, 1 or 2")
    minimum: dict[str, Mapping[str, int]] = {}
    if fields.has("minimum_tcb"):
        with fields.mapping("minimum_tcb") as lines:
            for line in filter(lines.has, PRODUCT_LINES):
                with lines.mapping(line) as parts:
                    minimum[line] = {part: parts.integer(part) for part in parts.names()}
    return DeskRules(
        minimum_level=level,
        needs_confinement=fields.flag("needs_confinement"),
        measurements=_measurements(fields, "measurements"),
        denied=_measurements(fields, "denied"),
        minimum_tcb=minimum,
    )


def _measurements(fields: Fields, key: str) -> frozenset[str]:
    texts = fields.texts(key, default=())
    if not all(_MEASUREMENT.fullmatch(text) for text in texts):
        raise fields.malformed(key, "measurements are needed: 64 or 96 hexadecimal digits")
    return frozenset(texts)
