"""SQL that takes the fields of a record out of its text, set-based: one select per format, no row is dropped.

Each select keeps the columns of the landed table, adds ``f.<name>`` for every field, and adds to ``defects`` what only
shows when the text is taken apart (too few columns, an unbalanced quote, no JSON).
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from asepsis.errors.harmonise import MappingMalformed
from asepsis.harmonise.entries import FileEntry, Reader
from asepsis.harmonise.expressions import quote_name, quote_text
from asepsis.harmonise.jsonpaths import compile_paths
from asepsis.harmonise.readers.hl7fields import Hl7Path, parse_path
from asepsis.harmonise.several_rows import MOST_ROWS, one_by_one
from asepsis.harmonise.views.compile import compile_for_one

IS_JSON: Final = "is_json"
"""Whether the text of a landed record is one JSON object."""
CONTENT: Final = "content"
"""The hash of what two records must have in common to be one."""
_ENDS: Final = "chr(13) || chr(10)"


def landed_table(entry: str) -> str:
    """Where the records of an entry are landed."""
    return quote_name(f"landed_{entry}")


def landed_fields(entry: FileEntry) -> dict[str, str]:
    """The columns that the reader decodes itself, by its own name: (name in the landed table, SQL type)."""
    if entry.reader is Reader.HL7V2:
        return {name: f"f.{name} VARCHAR" for name in entry.field_names}
    return {} if entry.is_text else {name: f"f.{name} VARCHAR" for name in entry.field_names}


def taken_fields(entry: FileEntry) -> dict[str, str]:
    """The columns that the engine takes out of the text while records are landed, like ``landed_fields``."""
    if entry.reader is not Reader.NDJSON or entry.view is not None:
        return {}
    content = {CONTENT: f"{CONTENT} UBIGINT"} if has_content(entry) else {}
    return {name: f"f.{name} VARCHAR" for name in entry.field_names} | {IS_JSON: f"{IS_JSON} BOOLEAN"} | content


def has_content(entry: FileEntry) -> bool:
    """Whether records are landed with the hash of their text, by which repeated ones are found."""
    return entry.reader is Reader.NDJSON and entry.view is None and entry.duplicates == ("raw",)


def take(entry: FileEntry, source: str) -> str:
    """Select the records of ``source``, which are landed now, with the fields that are taken out of their text.

    Raises:
        MappingMalformed: a path is malformed.
    """
    is_object = "kind = 'data' AND starts_with(ltrim(text), '{')"
    return _take(entry, source, lambda taken: f"CASE WHEN {is_object} THEN try({taken}) END")


def take_objects(entry: FileEntry, source: str) -> str:
    """The same for data records that all begin as JSON objects: faster, but it fails where one of them is no JSON.

    Raises:
        MappingMalformed: a path is malformed.
    """
    return _take(entry, source, lambda taken: taken)


def _take(entry: FileEntry, source: str, tried: Callable[[str], str]) -> str:
    if not taken_fields(entry):
        return source
    view = compile_paths(entry.paths, file="source.yaml")
    found = f"SELECT *, {tried(view.taken)} AS j FROM ({source})"
    fields = "".join(f", {sql} AS {quote_name(f'f.{name}')}" for name, sql in view.columns.items())
    content = f", hash(text) AS {CONTENT}" if has_content(entry) else ""
    return f"SELECT * EXCLUDE (j){fields}, j IS NOT NULL AS {IS_JSON}{content} FROM ({found})"


def extract(entry: FileEntry) -> str:
    """Select the data records of an entry with their fields.

    Raises:
        MappingMalformed: a path is malformed.
    """
    data = f"SELECT * FROM {landed_table(entry.name)} WHERE kind = 'data'"
    if entry.reader is Reader.NDJSON:
        return _json(data) if entry.view is None else _view(entry, data)
    if entry.reader is Reader.HL7V2:
        hl7_paths(entry)
        return data
    if entry.reader is Reader.FIXED_WIDTH:
        return _places(entry, data)
    return _columns(entry, data) if entry.is_text else data


def hl7_paths(entry: FileEntry) -> dict[str, Hl7Path]:
    """The paths of an entry.

    Raises:
        MappingMalformed: a path is malformed.
    """
    return {name: _hl7_path(name, text) for name, text in entry.paths.items()}


def _hl7_path(name: str, text: str) -> Hl7Path:
    path = parse_path(text)
    if path is None:
        raise MappingMalformed(file="source.yaml", key=name, problem="the path is not of the form OBX-3[0].1.1")
    return path


def _with_fields(columns: Mapping[str, str], source: str, *, without: str, defects: str | None = None) -> str:
    added = "".join(f", {sql} AS {quote_name(f'f.{name}')}" for name, sql in columns.items())
    replaced = "" if defects is None else f" REPLACE ({defects} AS defects)"
    return f"SELECT * EXCLUDE ({without}){replaced}{added} FROM ({source})"


def _json(data: str) -> str:
    """Resources whose fields were taken out of their text as they were landed."""
    broken = f"CASE WHEN NOT {IS_JSON} AND len(defects) = 0 THEN ['not_json'] ELSE defects END"
    return f"SELECT * EXCLUDE ({IS_JSON}) REPLACE ({broken} AS defects) FROM ({data})"


def _view(entry: FileEntry, data: str) -> str:
    """The rows of a ViewDefinition; a resource that the view leaves out is excluded, one with too many is set aside."""
    view = compile_for_one(entry.view)
    parsed = f"SELECT *, CASE WHEN starts_with(ltrim(text), '{{') THEN try_cast(text AS JSON) END AS r FROM ({data})"
    rows = f"CASE WHEN r IS NOT NULL THEN try({view.rows}) END"
    found = f"SELECT * EXCLUDE (r), r IS NULL AS no_json, {rows} AS v FROM ({parsed})"
    most, reason = (MOST_ROWS, "too_many_rows_in_view") if entry.several_rows else (1, "several_rows_in_view")
    defects = (
        "CASE WHEN len(defects) > 0 THEN defects WHEN no_json THEN ['not_json'] WHEN v IS NULL THEN ['view_failed'] "
        f"WHEN len(v) = 0 THEN ['-not_in_view'] WHEN len(v) > {most} THEN ['{reason}'] ELSE defects END"
    )
    judged = f"SELECT * EXCLUDE (no_json) REPLACE ({defects} AS defects) FROM ({found})"
    single = one_by_one(judged) if entry.several_rows else f"SELECT * EXCLUDE (v), v[1] AS w FROM ({judged})"
    columns = {name: f"(w.{quote_name(column)})::VARCHAR" for name, column in entry.paths.items()}
    return _with_fields(columns, single, without="w")


def _places(entry: FileEntry, data: str) -> str:
    lines = f"SELECT *, rtrim(text, {_ENDS}) AS t FROM ({data})"
    columns = {name: f"substr(t, {first}, {last - first + 1})" for name, (first, last) in entry.shape.places.items()}
    least = max(first for first, _ in entry.shape.places.values())
    short = f"CASE WHEN length(t) < {least} THEN list_append(defects, 'record_too_short') ELSE defects END"
    return _with_fields(columns, lines, without="t", defects=short)


def _columns(entry: FileEntry, data: str) -> str:
    """Delimited text: plain lines are only split (``readers.plain``), the others go the longer ways."""
    words = f"SELECT *, string_split(text, {quote_text(entry.shape.delimiter)}) AS w FROM ({data} AND plain)"
    plain = _with_fields(_fields(entry.columns), words, without="w")
    return f"{plain} UNION ALL {_unusual(entry, f'{data} AND NOT coalesce(plain, FALSE)')}"


def _fields(names: Sequence[str]) -> dict[str, str]:
    """The words of a line as its fields; the last one still has the end of the line."""
    values = {name: f"w[{place}]" for place, name in enumerate(names, start=1)}
    return values | {names[-1]: f"rtrim(w[{len(names)}], {_ENDS})"}


def _unusual(entry: FileEntry, data: str) -> str:
    shape, names = entry.shape, entry.columns
    mark, count = quote_text(shape.delimiter), len(names)
    split = f"SELECT *, string_split(text, {mark}) AS w, FALSE AS odd FROM ({data})"
    if shape.quote is not None:
        split = _quoted(split, shape.delimiter, shape.quote)
    surplus = f"list_append(w[1:{count - 1}], array_to_string(w[{count}:], {mark}))"
    words = f"CASE WHEN len(w) > {count} THEN {surplus} ELSE w END" if shape.overflow else "w"
    cut = f"SELECT * EXCLUDE (w), {words} AS w, len(w) AS found FROM ({split})"
    merged = f"contains(rtrim(text, {_ENDS}), chr(13))"
    many = f"CASE WHEN {merged} THEN 'line_end_within' ELSE '+unquoted_delimiter' END"
    many = many if shape.overflow else quote_text("too_many_columns")
    found = (
        f"list_concat(CASE WHEN found < {count} THEN ['too_few_columns'] "
        f"WHEN found > {count} THEN [{many}] ELSE [] END, "
        "CASE WHEN odd THEN ['+unbalanced_quote'] ELSE [] END)"
    )
    plain = f"text IS NULL OR (found = {count} AND NOT odd)"
    defects = f"CASE WHEN {plain} THEN defects ELSE list_concat(defects, {found}) END"
    values = _fields(names)
    if shape.dialect is not None:
        values = {name: _copied(sql) for name, sql in values.items()}
    return _with_fields(values, cut, without="w, odd, found", defects=defects)


def _quoted(split: str, delimiter: str, quote: str) -> str:
    """Take quotes off where they are balanced; otherwise they are text, which is a repair with a name."""
    mark, sign = quote_text(delimiter), quote_text(quote)
    least = re.escape(delimiter)
    pattern = quote_text(f"(?:^|{least})({quote}(?:[^{quote}]|{quote}{quote})*{quote}|[^{least}]*)")
    line = f"rtrim(text, {_ENDS})"
    within = f"CASE WHEN contains(text, {sign}) THEN regexp_extract_all({line}, {pattern}, 1) END"
    bare = f"replace(x[2:-2], {quote_text(quote * 2)}, {sign})"
    unquoted = f"list_transform(q, lambda x: CASE WHEN length(x) > 1 AND x[1] = {sign} THEN {bare} ELSE x END)"
    even = f"(length(text) - length(replace(text, {sign}, ''))) % 2 = 0 AND array_to_string(q, {mark}) = {line}"
    stripped = f"string_split(replace(text, {sign}, ''), {mark})"
    both = f"SELECT *, {within} AS q FROM ({split})"
    judged = f"SELECT * EXCLUDE (odd), CASE WHEN q IS NULL THEN FALSE ELSE NOT ({even}) END AS odd FROM ({both})"
    words = f"CASE WHEN q IS NULL THEN w WHEN odd THEN {stripped} ELSE {unquoted} END"
    return f"SELECT * EXCLUDE (w, q), {words} AS w FROM ({judged})"


def _copied(value: str) -> str:
    r"""A value of PostgreSQL's COPY text format: ``\N`` is null, a backslash escapes."""
    whole = f"rtrim({value}, {_ENDS})"
    mark = "'\\' || chr(1)"  # no escape has this sign behind its backslash, so that values may hold it
    plain = f"replace({whole}, '\\\\', {mark})"
    for letter, meant in (("t", 9), ("n", 10), ("r", 13), ("b", 8), ("f", 12), ("v", 11)):
        plain = f"replace({plain}, '\\{letter}', chr({meant}))"
    text = f"replace({plain}, {mark}, '\\')"
    return f"(CASE WHEN {whole} = '\\N' THEN NULL WHEN contains({whole}, '\\') THEN {text} ELSE {whole} END)"
