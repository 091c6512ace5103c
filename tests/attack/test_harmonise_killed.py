"""A run that is killed at any moment leaves nothing visible, and the next start gives the same result."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import hashlib, io, os, sys
from functools import partial
from pathlib import Path
from asepsis.engines.harmonise import Resources, harmonise, load_mapping

root, workdir, event, count = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
text = "10000001123456780" + "DOE".ljust(20) + "JANE".ljust(15) + "700131F000000" + " " * 50 + "02115"
record = text.encode("cp037") + bytes.fromhex("000012345c2001123c0007")
files = {"PATMAST.DAT": partial(io.BytesIO, record * 40), "DXHIST.DBF": partial(io.BytesIO, b"no table")}
mapping = load_mapping(root / "examples" / "mappings" / "northgate")
seen = 0

def die(name):
    global seen
    seen += name == event
    if name == event and seen == count:
        os.kill(os.getpid(), 9)

sys.addaudithook(lambda name, arguments: die(name) if str(workdir) in str(arguments) else None)
resources = Resources(memory="256MB", threads=1, progress=lambda progress: die(progress.stage))
result = harmonise(mapping, files, workdir=workdir, run="r", person_key=bytes(32), resources=resources)
"""

LONG = pytest.mark.long
SCRIPT_MOMENTS = [pytest.param("land", 1, marks=LONG), ("split", 1), pytest.param("os.rename", 1, marks=LONG)]


def start(workdir: Path, event: str, count: int) -> int:
    command = [sys.executable, "-c", SCRIPT, str(ROOT), str(workdir), event, str(count)]
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, check=False, env=environment, timeout=600).returncode


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    workdir = tmp_path_factory.mktemp("undisturbed")
    assert start(workdir, "never", 0) == 0
    return digests(workdir / "r")


@pytest.mark.parametrize(("event", "count"), SCRIPT_MOMENTS)
def test_a_killed_run_leaves_nothing_and_starts_again(
    event: str, count: int, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    assert start(tmp_path, event, count) == -9
    assert not (tmp_path / "r").exists()
    assert start(tmp_path, "never", 0) == 0
    assert digests(tmp_path / "r") == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
