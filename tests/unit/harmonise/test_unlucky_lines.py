"""Lines as unlucky systems write them: what would be misread is set aside, and no number is beyond all numbers."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow.parquet as pq

from asepsis.engines.harmonise import HarmonisedRun
from asepsis.harmonise.mapping import Mapping

HEADER = "PATNO;DATUM;TESTCODE;TESTNAME;RESULT;UNIT;FLAG;COMMENT\r\n"

Run = Callable[..., HarmonisedRun]


def line(result: str, comment: str = "") -> str:
    return f"10000001;12.03.1985;K;POTASSIUM;{result};mEq/L;;{comment}"


def test_lines_that_unlucky_systems_write(run: Run, northgate: Mapping, sources: dict[str, dict[str, bytes]]) -> None:
    """Two lines with one line end between them that is none would be one record, the second line in its comment."""
    lines = [line("1"), line("1e999"), line("-1e999"), line("9" * 400), line("2") + "\r" + line("3")]
    lines += [line("4", "late; again"), line("5", "torn\rcomment")]
    text = HEADER + "".join(f"{one}\r\n" for one in lines)
    result = run(northgate, sources["northgate"] | {"LAB_RESULTS.CSV": text.encode("latin-1")})
    books = next(file for file in result.books.files if file.path == "LAB_RESULTS.CSV")
    assert (books.accepted, books.quarantined, books.reasons) == (6, 1, {"line_end_within": 1})
    assert books.repairs == {"unquoted_delimiter": 1}
    table = pq.read_table(result.tables["measurement"], columns=["value_as_number"])
    assert sorted(table["value_as_number"].drop_null().to_pylist()) == [1.0, 4.0, 5.0]
    assert books.flags["non_numeric_result"] == 3
