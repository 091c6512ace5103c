"""The README: its commands exist, its excerpt is what the demo prints, its picture can be read by everybody."""

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

SVG = "{http://www.w3.org/2000/svg}"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = re.compile(r"\[\d+ s\]")


@pytest.fixture(scope="module")
def blocks(repository_root: Path) -> dict[str, str]:
    found = FENCE.findall((repository_root / "README.md").read_text(encoding="utf-8"))
    assert [language for language, _ in found] == ["sh", "text"]
    return dict(found)


def test_every_command_of_the_readme_is_one_that_make_knows(blocks: dict[str, str], repository_root: Path) -> None:
    commands = [line.partition("#")[0].split() for line in blocks["sh"].splitlines()]
    assert [command[1] for command in commands] == ["demo", "test"]
    for program, target in commands:
        assert program == "make"
        dry = subprocess.run([program, "-n", target], cwd=repository_root, capture_output=True, text=True, check=False)
        assert dry.returncode == 0, dry.stderr


@pytest.mark.long
def test_the_excerpt_is_what_the_demo_prints(blocks: dict[str, str], demo_room: Path) -> None:
    """In order, line by line; ids and seconds differ each time."""
    account = SECONDS.sub("[… s]", (demo_room / "account.txt").read_text(encoding="utf-8"))
    printed = (" ".join(line.split()) for line in account.splitlines())
    shown = [" ".join(SECONDS.sub("[… s]", line).split()) for line in blocks["text"].splitlines() if line.strip()]
    assert len(shown) > 20
    for line in shown:
        begins = line.removesuffix("…").strip()
        wanted = (lambda text, b=begins: text.startswith(b)) if line.endswith("…") else (lambda text, b=line: text == b)
        assert any(wanted(text) for text in printed), f"the demo does not print, after the lines before: {line}"


def test_the_picture_can_be_read_in_the_dark_and_without_eyes(repository_root: Path) -> None:
    text = (repository_root / "docs" / "images" / "flow.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)  # noqa: S314 - our own file
    assert root.get("role") == "img"
    words = {name: (root.findtext(f"{SVG}{name}") or "") for name in ("title", "desc")}
    assert len(words["title"]) > 20
    assert len(words["desc"]) > 200
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"<script|<foreignObject|href=", text)


def test_the_readme_says_what_level_0_is(repository_root: Path) -> None:
    text = " ".join((repository_root / "README.md").read_text(encoding="utf-8").split())
    for needed in (
        "level 0 is NON-CONFIDENTIAL",
        "no formal guarantee",
        "a sealed memory holds back *different* ones that",
    ):
        assert needed in text
