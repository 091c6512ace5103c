"""Packed dumps from outside: a bomb, a name that exists twice, a part that is missing, a row that a library drops."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

from asepsis.domain.names import RestorePointId
from asepsis.errors.source import SourceError
from asepsis.sources.limits import Limits
from asepsis.sources.lz4frames import Lz4Stream
from asepsis.sources.pgdump.source import PgDumpSource

ROWS = b"1\n2\n\\.\n\n\n"


def number(value: int) -> bytes:
    return struct.pack("<bL", int(value < 0), abs(value))


def text(value: str | None) -> bytes:
    return number(-1) if value is None else number(len(value)) + value.encode()


def toc() -> bytes:
    head = b"PGDMP\x01" + bytes([14, 0, 4, 8, 3]) + number(0) + number(0) * 7 + text("db") + text("15") * 2 + number(1)
    item = number(1) + number(1) + text("0") * 2 + text("t") + text("TABLE DATA") + number(3) + text("") * 2
    item += text("COPY public.t (a) FROM stdin;\n") + text("public") + text("") * 2 + text("owner") + text("false")
    return head + item + text(None) + text("1.dat")


def tarred(folder: Path, *members: tuple[str, bytes]) -> PgDumpSource:
    with tarfile.open(folder / "d.tar", "w", format=tarfile.USTAR_FORMAT) as out:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return PgDumpSource.at(str(folder / "d.tar"))


def code_of(source: PgDumpSource) -> str:
    with pytest.raises(SourceError) as caught:
        list(source.walk(RestorePointId("d.tar")))
    return caught.value.code


def test_a_tar_dump_is_read_by_its_table_of_contents(tmp_path: Path) -> None:
    source = tarred(tmp_path, ("toc.dat", toc()), ("1.dat", ROWS), ("restore.sql", b"\\! touch canary\n"))
    with source.open(RestorePointId("d.tar"), "/public/t.tsv") as file:
        assert file.read() == b"a\n1\n2\n"


def test_a_name_that_exists_twice_in_a_tar_dump_is_refused(tmp_path: Path) -> None:
    source = tarred(tmp_path, ("toc.dat", toc()), ("1.dat", ROWS), ("1.dat", b"3\n\\.\n"))
    assert code_of(source) == "source.hostile_path"


def test_a_part_that_is_missing_in_a_tar_dump_is_missing(tmp_path: Path) -> None:
    assert code_of(tarred(tmp_path, ("toc.dat", toc()))) == "source.object_missing"


def test_a_part_without_its_last_line_is_cut(tmp_path: Path) -> None:
    assert code_of(tarred(tmp_path, ("toc.dat", toc()), ("1.dat", b"1\n2\n"))) == "source.archive_truncated"


def lz4(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "lz4") as stream:
        stream.write(content)
    return bytes(out.getvalue())


def test_an_lz4_bomb_is_stopped() -> None:
    stream = Lz4Stream(io.BytesIO(lz4(bytes(5_000_000))), name="d", limits=Limits(archive_bytes=1_000_000))
    with pytest.raises(SourceError) as caught:
        stream.readall()
    assert caught.value.code == "source.limit_exceeded"


@pytest.mark.parametrize("cut", [1, 4, 20])
def test_a_cut_lz4_frame_is_damage(cut: int) -> None:
    stream = Lz4Stream(io.BytesIO(lz4(b"content" * 1000)[:-cut]), name="d", limits=Limits())
    with pytest.raises(SourceError) as caught:
        stream.readall()
    assert caught.value.code == "source.archive_damaged"


def test_a_row_that_the_csv_reader_drops_is_never_lost_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d.sql").write_text("COPY public.t (a) FROM stdin;\n1\n2\n\\.\n")
    read = pyarrow.csv.read_csv
    monkeypatch.setattr(pyarrow.csv, "read_csv", lambda *a, **k: read(*a, **k).slice(1))
    with pytest.raises(SourceError) as caught:
        PgDumpSource.at(str(tmp_path / "d.sql")).export(RestorePointId("d.sql"), tmp_path / "out")
    assert caught.value.code == "source.archive_damaged"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
