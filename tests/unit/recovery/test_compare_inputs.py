"""``recover compare`` from end to end on an SQLite file, a dump of PostgreSQL and a restic repository."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "sources"))

from restic_writer import Writer

from asepsis.cli.main import app

PASSWORD = "pw"
HEAD = ("lab_id", "patient_id", "code", "taken", "value")
Row = tuple[object, ...]


def rows(*, tampered: bool) -> list[Row]:
    """Results of thirty patients; tampered with, all potassium values are a tenth higher and one row is gone."""
    made = []
    for number in range(360):
        code = ("K", "NA", "GLU")[number % 3]
        value = 40 + number / 8
        day = f"2021-{1 + number // 31:02}-{1 + number % 28:02}"
        made.append(
            (number, f"P{number % 30:02}", code, day, round(value * 1.1, 4) if tampered and code == "K" else value)
        )
    return made[:-1] if tampered else made


def an_sqlite(folder: Path) -> tuple[list[str], list[str]]:
    for name, tampered in (("before", False), ("after", True)):
        with sqlite3.connect(folder / f"{name}.db") as connection:
            connection.execute(
                f"CREATE TABLE lab (lab_id INTEGER PRIMARY KEY, {' TEXT, '.join(HEAD[1:4])}, value REAL)"
            )
            connection.executemany("INSERT INTO lab VALUES (?, ?, ?, ?, ?)", rows(tampered=tampered))
        connection.close()
    return [f"sqlite:{folder / 'before.db'}", f"sqlite:{folder / 'after.db'}"], []


def a_dump(folder: Path) -> tuple[list[str], list[str]]:
    for name, tampered in (("before", False), ("after", True)):
        lines = ["\t".join(map(str, row)) for row in rows(tampered=tampered)]
        columns = "lab_id bigint, patient_id text, code text, taken date, value double precision"
        text = f"--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.lab ({columns});\n\n"
        text += "\n".join(
            [
                f"COPY public.lab ({', '.join(HEAD)}) FROM stdin;",
                *lines,
                "\\.",
                "",
                "--\n-- PostgreSQL database dump complete\n--\n\n",
            ]
        )
        (folder / f"{name}.sql").write_text(text)
    return [f"pgdump:{folder / 'before.sql'}", f"pgdump:{folder / 'after.sql'}"], []


def a_repository(folder: Path) -> tuple[list[str], list[str]]:
    writer = Writer(folder / "repository", password=PASSWORD)
    points = []
    for year, tampered in ((2021, False), (2022, True)):
        text = "\n".join(",".join(map(str, row)) for row in (HEAD, *rows(tampered=tampered)))
        tree = writer.tree(writer.file("lab.csv", text.encode()))
        writer.flush()
        points.append(writer.snapshot(tree, time=f"{year}-01-31T23:30:00+01:00"))
    address = f"restic:{folder / 'repository'}"
    return [address, address], [f"--before-point={points[0]}", f"--after-point={points[1]}"]


def digests(folder: Path) -> dict[Path, str]:
    return {path: sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [an_sqlite, a_dump, a_repository])
def test_two_states_of_a_source_are_compared(
    make: Callable[[Path], tuple[list[str], list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", PASSWORD)
    source = tmp_path / "source"
    source.mkdir()
    addresses, options = make(source)
    untouched = digests(source)
    command = ["recover", "compare", *addresses, *options, "--patch", str(tmp_path / "patch"), "--json"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 7, answer.output
    document = json.loads(answer.stdout)
    (ledger,) = document["ledger"]
    assert (ledger["rows_before"], ledger["rows_after"]) == (360, 359)
    assert (ledger["inserted"], ledger["deleted"], ledger["updated"]) == (0, 1, 120)
    assert ledger["cells"] == {"value": 120}
    assert (document["divergences"][0]["code"], document["divergences"][0]["columns"]) == ("cells.scaled", ["value"])
    assert len(document["restored_root"]) == 64
    assert digests(source) == untouched
