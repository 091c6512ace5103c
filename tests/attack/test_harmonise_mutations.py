"""Whatever a source contains, the books balance or one clear error says why there is no result."""

from __future__ import annotations

import io
import json
import shutil
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.books import FileBooks
from asepsis.domain.names import Digest
from asepsis.engines.harmonise import Resources, harmonise, load_mapping
from asepsis.engines.harmonise import run as run_module
from asepsis.engines.harmonise.land import create_landed, land
from asepsis.errors import AsepsisError
from asepsis.errors.harmonise import BooksDoNotBalance, HarmoniseFailed
from asepsis.harmonise.readers.batch import Batch, ends_of

MAPPINGS = Path(__file__).parents[2] / "examples" / "mappings"
NORTHGATE, RIVERSIDE = load_mapping(MAPPINGS / "northgate"), load_mapping(MAPPINGS / "riverside")
SMALL = Resources(memory="256MB", threads=1)
CANARY = "ZQCANARYZQ"


def patient(mrn: str, family: str, *, balance: str = "000012345c") -> bytes:
    text = (
        f"{mrn:8}{'123456780':9}{family:20}{'JANE':15}{'700131':6}F{'000000':6}{'1 HIGH STREET':30}{'BOSTON':20}02115"
    )
    return text.encode("cp037") + bytes.fromhex(balance) + bytes.fromhex("2001123c") + b"\0\7"


def diagnoses(rows: list[str]) -> bytes:
    fields = {"MRN": 8, "VISITNO": 10, "DXDATE": 8, "ICD": 6, "DXTYPE": 1, "DOCTOR": 20}
    header = (
        bytes([3, 99, 1, 1])
        + len(rows).to_bytes(4, "little")
        + (225).to_bytes(2, "little")
        + (54).to_bytes(2, "little")
    )
    header = header.ljust(32, b"\0")
    for name, size in fields.items():
        header += name.encode().ljust(11, b"\0") + b"C" + bytes(4) + bytes([size, 0]) + bytes(14)
    return header + b"\r" + b"".join(row.ljust(54).encode("cp850") for row in rows) + b"\x1a"


def northgate(family: str = "DOE", code: str = "4019") -> dict[str, bytes]:
    return {
        "PATMAST.DAT": patient("10000001", family) + patient("10000002", "ROE"),
        "DXHIST.DBF": diagnoses(
            [f" 10000001         119990203{code:6}PDR WHO", " 10000002         2200002304019  PDR WHO"]
        ),
    }


def riverside(value: str = "Doe") -> dict[str, bytes]:
    person = {
        "resourceType": "Patient",
        "id": "p1",
        "name": [{"use": "official", "family": value}],
        "birthDate": "1970-01-02",
    }
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "190794006"}]},
        "onsetDateTime": "2001-02-03T00:00:00Z",
    }
    files = {
        "Patient.ndjson": [person, {**person, "id": "p2"}],
        "Condition.ndjson": [condition, {**condition, "id": "c2"}],
    }
    return {name: b"".join(json.dumps(item).encode() + b"\n" for item in items) for name, items in files.items()}


def openers(files: dict[str, bytes]) -> dict[str, Callable[[], BinaryIO]]:
    return {path: partial(io.BytesIO, content) for path, content in files.items()}


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["set", "set", "cut", "insert", "drop", "repeat"]))
        if kind == "set" and data:
            data[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[place:]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=9))
        elif kind == "repeat":
            data += data[place:]
        else:
            del data[place : place + draw(st.integers(1, 60))]
    return bytes(data)


@pytest.mark.parametrize("hospital", ["northgate", "riverside"])
@given(data=st.data())
@settings(max_examples=4)
def test_the_books_balance_on_mutated_files(
    hospital: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mapping, files = (NORTHGATE, northgate()) if hospital == "northgate" else (RIVERSIDE, riverside())
    files = {path: data.draw(mutated(content)) for path, content in files.items()}
    folder = tmp_path_factory.mktemp("mutated")
    result = harmonise(mapping, openers(files), workdir=folder, run="r", person_key=bytes(32), resources=SMALL)
    result.books.balance()
    for file in result.books.files:
        assert file.size == len(files[file.path])
    kept = pq.read_table(result.quarantine)
    assert kept.num_rows >= sum(file.quarantined + file.residue for file in result.books.files)
    shutil.rmtree(folder)


BALANCED: dict[str, Any] = {
    "path": "F",
    "digest": Digest("0"),
    "size": 10,
    "landed_bytes": 10,
    "landed": 6,
    "accepted": 1,
    "merged": 1,
    "quarantined": 1,
    "excluded": 1,
    "header": 1,
    "residue": 1,
}


@pytest.mark.parametrize(
    "name", ["landed", "accepted", "merged", "quarantined", "excluded", "header", "residue", "size"]
)
def test_one_record_or_byte_more_or_less_is_noticed(name: str) -> None:
    FileBooks(**BALANCED).balance()
    for change in (-1, 1):
        with pytest.raises(BooksDoNotBalance):
            FileBooks(**{**BALANCED, name: BALANCED[name] + change}).balance()
    with pytest.raises(BooksDoNotBalance):
        FileBooks(**BALANCED, accepted_without_row=1).balance()


@pytest.mark.parametrize("fault", ["gap", "overlap", "renumbered", "short"])
def test_a_reader_that_loses_a_byte_is_stopped(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(*_: object, **__: object) -> Iterator[Batch]:
        number, offset, end = {"gap": (1, 5, 4), "overlap": (1, 3, 4), "renumbered": (2, 4, 4), "short": (1, 4, 3)}[
            fault
        ]
        yield Batch(number=0, offset=0, data=b"abcd", ends=ends_of([4]))
        yield Batch(number=number, offset=offset, data=b"efgh", ends=ends_of([end]))

    monkeypatch.setattr("asepsis.engines.harmonise.land.read_batches", forgetful)
    connection = duckdb.connect()
    create_landed(connection, NORTHGATE.files["patmast"])
    with pytest.raises(BooksDoNotBalance):
        land(
            connection,
            NORTHGATE.files["patmast"],
            file=(0, "F"),
            opener=partial(io.BytesIO, b"abcdefgh"),
            progress=print,
        )


class Failing:
    """A connection whose engine fails at one statement the way DuckDB does: with a value of the data in its text."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, at: int) -> None:
        self._connection = connection
        self._left = at

    def execute(self, *arguments: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            return self._connection.execute("SELECT ?::VARCHAR::INTEGER", [CANARY])
        return self._connection.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("at", [1, 3, 5, 9, 12, 16, 22, 30, 40])
def test_no_value_of_the_source_is_in_any_error(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine fails at one statement after another: creating, landing, staging, splitting, counting."""
    connect = run_module.connect
    monkeypatch.setattr(run_module, "connect", lambda *args, **options: Failing(connect(*args, **options), at))
    files = northgate(family=CANARY, code=CANARY[:6])
    with pytest.raises(HarmoniseFailed) as raised:
        harmonise(NORTHGATE, openers(files), workdir=tmp_path, run="r", person_key=bytes(32), resources=SMALL)
    assert CANARY not in everything_of(raised.value)
    assert not (tmp_path / "r").exists()


def test_an_engine_that_may_use_no_memory_says_so_without_data(tmp_path: Path) -> None:
    resources = Resources(memory="1KB", threads=1)
    files = northgate(family=CANARY)
    with pytest.raises(HarmoniseFailed) as raised:
        harmonise(NORTHGATE, openers(files), workdir=tmp_path, run="r", person_key=bytes(32), resources=resources)
    assert CANARY not in everything_of(raised.value)


def everything_of(error: BaseException | None) -> str:
    """All that a handler, a logger or a curious caller could print of an error and of what led to it."""
    shown = "".join(traceback.format_exception(error))
    while error is not None:
        shown += str(error) + repr(error.args) + repr(error.__dict__)
        error = error.__context__
    return shown


@pytest.mark.parametrize("hospital", ["northgate", "riverside"])
def test_a_canary_is_found_in_identity_only(hospital: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mapping, files = (NORTHGATE, northgate(CANARY)) if hospital == "northgate" else (RIVERSIDE, riverside(CANARY))
    seen: list[str] = []
    resources = Resources(memory="256MB", threads=1, progress=lambda progress: seen.append(repr(progress)))
    result = harmonise(mapping, openers(files), workdir=tmp_path, run="r", person_key=bytes(32), resources=resources)
    written = json.dumps(result.books.as_dict()) + result.books.as_text() + repr(result) + "".join(seen)
    written += (result.identity.parent / "result.json").read_text(encoding="utf-8") + "".join(capfd.readouterr())
    for path in [*result.tables.values(), result.provenance, result.merged, result.excluded]:
        written += str(pq.read_table(path).to_pylist())
    assert CANARY not in written
    assert CANARY in str(pq.read_table(result.identity).to_pylist())
    assert {path.suffix for path in result.identity.parent.iterdir()} == {".parquet", ".json"}


def test_every_error_of_this_area_has_a_code_and_a_hint() -> None:
    codes = [code for code in AsepsisError.registry if code.startswith("harmonise.")]
    assert len(codes) >= 11
    assert all(AsepsisError.registry[code].hint for code in codes)
