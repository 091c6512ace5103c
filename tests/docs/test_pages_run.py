"""What the tutorial and the how-to guides tell the reader to type is typed here, page by page.

They are long and run in ``make test-all``; the demo, which ``make test`` runs, goes the same way.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
GUIDES = sorted(path for path in (ROOT / "docs" / "how-to").glob("*.md") if "```console" in path.read_text())
FENCE = re.compile(r"^```(\w+)(?: title=\"[^\"]+\")?$", re.MULTILINE)


@pytest.mark.long
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_leads_where_it_says(page: Path, shell: Any) -> None:
    assert shell.follow(page) > 10


@pytest.mark.long
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_leads_where_it_says(page: Path, shell: Any, demo_room: Path) -> None:
    shutil.copytree(demo_room, shell.folder / "demo")
    assert shell.follow(page) > 1


def test_ten_commands_are_ten() -> None:
    """From nothing to a released answer; that they lead there is tested with the other guides."""
    page = (ROOT / "docs" / "how-to" / "ten-commands.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("$ ")]
    assert len(shown) == 10
    assert all(line.startswith("$ asepsis ") for line in shown)
    assert not any(mark in line for line in shown for mark in (";", "&&", "|"))
    assert "\nrelease-cd0b840e2f5b04b1: released\n" in page


def test_there_are_guides_for_the_tasks_of_a_room() -> None:
    assert len(TUTORIALS) == 1
    assert len(GUIDES) >= 8


def test_a_page_fences_only_what_is_run_or_written() -> None:
    """`sh` is only for what happens before Asepsis is there: getting and installing it."""
    for page in [*TUTORIALS, *GUIDES]:
        languages = FENCE.findall(page.read_text())
        assert set(languages) <= {"console", "yaml", "csv", "sh"}, page.name
        assert languages.count("sh") <= 1, page.name


def test_a_line_that_is_not_printed_fails(shell: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one; echo two\ntwo\none\n```\n")
    with pytest.raises(AssertionError, match="not printed: one"):
        shell.follow(page)


def test_an_exit_code_that_is_not_the_one_fails(shell: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ (exit 3)\n(exit code 3)\n$ (exit 4)\n```\n")
    with pytest.raises(AssertionError, match="exit code 4"):
        shell.follow(page)


def test_an_id_is_bound_where_it_is_first_printed(shell: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    shown, real = "0123456789abcdef", "fedcba9876543210"
    page.write_text(f"```console\n$ echo release-{real} …\nrelease-{shown} …\n$ echo got {shown}\ngot {shown}\n```\n")
    assert shell.follow(page) == 2
    assert shell.ids == {shown: real}
