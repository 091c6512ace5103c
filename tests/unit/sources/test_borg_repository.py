from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from asepsis.domain.names import RestorePointId
from asepsis.errors import AsepsisError, Kind
from asepsis.sources.borg.command import refusal
from asepsis.sources.borg.source import BorgSource
from asepsis.sources.jail import Jail
from asepsis.sources.registry import open_source

pytestmark = pytest.mark.skipif(shutil.which("borg") is None, reason="the borg command is not installed")
NOISE = random.Random(1).randbytes(300_000)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives; in the second one name of a pair of hard links comes first and one file has changed."""
    root = tmp_path_factory.mktemp("borg")
    environment = {**os.environ, "BORG_PASSPHRASE": "pw", "BORG_BASE_DIR": str(root / "base"), "TZ": "Asia/Tokyo"}
    (root / "d").mkdir()
    (root / "d" / "a").write_bytes(NOISE)
    os.link(root / "d" / "a", root / "d" / "b")
    (root / "d" / "-option").write_bytes(b"looks like an option")
    (root / "d" / "*?[x]").write_bytes(b"looks like a pattern")
    subprocess.run(["borg", "init", "-e", "repokey", str(root / "r")], check=True, env=environment, capture_output=True)
    for name, day in (("first", "2009-01-02"), ("second", "2009-01-03")):
        (root / "d" / "c").write_text(name)
        command = ["borg", "create", "--timestamp", f"{day}T00:00:00", f"{root / 'r'}::{name}", "."]
        subprocess.run(command, check=True, env=environment, cwd=root / "d")
    return root / "r"


@pytest.fixture
def repository(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "copy")
    return tmp_path / "copy"


def opened(repository: Path, passphrase: str = "pw") -> BorgSource:  # noqa: S107
    return BorgSource.unlock(str(repository), passphrase=passphrase)


def state_of(root: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in [root, *sorted(root.rglob("*"))]
    }


def content_of(source: BorgSource, point: RestorePointId, path: str) -> bytes:
    with source.open(point, path) as file:
        return file.read()


@pytest.mark.long
def test_archives_come_oldest_first_and_every_name_of_a_file_has_its_content(repository: Path) -> None:
    source = opened(repository)
    first, second = source.restore_points()
    assert [first.label, second.label] == ["first", "second"]
    assert (content_of(source, first.id, "/c"), content_of(source, second.id, "/c")) == (b"first", b"second")
    assert content_of(source, first.id, "/a") == content_of(source, first.id, "/b") == NOISE
    assert {e.path: e.size for e in source.walk(first.id)}["/a"] == len(NOISE)
    assert source.content_id(first.id, "/c") == hashlib.sha256(b"first").hexdigest()


@pytest.mark.long
def test_names_that_look_like_options_and_patterns_are_names(repository: Path) -> None:
    source = opened(repository)
    point = source.restore_points()[0].id
    assert content_of(source, point, "/-option") == b"looks like an option"
    assert content_of(source, point, "/*?[x]") == b"looks like a pattern"


def test_a_repository_that_nobody_may_write_is_read_and_stays_as_it_is(repository: Path) -> None:
    for path in [repository, *repository.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    before = state_of(repository)
    source = opened(repository)
    for point in source.restore_points():
        assert list(source.verify(point.id)) == []
        assert content_of(source, point.id, "/a") == NOISE
    assert state_of(repository) == before


def test_a_lock_that_was_left_behind_does_not_matter(repository: Path) -> None:
    (repository / "lock.exclusive").mkdir()
    (repository / "lock.exclusive" / "host@1.2-3").touch()
    assert len(opened(repository).restore_points()) == 2


def test_a_wrong_passphrase_is_denied(repository: Path) -> None:
    with pytest.raises(AsepsisError) as caught:
        opened(repository, "canary")
    assert caught.value.code == "source.wrong_password"
    assert "canary" not in str(caught.value.as_dict())


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("PassphraseWrong", "source.wrong_password"),
        ("KeyfileNotFoundError", "source.key_file_missing"),
        ("KeyfileMismatchError", "source.key_file_missing"),
        ("UnsupportedManifestError", "source.unsupported_format"),
        ("Repository.CheckNeeded", "source.repository_unreadable"),
        ("", "source.repository_unreadable"),
    ],
)
def test_why_borg_does_not_open_a_repository_is_told_by_the_kind_of_its_error(kind: str, code: str) -> None:
    error = refusal(f'{{"message": "canary", "name": "borg.archiver", "msgid": "{kind}"}}'.encode(), uri="borg:r")
    assert error.code == code
    assert "canary" not in str(error.as_dict())


def test_a_repository_that_lost_its_data_is_not_called_a_wrong_password(repository: Path) -> None:
    shutil.rmtree(repository / "data")
    with pytest.raises(AsepsisError) as caught:
        opened(repository)
    assert caught.value.code == "source.repository_unreadable"


def made(root: Path, mode: str) -> Path:
    environment = {**os.environ, "BORG_PASSPHRASE": "pw", "BORG_BASE_DIR": str(root / "base")}
    environment["BORG_KEY_FILE"] = str(root / "key")
    subprocess.run(["borg", "init", "-e", mode, str(root / "r")], check=True, env=environment, capture_output=True)
    return root / "r"


def test_what_is_not_encrypted_needs_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ASEPSIS_BORG_PASSWORD", "ASEPSIS_BORG_PASSWORD_FILE"):
        monkeypatch.delenv(variable, raising=False)
    assert open_source(f"borg:{made(tmp_path, 'none')}").restore_points() == []


@pytest.mark.long
def test_a_key_that_lies_in_a_file_is_asked_for_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASEPSIS_BORG_PASSWORD", "pw")
    address = f"borg:{made(tmp_path, 'keyfile')}"
    with pytest.raises(AsepsisError) as caught:
        open_source(address)
    assert caught.value.code == "source.key_file_missing"
    before = state_of(tmp_path)
    monkeypatch.setenv("ASEPSIS_BORG_KEY_FILE", str(tmp_path / "key"))
    assert open_source(address).restore_points() == []
    assert state_of(tmp_path) == before


def test_what_is_no_repository_is_refused_by_name(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "source.not_a_repository"), (tmp_path / "no", "source.missing")):
        with pytest.raises(AsepsisError) as caught:
            opened(path)
        assert caught.value.code == code


@pytest.mark.long
def test_a_flipped_bit_in_a_segment_is_found(repository: Path) -> None:
    segment = max((repository / "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    source = opened(repository)
    point = source.restore_points()[0].id
    faults = list(source.verify(point))
    assert {fault.path for fault in faults} >= {"/a"}
    with pytest.raises(AsepsisError) as caught:
        content_of(source, point, "/a")
    assert caught.value.kind in {Kind.UNTRUSTED, Kind.INVALID}


def test_an_unknown_archive_is_refused(repository: Path) -> None:
    with pytest.raises(AsepsisError) as caught:
        list(opened(repository).walk(RestorePointId("first")))
    assert caught.value.code == "source.restore_point_missing"


def test_a_program_that_does_not_end_is_stopped() -> None:
    jail = Jail("sleep", seconds=0.3)
    with pytest.raises(AsepsisError) as caught, jail.running(["30"], environment={}) as (process, _):
        process.wait()
    assert caught.value.code == "source.tool_timed_out"


def test_a_jailed_program_writes_nowhere_but_in_its_own_folder(tmp_path: Path) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    jail = Jail("sh", seconds=10)
    script = f"echo x > {tmp_path}/canary; echo y > {jail.scratch}/own; echo z > /dev/tcp/127.0.0.1/9"
    with jail.running(["-c", script], environment={}) as (process, _):
        process.wait()
    if not (jail.scratch / "own").exists():
        pytest.skip("bubblewrap is not allowed here")
    assert not (tmp_path / "canary").exists()


def test_a_missing_program_is_named() -> None:
    with pytest.raises(AsepsisError) as caught, Jail("no-such-program", seconds=1).running([], environment={}):
        pass
    assert caught.value.code == "source.tool_missing"


@pytest.mark.long
def test_two_archives_differ_in_content_only(original: Path, tmp_path: Path) -> None:
    """Borg 1.2 calls files modified of which only the change time differs; names, links and renames are told."""
    shutil.copytree(original.parent, tmp_path / "all", symlinks=True)
    root = tmp_path / "all"
    environment = {
        **os.environ,
        "BORG_PASSPHRASE": "pw",
        "BORG_BASE_DIR": str(root / "base"),
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    }
    odd = root / "d" / os.fsdecode(b"not-utf8-\xff\nx")
    odd.write_bytes(b"odd")
    (root / "d" / "same").write_bytes(b"12345")
    (root / "d" / "grows").write_bytes(b"1")
    (root / "d" / "old name").write_bytes(NOISE[:5000])
    run = ["borg", "create", f"{root / 'r'}::third", "."]
    subprocess.run(run, check=True, env=environment, cwd=root / "d")
    odd.write_bytes(b"ddo")
    (root / "d" / "grows").write_bytes(b"22")
    (root / "d" / "old name").rename(root / "d" / "new name")
    (root / "d" / "same").chmod(0o600)
    (root / "d" / "same").write_bytes(b"12345")
    (root / "d" / "link").symlink_to("same")
    run[2] = f"{root / 'r'}::fourth"
    subprocess.run(run, check=True, env=environment, cwd=root / "d")
    source = opened(root / "r")
    third, fourth = (point.id for point in source.restore_points() if point.label in {"third", "fourth"})
    assert {(change.path, change.kind.value) for change in source.diff(third, fourth)} == {
        ("/not-utf8-\udcff\nx", "modified"),
        ("/grows", "modified"),
        ("/new name", "renamed"),
        ("/link", "added"),
    }
