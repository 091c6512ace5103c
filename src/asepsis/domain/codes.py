"""The closed list of rules of disclosure that findings name: what each does, and what helps an author.

The same words whatever the data are: no finding says which rule held a cell back, or that any did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One rule; ``withholds`` says that it can keep a cell inside."""

    meaning: str
    helps: str
    withholds: bool = False


CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "disclosure.threshold": Code(
            meaning="A cell of fewer distinct persons than the profile asks for stays inside, and so does a part of "
            "which the rest is as small. A curve ends where fewer are left at risk.",
            helps="Ask about more persons: fewer conditions, coarser groups, a longer period.",
            withholds=True,
        ),
        "disclosure.owners": Code(
            meaning="Enough persons of a cell have to be unknown to each owner, who could subtract its own patients.",
            helps="Ask about groups that several owners know.",
            withholds=True,
        ),
        "disclosure.providers": Code(
            meaning="The records behind a cell have to come from enough providers. Records of which it is not known do "
            "not count.",
            helps="Ask about groups whom several providers treat. Join the table whose provider counts; do not test "
            "providers in a subquery.",
            withholds=True,
        ),
        "disclosure.sites": Code(
            meaning="The records behind a cell have to come from enough sites, such as practices or wards. Records of "
            "which it is not known do not count.",
            helps="Ask about groups that several sites know. Join the table whose site counts; do not test sites in a "
            "subquery.",
            withholds=True,
        ),
        "disclosure.dominance": Code(
            meaning="A total or mean of which one person or a few hold too much stays inside.",
            helps="Ask for a count or a quantile, or for coarser groups.",
            withholds=True,
        ),
        "disclosure.memory": Code(
            meaning="A cell that differs from a released one by a few persons or by nobody stays inside, and so does "
            "one that bounds a few persons too closely together with others.",
            helps="Use the cells that were released; put what belongs together into one question.",
            withholds=True,
        ),
        "disclosure.low_effect": Code(
            meaning="A cell stays inside if a range, exclusion or alternative of the question matters for a few of its "
            "persons or for nobody.",
            helps="Leave the condition out, or make it matter for more persons.",
            withholds=True,
        ),
        "disclosure.margins": Code(
            meaning="In a table with margins further cells stay inside, so that no difference of shown cells tells too "
            "much of a withheld one.",
            helps="Ask for fewer or coarser groups, or for the groupings that you need alone.",
            withholds=True,
        ),
        "disclosure.linked": Code(
            meaning="Patients whom several owners know count once, by links of the grade that is named: A from a "
            "fitted model with posteriors, B from exact rules, which miss more, C from imported filters.",
            helps="Agree on another mode or a surer posterior in the clause 'linkage' of the contract.",
        ),
        "disclosure.rounded": Code(
            meaning="Counts are rounded as the profile says; means, sums and all that is computed from them follow "
            "from the rounded and shortened parts.",
            helps="Nothing: every number that leaves is protected so. Differences of rounded numbers need not add up.",
        ),
        "disclosure.noise": Code(
            meaning="Counts are moved by a small number before they are rounded. It follows from the question: every "
            "way to ask for the same persons gets the same one. Margins and methods are not released under such rules.",
            helps="Nothing: asking again gets the same number. Of more persons a few more or less matter less.",
        ),
        "disclosure.midpoint": Code(
            meaning="Cumulative counts of a curve stand for bands of counts, by the middle of the band.",
            helps="Nothing: every curve that leaves is protected so.",
        ),
        "disclosure.below_threshold": Code(
            meaning="No part of the result can be shown. It is the same word for a result of few persons and of none.",
            helps="Ask about more persons: fewer conditions, or coarser groups.",
        ),
        "disclosure.margins_open": Code(
            meaning="The table has too many cells, or no choice of withheld cells was found in time that protects it.",
            helps="Ask for fewer groups, or for each grouping separately.",
        ),
        "disclosure.quota": Code(
            meaning="The quota of distinct cells, or of variants of one question, is used up.",
            helps="Ask an owner for a larger quota, or repeat an earlier question, which is free.",
        ),
        "disclosure.memory_full": Code(
            meaning="The memory of releases of this contract has no room for the result.",
            helps="Ask for fewer cells, or let the owners end this contract and sign a new one.",
        ),
        "privacy.cost": Code(
            meaning="The question is answered with noise, which costs the persons of each dataset a loss that adds up.",
            helps="Nothing: every new question costs the same. Equal questions on the same snapshots are free.",
        ),
        "privacy.error": Code(
            meaning="How far the noise alone moves 95 of 100 numbers. Persons with more records than the contract's "
            "bounds are scaled down besides.",
            helps="Ask for fewer measures at once, for they share the cost, and for coarser groups.",
        ),
        "privacy.bounds": Code(
            meaning="What one person counts for at most was found in the data for a price, from a noisy histogram.",
            helps="Nothing: the choice is as private as the answer. Bounds of the contract cost nothing.",
        ),
        "privacy.threshold": Code(
            meaning="A group of too few persons, noise included, stays inside.",
            helps="Ask for coarser groups, or group by columns of which the contract lists the public values.",
            withholds=True,
        ),
        "privacy.remaining": Code(
            meaning="What is left to lose for the persons of each dataset, by the word of their owners' key desks.",
            helps="The parties can sign a larger budget; nothing is ever refunded.",
        ),
        "sql.snapped": Code(
            meaning="A range was moved outwards to the registered bins of its column.",
            helps="Write the range at the edges of bins to get exactly what you wrote.",
        ),
    }
)
