"""A backup is read where it lies by the tools that read files: DuckDB, pyarrow, and whatever speaks fsspec."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet
import pytest
from restic_writer import Writer

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import ChangeKind, Entry, EntryType
from asepsis.sources.comparing import compared
from asepsis.sources.restic.source import ResticSource


def parquet() -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"a": [1, 2, 3]}), out)
    return out.getvalue()


@pytest.fixture
def source(tmp_path: Path) -> tuple[ResticSource, RestorePointId]:
    writer = Writer(tmp_path / "repository")
    inner = writer.tree(writer.file("labs.csv", b"a,b\n1,x\n2,y\n"), writer.file("labs.parquet", parquet()))
    point = RestorePointId(writer.snapshot(writer.tree(writer.folder("data", inner))))
    writer.flush()
    return ResticSource.unlock(str(writer.root), password="pw"), point


def test_duckdb_reads_files_of_a_backup(source: tuple[ResticSource, RestorePointId]) -> None:
    fs = source[0].fs(source[1])
    connection = duckdb.connect()
    connection.register_filesystem(fs)
    assert connection.execute("SELECT sum(a), max(b) FROM 'asepsis:///data/labs.csv'").fetchall() == [(3, "y")]
    assert connection.execute("SELECT sum(a) FROM 'asepsis:///data/labs.parquet'").fetchall() == [(6,)]
    assert connection.execute("SELECT count(*) FROM read_csv('asepsis:///data/*.csv')").fetchall() == [(2,)]


def test_pyarrow_reads_files_of_a_backup(source: tuple[ResticSource, RestorePointId]) -> None:
    fs = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(source[0].fs(source[1])))
    assert pyarrow.parquet.read_table("/data/labs.parquet", filesystem=fs)["a"].to_pylist() == [1, 2, 3]
    with fs.open_input_stream("/data/labs.csv") as file:
        assert pyarrow.csv.read_csv(file)["b"].to_pylist() == ["x", "y"]


def test_what_is_not_there_is_told_as_an_operating_system_does(source: tuple[ResticSource, RestorePointId]) -> None:
    fs = source[0].fs(source[1])
    with pytest.raises(FileNotFoundError):
        fs.open("/data/nothing")
    with pytest.raises(FileNotFoundError):
        fs.info("/data/nothing")
    with pytest.raises(IsADirectoryError):
        fs.open("/data")
    with pytest.raises(FileNotFoundError):
        fs.open("/../../etc/passwd")


class Files:
    """Two restore points of files without content ids; counts what is read."""

    def __init__(self, **points: dict[str, bytes]) -> None:
        self.points = points
        self.read: list[str] = []

    def walk(self, point: RestorePointId) -> list[Entry]:
        files = self.points[point]
        return [Entry(path=path, type=EntryType.FILE, size=len(content)) for path, content in files.items()]

    def open(self, point: RestorePointId, path: str) -> io.BytesIO:
        self.read.append(path)
        return io.BytesIO(self.points[point][path])

    def in_stored_order(self, _: RestorePointId, paths: object) -> list[str]:
        return sorted(paths)  # type: ignore[call-overload, no-any-return]


def changes(files: Files) -> dict[str, ChangeKind]:
    found = compared(files, RestorePointId("a"), RestorePointId("b"))  # type: ignore[arg-type]
    return {change.path: change.kind for change in found}


def test_a_change_that_keeps_size_and_time_is_found_by_reading() -> None:
    files = Files(a={"/f": b"1234", "/g": b"same"}, b={"/f": b"1243", "/g": b"same"})
    assert changes(files) == {"/f": ChangeKind.MODIFIED}


def test_what_the_sizes_decide_is_not_read() -> None:
    files = Files(a={"/f": b"12", "/gone": b"1"}, b={"/f": b"123", "/come": b"12345"})
    assert changes(files) == {
        "/f": ChangeKind.MODIFIED,
        "/gone": ChangeKind.REMOVED,
        "/come": ChangeKind.ADDED,
    }
    assert files.read == []


def test_a_rename_is_found_by_reading_what_has_the_same_size() -> None:
    files = Files(a={"/old": b"1234", "/x": b"1"}, b={"/new": b"1234", "/y": b"22"})
    assert changes(files) == {"/new": ChangeKind.RENAMED, "/x": ChangeKind.REMOVED, "/y": ChangeKind.ADDED}
    assert sorted(files.read) == ["/new", "/old"]
