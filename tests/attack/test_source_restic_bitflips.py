"""Whoever holds the storage flips bits, removes packs or looks for a way to make Asepsis write."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from asepsis.domain.source import EntryType
from asepsis.errors import AsepsisError
from asepsis.sources.restic.source import ResticSource

pytestmark = pytest.mark.skipif(shutil.which("restic") is None, reason="the restic command makes these repositories")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("restic")
    generator = random.Random(2)
    environment = {**os.environ, "RESTIC_PASSWORD": "pw", "RESTIC_REPOSITORY": str(root / "repository")}
    run = ["restic", "--quiet", "--no-cache"]
    subprocess.run([*run, "init", "--repository-version", "2"], check=True, env=environment)
    for year in range(2):
        for number in range(6):
            path = root / "data" / f"folder{number % 3}" / f"file{number + year}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(generator.randbytes(generator.randrange(60_000)))
        subprocess.run([*run, "backup", "data"], check=True, env=environment, cwd=root)
    return root / "repository"


def source_of(repository: Path) -> ResticSource:
    return ResticSource.unlock(str(repository), password="pw")


def packs_of(repository: Path) -> list[Path]:
    return sorted(path for path in (repository / "data").rglob("*") if path.is_file())


def test_every_flipped_bit_in_a_pack_that_is_needed_is_found(repository: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    source = source_of(copy)
    point = source.restore_points()[-1].id
    generator = random.Random(11)
    for _ in range(40):
        pack = generator.choice(packs_of(copy))
        whole = pack.read_bytes()
        position = generator.randrange(len(whole))
        pack.chmod(0o600)
        pack.write_bytes(
            whole[:position] + bytes([whole[position] ^ 1 << generator.randrange(8)]) + whole[position + 1 :]
        )
        faults = [fault for p in source.restore_points() for fault in source.verify(p.id)]
        pack.write_bytes(whole)
        assert f"pack {pack.name}" in {fault.object for fault in faults}
    assert list(source.verify(point)) == []


def test_a_flipped_bit_is_never_delivered(repository: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    for pack in packs_of(copy):
        pack.chmod(0o600)
        content = bytearray(pack.read_bytes())
        content[20] ^= 1
        pack.write_bytes(content)
    source = source_of(copy)
    with pytest.raises(AsepsisError) as caught:
        read_all(source)
    assert caught.value.code == "source.object_damaged"


def test_swapped_packs_are_found(repository: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    first, second = packs_of(copy)[:2]
    contents = first.read_bytes(), second.read_bytes()
    for pack, content in zip((second, first), contents, strict=True):
        pack.chmod(0o600)
        pack.write_bytes(content)
    source = source_of(copy)
    faults = [fault.object for point in source.restore_points() for fault in source.verify(point.id)]
    assert {f"pack {first.name}", f"pack {second.name}"} & set(faults)


def test_reading_everything_from_a_write_protected_copy_changes_nothing(repository: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    shutil.rmtree(copy / "locks", ignore_errors=True)
    for path in [*copy.rglob("*"), copy]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = state_of(copy)
    source = source_of(copy)
    read_all(source)
    assert [fault for point in source.restore_points() for fault in source.verify(point.id)] == []
    assert state_of(copy) == before
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_the_bytes_are_those_that_restic_itself_gives(repository: Path) -> None:
    source = source_of(repository)
    environment = {**os.environ, "RESTIC_PASSWORD": "pw", "RESTIC_REPOSITORY": str(repository)}
    point = source.restore_points()[0]
    entry = next(entry for entry in source.walk(point.id) if entry.type is EntryType.FILE and entry.size)
    command = ["restic", "--quiet", "--no-cache", "--no-lock", "dump", point.id, entry.path]
    dumped = subprocess.run(command, check=True, env=environment, capture_output=True).stdout
    assert source.open(point.id, entry.path).read() == dumped


def read_all(source: ResticSource) -> None:
    for point in source.restore_points():
        for entry in source.walk(point.id):
            if entry.type is EntryType.FILE:
                assert len(source.open(point.id, entry.path).read()) == entry.size


def state_of(root: Path) -> dict[str, tuple[int, int, str]]:
    return {
        str(path): (
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in [root, *sorted(root.rglob("*"))]
    }
