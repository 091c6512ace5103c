"""What stays with the owner: why each record is no row, and what is needed to judge quarantined ones again.

Invariant: only entries are looked at that have such records (see ``standing``); the tables have the same columns
whether anything was found or not.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from asepsis.engines.harmonise.standing import Standing
from asepsis.harmonise.expressions import quote_name, quote_text
from asepsis.harmonise.extraction import landed_fields, landed_table
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.said import Kind, list_of
from asepsis.harmonise.staging import settled_table

_PLACE: Final = "l.file_id, l.rec_no, l.byte_off"


def owner_tables(mapping: Mapping, run: str, standing: Standing) -> dict[str, str]:
    """The select of each table."""
    return {
        "persons": "SELECT person_key, person_id FROM persons ORDER BY person_id",
        "quarantined_records": _quarantined_records(mapping, standing),
        "quarantine": _quarantine(mapping, run, standing),
        "excluded": _listing(mapping, run, standing.in_state("excluded"), "excluded"),
        "merged": _listing(mapping, run, standing.in_state("merged"), "merged"),
    }


def _quarantined_records(mapping: Mapping, standing: Standing) -> str:
    """Quarantined records as they were landed; ``into`` is the accepted record that one repeats."""
    found = _together(mapping, (standing.in_state("quarantined"), _record))
    return (
        "SELECT entry, f.file, q.rec_no, byte_off, byte_len, defects, raw, text, fields, o.file AS into_file, "
        f"q.first.rec_no AS into_rec_no FROM ({found}) q JOIN files f ON f.file_id = q.file_id "
        "LEFT JOIN files o ON o.file_id = q.first.file_id ORDER BY q.file_id, q.rec_no"
    )


def _record(mapping: Mapping, name: str) -> str:
    entry = mapping.files[name]
    pairs = ", ".join(f"{quote_text(field)}: l.{quote_name(f'f.{field}')}" for field in landed_fields(entry))
    values = f"MAP {{{pairs}}}" if pairs else "NULL"
    text = "l.text" if entry.is_text else "NULL::VARCHAR"
    return (
        f"SELECT {quote_text(name)} AS entry, {_PLACE}, l.byte_len, l.defects, l.raw, {text} AS text, "
        f"({values})::MAP(VARCHAR, VARCHAR) AS fields, s.first "
        f"FROM {settled_table(name)} s JOIN {_landed(name)} WHERE s.state = 'quarantined'"
    )


def _quarantine(mapping: Mapping, run: str, standing: Standing) -> str:
    """Whole records, bytes outside records, and single fields of accepted records, each with its raw bytes."""
    found = _together(
        mapping,
        (standing.in_state("quarantined"), _whole),
        (standing.of_kind("residue"), _residue),
        (standing.with_refused_fields(), _refused),
    )
    return (
        f"SELECT {quote_text(run)} AS run, f.file, rec_no, byte_off, stage, field, reasons, raw "
        f"FROM ({found}) JOIN files f USING (file_id) ORDER BY file_id, rec_no, stage, field, reasons"
    )


def _whole(mapping: Mapping, name: str) -> str:
    reasons = f"{list_of(Kind.QUARANTINED)} AS reasons"
    return (
        f"SELECT {_PLACE}, 'stage' AS stage, NULL::VARCHAR AS field, {reasons}, {_raw(mapping, name)} AS raw "
        f"FROM {settled_table(name)} s JOIN {_landed(name)} WHERE s.state = 'quarantined'"
    )


def _residue(mapping: Mapping, name: str) -> str:
    raw = _raw(mapping, name)
    return (
        f"SELECT {_PLACE}, 'read' AS stage, NULL::VARCHAR AS field, l.defects AS reasons, {raw} AS raw "
        f"FROM {landed_table(name)} l WHERE l.kind = 'residue'"
    )


def _refused(mapping: Mapping, name: str) -> str:
    some = f"{settled_table(name)} WHERE said <> '' AND state = 'accepted'"
    fields = f"SELECT file_id, rec_no, unnest({list_of(Kind.FIELD_REFUSED)}) AS r FROM {some}"
    return (
        f"SELECT {_PLACE}, 'field' AS stage, r.field AS field, [r.reason] AS reasons, {_raw(mapping, name)} AS raw "
        f"FROM ({fields}) s JOIN {_landed(name)}"
    )


def _landed(name: str) -> str:
    return f"{landed_table(name)} l ON l.file_id = s.file_id AND l.rec_no = s.rec_no"


def _raw(mapping: Mapping, name: str) -> str:
    return "coalesce(l.raw, encode(l.text))" if mapping.files[name].is_text else "l.raw"


def _listing(mapping: Mapping, run: str, entries: Sequence[str], state: str) -> str:
    """Records that are left out, with the reasons; or merged, with the records that they repeat."""
    shown = "s.reasons" if state == "excluded" else "o.file AS into_file, s.first.rec_no AS into_rec_no"

    def part(_: Mapping, name: str) -> str:
        reasons = f"{list_of(Kind.EXCLUDED)} AS reasons"
        return f"SELECT file_id, rec_no, byte_off, first, {reasons} FROM {settled_table(name)} WHERE state = '{state}'"

    return (
        f"SELECT {quote_text(run)} AS run, f.file, s.rec_no, s.byte_off, {shown} "
        f"FROM ({_together(mapping, (entries, part))}) s JOIN files f ON f.file_id = s.file_id "
        "LEFT JOIN files o ON o.file_id = s.first.file_id ORDER BY s.file_id, s.rec_no"
    )


def _together(mapping: Mapping, *parts: tuple[Sequence[str], Callable[[Mapping, str], str]]) -> str:
    """The parts of the entries that have any; where none has, a part of no rows says what the columns are."""
    some = [part(mapping, name) for entries, part in parts for name in entries]
    first = parts[0][1](mapping, next(iter(mapping.files)))
    return " UNION ALL ".join(some) or f"FROM ({first}) WHERE FALSE"
