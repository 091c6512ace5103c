"""Pages of PostgreSQL, made by PostgreSQL 15 itself: every flipped bit is found where there are checksums.

Two files of a new cluster stand here in full (a table and an index); a whole cluster, and ``pg_checksums`` beside us,
where PostgreSQL is installed.
"""

from __future__ import annotations

import os
import pwd
import random
import re
import shutil
import subprocess
import tempfile
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from asepsis.domain.integrity import ObjectFacts
from asepsis.domain.source import Verdict
from asepsis.integrity.judgement import judge
from asepsis.integrity.observation import observe
from asepsis.integrity.structure.postgres import WRONG, checksums

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PAGE = 8192
STATEMENTS = (
    "CREATE TABLE lab AS SELECT n, md5(n::text) AS value, repeat('x', n % 900) AS note FROM generate_series(1, 9999) n",
    "CREATE INDEX ON lab (n)",
    "CREATE INDEX ON lab USING hash (value)",
    "CREATE INDEX ON lab USING brin (n)",
    "CREATE INDEX ON lab USING gin (to_tsvector('simple', value))",
    "CREATE SEQUENCE counter",
    "DELETE FROM lab WHERE n % 7 = 0",
)


def unpacked(text: str) -> bytes:
    return zlib.decompress(b64decode(text))


TABLE = unpacked(
    "eNrt2b9qwlAUBvDvJCY0DhK7l97FoYNiN8eC4OzQTp1EQpeWimZyqS/S+io+gFRxKvgSeYN4kho0gVIwhYJ8P7jcP1zu/Q7c7QLA12Uo/a2g"
    "jegKpmJ0CQ4Errbo3Ugyv5tPZfYxTcdEREREREREREREREREdJ7WVn7uwp/ZNyae7+cVbWHwMnoehEH7xDuq6bnAUIBYLfXO5CPyTRfr3dbD"
    "fa/ZyfrH7IfS05uTbHJ0CC6++3RcS5dXhfxOIb8c5b8tnV/+PP+nla9B8y/shomvf8i/KdRrw4ftHfY72kavk/BpHExQtl78Xi/fz/++nx1R"
    "L2ME"
)
INDEX = unpacked(
    "eNrt2bsJAkEUBdA7uoKR2MFuYAMWYG4dtqBFGGkJtmGmqZklWMKW4IAfFIyNzoHhch+85KWTJMd1KbtLskzf9m3T1VFW81GamiUPr/zWn37P"
    "AQAAAAAAAIB/GT9zO9mU/SKZ5fz+/78dulzrOx86hwIAAAAAAACAPxhmmtFHH9TefPRSe/m5l9wBVSoQYg=="
)


def looked_at(content: bytes | bytearray) -> ObjectFacts:
    return observe(BytesIO(bytes(content)), size=len(content))


def is_found(content: bytes | bytearray) -> bool:
    """Whether it is no file of sound pages any more."""
    facts = looked_at(content)
    return facts.format != "postgres" or bool(facts.faults)


def flipped(content: bytes, bit: int) -> bytearray:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return changed


def summed(page: bytes, block: int) -> bytes:
    """The page with the checksum that belongs to a block."""
    found = int(checksums(np.frombuffer(page, dtype="<u4").reshape(1, -1))[0])
    return page[:8] + ((found ^ block) % 65535 + 1).to_bytes(2, "little") + page[10:]


def without_checksums(content: bytes) -> bytes:
    pages = [content[at : at + PAGE] for at in range(0, len(content), PAGE)]
    return b"".join(page[:8] + bytes(2) + page[10:] for page in pages)


@pytest.mark.parametrize("content", [TABLE, INDEX], ids=["table", "index"])
def test_pages_of_postgresql_are_known_by_their_headers_and_fit_their_checksums(content: bytes) -> None:
    assert looked_at(content) == ObjectFacts(format="postgres", size=len(content), is_checked=True)


@pytest.mark.parametrize("content", [TABLE, INDEX], ids=["table", "index"])
def test_every_flipped_bit_of_a_page_is_found(content: bytes) -> None:
    dice = random.Random(1)
    bits = {*range(8 * 24), *(dice.randrange(8 * len(content)) for _ in range(150))}
    assert [bit for bit in bits if not is_found(flipped(content, bit))] == []


def test_a_page_in_the_place_of_another_is_found() -> None:
    assert looked_at(INDEX[PAGE:] + INDEX[:PAGE]).faults == (WRONG,)


def test_a_flipped_bit_makes_a_file_suspect_and_a_lost_header_condemns_it() -> None:
    before = looked_at(TABLE)
    assert judge("/base/1/1262", looked_at(flipped(TABLE, 60_000))).verdict is Verdict.SUSPECT
    noise = random.Random(2).randbytes(len(TABLE))
    assert judge("/base/1/1262", looked_at(noise), before=before).verdict is Verdict.COMPROMISED


def test_a_later_segment_is_told_by_its_checksums() -> None:
    blocks = range(3 * 131_072, 3 * 131_072 + 40)
    content = b"".join(summed(TABLE, block) for block in blocks)
    assert looked_at(content).faults == ()
    assert looked_at(flipped(content, 8 * 35 * PAGE + 50_000)).faults == (WRONG,)


def test_pages_that_were_never_used_are_zeros_and_nothing_else() -> None:
    content = TABLE + bytes(2 * PAGE) + summed(TABLE, 3)
    assert looked_at(content).faults == ()
    assert looked_at(flipped(content, 8 * PAGE + 999)).faults


def test_a_page_that_is_cut_is_truncated() -> None:
    assert looked_at(INDEX[:-100]).faults == ("format.truncated",)


def test_without_checksums_headers_and_items_are_followed_and_no_more_is_said() -> None:
    content = without_checksums(TABLE)
    assert looked_at(content) == ObjectFacts(format="postgres", size=len(content))
    upper = int.from_bytes(content[14:16], "little")
    outside = bytearray(content)
    outside[24:28] = ((upper - 8) | 1 << 15 | 64 << 17).to_bytes(4, "little")
    assert looked_at(content + outside).faults == ("format.structure_damaged",)
    backwards = bytearray(content)
    backwards[12:16] = (8000).to_bytes(2, "little") + (100).to_bytes(2, "little")
    assert looked_at(content + backwards).faults == ("format.structure_damaged",)


@pytest.mark.parametrize("content", [b"a" * PAGE, bytes(PAGE), random.Random(3).randbytes(PAGE), TABLE[: PAGE - 1]])
def test_what_is_no_page_is_not_called_one(content: bytes) -> None:
    assert looked_at(content).format != "postgres"


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Path, Callable[..., str]]]:
    """The data directory of a stopped server with checksums, tables and indexes; and how to run its programs.

    It lies outside of pytest's folders: every session that starts makes these private, and the server is another user.
    """
    if not (PROGRAMS / "pg_checksums").exists():
        pytest.skip("PostgreSQL 15 is not installed")
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not start as root and there is no user postgres")
    with tempfile.TemporaryDirectory(prefix="asepsis-pg-") as folder:
        yield _make_cluster(Path(folder))


def _make_cluster(folder: Path) -> tuple[Path, Callable[..., str]]:
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")

    def run(program: str, *arguments: str, status: int = 0, text: str | None = None) -> str:
        command = [*user, str(PROGRAMS / program), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, timeout=120, input=text)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    data = folder / "data"
    run("initdb", "-k", "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
    run("postgres", "--single", "-j", "-D", str(data), "postgres", text=";\n\n".join(STATEMENTS) + ";\n\n")
    return data, run


def pages_in(data: Path) -> list[Path]:
    """The files of which pg_checksums reads the pages (relations and their forks)."""
    found = [path for folder in ("base", "global") for path in (data / folder).rglob("*") if path.is_file()]
    return sorted(path for path in found if re.fullmatch(r"\d+(_\w+)?(\.\d+)?", path.name) and path.stat().st_size)


@pytest.mark.long
def test_a_thousand_flipped_bits_of_a_cluster_are_found_as_pg_checksums_finds_them(
    cluster: tuple[Path, Callable[..., str]],
) -> None:
    data, run = cluster
    contents = {path: path.read_bytes() for path in pages_in(data)}
    assert "Bad checksums:  0" in run("pg_checksums", "-c", "-D", str(data))
    assert [path.name for path, content in contents.items() if is_found(content)] == []
    dice = random.Random(60)
    used = [
        (path, at)
        for path, content in contents.items()
        for at in range(0, len(content), PAGE)
        if content[at + 14 : at + 16] != bytes(2)
    ]
    missed = []
    damaged = {path: bytearray(content) for path, content in contents.items()}
    for path, at in dice.sample(used, 1_000):
        bit = 8 * at + dice.choice([dice.randrange(8 * PAGE), dice.randrange(8 * 14)])
        if not is_found(flipped(contents[path], bit)):
            missed.append((path.name, bit))
        damaged[path] = flipped(bytes(damaged[path]), bit)
    assert missed == []
    for path, content in damaged.items():
        path.write_bytes(content)
    assert "Bad checksums:  1000" in run("pg_checksums", "-c", "-D", str(data), status=1)
