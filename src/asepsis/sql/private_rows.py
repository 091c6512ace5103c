"""How many rows a person may have in a relation, and whether all of them fall into one cell.

Only catalogue and plan are asked; no data are looked at.
"""

from __future__ import annotations

from asepsis.domain.catalogue import Catalogue
from asepsis.sql.plan import (
    EVERYTHING,
    Appended,
    LookupScan,
    PerPerson,
    Projection,
    Relational,
    Rows,
    Scalar,
    Source,
    TableScan,
)
from asepsis.sql.references import sources_of


class PersonRows:
    """What is known of the rows of one person among ``rows``, whatever the data are."""

    def __init__(self, rows: Rows, catalogue: Catalogue) -> None:
        self._rows = rows
        self._catalogue = catalogue
        self._sources = {source.number: source for source in rows.sources}

    def are_one(self) -> bool:
        """Whether a person has one row at most."""
        return all(self._has_one_row(source) for source in self._rows.sources)

    def share(self, key: Scalar) -> bool:
        """Whether all rows of one person have the same value of a key."""
        return all(self._has_one_row(self._sources[number]) for number in sources_of(key) if number in self._sources)

    def multiply(self) -> bool:
        """Whether several sources have many rows of one person, which are joined each with each."""
        return self._multiplies(self._rows)

    def _has_one_row(self, source: Source) -> bool:
        """Whether a source has at most one row of a person (a look-up table: of the row that it is joined to)."""
        if isinstance(source.relation, LookupScan):
            return source.key is not None and self.share(source.key)
        if source.matches != EVERYTHING:  # other rows of the person may find no partner
            return False
        return self._is_single(source.relation)

    def _is_single(self, relation: Relational) -> bool:
        match relation:
            case TableScan():
                table = self._catalogue.table(relation.table)
                return table is not None and table.one_per_person
            case PerPerson():
                return not relation.keys
            case Projection():
                inner = relation.rows.sources
                return all(not isinstance(one.relation, LookupScan) and self._is_single(one.relation) for one in inner)
            case _:
                return False

    def _multiplies(self, rows: Rows) -> bool:
        persons = [one.relation for one in rows.sources if not isinstance(one.relation, LookupScan)]
        several = sum(not self._is_single(relation) for relation in persons)
        parts = [part for one in persons for part in (one.parts if isinstance(one, Appended) else (one,))]
        inner = [part.rows for part in parts if isinstance(part, Projection)]
        return several > 1 or any(map(self._multiplies, inner))
