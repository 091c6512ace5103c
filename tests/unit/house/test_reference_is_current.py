"""The generated reference pages say what the code says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from asepsis.errors import AsepsisError, Kind


def test_the_error_reference_is_current(repository_root: Path) -> None:
    script = repository_root / "scripts" / "generate_reference.py"
    check = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


@pytest.mark.long
def test_the_check_notices_an_edited_page(repository_root: Path, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    script = tmp_path / "scripts" / "generate_reference.py"
    script.write_bytes((repository_root / "scripts" / "generate_reference.py").read_bytes())
    page = tmp_path / "docs" / "reference" / "errors.md"
    for change, code in (("", 0), ("one more line\n", 1)):
        subprocess.run([sys.executable, script], check=True, capture_output=True)
        page.write_text(page.read_text() + change)
        check = subprocess.run([sys.executable, script, "--check"], capture_output=True, check=False)
        assert check.returncode == code


def test_the_page_lists_every_kind(repository_root: Path) -> None:
    text = (repository_root / "docs" / "reference" / "errors.md").read_text()
    for kind in Kind:
        assert f"| {kind.label} | {kind.exit_code} | {kind.http_status} |" in text
    assert not re.search(re.escape(AsepsisError.message), text)
