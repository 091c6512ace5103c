"""Each layer contract bites: an import that breaks the design is added to a copy of the tree and must be named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = "from importlinter.cli import lint_imports_command; lint_imports_command()"

ATTACKS = [
    ("a domain that talks to a database", "domain", "import sqlalchemy", "The domain is values and rules"),
    ("a domain that reads the clock", "domain", "import time", "The domain is values and rules"),
    ("a core that opens sockets", "disclosure", "import socket", "Pure cores do no I/O"),
    ("a core that knows an adapter", "sealing", "import asepsis.keys", "Arrows point down only"),
    ("a core that knows another core", "ledger", "import asepsis.sealing", "Arrows point down only"),
    ("an adapter that knows the use cases", "store", "import asepsis.services", "Adapters meet ports"),
    ("an adapter that knows another adapter", "engines", "import asepsis.store", "Adapters know nothing of each other"),
    ("a use case that knows an adapter", "services", "import asepsis.store", "Arrows point down only"),
    ("a door that knows another door", "api", "import asepsis.web", "Entry points know nothing of each other"),
    ("a door that wires adapters", "cli", "import asepsis.store", "Only bootstrap wires adapters"),
    ("a runtime with the room's database", "runtime", "import asepsis.store", "The closure of the attested runtime"),
    ("a runtime with a web framework", "runtime", "import fastapi", "The closure of the attested runtime"),
    (
        "a runtime that reaches one through an engine",
        "engines",
        "import pydantic",
        "The closure of the attested runtime",
    ),
    ("a package without a layer", "novelty", "", "Arrows point down only"),
]


def lint(tree: Path) -> set[str]:
    """Run import-linter on the tree and name the contracts that are broken."""
    answer = subprocess.run(
        [sys.executable, "-c", CHECK, "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    broken = {line.removesuffix(" BROKEN") for line in answer.stdout.splitlines() if line.endswith(" BROKEN")}
    assert "Contracts: " in answer.stdout, answer.stdout + answer.stderr
    assert answer.returncode == (1 if broken else 0)
    return broken


@pytest.fixture
def tree(tmp_path: Path, repository_root: Path) -> Path:
    """A copy of the packages in which each package is reduced to what it imports."""
    shutil.copytree(
        repository_root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.csv", "*.js")
    )
    shutil.copy(repository_root / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    assert lint(tree) == set()


@pytest.mark.parametrize(("package", "line", "contract"), [case[1:] for case in ATTACKS], ids=[c[0] for c in ATTACKS])
def test_a_forbidden_import_breaks_its_contract(tree: Path, package: str, line: str, contract: str) -> None:
    module = tree / "src" / "asepsis" / package / "__init__.py"
    module.parent.mkdir(exist_ok=True)
    with module.open("a") as text:
        text.write(f"\n{line}\n")
    if package == "engines" and "pydantic" in line:
        with (tree / "src" / "asepsis" / "runtime" / "__init__.py").open("a") as text:
            text.write("\nimport asepsis.engines\n")
    assert any(name.startswith(contract) for name in lint(tree))
