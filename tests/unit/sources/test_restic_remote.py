"""A restic repository on another machine: over SFTP from a real sshd, over S3 from a real server, both on loopback."""

from __future__ import annotations

import hashlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from restic_writer import Writer

from asepsis.domain.names import RestorePointId
from asepsis.errors import AsepsisError
from asepsis.ports import Source
from asepsis.sources.registry import open_source

CONTENT = random.Random(1).randbytes(300_000)
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RestorePointId]:
    writer = Writer(tmp_path_factory.mktemp("remote") / "repository")
    inner = writer.tree(writer.file("labs.csv", CONTENT))
    point = RestorePointId(writer.snapshot(writer.tree(writer.folder("data", inner), writer.file("empty", b""))))
    writer.flush()
    return writer.root, point


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as probe:
            if process.poll() is not None:
                pytest.skip("the server does not start here")
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.skip("the server does not answer here")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A server with keys of its own, for this account only; ends with the tests."""
    pytest.importorskip("paramiko", reason="paramiko (the extra sftp) is not installed")
    if SSHD is None or shutil.which("ssh-keygen") is None:
        pytest.skip("sshd is not installed")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "client.pub", folder / "authorized")
    port = free_port()
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    host = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")
    with subprocess.Popen([SSHD, "-D", "-f", str(folder / "config")], stderr=subprocess.DEVNULL) as process:
        try:
            await_port(port, process)
            yield port, folder
        finally:
            process.terminate()


@pytest.fixture
def sftp(sshd: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    port, folder = sshd
    user = pwd.getpwuid(os.geteuid()).pw_name
    options = {"username": user, "key_filename": str(folder / "client"), "allow_agent": False, "look_for_keys": False}
    monkeypatch.setitem(fsspec.config.conf, "sftp", options)
    monkeypatch.setenv("ASEPSIS_SFTP_KNOWN_HOSTS", str(folder / "known_hosts"))
    return f"sftp://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def moto() -> Iterator[int]:
    """A server that speaks S3."""
    pytest.importorskip("moto", reason="moto makes the S3 server and is not installed")
    pytest.importorskip("s3fs", reason="s3fs (the extra s3) is not installed")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            await_port(port, process)
            yield port
        finally:
            process.terminate()


@pytest.fixture
def s3(moto: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": f"http://127.0.0.1:{moto}"})
    return fsspec.filesystem("s3", skip_instance_cache=True)


def opened(address: str) -> Source:
    return open_source(f"restic:{address}", secret=lambda: "pw")


def check(source: Source, point: RestorePointId) -> None:
    assert [found.id for found in source.restore_points()] == [point]
    assert [entry.path for entry in source.walk(point)] == ["/data", "/data/labs.csv", "/empty"]
    with source.open(point, "/data/labs.csv") as file:
        file.seek(100_000)
        assert file.read() == CONTENT[100_000:]
    assert source.diff(point, point) == []
    assert list(source.verify(point)) == []


def state_of(root: Path) -> dict[str, tuple[int, int, str]]:
    return {
        str(path): (
            path.stat().st_mtime_ns,
            path.stat().st_ctime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in [root, *sorted(root.rglob("*"))]
    }


def test_a_repository_is_read_over_sftp_and_stays_as_it_is(sftp: str, repository: tuple[Path, RestorePointId]) -> None:
    root, point = repository
    before = state_of(root)
    check(opened(f"{sftp}{root}"), point)
    assert state_of(root) == before


def test_an_unknown_host_is_refused_and_not_remembered(
    sftp: str, repository: tuple[Path, RestorePointId], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "known_hosts").write_text("")
    monkeypatch.setenv("ASEPSIS_SFTP_KNOWN_HOSTS", str(tmp_path / "known_hosts"))
    with pytest.raises(AsepsisError) as caught:
        opened(f"{sftp}{repository[0]}")
    assert caught.value.code == "source.unavailable"
    assert (tmp_path / "known_hosts").read_text() == ""


def test_what_is_not_there_over_sftp_is_missing(sftp: str, repository: tuple[Path, RestorePointId]) -> None:
    with pytest.raises(AsepsisError) as caught:
        opened(f"{sftp}{repository[0]}/nothing")
    assert caught.value.code == "source.missing"


def test_a_server_that_goes_away_is_unavailable_and_named(sftp: str, repository: tuple[Path, RestorePointId]) -> None:
    source = opened(f"{sftp}{repository[0]}")
    source._repository.storage._fs.client.close()  # type: ignore[attr-defined]
    with pytest.raises(AsepsisError) as caught:
        source.restore_points()
    assert caught.value.code == "source.unavailable"


def test_a_repository_is_read_over_s3_and_stays_as_it_is(s3: Any, repository: tuple[Path, RestorePointId]) -> None:
    root, point = repository
    s3.mkdir("backups")
    s3.put(str(root), "backups/northgate", recursive=True)
    before = s3.find("backups", detail=True)
    check(opened("s3://backups/northgate"), point)
    s3.invalidate_cache()
    assert s3.find("backups", detail=True) == before
    with pytest.raises(AsepsisError) as caught:
        opened("s3://backups/elsewhere")
    assert caught.value.code == "source.missing"


def test_a_repository_is_read_from_any_file_system_that_fsspec_knows(repository: tuple[Path, RestorePointId]) -> None:
    root, point = repository
    memory = fsspec.filesystem("memory")
    memory.put(str(root), "/remote/repository", recursive=True)
    check(opened("memory://remote/repository"), point)
    memory.rm("/remote", recursive=True)


@pytest.mark.parametrize("address", ["nothing://x/y", "sftp://user:pw@host/x"])
def test_an_address_that_nothing_serves_or_that_holds_a_password_is_refused(address: str) -> None:
    with pytest.raises(AsepsisError) as caught:
        opened(address)
    assert caught.value.code in {"source.unavailable", "source.secret_in_address"}
    assert "pw" not in str(caught.value.as_dict())
