"""Compiles what the policies say of analyses into the tables of the runtime; with --check it only compares."""

import sys
from pathlib import Path

from asepsis.access.compile import asks, reads
from asepsis.access.policies import policies
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.datasets import Holding
from asepsis.domain.parties import Role

TABLES = Path(__file__).resolve().parent.parent / "src" / "asepsis" / "domain" / "access_tables.py"

HEAD = '''\
"""Compiled from ``asepsis/access/policies.cedar`` by ``scripts/compile_access.py``; a test compares. Do not edit.

The runtime applies the rules itself and carries no policy engine: these tables are what the policies say of analyses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.datasets import Holding
from asepsis.domain.parties import Role
'''


def text() -> str:
    """The module as the policies make it."""
    may_read, may_ask = reads(policies()), asks(policies())
    return (
        HEAD
        + _table("READS", {kind: [each for each in Holding if each in may_read[kind]] for kind in AnalysisKind})
        + '"""What each kind may read."""\n'
        + _table("ASKS", {kind: [each for each in Role if each in may_ask[kind]] for kind in AnalysisKind})
        + '"""Who may be the author of each kind."""\n'
    )


def _table(name: str, rows: dict[AnalysisKind, list[Holding]] | dict[AnalysisKind, list[Role]]) -> str:
    values = "Holding" if name == "READS" else "Role"
    lines = []
    for kind, row in rows.items():
        members = ", ".join(f"{values}.{one.name}" for one in row)
        lines.append(f"    AnalysisKind.{kind.name}: frozenset({{{members}}}),\n")
    return f"\n{name}: Final[Mapping[AnalysisKind, frozenset[{values}]]] = {{\n{''.join(lines)}}}\n"


def main(arguments: list[str]) -> int:
    """Write the module, or with --check compare it; exit code 1 when it is not what the policies say."""
    if "--check" not in arguments:
        TABLES.write_text(text(), encoding="utf-8")
        return 0
    if TABLES.read_text(encoding="utf-8") == text():
        return 0
    print("domain/access_tables.py is not what the policies say; run scripts/compile_access.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
