"""Rules of Carrot (HDR UK), versions 1 and 2, as a mapping folder.

A rule of version 1 is one object for one value; those of one table and field are one table file here. Version 2 lists
the concepts of a value; each further concept is a table file of its own, since a code map gives one concept.
Source: https://carrot.ac.uk (carrot-transform); its dates are ISO, dd-mm-yyyy or dd/mm/yyyy, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asepsis.errors.importing import ImportMalformed
from asepsis.harmonise.expressions import quote_text
from asepsis.harmonise.importing.declared import Declared
from asepsis.harmonise.importing.draft import Draft, date_rules, entry_name, short_name
from asepsis.harmonise.omop import TARGETS
from asepsis.harmonise.readers.copybook import field_name
from asepsis.harmonise.vocabulary.code_map import MapRow

_ANY: Final = "*"
_ORIGINAL: Final = "original_value"
_GRADE: Final = "approximate"
_NOTE: Final = "Carrot rule; its grade is not stated"
_FORMS: Final = ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y")
_ENDINGS: Final = (".csv", ".tsv", ".txt")

_Concepts = dict[str, list[int]]


@dataclass(slots=True, kw_only=True)
class _Group:
    """All rules from one file into one table with the same person and the same dates.

    ``concepts``: field of the file -> value -> column -> concepts; ``originals``: field -> columns that take its value.
    """

    table: str
    file: str
    person: str
    dates: Mapping[str, str]
    concepts: dict[str, dict[str, _Concepts]] = field(default_factory=dict)
    originals: dict[str, list[str]] = field(default_factory=dict)

    def add(self, source: str, value: str, column: str, concepts: Sequence[int]) -> None:
        """Further concepts of a value."""
        known = self.concepts.setdefault(source, {}).setdefault(value, {}).setdefault(column, [])
        known += [concept for concept in concepts if concept not in known]

    def copy(self, source: str, column: str) -> None:
        """A column that takes the value as it is."""
        columns = self.originals.setdefault(source, [])
        if column not in columns:
            columns.append(column)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field of the file that is used."""
        return tuple(dict.fromkeys([self.person, *self.dates.values(), *self.concepts, *self.originals]))


def draft_from_carrot(document: Any, *, file: str, declared: Declared, headers: Mapping[str, tuple[str, ...]]) -> Draft:
    """Translate the rules; ``headers`` are the first lines of the files, as far as they are known.

    Raises:
        ImportMalformed: the document is not one of Carrot.
    """
    groups = _Rules(document, file).groups()
    draft = Draft(declared=declared, source=f"{declared.owner}-carrot")
    _add_files(draft, groups, headers)
    for group in groups:
        if group.table not in TARGETS:
            draft.decide(f"{group.table} from {group.file}: this table cannot be filled by a mapping")
        elif group.table == "person":
            _add_person(draft, group)
        else:
            _add_events(draft, group)
    _add_general(draft)
    return draft


class _Rules:
    """Reads a document of either version strictly."""

    def __init__(self, document: Any, file: str) -> None:
        self._file = file
        self._document = document
        self._groups: dict[tuple[Any, ...], _Group] = {}

    def groups(self) -> list[_Group]:
        """The rules in order of table and file."""
        for table, blocks in self._named(self._named(self._document, "the top").get("cdm"), "cdm").items():
            for name, block in self._named(blocks, table).items():
                place = f"{table}.{name}"
                if "person_id_mapping" in self._named(block, place):
                    self._second(table, name, block, place)
                else:
                    self._first(table, block, place)
        if not self._groups:
            raise self._malformed("cdm", "there are no rules")
        return sorted(self._groups.values(), key=lambda group: (group.table != "person", group.table, group.file))

    def _first(self, table: str, block: dict[str, Any], place: str) -> None:
        """Version 1: column -> source table, field and perhaps concepts."""
        items = {column: self._named(item, f"{place}.{column}") for column, item in block.items()}
        person = items.pop("person_id", None)
        tables = {self._text(item, "source_table", place) for item in items.values()}
        if person is None or len(tables) != 1:
            raise self._malformed(place, "one source table and a person_id are expected")
        dates = {column: self._text(item, "source_field", place) for column, item in items.items() if _is_date(column)}
        group = self._group(table, tables.pop(), self._text(person, "source_field", place), dates)
        for column, item in items.items():
            if not _is_date(column):
                self._value(group, column, item, place)

    def _value(self, group: _Group, column: str, item: dict[str, Any], place: str) -> None:
        source, terms = self._text(item, "source_field", place), item.get("term_mapping")
        if terms is None:
            group.copy(source, column)
        elif isinstance(terms, dict):
            for value, concept in terms.items():
                group.add(source, str(value), column, self._concepts(concept, place))
        else:
            group.add(source, _ANY, column, self._concepts(terms, place))

    def _second(self, table: str, file: str, block: dict[str, Any], place: str) -> None:
        """Version 2: person, dates, and concepts by field and value."""
        person = self._named(block["person_id_mapping"], place)
        day = self._named(block.get("date_mapping") or {}, place)
        columns = day.get("dest_field") or []
        if not isinstance(columns, list):
            raise self._malformed(place, "dest_field is a list")
        dates = {str(column): self._text(day, "source_field", place) for column in columns}
        group = self._group(table, file, self._text(person, "source_field", place), dates)
        for source, values in self._named(block.get("concept_mappings") or {}, place).items():
            for value, targets in self._named(values, f"{place}.{source}").items():
                if value == _ORIGINAL:
                    for column in targets if isinstance(targets, list) else [targets]:
                        group.copy(source, str(column))
                    continue
                for column, concepts in self._named(targets, f"{place}.{source}").items():
                    group.add(source, value, column, self._concepts(concepts, place))

    def _group(self, table: str, file: str, person: str, dates: dict[str, str]) -> _Group:
        key = (table, file, person, tuple(sorted(dates.items())))
        return self._groups.setdefault(key, _Group(table=table, file=file, person=person, dates=dates))

    def _concepts(self, value: Any, place: str) -> list[int]:
        values = value if isinstance(value, list) else [value]
        if not all(type(item) is int or (isinstance(item, str) and item.isdecimal()) for item in values):
            raise self._malformed(place, "a concept is a whole number")
        return [int(item) for item in values]

    def _named(self, value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self._malformed(place, "named keys are expected")
        return value

    def _text(self, item: dict[str, Any], key: str, place: str) -> str:
        value = item.get(key)
        if not isinstance(value, str) or not value:
            raise self._malformed(place, f"{key} is missing")
        return value

    def _malformed(self, place: str, problem: str) -> ImportMalformed:
        return ImportMalformed(file=self._file, place=place, problem=problem)


def _is_date(column: str) -> bool:
    return column.endswith(("_datetime", "_date"))


def _add_files(draft: Draft, groups: list[_Group], headers: Mapping[str, tuple[str, ...]]) -> None:
    for name in sorted({group.file for group in groups}):
        used = {field_name(each) for group in groups if group.file == name for each in group.fields}
        entry, header = entry_name(name), headers.get(entry_name(name))
        pattern = name if name.lower().endswith(_ENDINGS) else f"{name}.csv"
        if pattern != name:
            draft.decide(f"{entry}: the rules name a table {name}, not a file; the pattern {pattern} is an assumption")
        if header is None:
            draft.decide(f"{entry}: the rules do not name all columns; list those of {pattern} in their order")
        columns = tuple(sorted(used)) if header is None else tuple(field_name(each) for each in header)
        for absent in sorted(used - set(columns)):
            draft.decide(f"{entry}: the rules use the field {absent}, which the file does not have")
        draft.add_file(entry, pattern=pattern, columns=columns)


def _add_person(draft: Draft, group: _Group) -> None:
    entry, fields = entry_name(group.file), {}
    birth = group.dates.get("birth_datetime") or group.dates.get("birth_date")
    let = {} if birth is None else {"born": {"expr": _day(birth)}}
    for source, values in group.concepts.items():
        _, several = _columns(values, 0), _copies(values) > 1
        if several:
            draft.decide(f"person: a value of {source} has several concepts; the first is taken")
        for column, codes in _columns(values, 0).items():
            fields[column] = _looked_up(draft, short_name("person", field_name(source), column), source, codes)
    if birth is None:
        draft.decide("person: the rules do not give a birth date")
    else:
        fields["year_of_birth"] = {"expr": "year(born)"}
        fields["month_of_birth"] = {"expr": "month(born)"}
        draft.decide("person: the day of birth is not carried over; it belongs to the identity table")
    _add_originals(draft, group, tuple(group.originals), "person", fields)
    document: dict[str, Any] = {"table": "person", "from": entry, "person": field_name(group.person)}
    rule = {"expr": "born is not null", "reason": "impossible_birth_date", "on_fail": "null_flag"}
    rules = [] if birth is None else [{**rule, "field": "year_of_birth"}]
    draft.add_table(
        "person",
        {**document, **({"let": let} if let else {}), "fields": _allowed(draft, "person", fields), "require": rules},
    )
    identity: dict[str, Any] = {"mrn": {"expr": field_name(group.person)}}
    if birth is not None:
        identity |= {"birth_date": {"expr": _day(birth)}, "birth_date_source": {"expr": field_name(birth)}}
    if "identity" not in draft.tables:
        draft.add_table("identity", {**document, "table": "identity", "fields": identity})
    draft.decide("person: Carrot writes a person only where a rule meets a value; here every record is a person")


def _add_events(draft: Draft, group: _Group) -> None:
    for source, values in group.concepts.items():
        for number in range(_copies(values)):
            name = short_name(group.table, entry_name(group.file), field_name(source), *_more(number))
            columns = _columns(values, number)
            fields: dict[str, Any] = {
                column: _looked_up(draft, short_name(name, column), source, codes) for column, codes in columns.items()
            }
            _add_dates(group, fields)
            _add_originals(draft, group, (source,), name, fields)
            wanted = sorted({value for codes in columns.values() for value in codes})
            draft.add_table(
                name,
                {
                    "table": group.table,
                    "from": entry_name(group.file),
                    "person": field_name(group.person),
                    "where": _where(field_name(source), wanted),
                    "fields": (kept := _allowed(draft, group.table, fields)),
                    "require": date_rules(group.table, kept),
                },
            )


def _add_dates(group: _Group, fields: dict[str, Any]) -> None:
    for column, source in group.dates.items():
        fields[column] = {"expr": _day(source)}
        whole = column.removesuffix("time")
        if column.endswith("_datetime") and whole in TARGETS[group.table].columns:
            fields.setdefault(whole, {"expr": _day(source)})


def _add_originals(draft: Draft, group: _Group, sources: tuple[str, ...], name: str, fields: dict[str, Any]) -> None:
    types = TARGETS[group.table].columns
    for source in sources:
        for column in group.originals.get(source, ()):
            if column in fields:
                draft.decide(f"{name}: {column} would take the value of {source}, too")
                continue
            value = field_name(source)
            kind = types.get(column, "VARCHAR")
            words = {"DOUBLE": f"to_number({value})", "INTEGER": f"to_integer({value})"}
            fields[column] = {"expr": words.get(kind, value)}


def _allowed(draft: Draft, table: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The columns that a mapping may fill, in the order of the table; of the others a person is told."""
    target = TARGETS[table]
    for column in fields:
        if column not in target.columns:
            draft.decide(f"{table}: OMOP CDM 5.4 has no column {column}; it is not carried over")
        elif column in target.empty:
            draft.decide(f"{table}: {column} could identify a person; it is not carried over")
        elif column in target.free:
            draft.decide(f"{table}: {column} is free text; it stays empty unless a contract asks for it")
    return {column: fields[column] for column in target.columns if column in fields and column not in target.empty}


def _looked_up(draft: Draft, name: str, source: str, codes: Mapping[str, int]) -> dict[str, Any]:
    """A constant for any value, else a code map; equal code maps are one file."""
    if _ANY in codes:
        return {"expr": str(codes[_ANY])}
    rows = [
        MapRow(source_code=value, target_concept_id=str(concept), grade=_GRADE, note=_NOTE)
        for value, concept in sorted(codes.items())
        if concept
    ]
    known = next((each for each, listed in draft.codes.items() if list(listed) == rows), "")
    if not known:
        known = draft.add_codes(name, rows)
    return {"code_map": known, "from": field_name(source)}


def _copies(values: Mapping[str, _Concepts]) -> int:
    return max((len(concepts) for columns in values.values() for concepts in columns.values()), default=0)


def _columns(values: Mapping[str, _Concepts], number: int) -> dict[str, dict[str, int]]:
    """Column -> value -> its concept of this number."""
    found: dict[str, dict[str, int]] = {}
    for value, columns in values.items():
        for column, concepts in columns.items():
            if number < len(concepts):
                found.setdefault(column, {})[value] = concepts[number]
    return found


def _where(source: str, values: list[str]) -> str:
    if _ANY in values:
        return f"nullif(trim({source}), '') is not null"
    return f"{source} in ({', '.join(quote_text(value) for value in values)})"


def _day(source: str) -> str:
    name = field_name(source)
    parts = ", ".join(f"parse_date(left({name}, 10), '{form}')" for form in _FORMS)
    return f"coalesce({parts})"


def _more(number: int) -> tuple[str, ...]:
    return () if number == 0 else (str(number + 1),)


def _add_general(draft: Draft) -> None:
    if not any(document["table"] == "person" for document in draft.tables.values()):
        draft.decide("the rules fill no person; exactly one table file must")
    draft.decide("codes: Carrot does not grade; every row says approximate until somebody reviews it")
    draft.decide(
        "dates: Carrot reads YYYY-MM-DD, then DD-MM-YYYY, then DD/MM/YYYY, and so does this; keep only the form "
        "of your files"
    )
    draft.decide("type concepts: Carrot leaves every _type_concept_id at 0; give the one of your source")
    draft.decide("observation_period: Carrot makes none; add tables/observation_period.yaml with its spans")
    draft.decide("tests: write given/expect records into tests/")
