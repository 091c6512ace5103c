"""What a person is told to do next can be typed as it stands."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asepsis.cli.main import app

REPOSITORY = Path(__file__).parents[3] / "examples" / "two_hospitals" / "northgate" / "restic-repository"


@pytest.mark.parametrize("command", ["scan", "last-clean"])
def test_the_next_steps_after_a_verdict_can_be_typed(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", "northgate-demo")
    repository = shutil.copytree(REPOSITORY, tmp_path / "two words")
    words = ["recover", command, f"restic:{repository}"]
    words += ["--index", str(tmp_path / "estate.db")] if command == "scan" else []
    said = CliRunner().invoke(app, words).output
    steps = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)["next"]
    assert [f"next: {step}" for step in steps] == [line for line in said.splitlines() if line.startswith("next: ")]
    diff, verify = (shlex.split(step) for step in steps)
    assert (diff[:3], verify[:3]) == (["asepsis", "source", "diff"], ["asepsis", "source", "verify"])
    assert "DXHIST.DBF.locked" in CliRunner().invoke(app, diff[1:]).output


def test_without_a_clean_restore_point_the_best_of_several_is_next(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = CliRunner().invoke(app, ["recover", "last-clean", f"dir:{tmp_path / 'folder'}"])
    assert done.exit_code == 7
    assert done.output.rstrip().endswith("--composite FILE")
