"""What a killed run leaves behind is removed by the next one; folders of living runs and of others stay."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from asepsis.bootstrap.recovery import ComparisonRequest, SnapshotAddress, compare_snapshots
from asepsis.bootstrap.scratch import scratch_folder
from asepsis.services.comparing import Outputs


def killed_inside(parent: Path) -> None:
    """Another run that dies by ``kill -9`` while it holds a folder with something in it."""
    child = os.fork()
    if not child:
        with scratch_folder("run-", parent=parent) as folder:
            (folder / "spill").mkdir()
            (folder / "spill" / "rows").write_text("a patient's row")
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)


def test_a_dead_run_is_cleared_away_and_a_living_one_is_not(tmp_path: Path) -> None:
    killed_inside(tmp_path)
    (dead,) = tmp_path.iterdir()
    with scratch_folder("run-", parent=tmp_path) as first:
        assert not dead.exists()
        (first / "rows").write_text("in use")
        with scratch_folder("run-", parent=tmp_path) as second:
            assert first != second
            assert (first / "rows").read_text() == "in use"
        assert not second.exists()
    assert list(tmp_path.iterdir()) == []


def test_only_folders_of_ours_are_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kept").write_text("x")
    (tmp_path / "run-link").symlink_to(tmp_path / "other")
    (tmp_path / "run-file").write_text("x")
    with scratch_folder("run-", parent=tmp_path):
        pass
    assert (tmp_path / "other" / "kept").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"other", "run-link", "run-file"}
    killed_inside(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with scratch_folder("run-", parent=tmp_path):
        pass
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    with scratch_folder("run-", parent=tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_comparison_clears_away_what_a_killed_one_left(tmp_path: Path) -> None:
    scratch, days = tmp_path / "scratch", tmp_path / "day"
    scratch.mkdir()
    days.mkdir()
    (days / "lab.csv").write_text("id,value\n1,2\n")
    (scratch / "asepsis-compare-dead").mkdir()
    (scratch / "asepsis-compare-dead" / "rows").write_text("left behind")
    address = SnapshotAddress(text=str(days))
    request = ComparisonRequest(before=address, after=address, keys={}, outputs=Outputs(), scratch=scratch)
    compare_snapshots(request, step=lambda _: None)
    assert list(scratch.iterdir()) == []
