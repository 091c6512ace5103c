"""The set-up scripts on machines that lack something: one clear line, and no half-made environment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ["bash", "dirname", "mktemp", "rm", "tail", "id", "touch", "env"]


@pytest.fixture
def poor_machine(tmp_path: Path) -> Path:
    """A folder of programs in which neither Python, restic nor apt-get is."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in TOOLS:
        (programs / name).symlink_to(str(shutil.which(name)))
    return programs


@pytest.fixture
def checkout(tmp_path: Path, repository_root: Path) -> Path:
    copy = tmp_path / "checkout"
    shutil.copytree(repository_root / "scripts", copy / "scripts")
    return copy


def run(script: Path, *arguments: str, programs: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHON"} | {"PATH": str(programs)}
    return subprocess.run([script, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_without_python_the_setup_says_what_is_needed(checkout: Path, poor_machine: Path) -> None:
    answer = run(checkout / "scripts" / "setup.sh", "dev", programs=poor_machine)
    assert answer.returncode == 1
    assert answer.stderr.startswith("setup: Python 3.11 or later is needed")
    assert len(answer.stderr.splitlines()) == 1
    assert not (checkout / ".venv").exists()


def listed_packages(checkout: Path) -> dict[str, str]:
    text = (checkout / "scripts" / "debian_packages.sh").read_text()
    lines = text.split('packages="\n')[1].split('\n"\n')[0].splitlines()
    return {package: program for package, program, _ in (line.split(maxsplit=2) for line in lines)}


def test_without_packages_and_apt_the_reason_for_skipped_tests_is_told(checkout: Path, poor_machine: Path) -> None:
    answer = run(checkout / "scripts" / "debian_packages.sh", programs=poor_machine)
    assert answer.returncode == 0
    assert "restic" in answer.stderr
    assert "mdbtools" in answer.stderr
    assert "tests that use them will be skipped" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_with_all_packages_nothing_is_said_or_done(checkout: Path, poor_machine: Path) -> None:
    for program in listed_packages(checkout).values():
        (poor_machine / program).symlink_to("/bin/true")
    answer = run(checkout / "scripts" / "debian_packages.sh", programs=poor_machine)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_what_is_missing_is_installed_in_one_call(checkout: Path, poor_machine: Path) -> None:
    present = {"restic", "mdbtools"}
    for package, program in listed_packages(checkout).items():
        if package not in present:
            (poor_machine / program).symlink_to("/bin/true")
    (poor_machine / "id").unlink(missing_ok=True)
    for name, text in {"id": "echo 0", "apt-get": f'echo "$@" >>"{checkout}/calls"'}.items():
        (poor_machine / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (poor_machine / name).chmod(0o755)
    answer = run(checkout / "scripts" / "debian_packages.sh", programs=poor_machine)
    assert (answer.returncode, answer.stderr) == (0, "")
    calls = (checkout / "calls").read_text().splitlines()
    assert calls == ["update", "install -y --no-install-recommends restic mdbtools"]


def test_a_python_that_cannot_make_environments_stops_the_setup(checkout: Path, poor_machine: Path) -> None:
    crippled = poor_machine / "python3.11"
    crippled.write_text(f'#!{shutil.which("bash")}\n[ "$1" = -c ] && exit 0\n[ "$1" = --version ] && exit 0\nexit 1\n')
    crippled.chmod(0o755)
    answer = run(checkout / "scripts" / "setup.sh", "dev", programs=poor_machine)
    assert answer.returncode == 1
    assert "no virtual environment can be made" in answer.stderr
    assert not list(checkout.glob(".venv/.ready-*"))
