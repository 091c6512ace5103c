"""How many questions and cells may be asked: what bounds the attacks that no single answer shows.

Counts of questions depend on what was asked alone. Counts of released cells are what their receiver sees anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from asepsis.domain.finding import Finding, Severity
from asepsis.domain.quotas import Quotas

MOST_BYTES: Final = 256 << 20
"""Bytes of a memory: what a runtime can surely hold beside its tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that was asked: who asked it first, which variant of which skeleton, and the cells it released."""

    question: str
    author: str
    skeleton: str
    cells: int


def exceeded(asked: Iterable[Asked], *, author: str, skeleton: str, quotas: Quotas) -> bool:
    """Whether one more question of this author and skeleton would be more than the quotas allow."""
    known = tuple(asked)
    own = [one for one in known if one.author == author]
    return (
        sum(one.cells for one in own) >= quotas.cells_of_one
        or sum(one.cells for one in known) >= quotas.cells_of_all
        or sum(one.skeleton == skeleton for one in own) >= quotas.variants_of_one
        or sum(one.skeleton == skeleton for one in known) >= quotas.variants_of_all
    )


QUOTA: Finding = Finding(
    code="disclosure.quota",
    severity=Severity.REFUSE,
    reason="The quota of distinct cells, or of variants of one question, is used up.",
    advice="Ask questions again that were answered already (they are free), or ask the owners to amend the contract.",
)

FULL: Finding = Finding(
    code="disclosure.memory_full",
    severity=Severity.REFUSE,
    reason="The memory of releases under this contract has no room for another answer.",
    advice="Ask questions again that were answered already (they are free), or ask the owners for a new contract.",
)
