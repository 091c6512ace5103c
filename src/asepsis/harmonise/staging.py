"""The SQL of staging and splitting, written from a mapping. Set-based: one statement per file entry and stage.

Invariant: staging keeps every data record and gives it exactly one state; nothing is filtered before the states are
counted. Column names: ``f.x`` a source field, ``spec.x`` a named value, ``spec!n`` a failed requirement, ``spec=x`` the
value that is emitted. All SQL names come from checked mappings, all literals are quoted.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import Final

from asepsis.harmonise.entries import FileEntry
from asepsis.harmonise.expressions import Expressions, quote_name, quote_text
from asepsis.harmonise.extraction import extract, landed_table
from asepsis.harmonise.mapping import Column, Mapping, OnFail, Rule, TableSpec

_WORD: Final = re.compile(r'"((?:[^"]|"")*)"|\b([a-z_]+)\b')
_KEPT: Final = ("file_id", "rec_no", "byte_off", "byte_len")


def settled_table(entry: str) -> str:
    """Where the data records of an entry stand with their state."""
    return quote_name(f"settled_{entry}")


def code_table(name: str) -> str:
    """Where a code map stands."""
    return quote_name(f"codes_{name}")


def rows_table(spec: str) -> str:
    """Where the rows that one table file emits stand."""
    return quote_name(f"rows_{spec}")


_Found = tuple[str, str]
"""A condition, and the list of what is found where it holds."""


@dataclass(frozen=True, slots=True)
class _Node:
    """One computed column: its SQL, and for a looked-up column the table, its key, and the column that is looked up."""

    sql: str
    table: str = ""
    key: str = ""
    value: str = ""

    @property
    def uses(self) -> frozenset[str]:
        """Every name that occurs."""
        return frozenset(a or b for a, b in _WORD.findall(f"{self.sql} {self.value}"))


class _Query:
    """A growing select whose columns may use earlier ones; they are laid in as few layers as their use allows.

    The time to plan a query grows with its depth, and a mapping easily has a hundred columns.
    """

    def __init__(self, sql: str) -> None:
        self._base = sql
        self._nodes: dict[str, _Node] = {}
        self._levels: dict[str, int] = {}
        self.quarantine: list[_Found] = []
        self.last_resort: list[_Found] = []
        self.exclude: list[_Found] = []
        self.flags: list[_Found] = []
        self.repairs: list[_Found] = []
        self.rejects: list[_Found] = []
        self.kept: list[str] = []

    @property
    def sql(self) -> str:
        """The select with every column."""
        query = self._base
        for level in range(1, max(self._levels.values(), default=0) + 1):
            query = self._layer(query, [name for name, at in self._levels.items() if at == level])
        return query

    def add(self, name: str, sql: str) -> None:
        """Add one computed column."""
        self._put(name, _Node(sql))

    def look_up(self, columns: MappingOf[str, str], *, table: str, key: str, value: str) -> None:
        """Add columns of the row of ``table`` whose ``key`` is the value; ``t`` is that row in their SQL."""
        for name, sql in columns.items():
            self._put(name, _Node(sql, table, key, value))

    def _put(self, name: str, node: _Node) -> None:
        self._nodes[name] = node
        self._levels[name] = 1 + max((self._levels.get(used, 0) for used in node.uses if used != name), default=0)

    def _layer(self, below: str, names: list[str]) -> str:
        joins: dict[tuple[str, str, str], str] = {}
        columns = []
        for name in names:
            node = self._nodes[name]
            sql = node.sql
            if node.table:
                alias = joins.setdefault((node.table, node.key, node.value), f"t{len(joins)}")
                sql = re.sub(r"\bt\.", f"{alias}.", sql)
            columns.append(f"{sql} AS {quote_name(name)}")
        joined = "".join(f" LEFT JOIN {table} {t} ON {t}.{key} = {value}" for (table, key, value), t in joins.items())
        return f"SELECT l.*, {', '.join(columns)} FROM ({below}) l{joined}"


class EntryPlan:
    """The statements for one file entry; building it checks every expression of the mapping that concerns it."""

    def __init__(self, mapping: Mapping, entry: FileEntry) -> None:
        self._mapping = mapping
        self._entry = entry
        self._fields = entry.field_names
        self._specs = mapping.specs_of(entry.name)
        self._codes = {name: code_table(name) for name in mapping.codes}
        self._defines_persons = any(spec.table == "person" for spec in self._specs)

    def settle(self) -> tuple[str, ...]:
        """Create the table of all data records of the entry with state, reasons, flags and repairs: some statements.

        Raises:
            ExpressionRefused: an expression is outside the subset or names something unknown.
            MappingMalformed: a path is malformed.
        """
        query = _Query(extract(self._entry))
        self._add_defects(query)
        for spec in self._specs:
            _SpecColumns(self, spec, query).add()
        settled = settled_table(self._entry.name)
        create = f"CREATE OR REPLACE TABLE {settled} AS {self._states(query)}"
        merge = self._merge(settled) if self._entry.duplicates else ()
        return (create, *merge, *(self._set_repeated_persons_apart(settled) if self._defines_persons else ()))

    def emit(self, spec: TableSpec, columns: Sequence[str] | None = None) -> str:
        """Select the rows of one table file: the person, the columns that are filled, and where each row comes from."""
        filled = {column.name for column in spec.fields}
        names = [column.name for column in spec.fields] if columns is None else columns
        values = [_emitted(spec, name, is_filled=name in filled) for name in names]
        grade = quote_name(f"{spec.name}>grade")
        return (
            f"SELECT p.person_id, {', '.join([*values, 's.file_id'])}, s.rec_no, s.byte_off, s.{grade} AS grade, "
            f"s.flags, s.repairs FROM {settled_table(self._entry.name)} s "
            f"JOIN persons p ON p.person_key = s.{_person(spec)} "
            f"WHERE s.state = 'accepted' AND s.{quote_name(f'{spec.name}?emit')}"
        )

    def emits(self) -> str:
        """The condition under which a settled record becomes a row of any table."""
        return " OR ".join(quote_name(f"{spec.name}?emit") for spec in self._specs) or "FALSE"

    def person_keys(self) -> str:
        """Select the distinct keys of accepted persons."""
        spec = next(spec for spec in self._specs if spec.table == "person")
        return (
            f"SELECT DISTINCT {_person(spec)} FROM {settled_table(self._entry.name)} "
            f"WHERE state = 'accepted' AND {_person(spec)} IS NOT NULL ORDER BY 1"
        )

    @property
    def defines_persons(self) -> bool:
        """Whether this entry fills the person table."""
        return self._defines_persons

    def expressions(self, spec: TableSpec, names: dict[str, str], key: str) -> Expressions:
        """The compiler for one place of a table file."""
        return Expressions(names, code_tables=self._codes, file=f"tables/{spec.name}.yaml", key=key)

    def source_names(self) -> dict[str, str]:
        """What the fields of the file and the declared constants are called in SQL."""
        names = {name: quote_name(f"f.{name}") for name in self._fields}
        names["extract_date"] = f"DATE {quote_text(self._entry.extract_date.isoformat())}"
        if self._entry.century_from is not None:
            names["century_from"] = str(self._entry.century_from)
        return names

    def _add_defects(self, query: _Query) -> None:
        """Most records have no defect, which one comparison of a length tells. See ``readers.batch`` for the words."""
        any_defect = "len(defects) > 0"
        on_field = "list_filter(defects, lambda d: contains(d, '@'))"
        reject = "{'field': split_part(d, '@', 2), 'reason': split_part(d, '@', 1)}"
        whole = "list_filter(defects, lambda d: NOT contains(d, '@') AND d[1] NOT IN ('+', '-') AND d <> 'deleted')"
        query.quarantine.append((any_defect, whole))
        query.exclude.append(_when("list_contains(defects, 'deleted')", "deleted_in_source"))
        query.exclude.append((any_defect, _marked("-")))
        query.repairs.append((any_defect, _marked("+")))
        query.flags.append((any_defect, f"list_transform({on_field}, lambda d: split_part(d, '@', 1))"))
        query.rejects.append((any_defect, f"list_transform({on_field}, lambda d: {reject})"))

    def _states(self, query: _Query) -> str:
        self._exclude_without_target(query)
        lists = {
            "exclude_reasons": _joined(query.exclude),
            "named_reasons": _joined(query.quarantine),
            "other_reasons": _joined(query.last_resort),
            "flags": _joined(query.flags),
            "repairs": _joined(query.repairs),
            "rejects": _joined(query.rejects, "STRUCT(field VARCHAR, reason VARCHAR)[]"),
        }
        for name, sql in lists.items():
            query.add(name, sql)
        query.add("quarantine_reasons", "CASE WHEN len(named_reasons) > 0 THEN named_reasons ELSE other_reasons END")
        query.add(
            "state",
            "CASE WHEN len(exclude_reasons) > 0 THEN 'excluded' WHEN len(quarantine_reasons) > 0 THEN 'quarantined' "
            "ELSE 'accepted' END",
        )
        query.add("first", "NULL::STRUCT(file_id INTEGER, rec_no BIGINT)")
        compared = self._compared()
        query.add("content", f"hash({', '.join(compared)})" if compared else "0")
        kept = ["state", "first", "content", "exclude_reasons", "quarantine_reasons", "flags", "repairs", "rejects"]
        fields = [] if "raw" in self._entry.duplicates else compared
        return f"SELECT {', '.join([*_KEPT, *query.kept, *kept, *fields])} FROM ({query.sql})"

    def _exclude_without_target(self, query: _Query) -> None:
        """A whole record that no table file asks for is left out with a reason of its own."""
        if any(spec.where is None for spec in self._specs):
            return
        wanted = [quote_name(f"{spec.name}?where") for spec in self._specs]
        nothing = f"len(defects) = 0 AND NOT ({' OR '.join([*wanted, 'FALSE'])})"
        query.exclude.append(_when(nothing, "no_table_asks_for_it"))

    def _compared(self) -> list[str]:
        """What two records must have in common to be one: the fields that the mapping names, or all bytes."""
        raw = "text" if self._entry.is_text else "raw"
        return [raw if name == "raw" else quote_name(f"f.{name}") for name in self._entry.duplicates]

    def _merge(self, settled: str) -> tuple[str, ...]:
        """Merge repeated records into the first accepted one. Only records whose hash occurs twice are compared."""
        parts = self._compared()
        source = f"{settled} s"
        if "raw" in self._entry.duplicates:
            source += f" JOIN {landed_table(self._entry.name)} l ON l.file_id = s.file_id AND l.rec_no = s.rec_no"
        repeated = f"SELECT content FROM {settled} WHERE state = 'accepted' GROUP BY 1 HAVING count(*) > 1"
        own = "{'file_id': s.file_id, 'rec_no': s.rec_no}"
        found = (
            f"SELECT {own} AS own, min({own}) OVER (PARTITION BY {', '.join(parts)}) AS head FROM {source} "
            f"WHERE s.state = 'accepted' AND s.content IN ({repeated})"
        )
        update = (
            f"UPDATE {settled} s SET state = 'merged', first = r.head FROM repeats r "
            "WHERE r.own <> r.head AND s.file_id = r.own.file_id AND s.rec_no = r.own.rec_no"
        )
        return f"CREATE OR REPLACE TEMP TABLE repeats AS {found}", update

    def _set_repeated_persons_apart(self, settled: str) -> tuple[str, ...]:
        spec = next(spec for spec in self._specs if spec.table == "person")
        order = f"row_number() OVER (PARTITION BY {_person(spec)} ORDER BY file_id, rec_no)"
        ordered = f"SELECT file_id, rec_no, {order} AS n FROM {settled} WHERE state = 'accepted'"
        update = (
            f"UPDATE {settled} s SET state = 'quarantined', quarantine_reasons = ['repeated_person'] FROM repeats r "
            "WHERE s.file_id = r.file_id AND s.rec_no = r.rec_no"
        )
        return f"CREATE OR REPLACE TEMP TABLE repeats AS SELECT * FROM ({ordered}) WHERE n > 1", update


class _SpecColumns:
    """Adds the columns of one table file to the query of its entry."""

    def __init__(self, plan: EntryPlan, spec: TableSpec, query: _Query) -> None:
        self._plan = plan
        self._spec = spec
        self._query = query
        self._names = plan.source_names()
        self._grades: list[str] = []
        self._lost: set[str] = set()

    def add(self) -> None:
        """Named values, the person, the target columns, the requirements and what is emitted, in this order."""
        spec, query = self._spec, self._query
        for column in spec.let:
            self._add_column(column, f"let.{column.name}", None)
        query.add(f"{spec.name}>person", f"({self._compile(spec.person, 'person')})::VARCHAR")
        where = "TRUE" if spec.where is None else f"coalesce({self._compile(spec.where, 'where')}, FALSE)"
        query.add(f"{spec.name}?where", where)
        for column in spec.fields:
            self._add_column(column, f"fields.{column.name}", spec.target.columns[column.name])
        self._add_person_check()
        self._add_rules()
        self._add_emitted()
        query.kept += [quote_name(f"{spec.name}{mark}") for mark in (">person", ">grade", "?emit")]

    def _compile(self, text: str, key: str, names: dict[str, str] | None = None) -> str:
        """Compile an expression; what it looks up becomes columns of the layer below."""
        expressions = self._plan.expressions(self._spec, self._names if names is None else names, key)
        sql = expressions.compile(text)
        for name, lookup in expressions.lookups.items():
            self._query.add(name, lookup)
        return sql

    def _own(self, name: str) -> str:
        return quote_name(f"{self._spec.name}.{name}")

    def _add_column(self, column: Column, key: str, sql_type: str | None) -> None:
        if column.code_map is not None:
            self._add_concept(column, key)
        elif column.is_person:
            self._add_person(column, key)
        else:
            self._add_value(column, key, sql_type)
        self._names[column.name] = self._own(column.name)

    def _add_value(self, column: Column, key: str, sql_type: str | None) -> None:
        name = f"{self._spec.name}.{column.name}"
        raw = f"{name}~raw"
        self._query.add(raw, self._compile(column.expr, key))
        value = quote_name(raw)
        if column.repair is not None:
            names = {**self._names, column.name: value}
            fix = f"{name}~fix"
            when = self._compile(column.repair.when, f"{key}.repair.when", names)
            self._query.add(fix, f"coalesce({when}, FALSE)")
            repaired = self._compile(column.repair.to, f"{key}.repair.to", names)
            value = f"CASE WHEN {quote_name(fix)} THEN {repaired} ELSE {value} END"
            self._query.repairs.append(_when(quote_name(fix), column.repair.reason))
        if sql_type is not None:
            lost = f"{name}~lost"
            self._query.add(name, f"try_cast({value} AS {sql_type})")
            self._query.add(lost, f"{quote_name(name)} IS NULL AND {value} IS NOT NULL")
            self._reject(quote_name(lost), column.name, "value_does_not_fit")
        else:
            self._query.add(name, value)

    def _add_concept(self, column: Column, key: str) -> None:
        name = f"{self._spec.name}.{column.name}"
        code, grade = quote_name(f"{name}~code"), quote_name(f"{name}~grade")
        self._query.add(f"{name}~code", f"({self._compile(column.expr, key)})::VARCHAR")
        concept = f"CASE WHEN {code} IS NOT NULL THEN coalesce(t.target_concept_id, 0) END"
        columns = {name: concept, f"{name}~grade": "t.grade"}
        self._query.look_up(columns, table=code_table(str(column.code_map)), key="source_code", value=code)
        where = quote_name(f"{self._spec.name}?where")
        unmapped = f"{where} AND {code} IS NOT NULL AND {grade} IS NULL"
        self._query.flags.append(_when(unmapped, f"unmapped_{column.name}"))
        self._query.flags.append(_when(f"{where} AND {grade} = 'not_mapped'", f"not_mapped_{column.name}"))
        self._grades.append(grade)

    def _add_person(self, column: Column, key: str) -> None:
        name = f"{self._spec.name}.{column.name}"
        self._query.add(f"{name}~key", f"({self._compile(column.expr, key)})::VARCHAR")
        key_column = quote_name(f"{name}~key")
        self._query.look_up({name: "t.person_id"}, table="persons", key="person_key", value=key_column)

    def _add_person_check(self) -> None:
        person, where = _person(self._spec), quote_name(f"{self._spec.name}?where")
        if self._plan.defines_persons:
            if self._spec.table == "person":
                self._query.quarantine.append(_when(f"{person} IS NULL", "person_key_missing"))
            return
        known = f"{self._spec.name}>known"
        found = {known: "t.person_id IS NOT NULL"}
        self._query.look_up(found, table="persons", key="person_key", value=person)
        self._query.quarantine.append(_when(f"{where} AND NOT {quote_name(known)}", "unknown_person"))

    def _add_rules(self) -> None:
        where = quote_name(f"{self._spec.name}?where")
        columns = {}
        for number, rule in enumerate(self._rules()):
            failed = f"NOT coalesce({self._compile(rule.expr, f'require[{number}]')}, FALSE)"
            columns[f"{self._spec.name}!{number}"] = f"{where} AND {failed}"
        for name, sql in columns.items():
            self._query.add(name, sql)
        for number, rule in enumerate(self._rules()):
            is_declared = number < len(self._spec.require)
            self._settle(rule, quote_name(f"{self._spec.name}!{number}"), is_declared=is_declared)

    def _rules(self) -> Iterator[Rule]:
        yield from self._spec.require
        for name in self._spec.target.required:
            is_soft = self._spec.on_fail in {OnFail.NULL_FLAG, OnFail.FLAG}
            yield Rule(
                expr=f"{name} is not null",
                reason=f"missing_{name}",
                on_fail=self._spec.on_fail,
                field=name if is_soft else None,
            )

    def _settle(self, rule: Rule, failed: str, *, is_declared: bool) -> None:
        """Put a requirement where its failure leads; that a required value is missing is said if nothing else is."""
        query = self._query
        if rule.field is not None:
            self._reject(failed, rule.field, rule.reason)
            return
        quarantine = query.quarantine if is_declared else query.last_resort
        kind = {OnFail.QUARANTINE: quarantine, OnFail.EXCLUDE: query.exclude}.get(rule.on_fail, query.flags)
        kind.append(_when(failed, rule.reason))

    def _reject(self, failed: str, name: str, reason: str) -> None:
        self._query.flags.append(_when(failed, reason))
        struct = f"{{'field': {quote_text(name)}, 'reason': {quote_text(reason)}}}"
        self._query.rejects.append((failed, f"CASE WHEN {failed} THEN [{struct}] ELSE [] END"))

    def _add_emitted(self) -> None:
        spec, values = self._spec, {}
        for column in spec.fields:
            failed = [
                quote_name(f"{spec.name}!{number}")
                for number, rule in enumerate(spec.require)
                if rule.field == column.name
            ]
            value = self._own(column.name)
            values[f"{spec.name}={column.name}"] = (
                f"CASE WHEN NOT ({' OR '.join(failed)}) THEN {value} END" if failed else value
            )
        for name, sql in values.items():
            self._query.add(name, sql)
        self._query.kept += [quote_name(name) for name in values]
        required = [f"{quote_name(f'{spec.name}={name}')} IS NOT NULL" for name in spec.target.required]
        self._query.add(f"{spec.name}?emit", " AND ".join([quote_name(f"{spec.name}?where"), *required]))
        self._query.add(f"{spec.name}>grade", f"coalesce({', '.join([*self._grades, 'NULL::VARCHAR'])})")


def _emitted(spec: TableSpec, name: str, *, is_filled: bool) -> str:
    value = f"s.{quote_name(f'{spec.name}={name}')}" if is_filled else "NULL"
    if name in spec.target.zero:
        value = f"coalesce({value}, 0)"
    return f"({value})::{spec.target.columns[name]} AS {name}"


def _marked(sign: str) -> str:
    """The defects that begin with a sign, without it."""
    return f"list_transform(list_filter(defects, lambda d: d[1] = '{sign}'), lambda d: d[2:])"


def _person(spec: TableSpec) -> str:
    return quote_name(f"{spec.name}>person")


def _when(condition: str, reason: str) -> _Found:
    return condition, f"CASE WHEN {condition} THEN [{quote_text(reason)}] ELSE [] END"


def _joined(found: list[_Found], sql_type: str = "VARCHAR[]") -> str:
    """All that was found, sorted and once each. The lists are built only for the few records that have something."""
    if not found:
        return f"[]::{sql_type}"
    lists = f"list_sort(list_distinct(flatten([{', '.join(item for _, item in found)}])))::{sql_type}"
    return f"CASE WHEN {' OR '.join(condition for condition, _ in found)} THEN {lists} ELSE []::{sql_type} END"
