"""Leaf modules stay light: importing the errors, the settings' errors or the log loads no third-party package."""

import subprocess
import sys

import pytest

LIGHT = ["asepsis", "asepsis.errors", "asepsis.errors.settings", "asepsis.logs", "asepsis.domain.names"]
PROGRAM = """
import importlib, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - set(sys.stdlib_module_names) - {"asepsis"}))
"""


@pytest.mark.parametrize("module", LIGHT)
def test_a_leaf_module_loads_no_third_party_package(module: str) -> None:
    answer = subprocess.run([sys.executable, "-c", PROGRAM, module], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
