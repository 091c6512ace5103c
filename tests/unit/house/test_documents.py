"""The documents lead somewhere: relative links resolve, and every make target they name exists."""

import re
from pathlib import Path

LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"`make ([a-z-]+)")


def documents(root: Path) -> list[Path]:
    return [*root.glob("*.md"), *(root / "docs").rglob("*.md")]


def test_every_relative_link_resolves(repository_root: Path) -> None:
    for page in documents(repository_root):
        for link in LINK.findall(page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_make_target_that_a_document_names_exists(repository_root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (repository_root / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in documents(repository_root) for name in TARGET.findall(page.read_text())}
    assert {"test", "demo"} <= named <= targets


def test_every_decision_says_what_would_change_it(repository_root: Path) -> None:
    decisions = sorted((repository_root / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        headings = re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "What would change our mind"], path.name
