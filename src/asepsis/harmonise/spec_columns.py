"""The columns that one table file adds to the query of its file entry, for records that the table file asks for.

Column names: ``f.x`` a source field, ``spec.x`` a named value, ``spec!n`` a failed requirement, ``spec=x`` the value
that is emitted, ``spec>id`` the person, ``spec?emit`` whether a row comes of the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from asepsis.harmonise.entries import FileEntry
from asepsis.harmonise.expressions import Expressions, enum_of, quote_name, quote_text
from asepsis.harmonise.mapping import Column, Grade, Join, OnFail, Rule, TableSpec
from asepsis.harmonise.query import Query
from asepsis.harmonise.said import Reason

GRADE: Final = enum_of(Grade)
"""The SQL type of the grade of a code."""


def code_table(name: str) -> str:
    """Where a code map stands."""
    return quote_name(f"codes_{name}")


def person_column(spec: TableSpec) -> str:
    """The key by which the source names the person."""
    return quote_name(f"{spec.name}>person")


def id_column(spec: TableSpec) -> str:
    """The person, where persons are known before the entry is staged."""
    return quote_name(f"{spec.name}>id")


def add_where(query: Query, spec: TableSpec, entry: FileEntry, codes: tuple[str, ...]) -> None:
    """Add ``spec?where``: whether the table file asks for a record."""
    columns = SpecColumns(spec, query, entry, codes, defines_persons=False)
    columns.add_where()


def join_table(spec: TableSpec, join: Join) -> str:
    """Where the partners of a join stand, one row for each key."""
    return quote_name(f"joined_{spec.name}_{join.name}")


def key_of(values: Sequence[str]) -> str:
    """Several values as one key, which is null where any of them is."""
    return (
        "to_json([" + ", ".join(f"({value})::VARCHAR" for value in values) + "])::VARCHAR"
        if len(values) > 1
        else (f"({values[0]})::VARCHAR")
    )


class SpecColumns:
    """Adds the columns of one table file to the query of its entry."""

    def __init__(
        self, spec: TableSpec, query: Query, entry: FileEntry, codes: tuple[str, ...], *, defines_persons: bool
    ) -> None:
        self._spec = spec
        self._query = query
        self._codes = {name: code_table(name) for name in codes}
        self._defines_persons = defines_persons
        self._names, self._types = _source_names(entry)
        self._grades: list[str] = []

    def add_where(self) -> None:
        """The named values, and on them the condition of the table file."""
        self._add_joins()
        for column in self._spec.let:
            self._add_column(column, f"let.{column.name}", None)
        where = self._compile(str(self._spec.where), "where")
        self._query.add(f"{self._spec.name}?where", f"coalesce({where}, FALSE)")

    def add(self) -> None:
        """Named values, the person, the target columns, the requirements and what is emitted, in this order."""
        spec = self._spec
        self._add_joins()
        for join in spec.joins:
            several = quote_name(f"{spec.name}~{join.name}~n")
            self._query.found.quarantine.append(Reason(f"coalesce({several} > 1, FALSE)", "ambiguous_join"))
        for column in spec.let:
            self._add_column(column, f"let.{column.name}", None)
        self._query.add(f"{spec.name}>person", f"({self._compile(spec.person, 'person')})::VARCHAR")
        for column in spec.fields:
            self._add_column(column, f"fields.{column.name}", spec.target.columns[column.name])
        self._add_person_check()
        self._add_rules()
        self._add_emitted()

    def settled(self) -> dict[str, str]:
        """What a settled record keeps of it: column and SQL type."""
        spec = self._spec
        person = (f"{spec.name}>person", "VARCHAR") if self._defines_persons else (f"{spec.name}>id", "BIGINT")
        values = {f"{spec.name}={column.name}": spec.target.columns[column.name] for column in spec.fields}
        return dict([person]) | {f"{spec.name}>grade": GRADE, f"{spec.name}?emit": "BOOLEAN"} | values

    def _add_joins(self) -> None:
        """Look up the joined fields; a key that stands for different values gives none, and a reason."""
        for join in self._spec.joins:
            prefix = f"{self._spec.name}~{join.name}"
            values = [self._compile(text, f"joins.{join.name}.on.{name}") for name, text in join.on.items()]
            self._query.add(f"{prefix}~key", key_of(values))
            columns = {
                f"{prefix}~{field}": f"CASE WHEN t.n = 1 THEN t.{quote_name(f'f.{field}')} END" for field in join.fields
            }
            columns[f"{prefix}~n"] = "t.n"
            table, value = join_table(self._spec, join), quote_name(f"{prefix}~key")
            self._query.look_up(columns, table=table, key="join_key", value=value)
        for join in self._spec.joins:
            for field in join.fields:
                self._names[join.known_as(field)] = quote_name(f"{self._spec.name}~{join.name}~{field}")
                self._types[join.known_as(field)] = "VARCHAR"

    def _compile(self, text: str, key: str, names: dict[str, str] | None = None) -> str:
        """Compile an expression; what it looks up becomes columns of the layer below."""
        expressions = self._expressions(key, self._names if names is None else names)
        sql = expressions.compile(text)
        for name, lookup in expressions.lookups.items():
            self._query.add(name, lookup)
        return sql

    def _expressions(self, key: str, names: Mapping[str, str]) -> Expressions:
        return Expressions(names, code_tables=self._codes, file=f"tables/{self._spec.name}.yaml", key=key)

    def _own(self, name: str) -> str:
        return quote_name(f"{self._spec.name}.{name}")

    def _add_column(self, column: Column, key: str, sql_type: str | None) -> None:
        if column.code_map is not None:
            self._add_concept(column, key)
            self._types.pop(column.name, None)
        elif column.is_person:
            self._add_person(column, key)
            self._types.pop(column.name, None)
        else:
            self._add_value(column, key, sql_type)
        self._names[column.name] = self._own(column.name)

    def _add_value(self, column: Column, key: str, sql_type: str | None) -> None:
        name = f"{self._spec.name}.{column.name}"
        sql = self._compile(column.expr, key)
        found = self._expressions(key, self._names).type_of(column.expr, self._types)
        if column.repair is not None:
            found = None
        self._types.pop(column.name, None)
        if column.repair is not None:
            sql = self._repaired(column, key, sql)
        if sql_type is None:
            self._query.add(name, sql)
        elif found in {"NULL", sql_type} or sql_type == "VARCHAR":
            self._query.add(name, f"({sql})::{sql_type}")
        else:
            self._add_fitted(name, column, sql, sql_type)
        if sql_type is not None or found is not None:
            self._types[column.name] = sql_type or str(found)

    def _add_fitted(self, name: str, column: Column, sql: str, sql_type: str) -> None:
        """A value that may not fit the type of its column: then the field is empty and the record says so."""
        raw, lost = f"{name}~raw", f"{name}~lost"
        self._query.add(raw, sql)
        self._query.add(name, f"try_cast({quote_name(raw)} AS {sql_type})")
        self._query.add(lost, f"{quote_name(name)} IS NULL AND {quote_name(raw)} IS NOT NULL")
        self._reject(quote_name(lost), column.name, "value_does_not_fit")

    def _repaired(self, column: Column, key: str, sql: str) -> str:
        if column.repair is None:
            return sql
        name = f"{self._spec.name}.{column.name}"
        written, fix = quote_name(f"{name}~written"), quote_name(f"{name}~fix")
        self._query.add(f"{name}~written", sql)
        names = {**self._names, column.name: written}
        is_wrong = self._compile(column.repair.when, f"{key}.repair.when", names)
        self._query.add(f"{name}~fix", f"coalesce({is_wrong}, FALSE)")
        self._query.found.repairs.append(Reason(fix, column.repair.reason))
        return f"CASE WHEN {fix} THEN {self._compile(column.repair.to, f'{key}.repair.to', names)} ELSE {written} END"

    def _add_concept(self, column: Column, key: str) -> None:
        name = f"{self._spec.name}.{column.name}"
        code, grade = quote_name(f"{name}~code"), quote_name(f"{name}~grade")
        self._query.add(f"{name}~code", f"({self._compile(column.expr, key)})::VARCHAR")
        concept = f"CASE WHEN {code} IS NOT NULL THEN coalesce(t.target_concept_id, 0) END"
        columns = {name: concept, f"{name}~grade": "t.grade"}
        self._query.look_up(columns, table=code_table(str(column.code_map)), key="source_code", value=code)
        flags = self._query.found.flags
        flags.append(Reason(f"{code} IS NOT NULL AND {grade} IS NULL", f"unmapped_{column.name}"))
        flags.append(Reason(f"{grade} = 'not_mapped'", f"not_mapped_{column.name}"))
        self._grades.append(grade)

    def _add_person(self, column: Column, key: str) -> None:
        name = f"{self._spec.name}.{column.name}"
        self._query.add(f"{name}~key", f"({self._compile(column.expr, key)})::VARCHAR")
        key_column = quote_name(f"{name}~key")
        self._query.look_up({name: "t.person_id"}, table="persons", key="person_key", value=key_column)

    def _add_person_check(self) -> None:
        spec, quarantine = self._spec, self._query.found.quarantine
        if not self._defines_persons:
            found = {f"{spec.name}>id": "t.person_id"}
            self._query.look_up(found, table="persons", key="person_key", value=person_column(spec))
            quarantine.append(Reason(f"{id_column(spec)} IS NULL", "unknown_person"))
        elif spec.table == "person":
            quarantine.append(Reason(f"{person_column(spec)} IS NULL", "person_key_missing"))

    def _add_rule_repairs(self) -> None:
        """Replace what a requirement says how to repair; all requirements are then checked on what came of it."""
        for number, rule in enumerate(self._spec.require):
            if rule.to is None or rule.field is None:
                continue
            key, before = f"require[{number}]", self._names[rule.field]
            failed, repaired = f"{self._spec.name}!{number}~first", f"{self._spec.name}.{rule.field}~to{number}"
            self._query.add(failed, f"NOT coalesce({self._compile(rule.expr, key)}, FALSE)")
            to, sql_type = self._compile(rule.to, f"{key}.to"), self._spec.target.columns[rule.field]
            fixed = f"CASE WHEN {quote_name(failed)} THEN try_cast({to} AS {sql_type}) ELSE {before} END"
            self._query.add(repaired, fixed)
            self._query.found.repairs.append(Reason(quote_name(failed), rule.reason))
            self._names[rule.field] = quote_name(repaired)

    def _add_rules(self) -> None:
        self._add_rule_repairs()
        rules = list(self._rules())
        columns = {
            f"{self._spec.name}!{number}": f"NOT coalesce({self._compile(rule.expr, f'require[{number}]')}, FALSE)"
            for number, rule in enumerate(rules)
        }
        for name, sql in columns.items():
            self._query.add(name, sql)
        for number, rule in enumerate(rules):
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
        found = self._query.found
        if rule.field is not None and rule.to is None:
            self._reject(failed, rule.field, rule.reason)
            return
        quarantine = found.quarantine if is_declared else found.last_resort
        kinds = {OnFail.QUARANTINE: quarantine, OnFail.REPAIR: quarantine, OnFail.EXCLUDE: found.exclude}
        kind = kinds.get(rule.on_fail, found.flags)
        kind.append(Reason(failed, rule.reason))

    def _reject(self, failed: str, name: str, reason: str) -> None:
        self._query.found.flags.append(Reason(failed, reason))
        self._query.found.rejects.append(Reason(failed, f"{reason}@{name}"))

    def _add_emitted(self) -> None:
        spec, values = self._spec, {}
        for column in spec.fields:
            failed = [
                quote_name(f"{spec.name}!{number}")
                for number, rule in enumerate(spec.require)
                if rule.field == column.name and rule.to is None
            ]
            value = self._names[column.name]
            values[f"{spec.name}={column.name}"] = (
                f"CASE WHEN NOT ({' OR '.join(failed)}) THEN {value} END" if failed else value
            )
        for name, sql in values.items():
            self._query.add(name, sql)
        required = [f"{quote_name(f'{spec.name}={name}')} IS NOT NULL" for name in spec.target.required]
        self._query.add(f"{spec.name}?emit", " AND ".join(required) or "TRUE")
        self._query.add(f"{spec.name}>grade", f"coalesce({', '.join([*self._grades, f'NULL::{GRADE}'])})")


def _source_names(entry: FileEntry) -> tuple[dict[str, str], dict[str, str]]:
    """What the fields of the file and the declared constants are called in SQL, and their types."""
    names = {name: quote_name(f"f.{name}") for name in entry.field_names}
    types = dict.fromkeys(names, "VARCHAR")
    names["extract_date"] = f"DATE {quote_text(entry.extract_date.isoformat())}"
    types["extract_date"] = "DATE"
    if entry.century_from is not None:
        names["century_from"] = str(entry.century_from)
        types["century_from"] = "INTEGER"
    return names, types
