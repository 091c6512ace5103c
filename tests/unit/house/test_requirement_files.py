"""The requirement files: every package pinned and hashed, no address, and the room's own dependencies all there."""

import re
import tomllib
from pathlib import Path

import pytest

FILES = ["compile.txt", "dev.txt", "runtime.txt"]
PIN = re.compile(r"^([a-z0-9-]+)==([^ ]+) \\$")
HASH = re.compile(r"^ {4}--hash=sha256:[0-9a-f]{64}( \\)?$")


@pytest.fixture(scope="module")
def folder(repository_root: Path) -> Path:
    return repository_root / "requirements"


def pins(path: Path) -> dict[str, str]:
    return {match[1]: match[2] for line in path.read_text().splitlines() if (match := PIN.match(line))}


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_a_pin_a_hash_or_a_remark(folder: Path, name: str) -> None:
    for line in (folder / name).read_text().splitlines():
        remark = not line or line.lstrip().startswith("#")
        assert remark or PIN.match(line) or HASH.match(line), line


@pytest.mark.parametrize("name", [*FILES, "compile.in", "dev.in", "runtime.in"])
def test_no_requirement_file_names_an_address(folder: Path, name: str) -> None:
    assert not re.search(r"://|--[a-z-]*(index|links|host)|file:/|git\+|\w@\w", (folder / name).read_text())


@pytest.mark.parametrize("name", FILES)
def test_every_pin_has_a_hash(folder: Path, name: str) -> None:
    lines = (folder / name).read_text().splitlines()
    assert pins(folder / name)
    assert all(HASH.match(lines[index + 1]) for index, line in enumerate(lines) if PIN.match(line))


def test_every_dependency_of_the_package_is_pinned(folder: Path, repository_root: Path) -> None:
    project = tomllib.loads((repository_root / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["build-system"]["requires"]
    names = {re.split(r"[^A-Za-z0-9_.-]", each)[0].lower().replace("_", "-") for each in wanted}
    assert names <= pins(folder / "runtime.txt").keys()


def test_what_is_tested_is_what_runs(folder: Path) -> None:
    tested = pins(folder / "dev.txt")
    assert {name: tested.get(name) for name in pins(folder / "runtime.txt")} == pins(folder / "runtime.txt")
