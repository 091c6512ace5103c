"""Free text on its way into the tables: kept out, or scrubbed by the identifiers of the person it belongs to.

It happens at the owner, where the identity table is at hand. Invariant: a text is written only where a contract asks
for its column and a name of its person is known; what was replaced is counted, and said nowhere else. The texts and the
identity rows pass by in the order of persons, a batch at a time. A run without free text does nothing here.
"""

# ruff: noqa: S608 - the SQL is written here from checked names; no data enters it

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import duckdb
import pyarrow as pa

from asepsis.domain.books import TextBooks
from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.harmonise.expressions import quote_name
from asepsis.harmonise.mapping import Mapping as SourceMapping
from asepsis.harmonise.omop import IDENTITY
from asepsis.harmonise.scrubbing.identifiers import Identifiers, identifiers_of
from asepsis.harmonise.scrubbing.scrub import scrub
from asepsis.harmonise.staging import EntryPlan, final_table

_BATCH: Final = 2_000
_MERGE: Final = "person_merge"
_ACCOUNT: Final = "text_account"
_KNOWN: Final = tuple(name for name in IDENTITY_COLUMNS if name not in {"person_id", "sex"})


def treat_texts(connection: duckdb.DuckDBPyConnection, mapping: SourceMapping, *, rows: str = "TRUE") -> None:
    """Scrub the free text that is asked for, in the final tables, and note the counts; ``rows`` says which are new."""
    if not mapping.free_text:
        return
    connection.execute(
        f"CREATE OR REPLACE TABLE {_ACCOUNT} (place VARCHAR, texts BIGINT, unnamed BIGINT, changed BIGINT, "
        "replaced MAP(VARCHAR, BIGINT))"
    )
    for place in sorted(mapping.texts):
        table, _, column = place.partition(".")
        account = _Column(connection, mapping, table=table, column=column, rows=rows).scrub()
        replaced = {"key": list(account.replaced), "value": list(account.replaced.values())}
        connection.execute(
            f"INSERT INTO {_ACCOUNT} VALUES (?, ?, ?, ?, map(?::VARCHAR[], ?::BIGINT[]))",
            [place, account.texts, account.unnamed, account.changed, replaced["key"], replaced["value"]],
        )


def count_texts(
    connection: duckdb.DuckDBPyConnection, mapping: SourceMapping, *, earlier: Sequence[TextBooks] = ()
) -> tuple[TextBooks, ...]:
    """The account of every column with free text, with that of an earlier run added."""
    if not mapping.free_text:
        return tuple(earlier)
    before = {text.column: text for text in earlier}
    found = {
        str(place): TextBooks(
            column=str(place), texts=texts, unnamed=unnamed, changed=changed, replaced=dict(sorted(replaced.items()))
        )
        for place, texts, unnamed, changed, replaced in connection.execute(f"SELECT * FROM {_ACCOUNT}").fetchall()
    }
    found |= {place: _withheld(connection, mapping, place) for place in mapping.withheld}
    return tuple(_sum(before.get(place), found.get(place)) for place in sorted({*before, *found}))


def _withheld(connection: duckdb.DuckDBPyConnection, mapping: SourceMapping, place: str) -> TextBooks:
    """How many texts of accepted records are kept out."""
    table, _, column = place.partition(".")
    count = 0
    for spec in mapping.tables:
        if spec.table == table and any(item.name == column and spec.is_free(item) for item in spec.fields):
            value, emit = quote_name(f"{spec.name}={column}"), quote_name(f"{spec.name}?emit")
            source = f"({EntryPlan(mapping, mapping.files[spec.entry]).accepted_rows()}) WHERE {emit}"
            row = connection.execute(f"SELECT count({value}) FROM {source}").fetchone()
            count += int(row[0]) if row is not None else 0
    return TextBooks(column=place, texts=count, withheld=count)


def _sum(before: TextBooks | None, now: TextBooks | None) -> TextBooks:
    known = [text for text in (before, now) if text is not None]
    replaced = sum((Counter(text.replaced) for text in known), Counter())
    return TextBooks(
        column=known[0].column,
        texts=sum(text.texts for text in known),
        withheld=sum(text.withheld for text in known),
        unnamed=sum(text.unnamed for text in known),
        changed=sum(text.changed for text in known),
        replaced=dict(sorted(replaced.items())),
    )


@dataclass(slots=True)
class _Column:
    """One column with free text of one final table."""

    _connection: duckdb.DuckDBPyConnection
    _mapping: SourceMapping
    table: str = field(kw_only=True)
    column: str = field(kw_only=True)
    rows: str = field(kw_only=True)
    texts: int = 0
    unnamed: int = 0
    changed: int = 0
    replaced: Counter[str] = field(default_factory=Counter)

    def scrub(self) -> _Column:
        """Replace every text of the column by what may stand there."""
        run, name = self._connection.execute, quote_name(self.column)
        run("CREATE OR REPLACE TABLE scrubbed (n BIGINT, text VARCHAR)")
        for batch in self._scrubbed():
            self._connection.register("batch", batch)
            run("INSERT INTO scrubbed SELECT * FROM batch")
            self._connection.unregister("batch")
        run(f"UPDATE {final_table(self.table)} t SET {name} = s.text FROM scrubbed s WHERE s.n = t.n")
        run("DROP TABLE scrubbed")
        return self

    def _scrubbed(self) -> Iterator[pa.Table]:
        """Numbers of rows with their new texts; both streams are in the order of persons."""
        places: list[int] = []
        texts: list[str | None] = []
        people = _People(self._identities())
        for number, person, text in _each(self._connection, self._texts()):
            places.append(number)
            texts.append(self._one(text, people.of(person)))
            if len(places) == _BATCH:
                yield _batch(places, texts)
                places, texts = [], []
        yield _batch(places, texts)

    def _one(self, text: str, known: Identifiers) -> str | None:
        self.texts += 1
        if not known.is_named:
            self.unnamed += 1
            return None
        done = scrub(text, known)
        self.changed += bool(done.counts)
        self.replaced.update(str(label) for label in done.counts.elements())
        return done.text

    def _texts(self) -> str:
        own = f"{final_table(self.table)} WHERE {quote_name(self.column)} IS NOT NULL AND {self.rows}"
        return f"SELECT n, person_id, {quote_name(self.column)} FROM {own} ORDER BY person_id, n"

    def _identities(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The identity rows of everybody with a text, and of whoever the source says is the same person."""
        filled = {column.name for spec in self._mapping.tables if spec.table == IDENTITY for column in spec.fields}
        names = [name for name in _KNOWN if name in filled]
        if not names:
            return
        identity, columns = final_table(IDENTITY), ", ".join(f"i.{name}" for name in names)
        parts = [f"SELECT i.person_id AS person, {columns} FROM {identity} i"]
        if any(spec.table == _MERGE for spec in self._mapping.tables):
            merges = final_table(_MERGE)
            for one, other in (("person_id", "merged_person_id"), ("merged_person_id", "person_id")):
                joined = f"{merges} m JOIN {identity} i ON i.person_id = m.{other}"
                parts.append(f"SELECT m.{one} AS person, {columns} FROM {joined}")
        asked = f"(SELECT DISTINCT person_id AS person FROM ({self._texts()}))"
        rows = f"SELECT * FROM ({' UNION ALL '.join(parts)}) SEMI JOIN {asked} USING (person) ORDER BY ALL"
        for person, *values in _each(self._connection, rows):
            yield person, dict(zip(names, values, strict=True))


class _People:
    """The identifiers of persons, asked for in the order of the persons."""

    def __init__(self, rows: Iterator[tuple[int, Mapping[str, Any]]]) -> None:
        self._groups = groupby(rows, key=lambda row: row[0])
        self._at = -1
        self._rows: list[Mapping[str, Any]] = []
        self._asked = -1
        self._known = Identifiers()

    def of(self, person: int) -> Identifiers:
        """What is known of the person: nothing, if no row names it."""
        if person != self._asked:
            while self._at < person and (group := next(self._groups, None)) is not None:
                self._at, self._rows = group[0], [row for _, row in group[1]]
            self._asked = person
            self._known = identifiers_of(self._rows if self._at == person else ())
        return self._known


def _each(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a select, a batch at a time."""
    cursor = connection.cursor().execute(sql)
    while rows := cursor.fetchmany(_BATCH):
        yield from rows


def _batch(places: list[int], texts: list[str | None]) -> pa.Table:
    return pa.table({"n": pa.array(places, pa.int64()), "text": pa.array(texts, pa.string())})
