"""The SQL of staging, written from a mapping: every data record of a file entry gets its values and exactly one state.

Set-based, a few statements per entry. Where table files ask for some records only, each combination of answers that
occurs is settled by a statement that knows only the table files that asked, into a part that has only their columns; if
there are several, records are staged once with the answers. A view shows the parts as one. Invariant: nothing is
filtered before the states are counted. All SQL names come from checked mappings, all literals are quoted.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf
from functools import cached_property
from typing import Final

from asepsis.harmonise.by_value import SAMPLE, divide, recurring
from asepsis.harmonise.entries import FileEntry
from asepsis.harmonise.expressions import enum_of, quote_name
from asepsis.harmonise.extraction import extract, has_content, landed_fields, landed_table, taken_fields
from asepsis.harmonise.mapping import Mapping, TableSpec
from asepsis.harmonise.partners import UNREAD, landed_partners
from asepsis.harmonise.query import Query
from asepsis.harmonise.said import Kind, Reason, any_of, said, said_besides
from asepsis.harmonise.settling import FIRST, Settling
from asepsis.harmonise.several_rows import ROW, records_of
from asepsis.harmonise.spec_columns import (
    SpecColumns,
    add_where,
    code_table,
    id_column,
    join_table,
    key_of,
    person_column,
)
from asepsis.harmonise.views.compile import PRELUDE

__all__ = ["EntryPlan", "code_table", "final_table", "settled_table"]

_PLACE: Final = {"file_id": "INTEGER", "rec_no": "BIGINT", "byte_off": "BIGINT"}
_DEFECTS: Final = {
    "whole": UNREAD,
    "left_out": "d[1] = '-' OR d = 'deleted'",
}
"""The kinds of defects that settle a record, as conditions on the word ``d``."""
_TEXT: Final = "VARCHAR"
_STATE: Final = enum_of(("accepted", "excluded", "merged", "quarantined"))

Asked = tuple[bool, ...]
"""Which of the table files with a condition ask for a record."""


def settled_table(entry: str) -> str:
    """Where the data records of an entry stand with their state."""
    return quote_name(f"settled_{entry}")


def final_table(table: str) -> str:
    """Where the rows of a target table stand in their final order."""
    return f"final_{table}"


class EntryPlan:
    """The statements for one file entry; building it checks every expression of the mapping that concerns it.

    ``partners`` selects what is joined, by the name of its entry, where it is not landed.
    """

    def __init__(self, mapping: Mapping, entry: FileEntry, *, partners: MappingOf[str, str] | None = None) -> None:
        self._entry = entry
        self._kept_partners = partners or {}
        self._files = mapping.files
        self._specs = mapping.specs_of(entry.name)
        self._codes = tuple(mapping.codes)
        self._writes = mapping.writes
        self._free_text = mapping.free_text
        self._conditional = tuple(spec for spec in self._specs if spec.where is not None)
        self._staged = quote_name(f"staged_{entry.name}")
        self._settled = settled_table(entry.name)
        self._rows = quote_name(f"rows_{entry.name}") if entry.several_rows else self._settled
        self._place = tuple(_PLACE | ({ROW: "INTEGER"} if entry.several_rows else {}))
        self._parts: dict[str, frozenset[str]] = {}
        self._is_staged = entry.is_text and not (landed_fields(entry) or taken_fields(entry))
        self._is_looked_up = not self._specs and entry.name in mapping.joined
        self.defines_persons = any(spec.table == "person" for spec in self._specs)

    def begin(self) -> tuple[str, ...]:
        """Stage the records where they are not settled from where they landed, and what is joined to them.

        Raises:
            ExpressionRefused: an expression is outside the subset or names something unknown.
            MappingMalformed: a path is malformed.
        """
        prelude = PRELUDE if any(file.view is not None for file in self._files.values()) else ()
        begin = (*prelude, *self._partners())
        return (*begin, self._stage()) if self._is_staged else begin

    def has_records(self) -> str:
        """Select whether the entry has any data record; where it has none, there is nothing to do but ``unite``."""
        return f"SELECT EXISTS (FROM {landed_table(self._entry.name)} WHERE kind = 'data')"

    def survey(self) -> str:
        """Select the combinations of answers that occur; of a sample, the records and the different values by field."""
        source = self._staged if self._is_staged else f"({self._asking()})"
        names, sample = self._wheres(), f"FROM {source} WHERE rec_no < {SAMPLE}"
        fields = [f"approx_count_distinct({quote_name(name)})" for name in self._used_fields]
        counts = [f"{sql} AS c{place}" for place, sql in enumerate(("count(*)", *fields))]
        if not names:
            return f"SELECT {', '.join(counts)} {sample}"
        shown = ", ".join([*names, *(f"coalesce(c{place}, 0)" for place in range(len(counts)))])
        of_sample = f"SELECT {', '.join([*names, *counts])} {sample} GROUP BY {', '.join(names)}"
        return (
            f"SELECT {shown} FROM (SELECT DISTINCT {', '.join(names)} FROM {source}) "
            f"LEFT JOIN ({of_sample}) USING ({', '.join(names)})"
        )

    def divide(self, combinations: int) -> tuple[str, ...]:
        """Stage the records if there are several combinations of answers and they are not staged yet."""
        if self._is_staged or combinations <= 1:
            return ()
        self._is_staged = True
        return (self._stage(),)

    def surveyed(self, row: Sequence[int]) -> tuple[Asked, tuple[str, ...]]:
        """One row of the survey: the answers, and the fields whose values recur under them."""
        answers = len(self._conditional)
        asked = tuple(bool(answer) for answer in row[:answers])
        return asked, recurring(self._used_fields, row[answers], row[answers + 1 :])

    def settling(self, asked: Asked, by_value: Sequence[str] = ()) -> Settling:
        """How to settle the records with these answers; what depends on one field ``by_value`` is judged once a value.

        Raises:
            ExpressionRefused: an expression is outside the subset or names something unknown.
            MappingMalformed: a path is malformed.
        """
        refused = {spec.name for spec, is_asked in zip(self._conditional, asked, strict=True) if not is_asked}
        records = self._records(asked)
        query = self._query(records, [spec for spec in self._specs if spec.name not in refused])
        kept = query.nodes.keys() | {*self._place, "content", *self._compared_fields()}
        types = self._columns()
        wanted = [name for name in types if name in kept]
        query, tables = divide(query, records, by_value, wanted=wanted, prefix=f"values_{self._entry.name}_")
        return Settling(
            query=query,
            values=tables,
            types={name: types[name] for name in wanted},
            texts=tuple(name for name in self._texts() if name in wanted and query.nodes[name].table in tables),
            part=self._next_part(wanted),
        )

    def unite(self) -> tuple[str, ...]:
        """Show the parts that were settled as one; a part has no column of a table file that did not ask for it."""
        types = self._columns()
        create: list[str] = []
        if not self._parts:
            columns = ", ".join(f"{quote_name(name)} {sql_type}" for name, sql_type in types.items())
            create = [f"CREATE OR REPLACE TABLE {self._next_part(types)} ({columns})"]
        parts = []
        for part, known in self._parts.items():
            columns = ", ".join(
                quote_name(name) if name in known else f"{_absent(sql_type)} AS {quote_name(name)}"
                for name, sql_type in types.items()
            )
            parts.append(f"SELECT {columns} FROM {part}")
        rows = " UNION ALL ".join(parts)
        if self._entry.several_rows:
            create += self._gather(rows)
            rows = f"FROM {', '.join(self._parts)}"
        return (*create, f"CREATE OR REPLACE VIEW {self._settled} AS {rows}")

    def _gather(self, rows: str) -> list[str]:
        """Make one record of its rows; it is what is settled from now on."""
        emits = [quote_name(f"{spec.name}?emit") for spec in self._specs]
        records = records_of(self._rows, emits=emits, content=bool(self._entry.duplicates))
        table = quote_name(f"records_of_{self._entry.name}")
        self._parts = {table: frozenset()}
        return [f"CREATE OR REPLACE VIEW {self._rows} AS {rows}", f"CREATE OR REPLACE TABLE {table} AS {records}"]

    def everything(self) -> Asked:
        """The answers of a record that every table file asks for."""
        return (True,) * len(self._conditional)

    def finish(self) -> tuple[str, ...]:
        """Merge repeated records, and set records apart that name a person once more."""
        merge = self._merge() if self._entry.duplicates else ()
        twins = self._find_twins() if self._entry.duplicates else ()
        drop = (f"DROP TABLE {self._staged}",) if self._is_staged else ()
        if not self.defines_persons:
            return (*drop, *merge, *twins)
        apart = (*self._set_repeated_persons_apart(), *self._set_unknown_persons_apart())
        return (*drop, *merge, *apart, *twins)

    def merge_into_earlier(self, twins: str) -> tuple[str, ...]:
        """Merge records into those of an earlier run that they repeat: ``twins`` has ``file_id, rec_no, first``."""
        merged = "first = r.first, state = CASE WHEN s.state = 'accepted' THEN 'merged' ELSE s.state END"
        return self._update(merged, twins)

    def emit(self, spec: TableSpec, columns: Sequence[str] | None = None) -> str:
        """Select the rows of one table file: the person, the columns that are filled, and where each row comes from."""
        filled = {column.name for column in spec.fields if self._writes(spec, column)}
        names = [column.name for column in spec.fields] if columns is None else columns
        values = [_emitted(spec, name, is_filled=name in filled) for name in names]
        person, source = f"s.{id_column(spec)} AS person_id", f"({self.accepted_rows()}) s"
        if self.defines_persons:
            person, source = "p.person_id", f"{source} JOIN persons p ON p.person_key = s.{person_column(spec)}"
        grade = quote_name(f"{spec.name}>grade")
        row = f"s.{ROW}" if self._entry.several_rows else "1"
        return (
            f"SELECT {person}, {', '.join([*values, 's.file_id'])}, s.rec_no, s.byte_off, {row} AS {ROW}, "
            f"s.{grade} AS grade, s.said FROM {source} WHERE s.{quote_name(f'{spec.name}?emit')}"
        )

    def accepted_rows(self) -> str:
        """Select the rows of accepted records that are not left out themselves; most records are one row."""
        rows = f"FROM {self._rows} WHERE state = 'accepted'"
        if not self._entry.several_rows:
            return rows
        return (
            f"{rows} AND (file_id, rec_no) IN (SELECT (file_id, rec_no) FROM {self._settled} WHERE state = 'accepted')"
        )

    def emits(self) -> str:
        """The condition under which a settled record becomes a row of any table."""
        return " OR ".join(quote_name(f"{spec.name}?emit") for spec in self._specs) or "FALSE"

    def person_keys(self) -> str:
        """Select the distinct keys of accepted persons."""
        person = person_column(next(spec for spec in self._specs if spec.table == "person"))
        accepted = f"{self._settled} WHERE state = 'accepted' AND {person} IS NOT NULL"
        return f"SELECT DISTINCT {person} FROM {accepted} ORDER BY 1"

    def _next_part(self, columns: Iterable[str]) -> str:
        part = quote_name(f"part{len(self._parts)}_of_{self._entry.name}")
        self._parts[part] = frozenset({*columns, "first"})
        return part

    def _update(self, assignments: str, found: str) -> tuple[str, ...]:
        """Change the settled records that ``found`` names by ``file_id, rec_no``; it is ``r`` in the assignments."""
        same = "s.file_id = r.file_id AND s.rec_no = r.rec_no"
        return tuple(f"UPDATE {part} s SET {assignments} FROM {found} r WHERE {same}" for part in self._parts)

    def _partners(self) -> tuple[str, ...]:
        """For each join, the values of the other entry by key; ``n`` says how many different ones a key has."""
        statements = []
        for spec in self._specs:
            for join in spec.joins:
                values = ", ".join(quote_name(f"f.{field}") for field in join.fields)
                firsts = ", ".join(f"any_value({quote_name(f'f.{x}')}) AS {quote_name(f'f.{x}')}" for x in join.fields)
                on = [quote_name(f"f.{field}") for field in join.on]
                known = " AND ".join(f"{name} IS NOT NULL" for name in on)
                partners = self._kept_partners.get(join.entry) or landed_partners(self._files[join.entry])
                read = f"SELECT DISTINCT {key_of(on)} AS join_key, {values} FROM ({partners}) WHERE {known}"
                statements.append(
                    f"CREATE OR REPLACE TEMP TABLE {join_table(spec, join)} AS "
                    f"SELECT join_key, count(*) AS n, {firsts} FROM ({read}) GROUP BY join_key"
                )
        return tuple(statements)

    def _columns(self) -> dict[str, str]:
        """Every column of a settled record, with its type and default."""
        columns = _PLACE | ({ROW: "INTEGER"} if self._entry.several_rows else {})
        for spec in self._specs:
            columns |= self._spec_columns(spec, Query("")).settled()
        columns |= {"said": "VARCHAR", "state": _STATE, "first": FIRST}
        if self._entry.duplicates:
            columns |= {"content": "UBIGINT"} | dict.fromkeys(self._compared_fields(), "VARCHAR")
        return columns

    def _texts(self) -> tuple[str, ...]:
        """The columns of emitted text; free text is not among them."""
        return tuple(
            f"{spec.name}={column.name}"
            for spec in self._specs
            for column in spec.fields
            if spec.target.columns[column.name] == _TEXT and f"{spec.table}.{column.name}" not in self._free_text
        )

    def _spec_columns(self, spec: TableSpec, query: Query) -> SpecColumns:
        return SpecColumns(spec, query, self._entry, self._codes, defines_persons=self.defines_persons)

    def _wheres(self) -> list[str]:
        return [quote_name(f"{spec.name}?where") for spec in self._conditional]

    @cached_property
    def _used_fields(self) -> tuple[str, ...]:
        """The columns of the source fields that table files use."""
        used = self._query("", self._specs).uses | {*self._compared_fields()}
        return tuple(f"f.{name}" for name in self._entry.field_names if f"f.{name}" in used)

    def _stage(self) -> str:
        """Every data record with the fields that table files use, its defects, and who asks for it."""
        fields = [quote_name(name) for name in self._used_fields]
        content = ["content"] if self._entry.duplicates else []
        columns = ", ".join([*self._place, "defects", *fields, *content, *self._wheres()])
        return f"CREATE OR REPLACE TEMP TABLE {self._staged} AS SELECT {columns} FROM ({self._asking()})"

    def _asking(self) -> str:
        """Every data record with the answers of the table files that ask for some only."""
        query = Query(self._extracted())
        for spec in self._conditional:
            add_where(query, spec, self._entry, self._codes)
        return query.sql

    def _extracted(self) -> str:
        is_hashed = self._entry.duplicates and not has_content(self._entry)
        content = f", {self._content()} AS content" if is_hashed else ""
        return f"SELECT *{content} FROM ({extract(self._entry)})" if content else extract(self._entry)

    def _records(self, asked: Asked) -> str:
        if not self._is_staged:
            return self._extracted()
        answers = [name if is_asked else f"NOT {name}" for name, is_asked in zip(self._wheres(), asked, strict=True)]
        return f"SELECT * FROM {self._staged} WHERE {' AND '.join([*answers, 'TRUE'])}"

    def _query(self, records: str, specs: Sequence[TableSpec]) -> Query:
        """Everything that is computed about records that these table files ask for."""
        query = Query(records)
        self._add_defects(query)
        for spec in specs:
            self._spec_columns(spec, query).add()
        if not specs and (self._conditional or self._is_looked_up):
            unharmed = "NOT defects_whole AND NOT defects_left_out"
            reason = "looked_up_only" if self._is_looked_up else "no_table_asks_for_it"
            query.found.exclude.append(Reason(unharmed, reason))
        self._add_state(query)
        return query

    def _add_defects(self, query: Query) -> None:
        """Most records have no defect, which one comparison of a length tells. See ``readers.batch`` for the words."""
        query.add("has_defects", "len(defects) > 0")
        for name, kind in _DEFECTS.items():
            some = f"len(list_filter(defects, lambda d: {kind})) > 0"
            query.add(f"defects_{name}", f"CASE WHEN has_defects THEN {some} ELSE FALSE END")

    def _add_state(self, query: Query) -> None:
        """Left out, set aside, or in; that a required value is missing is said if nothing else is."""
        found = query.found
        query.add("is_excluded", f"defects_left_out OR {any_of(found.exclude)}")
        query.add("is_named", f"defects_whole OR {any_of(found.quarantine)}")
        query.add("is_incomplete", any_of(found.last_resort))
        query.add("said", said(found))
        query.add(
            "state",
            f"CASE WHEN is_excluded THEN 'excluded'::{_STATE} "
            f"WHEN is_named OR is_incomplete THEN 'quarantined'::{_STATE} ELSE 'accepted'::{_STATE} END",
        )

    def _content(self) -> str:
        """A hash of what two records must have in common to be one: the fields that the mapping names, or all bytes."""
        return f"hash({', '.join(self._compared())})"

    def _compared(self) -> list[str]:
        raw = "text" if self._entry.is_text else "raw"
        return [raw if name == "raw" else quote_name(f"f.{name}") for name in self._entry.duplicates]

    def _compared_fields(self) -> tuple[str, ...]:
        return () if "raw" in self._entry.duplicates else tuple(f"f.{name}" for name in self._entry.duplicates)

    def _merge(self) -> tuple[str, ...]:
        """Merge repeated records into the first accepted one. Only records whose hash occurs twice are compared."""
        source = self._comparable()
        repeated = f"SELECT content FROM {self._settled} WHERE state = 'accepted' GROUP BY 1 HAVING count(*) > 1"
        own = "{'file_id': s.file_id, 'rec_no': s.rec_no}"
        found = (
            f"SELECT {own} AS own, min({own}) OVER (PARTITION BY {', '.join(self._compared())}) AS head FROM {source} "
            f"WHERE s.state = 'accepted' AND s.content IN ({repeated})"
        )
        repeats = f"SELECT unnest(own), head FROM ({found}) WHERE own <> head"
        update = self._update("state = 'merged', first = r.head", "repeats")
        return f"CREATE OR REPLACE TEMP TABLE repeats AS {repeats}", *update

    def _comparable(self) -> str:
        """The settled records, with their bytes where these are compared."""
        source = f"{self._settled} s"
        if "raw" in self._entry.duplicates:
            source += f" JOIN {landed_table(self._entry.name)} l ON l.file_id = s.file_id AND l.rec_no = s.rec_no"
        return source

    def _find_twins(self) -> tuple[str, ...]:
        """Note for each quarantined record which accepted one it repeats: should it be accepted later, it is merged."""
        quarantined = f"SELECT content FROM {self._settled} WHERE state = 'quarantined'"
        own = "{'file_id': s.file_id, 'rec_no': s.rec_no}"
        found = (
            f"SELECT {own} AS own, s.state AS state, min(CASE WHEN s.state = 'accepted' THEN {own} END) "
            f"OVER (PARTITION BY {', '.join(self._compared())}) AS head FROM {self._comparable()} "
            f"WHERE s.state IN ('accepted', 'quarantined') AND s.content IN ({quarantined})"
        )
        repeats = f"SELECT unnest(own), head FROM ({found}) WHERE state = 'quarantined' AND head IS NOT NULL"
        update = self._update("first = coalesce(s.first, r.head)", "repeats")
        return f"CREATE OR REPLACE TEMP TABLE repeats AS {repeats}", *update

    def _set_repeated_persons_apart(self) -> tuple[str, ...]:
        """Persons of an earlier run stand in ``persons`` already; a new one with the same key is set apart, too."""
        person = person_column(next(spec for spec in self._specs if spec.table == "person"))
        order = f"row_number() OVER (PARTITION BY {person} ORDER BY file_id, rec_no)"
        named = f"{self._settled} WHERE state = 'accepted' AND {person} IS NOT NULL"
        known = f"{person} IN (SELECT person_key FROM persons)"
        ordered = f"SELECT file_id, rec_no, {order} AS n, {known} AS known FROM {named}"
        update = self._update(_set_aside("repeated_person"), "repeats")
        repeated = f"SELECT * FROM ({ordered}) WHERE n > 1 OR known"
        return f"CREATE OR REPLACE TEMP TABLE repeats AS {repeated}", *update

    def _set_unknown_persons_apart(self) -> tuple[str, ...]:
        """Where one file holds persons and other records (a claim file), those of nobody are set apart."""
        person = person_column(next(spec for spec in self._specs if spec.table == "person"))
        others = [spec for spec in self._specs if spec.table != "person"]
        accepted = f"SELECT {person} FROM {self._settled} WHERE state = 'accepted' AND {person} IS NOT NULL"
        known = f"{accepted} UNION ALL SELECT person_key FROM persons"
        lost = [
            f"({quote_name(f'{spec.name}?emit')} AND NOT coalesce({person_column(spec)} IN ({known}), FALSE))"
            for spec in others
        ]
        if not lost:
            return ()
        nobody = f"state = 'accepted' AND {person} IS NULL AND ({' OR '.join(lost)})"
        repeats = f"SELECT file_id, rec_no FROM {self._settled} WHERE {nobody}"
        update = self._update(_set_aside("unknown_person"), "repeats")
        return f"CREATE OR REPLACE TEMP TABLE repeats AS {repeats}", *update


def _absent(sql_type: str) -> str:
    """What stands for a column that a part has not; where it is text, other parts may have words of any type."""
    if sql_type == _TEXT:
        return "NULL"
    return "FALSE" if sql_type == "BOOLEAN" else f"NULL::{sql_type}"


def _emitted(spec: TableSpec, name: str, *, is_filled: bool) -> str:
    value = f"s.{quote_name(f'{spec.name}={name}')}" if is_filled else "NULL"
    if name in spec.target.zero:
        value = f"coalesce({value}, 0)"
    sql_type = spec.target.columns[name]
    return f"{value} AS {name}" if sql_type == _TEXT else f"({value})::{sql_type} AS {name}"


def _set_aside(reason: str) -> str:
    return f"state = 'quarantined', said = {said_besides(Kind.QUARANTINED, reason)}"
