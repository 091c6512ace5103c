from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import EntryType
from asepsis.errors import AsepsisError
from asepsis.ports import Source
from asepsis.sources.directory import NOW, DirectorySource
from asepsis.sources.limits import Limits


def content_of(source: Source, point: RestorePointId, path: str) -> bytes:
    with source.open(point, path) as file:
        return file.read()


def test_a_directory_swapped_for_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "f").write_bytes(b"outside")
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "d" / "f").write_bytes(b"inside")
    source = DirectorySource.at(str(tmp_path / "root"))
    assert content_of(source, NOW, "/d/f") == b"inside"
    (tmp_path / "root" / "d" / "f").unlink()
    (tmp_path / "root" / "d").rmdir()
    (tmp_path / "root" / "d").symlink_to(tmp_path / "secret")
    with pytest.raises(AsepsisError) as caught:
        source.open(NOW, "/d/f")
    assert caught.value.code == "source.path_missing"


def test_a_file_swapped_for_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to("/etc/passwd")
    with pytest.raises(AsepsisError) as caught:
        DirectorySource.at(str(tmp_path)).open(NOW, "/f")
    assert caught.value.code == "source.not_a_file"


def test_sockets_are_other_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        source = DirectorySource.at(str(tmp_path))
        assert [entry.type for entry in source.walk(NOW)] == [EntryType.OTHER]
        with pytest.raises(AsepsisError) as caught:
            source.open(NOW, "/s")
    assert caught.value.code == "source.not_a_file"


def test_the_content_id_is_the_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert DirectorySource.at(str(tmp_path)).content_id(NOW, "/f") == expected


def test_an_endless_folder_is_stopped(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*("d" * 1 for _ in range(30)))
    deep.mkdir(parents=True)
    with pytest.raises(AsepsisError) as caught:
        list(DirectorySource.at(str(tmp_path), limits=Limits(depth=10)).walk(NOW))
    assert caught.value.code == "source.limit_exceeded"
    with pytest.raises(AsepsisError):
        list(DirectorySource.at(str(tmp_path), limits=Limits(entries=5)).walk(NOW))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_found_by_verify(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f").chmod(0)
    assert [fault.code for fault in DirectorySource.at(str(tmp_path)).verify(NOW)] == ["source.unavailable"]
