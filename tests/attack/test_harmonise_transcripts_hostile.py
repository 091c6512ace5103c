"""A hostile table file ends the process that reads it, never ours: there is a whole transcript or one clear error."""

from __future__ import annotations

import datetime as dt
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import pytest

import asepsis
from asepsis.engines.confinement import kernel
from asepsis.engines.transcripts import transcribing
from asepsis.engines.transcripts.order import Kind, Order
from asepsis.engines.transcripts.transcribing import transcribe
from asepsis.errors.harmonise import (
    LimitExceeded,
    SourceFileDamaged,
    TableFileDamaged,
    TableMissing,
    TableReaderMissing,
)
from asepsis.harmonise.entries import FileEntry, Reader, Shape, StatisticsForm
from asepsis.harmonise.readers.sqldump import Dialect
from asepsis.harmonise.transcript import is_whole

pytest.importorskip("pyreadstat", reason="the extra 'tables' is not installed")
pytest.importorskip("python_calamine", reason="the extra 'tables' is not installed")

MUTATIONS = 3
ROOT = str(Path(asepsis.__file__).parent.parent)


def entry(reader: Reader, **shape: Any) -> FileEntry:
    return FileEntry(
        name="x",
        pattern="*",
        reader=reader,
        encoding="utf-8",
        extract_date=dt.date(2020, 1, 1),
        columns=("a",),
        shape=Shape(dialect=Dialect.POSTGRES, delimiter="\t", **shape),
    )


SAV = entry(Reader.STATISTICS, form=StatisticsForm.SAV)
SHEET = entry(Reader.EXCEL, table="S")

CASES = {
    "stat_files/basic/sample_large.sav": SAV,
    "stat_files/basic/sample.zsav": SAV,
    "stat_files/basic/sample_bincompressed.sas7bdat": entry(Reader.STATISTICS, form=StatisticsForm.SAS7BDAT),
    "stat_files/sas_catalog/test_formats_win.sas7bcat": entry(Reader.STATISTICS, form=StatisticsForm.SAS7BCAT),
    "stat_files/basic/sample.dta": entry(Reader.STATISTICS, form=StatisticsForm.DTA),
    "whiterabbit_examples/ScanReport-reference-v0.10.7-csv.xlsx": entry(Reader.EXCEL, table="person.csv"),
    "access_files/examples/test.mdb": entry(Reader.ACCESS, table="ClarotyTable"),
}


def mutated(data: bytes, random: Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(random.choice((1, 3, 20))):
        place = random.randrange(min(len(spoilt), random.choice((200, 4096, len(spoilt)))))
        spoilt[place] = random.randrange(256)
    return bytes(spoilt[: random.randrange(1, len(spoilt))] if random.random() < 0.2 else spoilt)


@pytest.mark.parametrize("name", CASES)
def test_mutated_files_give_a_whole_transcript_or_a_clear_error(name: str, shared_data: Path) -> None:
    found = CASES[name]
    if found.reader is Reader.ACCESS and shutil.which("mdb-export") is None:
        pytest.skip("mdbtools is not installed")
    data = (shared_data / "data" / name).read_bytes()
    for seed in range(int(os.environ.get("ASEPSIS_MUTATIONS", str(MUTATIONS)))):
        try:
            written = transcribe(found, io.BytesIO(mutated(data, Random(seed))), name=name).read()
        except (TableFileDamaged, TableMissing, LimitExceeded):
            continue
        assert is_whole(written)


@pytest.mark.parametrize("found", [SAV, SHEET], ids=["sav", "sheet"])
def test_what_is_no_table_at_all_is_damaged(found: FileEntry) -> None:
    for data in (b"", b"PK\3\4" + b"\0" * 100, Random(5).randbytes(5000)):
        with pytest.raises(SourceFileDamaged):
            transcribe(found, io.BytesIO(data), name="x").read()


def rows(data: dict[str, list[Any]]) -> bytes:
    """A large table as an xlsx sheet, written by hand."""
    names = "".join(f'<c t="str"><v>{name}</v></c>' for name in data)
    body = "".join(
        "<row>" + "".join(f"<c><v>{value}</v></c>" for value in row) + "</row>"
        for row in zip(*data.values(), strict=True)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{relations}"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets>'
            "</workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{relations}"><Relationship Id="r1" Type="{office}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        sheet = f'<worksheet xmlns="{main}"><sheetData><row>{names}</row>{body}</sheetData></worksheet>'
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    return stream.getvalue()


def test_a_process_that_is_killed_midway_leaves_no_shorter_table() -> None:
    stream = transcribe(SHEET, io.BytesIO(rows({"a": list(range(60_000))})), name="x")
    assert stream.read(10) == b"a\n0\n1\n2\n3\n"
    stream.raw._process.kill()  # type: ignore[attr-defined]
    with pytest.raises(TableFileDamaged):
        stream.read()


def test_a_process_that_ends_well_without_the_last_line_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribing, "_BEGIN", r"print('a\n1')")
    with pytest.raises(TableFileDamaged):
        transcribe(SHEET, io.BytesIO(b""), name="x").read()


def test_a_stream_that_is_not_read_to_its_end_leaves_no_process() -> None:
    stream = transcribe(SHEET, io.BytesIO(rows({"a": list(range(60_000))})), name="x")
    process = stream.raw._process  # type: ignore[attr-defined]
    assert stream.read(1) == b"a"
    stream.close()
    assert process.returncode is not None


def test_an_archive_that_claims_to_unpack_to_more_than_the_limit_is_refused() -> None:
    data = bytearray(rows({"a": [1]}))
    central = data.rindex(b"PK\1\2")
    data[central + 24 : central + 28] = b"\xf0\xff\xff\xff"
    with pytest.raises(LimitExceeded):
        transcribe(SHEET, io.BytesIO(bytes(data)), name="x").read()


def test_memory_of_the_process_is_limited() -> None:
    data = rows({"a": [1] * 200_000, "b": [2] * 200_000, "c": [3] * 200_000})
    with pytest.raises((LimitExceeded, TableFileDamaged)):
        transcribe(SHEET, io.BytesIO(data), name="x", memory=40 << 20).read()


def test_processor_time_of_the_process_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribing, "_SECONDS", 1)
    monkeypatch.setattr(transcribing, "_BYTES_PER_SECOND", 1 << 40)
    data = rows({name: [1.5] * 150_000 for name in "abcdefghij"})
    with pytest.raises(LimitExceeded, match="processor time"):
        transcribe(SHEET, io.BytesIO(data), name="x").read()


def test_a_file_beyond_the_limit_is_refused_before_anything_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribing, "LARGEST", 10)
    with pytest.raises(LimitExceeded):
        transcribe(SHEET, io.BytesIO(b"x" * 11), name="x")


def test_the_file_never_has_a_name_in_the_work_folder(tmp_path: Path) -> None:
    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert list(tmp_path.iterdir()) == []
            return super().read(size)

    stream = transcribe(SHEET, Watched(rows({"a": [1]})), name="x", workdir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    stream.close()


def test_other_readers_get_their_bytes_untouched() -> None:
    stream = io.BytesIO(b"1,2")
    assert transcribe(entry(Reader.DELIMITED), stream, name="x") is stream


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    boot = transcribing._BEGIN.replace("import sys; ", "import sys; sys.modules['python_calamine'] = None; ")
    monkeypatch.setattr(transcribing, "_BEGIN", boot)
    with pytest.raises(TableReaderMissing, match="'tables'"):
        transcribe(SHEET, io.BytesIO(b""), name="x").read()


PROBE = """
import json, os, socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
from asepsis.engines.transcripts import inside
from asepsis.engines.transcripts.order import Order
order = Order.from_text(sys.argv[2])
inside._limit(order)
inside._confine(order.kind)
def held(step):
    try:
        step()
    except (OSError, MemoryError):
        return True
    return False
print(json.dumps({
    "read": held(lambda: open(sys.argv[3]).read()),
    "write": held(lambda: open(sys.argv[3] + ".new", "w").write("x")),
    "program": held(lambda: subprocess.run(["/bin/true"])),
    "socket": held(lambda: socket.socket(socket.AF_INET)),
    "memory": held(lambda: bytearray(3 << 30)),
}))
"""


def test_inside_no_other_file_program_or_socket_can_be_reached(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    order = Order(kind=Kind.EXCEL, memory=1 << 30, seconds=60)
    words = [sys.executable, "-I", "-c", PROBE, ROOT, order.to_text(), str(secret)]
    answer = subprocess.run(words, capture_output=True, text=True, check=True, env={})
    held = {"read", "write", "program", "socket", "memory"}
    if kernel.landlock_version() == 0:
        held -= {"read"}
    assert {name for name in held if f'"{name}": true' in answer.stdout} == held
