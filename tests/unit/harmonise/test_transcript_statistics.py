"""SAS, SPSS and Stata files: every row, exactly; what the file calls missing is told apart."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import math
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.transcripts.names import column_names
from asepsis.engines.transcripts.order import Kind, Order

pyreadstat = pytest.importorskip("pyreadstat", reason="the extra 'tables' is not installed")
polars = pytest.importorskip("polars", reason="polars, which writes the files of these tests, is not installed")
statistics = pytest.importorskip("asepsis.engines.transcripts.statistics")

FORMS = {".sas7bdat": "sas7bdat", ".xpt": "xport", ".xpt5": "xport", ".xpt8": "xport", ".sav": "sav", ".zsav": "sav"}
FORMS |= {".por": "por", ".dta": "dta"}
READERS = {
    "sas7bdat": pyreadstat.read_sas7bdat,
    "xport": pyreadstat.read_xport,
    "sav": pyreadstat.read_sav,
    "por": pyreadstat.read_por,
    "dta": pyreadstat.read_dta,
}
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}


def transcript(data: bytes, form: str, **more: Any) -> bytes:
    order = Order(kind=Kind.STATISTICS, memory=0, seconds=0, form=form, **more)
    return b"".join(statistics.transcript(io.BytesIO(data), order))


def plain(word: str) -> str | None:
    if word == "\\N":
        return None
    parts = word.split("\\\\")
    for letter in "tnr":
        parts = [part.replace(f"\\{letter}", ESCAPES[letter]) for part in parts]
    return "\\".join(parts)


def table(written: bytes) -> tuple[list[str], list[list[str | None]], str]:
    """Names, rows and last line of a transcript."""
    names, *rows, last = written.decode().removesuffix("\n").split("\n")
    return names.split("\t"), [[plain(word) for word in row.split("\t")] for row in rows], last


def saved(write: Callable[..., None], frame: Any, **more: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(frame, str(path), **more)
        return path.read_bytes()


NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30))
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(str.strip)
ROWS = st.lists(st.tuples(NUMBERS, WORDS, st.dates(dt.date(1600, 1, 1))), min_size=1, max_size=6)


def frame_of(rows: Sequence[tuple[float | None, str, dt.date]]) -> Any:
    numbers, words, days = zip(*rows, strict=True)
    return polars.DataFrame(
        {
            "n": polars.Series(numbers, dtype=polars.Float64),
            "w": polars.Series(words, dtype=polars.String),
            "d": polars.Series(days, dtype=polars.Date),
        }
    )


@pytest.mark.parametrize(
    ("form", "write", "more"),
    [
        ("sav", pyreadstat.write_sav, {}),
        ("sav", pyreadstat.write_sav, {"compress": True}),
        ("dta", pyreadstat.write_dta, {}),
    ],
)
@given(rows=ROWS)
@settings(max_examples=25)
def test_what_was_written_comes_back_equal(
    form: str, write: Callable[..., None], more: dict[str, Any], rows: list[tuple[float | None, str, dt.date]]
) -> None:
    names, found, last = table(transcript(saved(write, frame_of(rows), **more), form))
    assert names == ["n", "w", "d"]
    assert last == f"\\.\t{len(rows)}"
    for (value, word, day), (n, w, d) in zip(rows, found, strict=True):
        assert (n is None) == (value is None)
        if n is not None and value is not None:
            assert struct.pack("<d", float(n)) == struct.pack("<d", value) or float(n) == value == 0
        assert (w or "", d) == (word, day.isoformat())


@pytest.mark.parametrize("version", [5, 8])
def test_transport_files_come_back_in_their_own_precision(version: int) -> None:
    rows = [(0.1, "a", dt.date(2020, 2, 29)), (-1e10, "é", dt.date(1960, 1, 1)), (None, "b", dt.date(1899, 12, 31))]
    names, found, last = table(
        transcript(saved(pyreadstat.write_xport, frame_of(rows), file_format_version=version), "xport")
    )
    assert (names, last) == (["n", "w", "d"], "\\.")
    assert [row[1:] for row in found] == [[word, day.isoformat()] for _, word, day in rows]
    assert math.isclose(float(found[0][0] or 0), 0.1, rel_tol=1e-15)
    assert [row[0] for row in found[1:]] == ["-10000000000", None]


def test_rows_read_in_stretches_are_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(float(n), f"w{n}", dt.date(2000, 1, 1) + dt.timedelta(n)) for n in range(50)]
    files = {
        "sav": saved(pyreadstat.write_sav, frame_of(rows)),
        "dta": saved(pyreadstat.write_dta, frame_of(rows)),
        "xport": saved(pyreadstat.write_xport, frame_of(rows)),
        "por": saved(pyreadstat.write_por, frame_of(rows)),
    }
    for form, data in files.items():
        whole = transcript(data, form)
        assert len(table(whole)[1]) == 50
        for stretch in (1, 7, 25, 50):
            monkeypatch.setattr(statistics, "_FEWEST", stretch)
            monkeypatch.setattr(statistics, "_CELLS", 1)
            assert transcript(data, form) == whole
        monkeypatch.undo()


MISSING = {"a": [99, {"lo": 5, "hi": 6}], "s": ["RF"]}


@pytest.fixture
def survey() -> bytes:
    frame = polars.DataFrame({"a": [1.0, 99.0, None, 5.5, 7.0], "s": ["x", "RF", "", "y", ".(RF)"]})
    labels = {"a": {1.0: "one", 99.0: "refused\tto say"}}
    return saved(pyreadstat.write_sav, frame, missing_ranges=MISSING, variable_value_labels=labels)


def test_values_that_are_missing_by_definition_are_never_taken_for_numbers(survey: bytes) -> None:
    _, rows, _ = table(transcript(survey, "sav"))
    assert rows == [["1", "x"], [".(99)", ".(RF)"], [None, ""], [".(5.5)", "y"], ["7", ".(RF)"]]


def test_with_missing_they_are_null_beside_a_column_that_holds_them(survey: bytes) -> None:
    names, rows, _ = table(transcript(survey, "sav", missing=True))
    assert names == ["a", "a_missing", "s", "s_missing"]
    assert [row[:2] for row in rows] == [["1", None], [None, "99"], [None, None], [None, "5.5"], ["7", None]]
    assert [row[2:] for row in rows[1::3]] == [[None, "RF"], [".(RF)", None]]


def test_labels_stand_beside_their_codes(survey: bytes) -> None:
    names, rows, _ = table(transcript(survey, "sav", labels=True))
    assert names == ["a", "a_label", "s"]
    assert [row[:2] for row in rows[:3]] == [["1", "one"], [".(99)", "refused\tto say"], [None, None]]


def test_special_missing_values_of_sas_keep_their_letter(shared_data: Path) -> None:
    path = shared_data / "data" / "whiterabbit_examples" / "wr_input_sas" / "test-columnar.sas7bdat.gz"
    data = gzip.decompress(path.read_bytes())
    names, rows, _ = table(transcript(data, "sas7bdat"))
    assert rows[0][names.index("pctincr")] == ".M"
    names, rows, _ = table(transcript(data, "sas7bdat", missing=True))
    assert (rows[0][names.index("pctincr")], rows[0][names.index("pctincr_missing")]) == (None, "M")


def test_a_declared_encoding_overrules_what_the_file_says(shared_data: Path) -> None:
    data = (shared_data / "data" / "stat_files" / "basic" / "sample.sav").read_bytes()
    other = data.replace(b"windows-1252", b"windows-1251")
    assert other != data
    spoilt = data.replace(b"a       ", b"\xe9       ", 1)
    if spoilt == data:
        pytest.skip("the sample has no such value")
    assert table(transcript(spoilt, "sav"))[1][0][0] == "é"
    assert table(transcript(spoilt, "sav", charset="cp1251"))[1][0][0] == "й"


def test_columns_whose_added_names_collide_are_called_by_their_place() -> None:
    frame = polars.DataFrame({"a": [1.0], "a_label": [2.0]})
    data = saved(pyreadstat.write_sav, frame, variable_value_labels={"a": {1.0: "one"}})
    assert table(transcript(data, "sav", labels=True))[:2] == (["a", "a_label", "column_3"], [["1", "one", "2"]])


def shared_files(shared_data: Path) -> Iterator[tuple[str, bytes]]:
    for folder in ("stat_files", "whiterabbit_examples"):
        for path in sorted((shared_data / "data" / folder).rglob("*")):
            form = FORMS.get(Path(path.name.removesuffix(".gz")).suffix)
            if form is not None:
                data = path.read_bytes()
                yield form, gzip.decompress(data) if path.suffix == ".gz" else data


def read_by_library(form: str, data: bytes) -> tuple[dict[str, list[Any]], Any]:
    """All rows at once, with the library's own moments where it can represent them."""
    try:
        found: tuple[dict[str, list[Any]], Any] = READERS[form](io.BytesIO(data), output_format="dict")
    except OverflowError:
        found = READERS[form](io.BytesIO(data), output_format="dict", disable_datetime_conversion=True)
    return found


def test_every_shared_file_is_transcribed_as_the_library_reads_it_whole(shared_data: Path) -> None:
    files = list(shared_files(shared_data))
    assert len(files) >= 27
    for form, data in files:
        names, rows, _ = table(transcript(data, form))
        found, about = read_by_library(form, data)
        assert tuple(names) == column_names(about.column_names)
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        for name, column in zip(about.column_names, columns, strict=True):
            assert len(column) == len(found[name])
            for text, value in zip(column, found[name], strict=True):
                assert same(text, value), (form, name)


def same(text: str | None, value: Any) -> bool:
    """Whether a text says what the library's own value says; that has fewer moments and no missing letters."""
    if value is None or text is None:
        return value is None and (text is None or text.startswith("."))
    if isinstance(value, str):
        return text == value
    if isinstance(value, dt.datetime):
        return dt.datetime.fromisoformat(text) == value
    if isinstance(value, dt.date | dt.time):
        return text.startswith(value.isoformat()[:10])
    try:
        return float(text) == value
    except ValueError:
        return any(mark in text for mark in ("-", ":"))  # a moment of a format that the library leaves a number


@pytest.mark.parametrize("form", ["sav", "dta", "xport", "por"])
def test_a_file_that_ends_early_is_never_a_shorter_table(form: str) -> None:
    rows = [(float(n), f"w{n}", dt.date(2000, 1, 1)) for n in range(200)]
    write = {
        "sav": pyreadstat.write_sav,
        "dta": pyreadstat.write_dta,
        "xport": pyreadstat.write_xport,
        "por": pyreadstat.write_por,
    }[form]
    data = saved(write, frame_of(rows))
    whole = transcript(data, form)
    refused = 0
    for cut in (1, 100, 1000, len(data) // 4, len(data) // 2):
        try:
            assert transcript(data[:-cut], form) == whole  # only what follows the rows is gone
        except (statistics.RowsMissingError, pyreadstat.ReadstatError, pyreadstat.PyreadstatError):
            refused += 1
    assert refused >= 2


def test_rows_that_the_library_leaves_out_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(*place: Any, **options: Any) -> tuple[dict[str, list[Any]], Any]:
        found, about = pyreadstat.read_sav(*place, **options)
        return {name: values[:-1] for name, values in found.items()}, about

    data = saved(pyreadstat.write_sav, frame_of([(1.0, "a", dt.date(2000, 1, 1))] * 3))
    monkeypatch.setitem(statistics._READERS, "sav", forgetful)
    with pytest.raises(statistics.RowsMissingError):
        transcript(data, "sav")
