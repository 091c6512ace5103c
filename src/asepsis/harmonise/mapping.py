"""A mapping: how one source becomes OMOP, as values. Strict: what the schema does not know is refused.

``mapping_from_parts`` takes what an edge has read from a folder (source.yaml, tables/*.yaml, codes/*.csv, layouts).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from asepsis.domain.names import Digest
from asepsis.errors.harmonise import IdentifierColumn, MappingMalformed
from asepsis.harmonise.entries import NAME, FileEntry, read_entry
from asepsis.harmonise.omop import IDENTITY, PERIOD, TARGETS, Target
from asepsis.harmonise.section import Section

FORMAT: Final = "asepsis-mapping/1"
_CODE_COLUMNS: Final = ("source_code", "target_concept_id", "grade", "note")
_LARGEST_CONCEPT: Final = (1 << 31) - 1
_RESERVED: Final = frozenset({"extract_date", "century_from"})


class Grade(StrEnum):
    """How a source code relates to its target concept."""

    EXACT = "exact"
    NARROWER = "narrower"
    BROADER = "broader"
    APPROXIMATE = "approximate"
    NOT_MAPPED = "not_mapped"


class OnFail(StrEnum):
    """What becomes of a record, or of one of its fields, that does not meet a requirement."""

    QUARANTINE = "quarantine"
    EXCLUDE = "exclude"
    NULL_FLAG = "null_flag"
    FLAG = "flag"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRow:
    """One source code and the concept it stands for; 0 where it is deliberately not mapped."""

    source_code: str
    concept_id: int
    grade: Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeMap:
    """A table of codes; each source code occurs once."""

    name: str
    rows: tuple[CodeRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Where ``when`` holds, the value becomes ``to`` and the record carries ``reason``."""

    when: str
    to: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A named value: an expression, a concept looked up by a code, or a person looked up by a key of the source.

    ``free_text`` is what the mapping says about it: text as somebody wrote it, or codes and short values.
    """

    name: str
    expr: str
    code_map: str | None = None
    repair: Repair | None = None
    is_person: bool = False
    free_text: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A requirement; ``field`` is what ``null_flag`` empties, or what ``repair`` replaces by ``to``."""

    expr: str
    reason: str
    on_fail: OnFail
    field: str | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Values of another entry's record: that whose ``on`` fields have the values of these expressions.

    Expressions know a joined ``field`` as ``name_field``.
    """

    name: str
    entry: str
    on: MappingOf[str, str]
    fields: tuple[str, ...]

    def known_as(self, field: str) -> str:
        """What expressions call a joined field."""
        return f"{self.name}_{field}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A date column of a target table that counts as an event for the observation period."""

    table: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """How the records of one entry become rows of one target table."""

    name: str
    table: str
    entry: str
    person: str
    on_fail: OnFail
    where: str | None = None
    joins: tuple[Join, ...] = ()
    let: tuple[Column, ...] = ()
    fields: tuple[Column, ...] = ()
    require: tuple[Rule, ...] = ()

    @property
    def target(self) -> Target:
        """The table that is filled."""
        return TARGETS[self.table]

    def is_free(self, column: Column) -> bool:
        """Whether a column of a clinical table holds free text.

        What OMOP means for text always does. Any other text does unless the mapping says that it does not, or looks
        the same value up in a code map: source codes are not free text.
        """
        target = self.target
        if self.table == IDENTITY or target.columns[column.name] != "VARCHAR" or column.code_map is not None:
            return False
        if column.name in target.free or column.free_text is not None:
            return column.name in target.free or column.free_text is True
        return column.expr not in {other.expr for other in (*self.fields, *self.let) if other.code_map is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """A whole mapping. ``digest`` covers every byte of it and is named in the contract and in each run.

    ``texts`` is the free text that a contract asks for, as ``table.column``; it belongs to a run, not to the folder.
    """

    source: str
    owner: str
    dataset: str
    label: str
    files: MappingOf[str, FileEntry]
    tables: tuple[TableSpec, ...]
    codes: MappingOf[str, CodeMap]
    spans: tuple[Span, ...]
    period_type_concept_id: int
    digest: Digest
    texts: frozenset[str] = frozenset()

    @property
    def free_text(self) -> frozenset[str]:
        """The columns with free text that the mapping fills, as ``table.column``."""
        return frozenset(
            f"{spec.table}.{column.name}" for spec in self.tables for column in spec.fields if spec.is_free(column)
        )

    @property
    def withheld(self) -> frozenset[str]:
        """The columns with free text that no contract asks for: they stay empty."""
        return self.free_text - self.texts

    def writes(self, spec: TableSpec, column: Column) -> bool:
        """Whether the values of a column of a table file are written: all are but free text that nobody asks for."""
        return f"{spec.table}.{column.name}" in self.texts or not spec.is_free(column)

    def asked(self, texts: frozenset[str]) -> Mapping:
        """The mapping under a contract that asks for this free text."""
        return replace(self, texts=self.free_text & texts)

    def specs_of(self, entry: str) -> tuple[TableSpec, ...]:
        """The tables that are filled from one file entry."""
        return tuple(spec for spec in self.tables if spec.entry == entry)

    @property
    def joined(self) -> dict[str, tuple[str, ...]]:
        """The entries that table files look values up in, with the fields that any of them compares or takes."""
        found: dict[str, set[str]] = {}
        for join in (join for spec in self.tables for join in spec.joins):
            found.setdefault(join.entry, set()).update(join.on, join.fields)
        return {entry: tuple(sorted(fields)) for entry, fields in sorted(found.items())}

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """The file entries, those that define persons first."""
        defining = {spec.entry for spec in self.tables if spec.table == "person"}
        return tuple(sorted(self.files.values(), key=lambda entry: (entry.name not in defining, entry.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The content of a mapping folder, parsed but not yet understood; keys are file names relative to the folder."""

    source: Any
    tables: MappingOf[str, Any]
    codes: MappingOf[str, Sequence[MappingOf[str, str]]]
    layouts: MappingOf[str, str]
    views: MappingOf[str, Any] = field(default_factory=dict)


def mapping_from_parts(parts: Parts) -> Mapping:
    """Understand a mapping folder.

    Raises:
        MappingMalformed: something is missing, unknown or of the wrong type; names the file and the key.
        IdentifierColumn: a clinical table would carry an identifier.
        CopybookRefused: a layout cannot be read.
        ViewRefused: a ViewDefinition is malformed or uses something outside the subset.
    """
    top = Section(parts.source, file="source.yaml", key="the top")
    if top.text("format") != FORMAT:
        raise top.malformed("format", f"only {FORMAT} is known")
    label = top.text("label")
    if label not in {"synthetic", "real"}:
        raise top.malformed("label", "it must be synthetic or real")
    files = {
        name: read_entry(section, name, parts.layouts, parts.views) for name, section in top.sections("files").items()
    }
    codes = {name: _code_map(name, rows) for name, rows in sorted(parts.codes.items())}
    period = [name for name, value in parts.tables.items() if isinstance(value, dict) and value.get("table") == PERIOD]
    tables = tuple(
        _table(name, Section(value, file=f"tables/{name}.yaml", key="the top"), files, codes)
        for name, value in sorted(parts.tables.items())
        if name not in period
    )
    spans, period_type = _period(period, parts.tables)
    _check_spans(spans, file=f"tables/{period[0] if period else ''}.yaml", filled={spec.table for spec in tables})
    source, owner, dataset = top.name("source"), top.name("owner"), top.name("dataset")
    top.close()
    if sum(spec.table == "person" for spec in tables) != 1:
        raise MappingMalformed(file="tables/", key="table: person", problem="exactly one table file fills person")
    for spec in tables:
        if spec.table == "person" and files[spec.entry].several_rows:
            raise MappingMalformed(
                file=f"tables/{spec.name}.yaml", key="from", problem="one person is one row of a view"
            )
    return Mapping(
        source=source,
        owner=owner,
        dataset=dataset,
        label=label,
        files=files,
        tables=tables,
        codes=codes,
        spans=spans,
        period_type_concept_id=period_type,
        digest=_digest(parts),
    )


def _digest(parts: Parts) -> Digest:
    content = [
        parts.source,
        dict(parts.tables),
        {k: [dict(r) for r in v] for k, v in parts.codes.items()},
        dict(parts.layouts),
        *([dict(parts.views)] if parts.views else []),
    ]
    text = json.dumps(content, sort_keys=True, default=str, ensure_ascii=True)
    return Digest(hashlib.sha256(b"asepsis mapping 1\0" + text.encode()).hexdigest())


def _code_map(name: str, rows: Sequence[MappingOf[str, str]]) -> CodeMap:
    file = f"codes/{name}.csv"
    seen: dict[str, CodeRow] = {}
    for number, row in enumerate(rows, start=2):
        place = f"line {number}"
        if tuple(row) != _CODE_COLUMNS or any(value is None for value in row.values()):
            raise MappingMalformed(file=file, key=place, problem="the columns are " + ", ".join(_CODE_COLUMNS))
        code, concept, grade = row["source_code"], row["target_concept_id"], row["grade"]
        if grade not in set(Grade) or not concept.isdecimal() or int(concept) > _LARGEST_CONCEPT:
            raise MappingMalformed(file=file, key=place, problem="the grade or the concept id is not valid")
        if (grade == Grade.NOT_MAPPED) != (int(concept) == 0):
            raise MappingMalformed(file=file, key=place, problem="not_mapped and concept 0 belong together")
        if code in seen or not code:
            raise MappingMalformed(file=file, key=place, problem="the source code is empty or occurs twice")
        seen[code] = CodeRow(source_code=code, concept_id=int(concept), grade=Grade(grade))
    return CodeMap(name=name, rows=tuple(seen.values()))


def _table(name: str, section: Section, files: MappingOf[str, FileEntry], codes: MappingOf[str, CodeMap]) -> TableSpec:
    if not NAME.match(name):
        raise section.malformed(name, "a name is lower case letters, digits and underscores")
    table, entry = section.text("table"), section.text("from")
    if table not in TARGETS:
        raise section.malformed("table", "the target table is not known")
    if entry not in files:
        raise section.malformed("from", "source.yaml has no such file entry")
    on_fail = section.choice("on_fail", OnFail, OnFail.QUARANTINE)
    if on_fail is OnFail.REPAIR:
        raise section.malformed("on_fail", "repair stands with a single requirement, which says what is repaired")
    fields = tuple(_column(item, key, codes) for key, item in section.sections("fields").items())
    _check_fields(fields, table, section)
    spec = TableSpec(
        name=name,
        table=table,
        entry=entry,
        person=section.text("person"),
        on_fail=on_fail,
        where=section.text("where", None),
        joins=_joins(section, files, entry),
        let=tuple(_column(item, key, codes) for key, item in section.sections("let").items()),
        fields=fields,
        require=tuple(_rule(item, on_fail, fields) for item in section.items("require")),
    )
    section.close()
    return spec


def _joins(section: Section, files: MappingOf[str, FileEntry], entry: str) -> tuple[Join, ...]:
    taken, joins = {*files[entry].field_names, *_RESERVED}, []
    for name, item in section.sections("joins").items():
        join = Join(name=name, entry=item.text("entry"), on=item.texts("on"), fields=item.names("fields"))
        item.close()
        if not NAME.match(name) or join.entry not in files:
            raise item.malformed("entry", "source.yaml has no such file entry, or the name is not valid")
        if not join.on or not join.fields or not {*join.on, *join.fields} <= set(files[join.entry].field_names):
            raise item.malformed("fields", "fields of the other entry are expected, also as keys of `on`")
        known = {join.known_as(field) for field in join.fields}
        if taken & known or len(known) < len(join.fields):
            raise item.malformed("fields", "a joined field would have the name of another one")
        taken |= known
        joins.append(join)
    return tuple(joins)


def _check_fields(fields: tuple[Column, ...], table: str, section: Section) -> None:
    target = TARGETS[table]
    for column in fields:
        if column.name not in target.columns:
            raise section.malformed(f"fields.{column.name}", "the target table has no such column")
        if column.name in target.empty:
            raise IdentifierColumn(file=section.file, column=f"{table}.{column.name}")
        if column.free_text is False and column.name in target.free:
            raise section.malformed(f"fields.{column.name}", "OMOP means this column for free text")
    missing = [name for name in target.required if name not in {column.name for column in fields}]
    if missing:
        raise section.malformed("fields", f"{missing[0]} is required")


def _column(section: Section, name: str, codes: MappingOf[str, CodeMap]) -> Column:
    if not NAME.match(name) or name in _RESERVED:
        raise section.malformed(name, "the name is not valid or is reserved")
    code_map = section.text("code_map", None)
    if code_map is not None and code_map not in codes:
        raise section.malformed("code_map", "codes/ has no such file")
    person = section.text("person", None)
    if person is not None and code_map is not None:
        raise section.malformed("person", "a value is looked up as a person or as a code, not as both")
    text = person or (section.text("expr") if code_map is None else section.text("from"))
    repair = section.section("repair", None)
    column = Column(
        name=name,
        expr=text,
        code_map=code_map,
        is_person=person is not None,
        free_text=section.said("free_text"),
        repair=None
        if repair is None
        else Repair(when=repair.text("when"), to=repair.text("to"), reason=repair.name("reason")),
    )
    if repair is not None:
        repair.close()
    section.close()
    return column


def _rule(section: Section, default: OnFail, fields: tuple[Column, ...]) -> Rule:
    rule = Rule(
        expr=section.text("expr"),
        reason=section.name("reason"),
        on_fail=section.choice("on_fail", OnFail, default),
        field=section.text("field", None),
        to=section.text("to", None),
    )
    _check_rule(section, rule, {column.name: column for column in fields})
    section.close()
    return rule


def _check_rule(section: Section, rule: Rule, fields: MappingOf[str, Column]) -> None:
    if (rule.on_fail in {OnFail.NULL_FLAG, OnFail.REPAIR}) != (rule.field is not None):
        raise section.malformed("field", "null_flag and repair, and only they, name the field that they change")
    if (rule.on_fail is OnFail.REPAIR) != (rule.to is not None):
        raise section.malformed("to", "repair, and only repair, says what the field becomes")
    if rule.field is not None and rule.field not in fields:
        raise section.malformed("field", "fields has no such column")
    if rule.to is not None and (fields[str(rule.field)].code_map or fields[str(rule.field)].is_person):
        raise section.malformed("field", "a value that is looked up is repaired where it is looked up")


def _check_spans(spans: tuple[Span, ...], *, file: str, filled: set[str]) -> None:
    for number, span in enumerate(spans):
        if span.table not in filled:
            raise MappingMalformed(file=file, key=f"spans[{number}]", problem=f"no table file fills {span.table}")


def _period(names: list[str], tables: MappingOf[str, Any]) -> tuple[tuple[Span, ...], int]:
    if not names:
        return (), 0
    section = Section(tables[names[0]], file=f"tables/{names[0]}.yaml", key="the top")
    section.text("table")
    if len(names) > 1:
        raise section.malformed("table", "only one table file fills observation_period")
    spans = []
    for item in section.items("spans"):
        span = Span(table=item.text("table"), column=item.text("column"))
        target = TARGETS.get(span.table)
        if target is None or span.table == PERIOD or target.columns.get(span.column) != "DATE":
            raise item.malformed("column", "a date column of a table is expected")
        item.close()
        spans.append(span)
    period_type = section.number("period_type_concept_id", 0) or 0
    section.close()
    return tuple(spans), period_type
