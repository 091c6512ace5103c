"""The Veeam client against a stateful stub server of ours; no live Veeam server has been tested.

Where the published OpenAPI documents are at hand, every answer of the stub and every request of the client is
validated against them, so that the stub cannot agree with the client on something that Veeam never said.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import EntryType
from asepsis.errors import AsepsisError, Kind
from asepsis.sources.registry import open_source
from asepsis.sources.veeam.api import VERSIONS, Api
from asepsis.sources.veeam.journal import Asked, Journal
from asepsis.sources.veeam.publishing import Publishing, Target
from asepsis.sources.veeam.source import VeeamSettings, VeeamSource
from veeam_stub import Stub, serving, uid

httpx2 = pytest.importorskip("httpx2", reason="httpx2 (the extra veeam) is not installed")
jsonschema = pytest.importorskip("jsonschema")
SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[4] / "shared"))
CREDENTIALS = str(uuid.UUID(int=77))


class Time:
    """A clock that pausing moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    volume = tmp_path / "mounts" / "Veeam.Mount.FS" / "x-flat.vmdk_1"
    (volume / "data").mkdir(parents=True)
    (volume / "data" / "labs.csv").write_bytes(b"a;b\n1;2\n")
    (volume / "escape").symlink_to("/etc/passwd")
    return Stub(volume=str(volume))


def journal_of(stub: Stub) -> Path:
    return Path(stub.volume).parents[2] / "journal"


def noted(stub: Stub) -> Journal:
    return Journal(journal_of(stub), address="https://vbr.test:9419", user="svc")


def opened(stub: Stub, *, password: str = "pw", roots: tuple[str, ...] | None = None) -> VeeamSource:  # noqa: S107
    api = Api("https://vbr.test:9419", user="svc", password=password, transport=httpx2.MockTransport(stub))
    api.sign_in()
    target, time = Target(server="room", credentials=CREDENTIALS), Time()
    root = str(Path(stub.volume).parents[1])
    settings = VeeamSettings(user="svc", target=target, roots=roots or (root,), journal=journal_of(stub))
    publishing = Publishing(api, target=target, journal=noted(stub), seconds=60, pause=time.pause, clock=time)
    return VeeamSource("veeam:https://vbr.test:9419", api=api, publishing=publishing, settings=settings)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_restore_point_is_published_read_and_taken_down_in_every_version(stub: Stub, version: str) -> None:
    stub.version = version
    source = opened(stub)
    points = source.restore_points()
    assert points[0].taken_at.isoformat() == "2025-12-31T23:00:00+00:00"
    entries = {entry.path: entry for entry in source.walk(points[0].id)}
    assert list(entries) == sorted(entries)
    assert entries["/disk-001/volume-001/escape"].type is EntryType.LINK
    with source.open(points[0].id, "/disk-001/volume-001/data/labs.csv") as file:
        assert file.read() == b"a;b\n1;2\n"
        assert not file.writable()
    assert list(source.verify(points[0].id)) == []
    assert len(stub.mounts) == 1
    source.close()
    assert stub.mounts == {}
    check_against_documents(stub)


@cache
def document(version: str) -> dict[str, Any]:
    path = SHARED / "data" / "veeam_openapi" / f"vbr_rest_{version}.json.gz"
    if not path.exists():
        pytest.skip("Veeam's OpenAPI documents are not here: the exchange was tested, and not compared with them")
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def schema_of(node: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema; a parent's list of its children is dropped, each of them contains the parent."""
    if isinstance(node, list):
        return [schema_of(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"].replace("#/components/schemas/", "#/$defs/")}
    dropped = {"discriminator", "example", "oneOf" if "discriminator" in node else ""}
    found = {key: schema_of(value) for key, value in node.items() if key not in dropped}
    if node.get("nullable") and "type" in found:
        found["type"] = [found["type"], "null"]
    return found


def check_against_documents(stub: Stub) -> None:
    """Every answer, and every request with a body, is as the document of this version says."""
    spec = document(stub.version)
    defs = {name: schema_of(schema) for name, schema in spec["components"]["schemas"].items()}
    checked = 0
    for request, answer in stub.seen:
        if request.url.path.startswith("/swagger/"):
            continue
        path = next(p for p in spec["paths"] if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", p), request.url.path))
        operation = spec["paths"][path][request.method.lower()]
        content = operation["responses"][str(answer.status_code)].get("content", {}).get("application/json")
        if content:
            jsonschema.Draft7Validator({**schema_of(content["schema"]), "$defs": defs}).validate(answer.json())
            checked += 1
        if request.url.path.endswith("/publish"):
            body = {"$ref": "#/$defs/FUSELinuxMountSpec", "$defs": defs}
            jsonschema.Draft7Validator(body).validate(json.loads(request.content))
    assert checked >= 6


def test_250_restore_points_come_over_several_pages(stub: Stub) -> None:
    stub.points = 450
    source = opened(stub)
    assert len({point.id for point in source.restore_points()}) == 450
    source.close()


def test_a_wrong_password_is_denied_and_not_repeated(stub: Stub) -> None:
    with pytest.raises(AsepsisError) as caught:
        opened(stub, password="canary-password")
    assert caught.value.code == "source.wrong_password"
    assert "canary" not in str(caught.value.as_dict())


def test_a_token_that_ends_on_the_way_is_renewed(stub: Stub) -> None:
    stub.token_calls = 2
    source = opened(stub)
    assert list(source.walk(RestorePointId(uid(1000))))
    source.close()
    assert stub.mounts == {}


def test_a_token_that_cannot_be_refreshed_is_asked_for_again(stub: Stub) -> None:
    source = opened(stub)
    stub.tokens.clear()
    stub.refreshes.clear()
    assert len(source.restore_points()) == 3
    source.close()


@pytest.mark.parametrize(("outcome", "state"), [("Failed", "Mounting"), ("Success", "MountFailed")])
def test_what_was_not_published_is_taken_down_and_said(stub: Stub, outcome: str, state: str) -> None:
    stub.outcome, stub.mount_state = outcome, state
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId(uid(1000))))
    assert caught.value.code == "source.publish_failed"
    assert "canary" not in str(caught.value.as_dict())
    assert stub.mounts == {}
    source.close()


def test_a_session_that_never_stops_is_given_up_and_taken_down(stub: Stub) -> None:
    stub.polls = 1_000_000
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId(uid(1000))))
    assert caught.value.code == "source.tool_timed_out"
    assert stub.mounts == {}
    source.close()


def left_behind(stub: Stub, point: int) -> VeeamSource:
    """What a killed program leaves: a mount, and a journal that nobody holds any more."""
    killed = opened(stub)
    list(killed.walk(RestorePointId(uid(point))))
    killed._close.detach()
    killed._publishing._journal.close(is_settled=False)
    killed._api._client.close()
    return killed


def journals(stub: Stub) -> list[Path]:
    return list(journal_of(stub).rglob("*.jsonl"))


def test_what_a_killed_program_published_is_taken_down_when_the_source_is_next_opened(stub: Stub) -> None:
    stub.mounts["other"] = {"id": "other", "initiatorName": "svc", "restorePointId": uid(1000)}
    left_behind(stub, 1000)
    opened(stub).close()
    assert (list(stub.mounts), journals(stub)) == (["other"], [])


def test_what_a_running_program_published_stays_when_another_opens_the_source(stub: Stub) -> None:
    running = opened(stub)
    list(running.walk(RestorePointId(uid(1000))))
    other = opened(stub)
    list(other.walk(RestorePointId(uid(1000))))
    other.close()
    left_behind(stub, 1000)
    opened(stub).close()
    assert len(stub.mounts) == 2  # of the killed one it cannot be said which it is, as long as the other runs
    running.close()
    opened(stub).close()
    assert stub.mounts == {}


def asked_and_killed(stub: Stub) -> None:
    """Killed before the server had anything up."""
    journal = noted(stub)
    journal.note(Asked(point=uid(1000), before=frozenset()))
    journal.close(is_settled=False)


def test_a_mount_that_comes_up_late_is_taken_down_by_a_later_command(stub: Stub) -> None:
    asked_and_killed(stub)
    opened(stub).close()
    assert len(journals(stub)) == 1
    stub.mounts["late"] = {"id": "late", "initiatorName": "svc", "restorePointId": uid(1000)}
    opened(stub).close()
    assert (stub.mounts, journals(stub)) == ({}, [])


def test_a_request_that_never_came_to_anything_is_forgotten_after_an_hour(stub: Stub) -> None:
    asked_and_killed(stub)
    (journal,) = journals(stub)
    opened(stub).close()
    assert journal.exists()
    os.utime(journal, (0, 0))
    opened(stub).close()
    assert not journal.exists()


def test_a_mount_that_the_server_does_not_let_go_is_tried_again(stub: Stub) -> None:
    left_behind(stub, 1000)
    os.utime(journals(stub)[0], (0, 0))
    stub.is_stuck = True
    source = opened(stub)
    assert [remark.code for remark in source.remarks()] == ["source.mount_left_behind"]
    source.close()
    stub.is_stuck = False
    opened(stub).close()
    assert (stub.mounts, journals(stub)) == ({}, [])


def test_an_answer_that_is_lost_leaves_no_mount(stub: Stub) -> None:
    source = opened(stub)
    stub.loses = 1
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId(uid(1000))))
    assert caught.value.kind is Kind.UNAVAILABLE
    assert stub.mounts == {}
    source.close()
    assert len(journals(stub)) == 1  # it may have come up twice, for all that is known


def test_nothing_is_published_that_cannot_be_written_down(stub: Stub) -> None:
    journal_of(stub).write_text("in the way")
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId(uid(1000))))
    assert caught.value.code == "source.mount_journal_unwritable"
    assert stub.mounts == {}
    source.close()


def test_mounts_of_elsewhere_are_reaped_when_asked_for_and_others_are_left(stub: Stub) -> None:
    stub.mounts["elsewhere"] = {"id": "elsewhere", "initiatorName": "svc"}
    stub.mounts["other"] = {"id": "other", "initiatorName": "someone"}
    source = opened(stub)
    list(source.walk(RestorePointId(uid(1001))))
    assert source.reap() == 1
    assert {mount["initiatorName"] for mount in stub.mounts.values()} == {"svc", "someone"}
    source.close()
    assert list(stub.mounts) == ["other"]


PUBLISH_AND_WAIT = """
import sys, time
from pathlib import Path
from asepsis.sources.veeam.publishing import Target
from asepsis.sources.veeam.source import VeeamSettings, VeeamSource
target = Target(server="room", credentials=sys.argv[2])
settings = VeeamSettings(user="svc", target=target, journal=Path(sys.argv[3]))
source = VeeamSource.sign_in(sys.argv[1], password="pw", settings=settings)
source._publishing.publish(source.restore_points()[0].id)
print("published", flush=True)
time.sleep(60)
"""


@pytest.fixture
def served(stub: Stub) -> Iterator[str]:
    """The stub for a client in another process."""
    with serving(stub) as address:
        yield address


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_process_killed_elsewhere_published_is_told_and_taken_down(
    stub: Stub, served: str, version: str, tmp_path: Path
) -> None:
    """Killed between publish and unpublish (SIGKILL: nothing of its own can clean up); its journal is not here."""
    stub.version = version
    command = [sys.executable, "-c", PUBLISH_AND_WAIT, served, CREDENTIALS, str(tmp_path / "elsewhere")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"published\n"
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    (left,) = stub.mounts
    source = opened(stub)
    assert [(r.code, r.object) for r in source.remarks()] == [("source.mount_left_behind", f"mount {left}")]
    assert source.reap() == 1
    assert stub.mounts == {}
    assert source.remarks() == []
    source.close()
    check_against_documents(stub)


def test_a_mount_outside_of_the_agreed_folders_is_refused(stub: Stub, tmp_path: Path) -> None:
    source = opened(stub, roots=(str(tmp_path / "elsewhere"),))
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId(uid(1000))))
    assert caught.value.code == "source.hostile_path"
    source.close()
    assert stub.mounts == {}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "source.not_a_file"),
        ("/disk-001", "source.not_a_file"),
        ("/disk-001/volume-001", "source.not_a_file"),
        ("/disk-001/volume-001/escape", "source.not_a_file"),
        ("/disk-002/volume-001/data", "source.path_missing"),
        ("/disk-001/volume-001/../../../secret", "source.path_missing"),
    ],
)
def test_what_is_no_file_of_a_volume_is_refused_by_name(stub: Stub, path: str, code: str) -> None:
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        source.open(RestorePointId(uid(1000)), path)
    assert caught.value.code == code
    source.close()


def test_an_unknown_restore_point_is_never_published(stub: Stub) -> None:
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId("../x")))
    assert caught.value.code == "source.restore_point_missing"
    assert stub.mounts == {}
    source.close()


def test_a_server_of_no_known_version_is_refused(stub: Stub) -> None:
    stub.version = "9.9"
    with pytest.raises(AsepsisError) as caught:
        opened(stub)
    assert caught.value.code == "source.not_a_repository"


def test_a_server_that_does_not_answer_is_unavailable(stub: Stub) -> None:
    def nobody(_: Any) -> Any:
        raise httpx2.ConnectError("canary")

    api = Api("https://vbr.test", user="svc", password="pw", transport=httpx2.MockTransport(nobody))
    with pytest.raises(AsepsisError) as caught:
        api.sign_in()
    assert caught.value.kind is Kind.UNAVAILABLE
    assert "canary" not in str(caught.value.as_dict())


def test_settings_and_addresses_are_checked_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASEPSIS_VEEAM_PASSWORD", "pw")
    for name in ("USER", "TARGET", "CREDENTIALS"):
        with pytest.raises(AsepsisError) as caught:
            open_source("veeam:https://vbr.test")
        assert (caught.value.code, caught.value.names) == (
            "source.setting_missing",
            {"setting": f"ASEPSIS_VEEAM_{name}"},
        )
        monkeypatch.setenv(f"ASEPSIS_VEEAM_{name}", "x")
    with pytest.raises(AsepsisError) as caught:
        open_source("veeam:https://svc:pw@vbr.test")
    assert caught.value.code == "source.secret_in_address"
