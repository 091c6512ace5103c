from __future__ import annotations

import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asepsis.domain.names import RestorePointId
from asepsis.errors import AsepsisError
from asepsis.ports import Source
from asepsis.sources.registry import open_source
from asepsis.sources.tar.source import TarSource


def content_of(source: Source, point: RestorePointId, path: str) -> bytes:
    with source.open(point, path) as file:
        return file.read()


def archive(path: Path, content: bytes, *, mtime: int = 1_000_000_000) -> None:
    source = path.parent / "file.txt"
    source.write_bytes(content)
    os.utime(source, (mtime, mtime))
    with tarfile.open(path, "w:gz") as out:
        out.add(source, "export/file.txt")
    source.unlink()


def test_each_archive_of_a_folder_is_a_restore_point_ordered_by_the_date_in_its_name(tmp_path: Path) -> None:
    archive(tmp_path / "export-2024-12-31.tar.gz", b"new")
    archive(tmp_path / "export-2023-12-31.tgz", b"old")
    (tmp_path / "notes.txt").write_text("beside")
    source = TarSource.at(str(tmp_path))
    points = source.restore_points()
    assert [point.label for point in points] == ["export-2023-12-31.tgz", "export-2024-12-31.tar.gz"]
    assert points[1].taken_at == datetime(2024, 12, 31, tzinfo=UTC)
    assert content_of(source, points[0].id, "/export/file.txt") == b"old"


def test_a_lone_archive_without_a_date_is_dated_by_its_newest_file(tmp_path: Path) -> None:
    archive(tmp_path / "backup.tar.gz", b"x", mtime=1_234_567_890)
    (point,) = TarSource.at(str(tmp_path / "backup.tar.gz")).restore_points()
    assert point.taken_at == datetime.fromtimestamp(1_234_567_890, tz=UTC)


def test_an_impossible_date_in_a_name_is_no_date(tmp_path: Path) -> None:
    archive(tmp_path / "b-2024-13-45.tar.gz", b"x")
    (point,) = TarSource.at(str(tmp_path / "b-2024-13-45.tar.gz")).restore_points()
    assert point.taken_at == datetime.fromtimestamp(1_000_000_000, tz=UTC)


def test_a_later_member_of_the_same_name_replaces_the_earlier(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    for content in (b"first", b"second"):
        (tmp_path / "f").write_bytes(content)
        with tarfile.open(path, "a") as out:
            out.add(tmp_path / "f", "f")
    source = TarSource.at(str(path))
    assert content_of(source, source.restore_points()[0].id, "/f") == b"second"


def test_an_archive_that_grew_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a-2020-01-01.tar"
    source_file = tmp_path / "f"
    source_file.write_bytes(b"x")
    with tarfile.open(path, "w") as out:
        out.add(source_file, "one")
    source = TarSource.at(str(path))
    (point,) = source.restore_points()
    assert [entry.path for entry in source.walk(point.id)] == ["/one"]
    with tarfile.open(path, "a") as out:
        out.add(source_file, "two")
    os.utime(path, (1, 1))
    assert [entry.path for entry in source.walk(point.id)] == ["/one", "/two"]


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("tar:{}/nothing.tar", "source.missing"),
        ("tar:{}", "source.not_a_repository"),
        ("dir:{}/nothing", "source.missing"),
        ("restic:{}/nothing", "source.missing"),
        ("restic:{}", "source.not_a_repository"),
        ("tape:{}", "source.unknown_scheme"),
        ("no-scheme", "source.unknown_scheme"),
        ("tar:", "source.unknown_scheme"),
    ],
)
def test_an_address_where_no_source_lies_is_one_named_error(tmp_path: Path, uri: str, code: str) -> None:
    with pytest.raises(AsepsisError) as caught:
        open_source(uri.format(tmp_path), secret=lambda: "pw")
    assert caught.value.code == code


def test_a_folder_is_not_opened_as_a_file_nor_a_file_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(AsepsisError) as caught:
        open_source(f"dir:{tmp_path / 'f'}")
    assert caught.value.code == "source.not_a_repository"
