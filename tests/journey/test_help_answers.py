"""Help costs nothing: every command explains itself, and none of the heavy libraries is loaded for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer

from asepsis import __version__
from asepsis.cli.main import app
from simulator import asepsis, call

HEAVY = ("cryptography", "duckdb", "fastapi", "numpy", "pyarrow", "pydantic", "sqlalchemy", "sqlglot", "yaml")
PROGRAM = """
import sys
from asepsis.cli.main import main
sys.argv = ["asepsis", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    code = end.code
loaded = {name.partition(".")[0] for name in sys.modules}
print("LOADED", code, *sorted(loaded))
"""


def commands() -> Iterator[tuple[str, ...]]:
    """All groups and commands as they are typed."""

    def below(group: typer.Typer, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for command in group.registered_commands:
            yield (*path, command.name or "")
        for inner in group.registered_groups:
            assert inner.typer_instance is not None
            yield (*path, inner.name or "")
            yield from below(inner.typer_instance, (*path, inner.name or ""))

    return below(app, ())


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    answer = call(*command, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert "Usage: asepsis " + " ".join(command) in answer.out


def test_the_commands_of_the_design_are_there() -> None:
    """DESIGN §9; the rest comes with later issues."""
    wanted = {
        "demo", "source", "contribute", "contract", "query", "method", "release", "refer", "recover", "ledger",
        "serve", "doctor",
    }  # fmt: skip
    assert wanted <= {command[0] for command in commands()}


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("query", "--help"), ("contract", "sign", "--help")]
)
def test_help_loads_no_heavy_library(arguments: tuple[str, ...]) -> None:
    """The bar is 0.5 s; what costs the time is counted here, not the time."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    code, *loaded = done.stdout.rpartition("LOADED ")[2].split()
    assert code == "0"
    heavy = set(HEAVY) if arguments[0].startswith("--") else set(HEAVY) - {"pydantic"}  # typer's own, for a command
    assert not set(loaded) & heavy
    assert done.stderr == ""


def test_help_and_version_as_a_process() -> None:
    answer = asepsis("--help")
    assert (answer.code, answer.err) == (0, "")
    assert "Usage: " in answer.out
    assert asepsis("--version").out == f"asepsis {__version__}\n"


def test_no_arguments_show_the_help() -> None:
    answer = call()
    assert (answer.code, answer.out) == (2, "")
    assert "Usage: asepsis" in answer.err
