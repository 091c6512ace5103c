"""What is said about a record as one text is what was found: every reason once, under its kind."""

from __future__ import annotations

from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.harmonise.said import Findings, Kind, Reason, list_of, reasons_in, said, said_of

REASONS = ("no_date", "no_code", "odd")
DEFECTS = st.sampled_from(["not_json", "deleted", "-blank_row", "+mojibake", "not_a_date@born", "odd"])
LISTS = ("quarantine", "last_resort", "exclude", "flags", "repairs", "rejects")
HOLDS = st.fixed_dictionaries({kind: st.sets(st.sampled_from(REASONS)) for kind in LISTS})


def expected(holds: dict[str, set[str]], defects: list[str]) -> dict[Kind, list[str]]:
    """The same in plain Python."""
    whole = {word for word in defects if word[0] not in "+-" and "@" not in word and word != "deleted"}
    fields = {word for word in defects if "@" in word}
    named = holds["quarantine"] | whole
    found = {
        Kind.QUARANTINED: named or holds["last_resort"],
        Kind.EXCLUDED: holds["exclude"]
        | {word[1:] for word in defects if word[0] == "-"}
        | ({"deleted_in_source"} & {"deleted_in_source" for word in defects if word == "deleted"}),
        Kind.FLAGGED: holds["flags"] | {word.partition("@")[0] for word in fields},
        Kind.REPAIRED: holds["repairs"] | {word[1:] for word in defects if word[0] == "+"},
        Kind.FIELD_REFUSED: {f"{reason}@field" for reason in holds["rejects"]} | fields,
    }
    return {kind: sorted(reasons) for kind, reasons in found.items()}


@settings(max_examples=60, deadline=None)
@given(HOLDS, st.lists(DEFECTS, max_size=3))
def test_every_reason_is_said_once_under_its_kind(holds: dict[str, set[str]], defects: list[str]) -> None:
    found = Findings()
    for kind in LISTS:
        words = [f"{reason}@field" for reason in REASONS] if kind == "rejects" else REASONS
        conditions = [str(reason in holds[kind]).upper() for reason in REASONS]
        getattr(found, kind).extend(map(Reason, conditions, words))
    known = expected(holds, defects)
    is_named = bool(holds["quarantine"]) or known[Kind.QUARANTINED] != sorted(holds["last_resort"])
    record = f"SELECT {defects}::VARCHAR[] AS defects, {is_named} AS is_named"
    text = f"SELECT {said(found)} AS said FROM (SELECT *, len(defects) > 0 AS has_defects FROM ({record}))"
    lists = ", ".join(["said", *(list_of(kind) for kind in Kind)])
    row: tuple[Any, ...]
    [row] = duckdb.sql(f"SELECT {lists} FROM ({text})").fetchall()
    assert {kind: reasons_in(row[0], kind) for kind in Kind} == known
    shown = dict(zip(Kind, row[1:], strict=True))
    refused = [f"{item['reason']}@{item['field']}" for item in shown.pop(Kind.FIELD_REFUSED)]
    assert shown | {Kind.FIELD_REFUSED: refused} == known


def test_lists_that_were_written_become_the_same_text_again() -> None:
    text = said_of(flagged="['b', 'a']", repaired="[]::VARCHAR[]")
    rows = duckdb.sql(f"SELECT {text}, {said_of(flagged='[]::VARCHAR[]')}").fetchall()
    assert rows == [("fa\x1ffb", "")]
