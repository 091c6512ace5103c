"""``asepsis source`` as a person or a script uses it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from restic_writer import Writer, seal
from typer.testing import CliRunner

from asepsis.cli.source import app
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import RestorePoint
from asepsis.errors import AsepsisError
from asepsis.services.looking import find_point
from asepsis.sources.directory import DirectorySource

DUMP = "COPY public.t (a, b) FROM stdin;\n1\tx\n2\t\\N\n\\.\n"


class Points(DirectorySource):
    """A folder whose restore points are given."""

    def __init__(self, path: str, *, listed: list[RestorePoint]) -> None:
        super().__init__(f"dir:{path}", root=path)
        self.listed = listed

    def restore_points(self) -> list[RestorePoint]:
        return self.listed


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


def test_a_restore_point_is_named_by_its_id_or_by_a_label_that_only_it_has(tmp_path: Path) -> None:
    """An id goes before a label: whoever writes a backup chooses its label."""
    points = [
        RestorePoint(id=RestorePointId(number), taken_at=datetime(2013, 1, 1, tzinfo=UTC), label=label)
        for number, label in (("aa11", "monday"), ("bb22", "aa"), ("cc33", "ehr"), ("dd44", "ehr"))
    ]
    source = Points(str(tmp_path), listed=points)
    assert [find_point(source, name).id for name in ("bb", "monday", "aa")] == ["bb22", "aa11", "aa11"]
    for wanted in ("ehr", "no", ""):
        with pytest.raises(AsepsisError) as caught:
            find_point(source, wanted)
        assert caught.value.code == "source.restore_point_missing"


def test_ids_that_begin_alike_are_shown_whole(tmp_path: Path) -> None:
    for day in ("01", "02"):
        (tmp_path / f"ehr-backup-2013-01-{day}.sql").write_text(DUMP)
    shown = CliRunner().invoke(app, ["ls", f"pgdump:{tmp_path}"]).stdout.splitlines()[2:]
    ids = [line.split()[0] for line in shown]
    assert len(set(ids)) == len(ids) == 2
    listed = answer("ls", f"pgdump:{tmp_path}", "--restore-point", ids[0])
    assert [entry["path"] for entry in listed] == ["/public", "/public/t.tsv"]  # type: ignore[attr-defined]


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
