"""Quotas of the memory of releases: how many cells and variants of questions a contract lets be asked.

They are a clause of the contract. What was used is counted along its whole lineage, so an amendment that widens
them gives the difference and never a fresh start.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from asepsis.domain.documents import Document, Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Most distinct cells, and most variants of one question (the same but for its literals).

    Each is given for one researcher and for all together; the defaults hold under every profile.
    """

    cells_of_one: int = 5_000
    cells_of_all: int = 50_000
    variants_of_one: int = 200
    variants_of_all: int = 1_000

    def to_document(self) -> Document:
        """The clause that :func:`read_quotas` reads."""
        return dict(asdict(self))


def read_quotas(fields: Fields) -> Quotas:
    """Read the clause; a number that is left out has its default. Raises DocumentMalformed."""
    standard = Quotas()
    quotas = Quotas(
        cells_of_one=fields.integer("cells_of_one", least=1, default=standard.cells_of_one),
        cells_of_all=fields.integer("cells_of_all", least=1, default=standard.cells_of_all),
        variants_of_one=fields.integer("variants_of_one", least=1, default=standard.variants_of_one),
        variants_of_all=fields.integer("variants_of_all", least=1, default=standard.variants_of_all),
    )
    for one, both in (("cells_of_one", "cells_of_all"), ("variants_of_one", "variants_of_all")):
        if getattr(quotas, one) > getattr(quotas, both):
            raise fields.malformed(one, f"one researcher cannot have more than '{both}'")
    return quotas
