"""From an empty folder to a signed pack and report on the bundled example, as a program of its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from asepsis.cli.story.inspection import held
from simulator import ROOT, asepsis

REPOSITORY = ROOT / "examples" / "two_hospitals" / "northgate" / "restic-repository"


def state(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Content and times of every file and folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
            path.stat().st_ctime_ns,
        )
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.long
def test_one_command_goes_from_production_down_to_a_signed_continuity_pack(tmp_path: Path) -> None:
    """The last clean point is taken, all objectives are met, the pack holds no patient, and no source was touched."""
    before = state(REPOSITORY)
    done = asepsis("recover", "drill", "--json", cwd=tmp_path)
    assert done.code == 0, done
    report = done.document()
    pack = report["pack"]["statement"]
    assert report["passed"] is True
    assert {one["outcome"] for one in pack["outputs"]} == {"released", "delivered"}
    assert {(one["restore_point"][:8], one["choice"]) for one in pack["inputs"]} == {("6d38efcb", "last clean")}
    assert {one["stamp"]["as_of"] for one in pack["outputs"]} == {"2013-01-31T23:30:00Z"}
    assert pack["metrics"]["coverage"] == {
        "datasets": [1, 1],
        "restore_points": [5, 5],
        "objects": [28, 28],
        "bytes": [5_905_781, 5_905_781],
        "bytes_checked": [3_881_112, 5_905_781],
        "outputs": [5, 5],
    }
    assert pack["metrics"]["time_to_verdict_seconds"] <= pack["metrics"]["time_to_pack_seconds"] <= 15 * 60
    assert state(REPOSITORY) == before
    checked = asepsis("recover", "drill", "verify", "drill", "--contract", report["contract"], cwd=tmp_path)
    assert checked.code == 0, checked
    room = str(tmp_path / "drill" / "room")
    [referral] = asepsis("refer", "ls", "--room", room, "--json").document()
    asepsis("refer", "collect", referral["referral"], "--as", "northgate-clinic", "--room", room)
    [collected] = (tmp_path / "drill" / "room" / "parties" / "northgate-clinic").glob("referral-*.json")
    identities = json.loads(collected.read_bytes())["tables"]["identity"]
    needles = {str(row[key]).encode() for row in identities for key in row if row[key] and key != "person_id"}
    names = {needle for needle in needles if len(needle) >= 6}
    assert len(names) > 100
    for path in (tmp_path / "drill" / "pack").rglob("*"):
        assert path.is_dir() or not held(names, path.read_bytes()), path
