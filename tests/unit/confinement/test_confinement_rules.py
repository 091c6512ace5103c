"""What counts as confined, what an order lets a runtime reach, and what a run may leave behind."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asepsis.domain.documents import Document
from asepsis.engines.confinement.bubblewrap import arguments
from asepsis.engines.confinement.filter import AUDIT, DENIED, program
from asepsis.engines.confinement.group import Group
from asepsis.engines.confinement.reach import check_output, opened, reach_of, runs_unconfined
from asepsis.engines.confinement.report import Confinement, Ring, read_confinement
from asepsis.engines.runtime_process import RuntimeProcesses, confinement_here
from asepsis.errors import AsepsisError
from asepsis.errors.confinement import OutputRefused, RuntimeUnconfined
from asepsis.errors.runtime import OrderRefused

FULL = Confinement(
    ring=Ring.BUBBLEWRAP,
    unprivileged=True,
    no_capabilities=True,
    no_new_privileges=True,
    no_network=True,
    own_files=True,
    landlock=7,
    filtered_calls=True,
)
WITHOUT: list[dict[str, Any]] = [
    {"unprivileged": False},
    {"no_capabilities": False},
    {"no_new_privileges": False},
    {"no_network": False},
    {"own_files": False},
    {"landlock": 0, "ring": Ring.NAMESPACES},
    {"filtered_calls": False},
]


def contract(level: object = 0, *labels: str) -> Document:
    datasets = {f"d{number}": {"label": label} for number, label in enumerate(labels)}
    return {"contract": {"runtime": {"level": level}, "datasets": datasets}}


def test_everything_together_is_enough() -> None:
    FULL.require()


@pytest.mark.parametrize("change", WITHOUT)
def test_whatever_is_missing_is_named_and_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RuntimeUnconfined, match="without"):
        replace(FULL, **change).require()


def test_a_report_comes_back_as_it_was_sent() -> None:
    assert read_confinement(FULL.to_document()) == FULL
    assert "bubblewrap" in FULL.summary


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"contract": "text"},
        contract(1, "synthetic"),
        contract(0, "synthetic", "real"),
        contract(0, "real"),
        contract(0),
        contract("0", "synthetic"),
        {"contract": {"runtime": {"level": 0}, "datasets": {"d": "synthetic"}}},
    ],
)
def test_only_synthetic_data_at_level_0_runs_with_less(order: Document) -> None:
    assert not runs_unconfined(order)


def test_synthetic_data_at_level_0_runs_with_whatever_there_is() -> None:
    assert runs_unconfined(contract(0, "synthetic", "synthetic"))


def test_real_data_is_not_even_ordered_from_a_runtime_that_is_not_confined() -> None:
    with RuntimeProcesses(ring=Ring.NOTHING).start() as runtime, pytest.raises(RuntimeUnconfined):
        runtime.prove(contract(0, "real"))


def test_a_demo_runs_with_less_and_says_so() -> None:
    with RuntimeProcesses(ring=Ring.NOTHING).start() as runtime:
        with pytest.raises(AsepsisError) as caught:
            runtime.prove(contract(0, "synthetic"))
        assert runtime.confinement is not None
        assert runtime.confinement.ring is Ring.NOTHING
        assert runtime.confined() == "nothing:part"
        assert not isinstance(caught.value, RuntimeUnconfined | OrderRefused)


def test_a_whole_confinement_has_another_word_than_a_part_of_it() -> None:
    assert FULL.word.endswith(":whole")
    assert replace(FULL, no_network=False).word.endswith(":part")


def test_this_machine_says_what_it_offers() -> None:
    assert confinement_here().no_new_privileges


def test_an_order_reaches_its_snapshots_and_its_output_only(tmp_path: Path) -> None:
    for name in ("one", "two", "out"):
        (tmp_path / name).mkdir()
    order: Document = {
        "snapshots": [{"folder": str(tmp_path / "one")}, {"folder": 7}, "x", {"folder": str(tmp_path / "missing")}],
        "output": str(tmp_path / "out"),
    }
    reach = reach_of(order)
    assert (reach.read, reach.write) == ((str(tmp_path / "one"),), (str(tmp_path / "out"),))
    assert reach_of({"snapshots": None, "output": None}).write == ()


def test_a_run_may_leave_regular_files(tmp_path: Path) -> None:
    (tmp_path / "northgate.sealed").write_bytes(b"x")
    check_output(str(tmp_path))
    check_output("")


def test_a_run_may_leave_nothing_else(tmp_path: Path) -> None:
    def symlink(place: Path) -> None:
        place.symlink_to("/etc/passwd")

    def second_name(place: Path) -> None:
        place.write_bytes(b"")
        os.link(place, tmp_path / "outside")

    def huge(place: Path) -> None:
        with place.open("wb") as file:
            file.truncate(1 << 40)

    for number, leave in enumerate((symlink, os.mkfifo, Path.mkdir, second_name, huge)):
        folder = tmp_path / str(number)
        folder.mkdir()
        leave(folder / "x")
        with pytest.raises(OutputRefused):
            check_output(str(folder))


@pytest.mark.skipif(os.geteuid() != 0, reason="only a room of root lends its files to another user")
def test_a_room_of_root_takes_its_output_folder_back(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with opened(reach_of({"output": str(output)})):
        assert output.stat().st_uid != 0
        (output / "file").write_bytes(b"")
        os.chown(output / "file", 65534, 65534)
    assert (output.stat().st_uid, (output / "file").stat().st_uid) == (0, 0)


@pytest.mark.parametrize("machine", AUDIT)
def test_the_filter_is_a_program_whose_jumps_stay_inside(machine: str) -> None:
    code = program(machine)
    assert code is not None
    steps = list(struct.iter_unpack("=HBBI", code))
    assert len(steps) < 4096
    for position, (operation, yes, no, _value) in enumerate(steps):
        if operation & 0x07 == 0x05:
            assert position + 1 + max(yes, no) < len(steps)
    assert steps[-1][0] == steps[-2][0] == 0x06
    assert {"socket", "ptrace", "mount", "execve", "bpf"} <= set(DENIED[machine])


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    assert program("riscv64") is None


def test_bubblewrap_is_told_every_namespace_and_read_only_trees() -> None:
    words = arguments(read=("/srv/room/a", "/srv/room/a/b"), write=("/srv/out",), scratch=5).decode().split("\0")
    assert {"--unshare-all", "--die-with-parent", "--new-session", "--clearenv"} <= set(words)
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert words.count("/srv/room/a") == 2
    assert "/srv/room/a/b" not in words
    assert words[words.index("/srv/out") - 1] == "--bind"
    last = words.index("--remount-ro")
    assert "--ro-bind" not in words[last:]
    assert words[last + 1] == "/proc"


def test_a_group_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    assert Group.make(tmp_path / "nothing").kind == "none"
    (tmp_path / "cgroup.controllers").write_text("")
    group = Group.make(tmp_path)  # no controller writes its files here, as where none is handed down
    assert group.kind == "none"
    assert not group.hold(os.getpid())
    assert [path.name for path in tmp_path.iterdir()] == ["cgroup.controllers"]
