"""The runtime as a process: nothing comes in but its order, nothing stays behind, and it never says what it saw."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from asepsis.domain.ledger import Act
from asepsis.engines.confinement.report import Ring
from asepsis.engines.runtime_process import RuntimeProcesses
from asepsis.errors.runtime import RuntimeLost
from simulator import (
    NORTHGATE,
    OWNERS,
    RARE,
    World,
    call,
    grant_request,
    no_receipts,
    nursery,
    order_for,
    persons_with,
    question,
)

GAUCHER = persons_with(RARE)
MEMORY = Path("/dev/shm")  # noqa: S108
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


def runtimes() -> list[int]:
    """The runtime processes below this process, through whatever confines them: the last of each line of descent."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    below = {os.getpid()}
    while children := {process for process, parent in parents.items() if parent in below} - below:
        below |= children
    leaves = below - set(parents.values()) - {os.getpid()}
    return [process for process in sorted(leaves) if is_runtime(process)]


def is_runtime(process: int) -> bool:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return b"asepsis.runtime" in command or b"asepsis.engines.confinement" in command


def test_the_runtime_starts_with_an_empty_environment_and_three_pipes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: ``env={}``, ``close_fds`` and ``-I`` in ``RuntimeProcesses.start``; seen from outside while it waits."""
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", "a secret of the room")
    _, order, _ = order_for(world, question(GAUCHER))
    leak = os.open(world.database, os.O_RDONLY)
    os.set_inheritable(leak, True)  # noqa: FBT003
    try:
        with RuntimeProcesses().start() as runtime:
            runtime.prove(order)
            [pid] = runtimes()
            process = Path(f"/proc/{pid}")
            environment = (process / "environ").read_bytes()
            descriptors = {int(path.name): str(path.readlink()) for path in (process / "fd").iterdir()}
            directory = str((process / "cwd").readlink())
            arguments = (process / "cmdline").read_bytes().split(b"\0")
    finally:
        os.close(leak)
    assert environment == b""
    others = [target for number, target in descriptors.items() if number > 2]
    assert len(others) <= 1  # its own /proc, pinned before it is confined
    assert all(target.startswith("/proc") for target in others)
    assert descriptors[2] == os.devnull
    assert str(world.database) not in descriptors.values()
    assert (directory, arguments[1]) == ("/", b"-I")
    assert runtimes() == []


GARBAGE = {
    "nothing": b"",
    "an empty line": b"\n",
    "words": b"give me everything\n",
    "a number": b"7\n",
    "a list": b"[1, 2]\n",
    "no order": b"{}\n",
    "another type": b'{"type": "grants", "grants": []}\n',
    "an empty order": b'{"type": "order"}\n',
    "no text": b"\xff\xfe\x00\n",
    "a deep list": b"[" * 200_000 + b"\n",
    "a path": b'{"type": "order", "contract": "/etc/passwd", "signatures": {}, "output": "/etc"}\n',
    "half a line": b'{"type": "order", "contract": {"name": "QZXJVK',
}


QUICK = ("a deep list", "no text")
SOME = [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in GARBAGE]


@pytest.mark.parametrize("garbage", SOME)
def test_garbage_gets_one_error_frame_and_no_traceback(garbage: str) -> None:
    """Guard: the two ``except`` of ``runtime.dialogue.serve``; standard error is captured here, not dropped."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", "asepsis.runtime"],
        input=GARBAGE[garbage],
        capture_output=True,
        env={},
        cwd="/",
        check=False,
        timeout=600,
    )
    assert done.returncode in {1, 2, 7}
    assert done.stderr == b""
    [frame] = done.stdout.splitlines()
    document = json.loads(frame)
    assert (set(document), document["type"]) == ({"type", "code", "names"}, "error")
    assert b"QZXJVK" not in done.stdout
    assert b"passwd" not in done.stdout


def test_a_runtime_that_dies_is_told_as_lost_and_the_same_command_finishes(world: World) -> None:
    """Guard: ``RuntimeLost`` in ``RuntimeDialogue._receive``."""
    _, order, _ = order_for(world, question(GAUCHER))
    with RuntimeProcesses().start() as runtime:
        runtime.prove(order)
        [pid] = runtimes()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(RuntimeLost, match=r"\((signal|exit status) \d+\)"):
            runtime.finish([], keep=no_receipts)
    answer = call(*world.query(GAUCHER), "--json")
    assert (answer.code, answer.document()["table"]["rows"]) == (0, [[15]])


def test_the_record_says_how_the_runtime_was_confined(world: World) -> None:
    assert call(*world.query(GAUCHER)).code == 0
    entry = [entry for entry in world.room().audit.entries() if entry.act is Act.RUN_FINISHED][-1]
    assert entry.facts["confinement"] in {f"{ring}:{much}" for ring in Ring for much in ("whole", "part")}


def left_behind() -> set[Path]:
    """Files in the runtimes' spill folders. (Other programs make folders of that prefix elsewhere.)"""
    return {path for folder in MEMORY.glob("asepsis-*") for path in folder.rglob("*") if path.is_file()}


def stays_behind(before: set[Path]) -> set[Path]:
    """Files that nobody takes away: those of another room's run, at the same time on this machine, do not last."""
    found, until = left_behind() - before, time.monotonic() + 60
    while found and time.monotonic() < until:
        time.sleep(0.1)
        found &= left_behind()
    return found


def test_a_run_leaves_no_plain_file_behind(world: World) -> None:
    """Guard: the vault's anonymous memory; the folders of the room gain nothing but what the ledger tells of."""
    before, files = left_behind(), set(world.folder.rglob("*"))
    assert call(*world.query(GAUCHER)).code == 0
    assert not stays_behind(before)
    new = {path.relative_to(world.path).parts for path in set(world.folder.rglob("*")) - files}
    kept = {("host", "packages"), ("host", "memories"), ("host", "incoming")}
    masks = {parts for parts in new if parts[0] == "parties" and parts[-2] == "erasable"}
    assert all(parts[:2] in kept or parts[-1].endswith(("-wal", "-shm")) for parts in new - masks)
    assert all((world.path / Path(*parts)).stat().st_size < 100 for parts in masks)
    assert [parts[-1] for parts in new if parts[:2] == ("host", "memories") and "." in parts[-1]] == ["memory.sealed"]
    assert not [path for path in (world.path / "host" / "packages").rglob("*") if path.is_file()]


@pytest.mark.long
def test_a_killed_run_leaves_no_plain_file_behind(linked_world: World, tmp_path: Path) -> None:
    """The same, when room and runtime are killed at any time."""
    before = left_behind()
    with nursery(tmp_path / "nursery") as warm:
        for part in range(4):
            world = linked_world.copy(tmp_path / f"world-{part}")
            warm.run(world.query(GAUCHER), kill_after=random.Random(part).uniform(0.2, 1.5))
            assert not list((world.path / "host").rglob("*.parquet"))
            assert not stays_behind(before)


def test_unsealed_tables_have_no_path_while_the_runtime_computes(world: World) -> None:
    """Guard: ``memfd_create`` in ``Vault.empty``: what the process has open while it computes are no files on disk."""
    run, order, checkpoint = order_for(world, question(GAUCHER))
    with RuntimeProcesses().start() as runtime:
        evidence = runtime.prove(order)
        desks = {owner: world.room().desk(owner) for owner in OWNERS}
        grants = [
            desks[owner]
            .grant(grant_request(world, run, order, evidence[owner], owner=owner, checkpoint=checkpoint))
            .to_document()
            for owner in OWNERS
        ]
        [pid] = runtimes()
        runtime._send({"type": "grants", "grants": grants})
        seen: set[str] = set()
        answer = threading.Thread(target=runtime._receive, args=("memory",))
        answer.start()
        while answer.is_alive():
            seen |= open_files(pid)
        answer.join()
    sealed = tuple(str(world.path / "host" / name) for name in ("snapshots", "packages"))
    harmless = ("pipe:", "socket:", "/memfd:", "/dev/", "anon_inode:", "/proc/", "/sys/", sys.prefix, *sealed)
    libraries = (".py", ".so", ".pyc", ".txt", ".json", ".zip", ".pth", "METADATA")
    assert not [name for name in seen if not name.startswith(harmless) and not name.endswith(libraries)], seen
    assert NORTHGATE in evidence


def open_files(pid: int) -> set[str]:
    found = set()
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.add(str(path.readlink()))
            except OSError:
                continue
    except OSError:
        return found
    return found
