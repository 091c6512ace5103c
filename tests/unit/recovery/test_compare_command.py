# ruff: noqa: E501, PLC0415 - statements read better on one line
"""``recover compare`` on a table layout never seen, with tickets, and on one snapshot alone; nothing tells a value."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from asepsis.bootstrap.recovery import declared_keys
from asepsis.cli.main import app
from asepsis.domain.source import Verdict
from asepsis.engines.forensics.alone import look_alone
from asepsis.engines.forensics.engine import DuckForensics
from asepsis.errors.recovery import KeyColumnMissing, KeyDeclarationMalformed, SnapshotEmpty, TicketRefused
from asepsis.integrity.records.layout import Role
from asepsis.integrity.records.report import timeline
from asepsis.integrity.records.tickets import ChangeTicket
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose, generate_signing_key, sign
from asepsis.services.comparing import TICKET_FORMAT, judge_snapshot, verified_ticket

run = CliRunner().invoke

WARD = """
CREATE TABLE patienten AS SELECT 50000 + i AS pat_nr, DATE '1930-01-01' + (hash(i) % 30000)::INT AS geburtsdatum,
  ['m', 'w'][1 + (hash(i, 's') % 2)::BIGINT] AS geschlecht FROM range(900) t(i);
CREATE TABLE laborwerte AS SELECT 'L' || lpad(i::VARCHAR, 6, '0') AS beleg, 50000 + (hash(i, 'p') % 900)::BIGINT AS pat_nr,
  ['NA', 'K', 'GLU', 'HB', 'CRP'][1 + (hash(i, 'c') % 5)::BIGINT] AS kuerzel,
  DATE '2023-01-01' + (i // 30)::INT AS entnahme, round(40 + (hash(i, 'v') % 9000) / 100.0, 1) AS wert,
  'Befund unauffaellig Kontrolle in ' || (hash(i, 't') % 90)::VARCHAR || ' Tagen empfohlen' AS befund
  FROM range(4500) t(i)
"""


def ward(folder: Path, *statements: str, form: str = "parquet") -> Path:
    """A hospital's own layout, tampered with by some statements."""
    folder.mkdir()
    with duckdb.connect() as database:
        for text in (*WARD.split(";"), *statements):
            database.execute(text)
        for table in ("patienten", "laborwerte"):
            database.execute(f"COPY {table} TO '{folder / table}.{form}'")
    return folder


TAMPERED = [
    ("cells.scaled", "UPDATE laborwerte SET wert = round(wert * 1.1, 2) WHERE kuerzel = 'GLU'"),
    ("rows.group_deleted", "DELETE FROM laborwerte WHERE kuerzel = 'CRP'"),
    ("persons.swapped", "UPDATE laborwerte SET pat_nr = 100201 - pat_nr WHERE pat_nr IN (50100, 50101)"),
    ("references.orphaned", "DELETE FROM patienten WHERE pat_nr < 50020"),
    ("dates.shifted", "UPDATE laborwerte SET entnahme = entnahme - 30 WHERE pat_nr < 50040"),
    ("text.lookalikes", "UPDATE laborwerte SET befund = replace(befund, 'Kontrolle', 'K\u043entrolle') WHERE pat_nr = 50007"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "statement"), TAMPERED, ids=[code for code, _ in TAMPERED])
def test_tampering_in_a_layout_never_seen_is_named(code: str, statement: str, tmp_path: Path) -> None:
    from asepsis.services.comparing import CompareSnapshots

    before, after = ward(tmp_path / "before"), ward(tmp_path / "after", statement)
    engine = DuckForensics(scratch=tmp_path / "scratch", threads=1)
    compared = CompareSnapshots(forensics=engine).compare(before, after)
    assert code in [one.code for one in compared.divergences[:3]]
    with engine.pair(before, after) as pair:
        layout = pair.profile.layouts.tables["laborwerte"]
    roles = {column.name: column.role for column in layout.columns}
    assert layout.key == ("beleg",)
    assert roles["pat_nr"] is Role.PERSON
    assert (layout.date, layout.code) == ("entnahme", "kuerzel")
    assert (roles["wert"], roles["befund"]) == (Role.NUMBER, Role.TEXT)


def test_the_command_reports_and_writes_private_files_and_shows_no_value(tmp_path: Path) -> None:
    before = ward(tmp_path / "before", form="csv")
    after = ward(tmp_path / "after", "UPDATE laborwerte SET wert = 4711.5 WHERE pat_nr < 50010", form="csv")
    names = {name: tmp_path / name for name in ("rows.jsonl", "patch", "events.jsonl", "page.html")}
    options = [
        f"--{option}={path}" for option, path in zip(("rows", "patch", "timeline", "html"), names.values(), strict=True)
    ]
    answer = run(app, ["recover", "compare", str(before), str(after), *options, "--json"])
    assert answer.exit_code == 7
    document = json.loads(answer.output)
    assert document["verdict"] in {"suspect", "compromised"}
    assert document["divergences"][0]["table"] == "laborwerte"
    assert len(document["restored_root"]) == 64
    assert "4711.5" not in answer.output
    assert "4711.5" not in names["page.html"].read_text("utf-8")
    assert "4711.5" not in names["events.jsonl"].read_text("utf-8")
    rows = [json.loads(line) for line in names["rows.jsonl"].read_text("utf-8").splitlines()]
    assert len(rows) == document["rows_written"] == document["divergences"][0]["rows"]
    assert {row["cells"]["wert"][1] for row in rows} == {"4711.5"}
    for name in ("rows.jsonl", "events.jsonl", "page.html"):
        assert stat.S_IMODE(names[name].stat().st_mode) == 0o600
    again = run(app, ["recover", "compare", str(before), str(after), f"--rows={names['rows.jsonl']}"])
    assert again.exit_code == 5


def test_equal_snapshots_are_clean_and_an_empty_folder_is_missing(tmp_path: Path) -> None:
    before, after = ward(tmp_path / "before"), ward(tmp_path / "after")
    assert run(app, ["recover", "compare", str(before), str(after)]).exit_code == 0
    (tmp_path / "empty").mkdir()
    assert run(app, ["recover", "compare", str(before), str(tmp_path / "empty")]).exit_code == 4
    (after / "patienten.parquet").write_bytes(b"PAR1 no table")
    answer = run(app, ["recover", "compare", str(before), str(after)])
    assert answer.exit_code == 2


def test_declared_keys_are_read_or_refused(tmp_path: Path) -> None:
    assert declared_keys(["Visit=a, b"]) == {"visit": ("a", "b")}
    with pytest.raises(KeyDeclarationMalformed):
        declared_keys(["visit"])
    before = ward(tmp_path / "before")
    engine = DuckForensics(scratch=tmp_path / "scratch", threads=1, keys={"laborwerte": ("nummer",)})
    with pytest.raises(KeyColumnMissing), engine.pair(before, before):
        pass
    with pytest.raises(SnapshotEmpty), DuckForensics(scratch=tmp_path / "scratch").pair(before, tmp_path / "none"):
        pass


def signed(ticket: dict[str, object], private: bytes) -> dict[str, object]:
    from asepsis.domain.documents import encode_bytes
    from asepsis.integrity.records.tickets import read_ticket

    content = read_ticket(ticket, name="t").to_document()
    signature = sign(private, purpose=Purpose.CHANGE_TICKET, payload=canonical(content))
    return {"format": TICKET_FORMAT, "ticket": content, "signature": encode_bytes(signature)}


def test_a_ticket_counts_only_as_it_was_signed() -> None:
    pair, other = generate_signing_key(), generate_signing_key()
    ticket = {
        "format": "asepsis/change-ticket/1",
        "id": "C-7",
        "reason": "unit change",
        "table": "laborwerte",
        "kind": "update",
        "columns": ["wert"],
        "rows_at_most": 2000,
        "where": {"kuerzel": ["GLU"]},
        "factor": 1.1,
    }
    document = signed(ticket, pair.private)
    read = verified_ticket(document, name="t", signer=pair.public)
    assert isinstance(read, ChangeTicket)
    assert read.where == {"kuerzel": ("GLU",)}
    with pytest.raises(TicketRefused):
        verified_ticket(document, name="t", signer=other.public)
    wider = {**document, "ticket": {**read.to_document(), "rows_at_most": 20_000}}
    with pytest.raises(TicketRefused):
        verified_ticket(wider, name="t", signer=pair.public)
    with pytest.raises(TicketRefused):
        verified_ticket({**document, "more": 1}, name="t", signer=pair.public)


def test_events_are_what_timesketch_imports() -> None:
    at = datetime(2024, 5, 1, tzinfo=UTC)
    lines = [json.loads(line) for line in timeline([], [("visit", "2024-04-30", "update", 3)], found_at=at, source="x")]
    assert [set(line) >= {"message", "datetime", "timestamp_desc"} for line in lines] == [True]


@pytest.mark.long
def test_the_corrupted_public_set_is_told_apart_table_by_table(shared_data: Path, tmp_path: Path) -> None:
    looked = judge_snapshot(look_alone(shared_data / "data" / "mimic3_demo_partial", scratch=tmp_path))
    assert looked.verdict is Verdict.COMPROMISED
    first = looked.divergences[0]
    assert (first.code, first.table, first.columns, first.rows) == (
        "references.strange",
        "admissions",
        ("subject_id",),
        129,
    )
    alarms = {(one.code, one.table) for one in looked.divergences if one.severity > 1}
    assert {table for _, table in alarms} == {"admissions", "callout", "caregivers"}
    assert {"dates.after_death", "dates.spelled_otherwise", "files.digest_wrong"} <= {code for code, _ in alarms}
