"""``asepsis source`` as a person or a script uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from restic_writer import Writer, seal
from typer.testing import CliRunner

from asepsis.cli.source import app

DUMP = "COPY public.t (a, b) FROM stdin;\n1\tx\n2\t\\N\n\\.\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", "pw")
    writer = Writer(tmp_path / "repository")
    for day, content in (("2013-01-01", b"one"), ("2013-01-02", b"two")):
        writer.snapshot(writer.tree(writer.file("f", content), writer.file("same", b"x")), time=f"{day}T00:00:00Z")
    writer.flush()
    return writer


def answer(*arguments: str, code: int = 0) -> object:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_difference_tells_what_changed(repository: Writer) -> None:
    points = [point["id"] for point in answer("ls", f"restic:{repository.root}")]  # type: ignore[attr-defined]
    assert answer("diff", f"restic:{repository.root}", *points) == [{"kind": "modified", "path": "/f", "was": None}]


def test_locks_are_told_beside_the_list_and_in_the_report(repository: Writer) -> None:
    lock = repository.put("locks", seal(repository.key, b'{"time": "2013-01-31T23:30:00Z"}'))
    result = CliRunner().invoke(app, ["ls", f"restic:{repository.root}", "--json"])
    assert len(json.loads(result.stdout)) == 2
    assert result.stderr == f"asepsis: source.lock_ignored: locks/{lock}, of 2013-01-31T23:30:00+00:00\n"
    report = answer("verify", f"restic:{repository.root}")
    assert report["faults"] == []  # type: ignore[index]
    assert [remark["code"] for remark in report["remarks"]] == ["source.lock_ignored"]  # type: ignore[index]


def test_a_lost_index_is_told_and_the_exit_code_says_so(repository: Writer) -> None:
    for index in (repository.root / "index").iterdir():
        index.unlink()
    report = answer("verify", f"restic:{repository.root}", code=7)
    assert {fault["code"] for fault in report["faults"]} == {"source.pack_not_indexed"}  # type: ignore[index]


def test_tables_are_written_and_told(tmp_path: Path) -> None:
    (tmp_path / "d.sql").write_text(DUMP)
    told = answer("tables", f"pgdump:{tmp_path / 'd.sql'}", "--to", str(tmp_path / "out"))
    assert told == [{"path": "/public/t.tsv", "file": "public/t.parquet", "rows": 2, "columns": 2}]
    assert pq.read_table(tmp_path / "out" / "public" / "t.parquet").to_pylist() == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": None},
    ]


def test_a_source_of_files_has_no_tables(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tables", f"dir:{tmp_path}", "--to", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "source.no_tables" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_source_that_mounts_nothing_has_nothing_to_take_down(tmp_path: Path) -> None:
    assert answer("reap", f"dir:{tmp_path}") == {"taken_down": 0}
