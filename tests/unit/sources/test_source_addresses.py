from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from restic_writer import Writer

from asepsis.errors import AsepsisError
from asepsis.sources.registry import open_source, restic_password


def test_the_password_file_goes_before_the_password(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("from file\n")
    environment = {"ASEPSIS_RESTIC_PASSWORD_FILE": str(tmp_path / "pw"), "ASEPSIS_RESTIC_PASSWORD": "direct"}
    assert restic_password("restic:x", environment=environment) == "from file"
    assert restic_password("restic:x", environment={"ASEPSIS_RESTIC_PASSWORD": "direct"}) == "direct"


def test_without_any_password_the_door_stays_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASEPSIS_RESTIC_PASSWORD", raising=False)
    monkeypatch.delenv("ASEPSIS_RESTIC_PASSWORD_FILE", raising=False)
    Writer(tmp_path / "r").flush()
    with pytest.raises(AsepsisError) as caught:
        open_source(f"restic:{tmp_path / 'r'}")
    assert caught.value.code == "source.password_missing"


@pytest.mark.parametrize("scheme", ["restic", "borg"])
def test_what_is_not_there_is_said_before_a_password_is_asked_for(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"ASEPSIS_{scheme.upper()}_PASSWORD", raising=False)
    monkeypatch.delenv(f"ASEPSIS_{scheme.upper()}_PASSWORD_FILE", raising=False)
    for path, code in ((tmp_path / "no", "source.missing"), (tmp_path, "source.not_a_repository")):
        with pytest.raises(AsepsisError) as caught:
            open_source(f"{scheme}:{path}")
        assert caught.value.code == code


def test_a_borg_repository_of_another_machine_is_refused_by_name() -> None:
    with pytest.raises(AsepsisError) as caught:
        open_source("borg:ssh://backup@host/./vault", secret=lambda: "pw")
    assert caught.value.code == "source.remote_repository"
    assert "backup" not in str(caught.value.as_dict())


def test_a_key_file_that_is_not_there_is_named_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASEPSIS_BORG_KEY_FILE", str(tmp_path / "canary"))
    with pytest.raises(AsepsisError) as caught:
        open_source(f"borg:{tmp_path}", secret=lambda: "pw")
    assert "ASEPSIS_BORG_KEY_FILE" in caught.value.detail
    assert "canary" not in caught.value.detail


def test_a_password_file_that_is_not_there_is_named_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(AsepsisError) as caught:
        restic_password("restic:x", environment={"ASEPSIS_RESTIC_PASSWORD_FILE": str(tmp_path / "canary")})
    assert caught.value.code == "source.unavailable"
    assert "canary" not in caught.value.detail


@pytest.mark.parametrize("address", ["sftp://user:pw@host/x", "s3://key@bucket/x"])
def test_an_address_with_credentials_is_refused(address: str) -> None:
    with pytest.raises(AsepsisError) as caught:
        open_source(f"restic:{address}", secret=lambda: "pw")
    assert caught.value.code == "source.secret_in_address"
    assert "pw" not in caught.value.detail


def test_a_repository_is_read_over_any_file_system(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "r")
    point = writer.snapshot(writer.tree(writer.file("f", b"over there")))
    writer.flush()
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "r"), "/vault/r", recursive=True)
    source = open_source("restic:memory://vault/r", secret=lambda: "pw")
    assert source.restore_points()[0].id == point
    assert source.open(source.restore_points()[0].id, "/f").read() == b"over there"
    memory.rm("/vault", recursive=True)
