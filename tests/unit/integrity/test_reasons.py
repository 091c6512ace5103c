"""Every reason that the checks can give has a meaning, and every meaning is of a reason."""

from __future__ import annotations

import re
from pathlib import Path

from asepsis.domain.source import Verdict
from asepsis.integrity.judgement import COMPROMISING
from asepsis.integrity.reasons import REASONS, severity

CODE = re.compile(r"\"((?:content|format|name|note|object|page|pixels|rule|signal)\.[a-z_]+)\"")


def test_the_reasons_are_those_that_the_checks_give(repository_root: Path) -> None:
    folder = repository_root / "src" / "asepsis" / "integrity"
    files = [*folder.glob("*.py"), *(folder / "structure").glob("*.py")]
    given = {code for path in files if path.name != "reasons.py" for code in CODE.findall(path.read_text())}
    given |= {f"rule.{verdict.value}" for verdict in (Verdict.SUSPECT, Verdict.COMPROMISED)}
    assert given == set(REASONS)


def test_what_compromises_is_said_to() -> None:
    assert {code for code in REASONS if severity(code, COMPROMISING) == "compromised"} == {
        *COMPROMISING,
        "signal.ransom_note",
    }
