"""API, pages and wire know released tables only: read from their syntax trees."""

import ast
from pathlib import Path

import pytest

UNRELEASED = ("asepsis.domain.statistic", "asepsis.domain.sealed", "asepsis.domain.cells", "asepsis.disclosure")
MAKERS = {"Released", "read_released", "read_statistic"}
DOORS = ("api", "web", "wire")


@pytest.mark.parametrize("door", DOORS)
def test_a_door_neither_reads_nor_makes_what_was_not_released(door: str, repository_root: Path) -> None:
    modules = sorted((repository_root / "src" / "asepsis" / door).rglob("*.py"))
    assert modules
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith(UNRELEASED), f"{module.name}: {node.module}"
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).rpartition(".")[2]
                assert called not in MAKERS, f"{module.name} calls {called}"
            if isinstance(node, ast.Attribute):
                assert node.attr != "statistic", f"{module.name} reads a statistic"


@pytest.mark.parametrize("door", DOORS)
def test_fastapi_stays_inside_the_api(door: str, repository_root: Path) -> None:
    for module in (repository_root / "src" / "asepsis" / door).rglob("*.py"):
        assert door == "api" or "fastapi" not in module.read_text().lower()
