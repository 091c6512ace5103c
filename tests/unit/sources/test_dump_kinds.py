"""What is no dump of the named tool is said to be none; nothing at all is never a whole backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from asepsis.errors import AsepsisError
from asepsis.sources.registry import open_source

MYSQL = b"-- MySQL dump 10.13\nINSERT INTO `t` VALUES (1,'a\\nb');\n-- Dump completed\n"
POSTGRES = b"-- PostgreSQL database dump\n\nCOPY t (a) FROM stdin;\n1\n\\.\n\n-- PostgreSQL database dump complete\n"


def walked(uri: str) -> list[str]:
    source = open_source(uri)
    return [entry.path for point in source.restore_points() for entry in source.walk(point.id)]


def code_of(uri: str) -> str:
    with pytest.raises(AsepsisError) as caught:
        walked(uri)
    return caught.value.code


@pytest.mark.parametrize("kind", ["pgdump", "mysqldump"])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "source.archive_truncated"),
        (bytes(range(256)) * 20, "source.not_a_repository"),
        ("-- MySQL dump 10.13\r\n".encode("utf-16"), "source.not_a_repository"),
    ],
    ids=["nothing", "noise", "as PowerShell redirects it"],
)
def test_what_is_no_text_of_sql_is_no_dump(tmp_path: Path, kind: str, content: bytes, code: str) -> None:
    (tmp_path / "d.sql").write_bytes(content)
    assert code_of(f"{kind}:{tmp_path / 'd.sql'}") == code


@pytest.mark.parametrize(("kind", "content"), [("pgdump", MYSQL), ("mysqldump", POSTGRES)])
def test_the_dump_of_another_tool_is_not_called_hostile(tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / "d.sql").write_bytes(content)
    assert code_of(f"{kind}:{tmp_path / 'd.sql'}") == "source.not_a_repository"
