"""What Rabbit-in-a-Hat saves, as a mapping folder: arrows between fields become expressions, all else is to decide.

The document is written by json-io: an object has an ``@id`` where it stands first and is an ``@ref`` elsewhere; lists
have ``@items``, maps ``@keys`` and ``@items``. Nothing of it is executed; types are names and no more.
Source: OHDSI/WhiteRabbit, rabbitinahat, class ETL (tableToTableMaps, tableMapToFieldToFieldMaps).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from asepsis.errors.importing import ImportMalformed
from asepsis.harmonise.importing.declared import Declared
from asepsis.harmonise.importing.draft import Draft, date_rules, entry_name, short_name
from asepsis.harmonise.omop import PERIOD, TARGETS, Target
from asepsis.harmonise.readers.copybook import field_name
from asepsis.harmonise.vocabulary.code_map import MapRow

_LONGEST: Final = 400
_ENDINGS: Final = (".csv", ".tsv", ".txt")
_PERSON_KEYS: Final = ("person_id", "person_source_value")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrow:
    """From a field of the source to a column of the target, with what people wrote on it."""

    source: str
    target: str
    words: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _TableArrow:
    """From a source table to a target table."""

    source: str
    target: str
    words: str
    fields: tuple[_Arrow, ...]


def draft_from_rabbit(document: Any, *, file: str, declared: Declared) -> Draft:
    """Translate a saved document.

    Raises:
        ImportMalformed: it is not one of Rabbit-in-a-Hat.
    """
    saved = _Saved(document, file)
    draft = Draft(declared=declared, source=f"{declared.owner}-rabbit-in-a-hat")
    arrows = list(saved.arrows())
    used = {arrow.source for arrow in arrows}
    for name, columns in saved.source_tables():
        if name in used:
            _add_file(draft, name, columns)
        else:
            draft.decide(f"{name}: no arrow leaves this table; its files are read by nothing")
    for arrow in arrows:
        _add_table(draft, arrow)
    if not any(item["table"] == "person" for item in draft.tables.values()):
        draft.decide("no arrow fills person with a key; exactly one table file must")
    draft.decide(f"files: encoding {declared.encoding}, delimiter {declared.delimiter}, quote and header: confirm them")
    draft.decide("tests: write given/expect records into tests/")
    return draft


class _Saved:
    """Reads a json-io document strictly, with its references."""

    def __init__(self, document: Any, file: str) -> None:
        self._file = file
        self._known: dict[int, dict[str, Any]] = {}
        self._top = self._object(document, "the top")
        for item in _objects(document):
            if type(item.get("@id")) is int:
                self._known.setdefault(item["@id"], item)

    def source_tables(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Name and columns of every source table."""
        database = self._follow(self._top.get("sourceDb"), "sourceDb")
        for table in self._items(database.get("tables"), "sourceDb.tables"):
            fields = self._items(table.get("fields"), "fields")
            yield self._name(table), tuple(self._name(item) for item in fields)

    def arrows(self) -> Iterator[_TableArrow]:
        """Every arrow between tables, with its arrows between fields."""
        inner = self._object(self._top.get("tableMapToFieldToFieldMaps"), "tableMapToFieldToFieldMaps")
        keys, lists = self._items({"@items": inner.get("@keys", [])}, "@keys"), inner.get("@items", [])
        if not isinstance(lists, list) or len(lists) != len(keys):
            raise self._malformed("tableMapToFieldToFieldMaps", "as many lists as keys are expected")
        fields = {self._ends(key): found for key, found in zip(keys, lists, strict=True)}
        for arrow in self._items(self._top.get("tableToTableMaps"), "tableToTableMaps"):
            source, target = self._ends(arrow)
            below = self._items(fields.get((source, target), []), "fieldToFieldMaps")
            yield _TableArrow(
                source=source,
                target=target.lower(),
                words=_words(arrow),
                fields=tuple(self._field(item) for item in below),
            )

    def _field(self, arrow: dict[str, Any]) -> _Arrow:
        source = self._follow(arrow.get("sourceItem"), "sourceItem")
        target = self._follow(arrow.get("cdmItem"), "cdmItem")
        words = " ".join(part for part in (_words(arrow), _words(target)) if part)
        values = tuple(self._values(source.get("valueCounts")))
        return _Arrow(source=self._name(source), target=self._name(target).lower(), words=words, values=values)

    def _values(self, counts: Any) -> Iterator[str]:
        """The values of a scan: objects in newer documents, pairs in older ones."""
        held = self._known.get(counts["@ref"], counts) if isinstance(counts, dict) and "@ref" in counts else counts
        if isinstance(held, dict):
            held = held.get("valueCounts", held)
        if isinstance(held, dict):
            held = held.get("@items", [])
        for item in held if isinstance(held, list) else []:
            value = (
                item.get("value") if isinstance(item, dict) else item[0] if isinstance(item, list) and item else None
            )
            if isinstance(value, str) and value and value.isprintable():
                yield value

    def _ends(self, arrow: dict[str, Any]) -> tuple[str, str]:
        first = self._follow(arrow.get("sourceItem"), "sourceItem")
        second = self._follow(arrow.get("cdmItem"), "cdmItem")
        return self._name(first), self._name(second)

    def _items(self, value: Any, place: str) -> list[dict[str, Any]]:
        if isinstance(value, dict):
            value = self._follow(value, place).get("@items", [])
        if not isinstance(value, list):
            raise self._malformed(place, "a list is expected")
        return [self._follow(item, place) for item in value]

    def _follow(self, value: Any, place: str) -> dict[str, Any]:
        item = self._object(value, place)
        if "@ref" not in item:
            return item
        if item["@ref"] not in self._known:
            raise self._malformed(place, "a reference leads nowhere")
        return self._known[item["@ref"]]

    def _object(self, value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._malformed(place, "an object is expected")
        return value

    def _name(self, item: dict[str, Any]) -> str:
        name = item.get("name")
        if not isinstance(name, str) or not name:
            raise self._malformed("name", "a name is missing")
        return name

    def _malformed(self, place: str, problem: str) -> ImportMalformed:
        return ImportMalformed(file=self._file, place=place, problem=problem)


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _words(item: dict[str, Any]) -> str:
    texts = (item.get("logic"), item.get("comment"))
    return " ".join(" ".join(text.split()) for text in texts if isinstance(text, str) and text.strip())[:_LONGEST]


def _add_file(draft: Draft, name: str, columns: tuple[str, ...]) -> None:
    pattern = name if name.lower().endswith(_ENDINGS) else f"{name}.csv"
    if pattern != name:
        draft.decide(f"{entry_name(name)}: {name} is a table, not a file; the pattern {pattern} is an assumption")
    draft.add_file(entry_name(name), pattern=pattern, columns=[field_name(each) for each in columns])


def _add_table(draft: Draft, arrow: _TableArrow) -> None:
    if arrow.words:
        draft.decide(f"{arrow.source} to {arrow.target}: somebody wrote: {arrow.words}")
    if arrow.target not in TARGETS or arrow.target == PERIOD:
        draft.decide(
            f"{arrow.source} to {arrow.target}: "
            + ("it is computed from spans of dates" if arrow.target == PERIOD else "a mapping cannot fill this table")
        )
        return
    target, name = TARGETS[arrow.target], short_name(arrow.target, entry_name(arrow.source))
    document: dict[str, Any] = {"table": arrow.target, "from": entry_name(arrow.source)}
    keys = [field.source for wanted in _PERSON_KEYS for field in arrow.fields if field.target == wanted]
    if keys:
        document["person"] = field_name(keys[0])
    fields: dict[str, Any] = {}
    for column in dict.fromkeys(field.target for field in arrow.fields):
        value = _column(draft, target, name, column, [each for each in arrow.fields if each.target == column])
        if value is not None:
            fields[column] = value
    document |= {
        "fields": {column: fields[column] for column in target.columns if column in fields},
        "require": date_rules(arrow.target, fields),
    }
    draft.add_table(name, document)


def _column(draft: Draft, target: Target, name: str, column: str, arrows: list[_Arrow]) -> dict[str, Any] | None:
    for arrow in arrows:
        if arrow.words:
            draft.decide(f"{name}.{column} from {arrow.source}: somebody wrote: {arrow.words}")
    if column in _PERSON_KEYS:
        return None
    if column not in target.columns or column in target.empty:
        why = "is no column of OMOP CDM 5.4" if column not in target.columns else "is not for a mapping to fill"
        draft.decide(f"{name}: {column} {why}; it is not carried over")
        return None
    if len(arrows) > 1:
        listed = ", ".join(arrow.source for arrow in arrows)
        draft.decide(f"{name}: {column} has arrows from {listed}; say which, or how they are combined")
        return None
    return _expression(draft, target, name, column, arrows[0])


def _expression(draft: Draft, target: Target, name: str, column: str, arrow: _Arrow) -> dict[str, Any]:
    source, kind = field_name(arrow.source), target.columns[column]
    if column.endswith("_concept_id"):
        rows = {
            value: MapRow(source_code=value, target_concept_id="0", grade="not_mapped", note="undecided; from the scan")
            for value in arrow.values
        }
        code_map = draft.add_codes(short_name(name, column), rows.values())
        draft.decide(f"{name}: map the codes of {arrow.source} in codes/{code_map}.csv ({len(rows)} from the scan)")
        return {"code_map": code_map, "from": source}
    if kind in {"DATE", "TIMESTAMP"}:
        draft.decide(f"{name}: {column} takes {arrow.source} as YYYY-MM-DD; if written otherwise, use parse_date")
        return {"expr": f"parse_date(left({source}, 10), '%Y-%m-%d')"}
    words = {"DOUBLE": f"to_number({source})", "INTEGER": f"to_integer({source})", "BIGINT": f"to_integer({source})"}
    return {"expr": words.get(kind, source)}
