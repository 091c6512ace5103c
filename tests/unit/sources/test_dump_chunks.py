"""The chunks of a custom archive are joined, however they lie in what is read at once; one that is cut is told."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from asepsis.errors.source import ArchiveTruncatedError
from asepsis.sources.pgdump import data
from asepsis.sources.registry import open_source

ROWS = b"".join(b"%d\tvalue %d\n" % (row, row * row) for row in range(2_000))
COPY = b"COPY public.m (a, b) FROM stdin;\n"


def number(value: int) -> bytes:
    return struct.pack("<bL", int(value < 0), abs(value))


def text(value: bytes | None) -> bytes:
    return number(-1) if value is None else number(len(value)) + value


def archive(*, chunk: int) -> bytes:
    """A custom archive (1.14) of one table."""
    toc = b"PGDMP\x01\x0e\x00\x04\x08\x01" + number(-1) + number(0) * 7 + text(b"") * 3 + number(1)
    toc += number(1) * 2 + text(b"0") * 2 + text(b"m") + text(b"TABLE DATA") + number(3) + text(b"") * 2
    toc += text(COPY) + text(b"public") + text(b"") * 4 + text(None)
    packed = zlib.compress(ROWS + b"\\.\n\n\n")
    chunks = (packed[at : at + chunk] for at in range(0, len(packed), chunk))
    block = b"\x01" + number(1) + b"".join(number(len(part)) + part for part in chunks) + number(0)
    return toc + struct.pack("<BQ", 2, len(toc) + 9) + block


def rows_of(path: Path) -> bytes:
    with open_source(f"pgdump:{path}").open("a.dump", "/public/m.tsv") as stream:
        return stream.read()


@pytest.mark.parametrize("read", [1, 7, 4096, 1 << 18])
@pytest.mark.parametrize("chunk", [1, 100, 4096, 1 << 20])
def test_chunks_are_joined_however_they_lie_in_what_is_read(
    read: int, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_READ", read)
    path = tmp_path / "a.dump"
    path.write_bytes(archive(chunk=chunk))
    assert rows_of(path) == b"a\tb\n" + ROWS


@pytest.mark.parametrize("lost", [1, 5, 6, 3_000])
def test_an_archive_that_ends_inside_of_a_chunk_is_cut(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "a.dump"
    path.write_bytes(archive(chunk=4096)[:-lost])
    with pytest.raises(ArchiveTruncatedError):
        rows_of(path)
