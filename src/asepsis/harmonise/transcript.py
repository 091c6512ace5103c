r"""Transcripts: the lines that a table without physical lines (Excel, Access, SAS, SPSS, Stata) is written out as.

A transcript is UTF-8 with LF: a line of column names, a line per row, values separated by tabs. ``\N`` is null; tab,
line feed, carriage return and backslash are escaped (PostgreSQL documentation, COPY, "Text Format"). A line that
begins ``\#`` stands in the file and is no row (titles above the names); the last line is ``\.`` and the number of rows
that the file declares. Nothing is a whole transcript without that line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

NULL: Final = "\\N"
END: Final = b"\\."
ASIDE: Final = b"\\#"
LONGEST_END: Final = 32
"""Bytes that the last line has at most."""

_WHOLE: Final = re.compile(rb"(?:^|\n)\\\.(?:\t\d+)?\n\Z")
_SPECIAL: Final = re.compile(r"[\\\t\n\r]")
_ESCAPES: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def escaped(text: str) -> str:
    """A value as it stands between tabs."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text) if _SPECIAL.search(text) else text


def line(values: Iterable[str | None]) -> bytes:
    """One row. Text that is no Unicode becomes bytes that are no UTF-8, which the reader names."""
    text = "\t".join(NULL if value is None else escaped(value) for value in values)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def lines(
    columns: Sequence[Sequence[str | None]],
) -> bytes:
    """Rows that are given by column."""
    written = list(map(_written, columns))
    text = "\n".join(map("\t".join, zip(*written, strict=True)))
    has_rows = bool(written) and bool(written[0])
    return text.encode("utf-8", "surrogatepass") + b"\n" if has_rows else b""


def _written(column: Sequence[str | None]) -> list[str]:
    if _SPECIAL.search("".join(filter(None, column))):
        return [NULL if value is None else escaped(value) for value in column]
    return [NULL if value is None else value for value in column]


def aside(values: Iterable[str | None]) -> bytes:
    """A line of the file that is no row."""
    return ASIDE + b"\t" + line(values)


def end(declared: int | None) -> bytes:
    """The last line, with the number of rows that the file declares about itself."""
    return END + (b"" if declared is None else b"\t%d" % declared) + b"\n"


def is_whole(tail: bytes) -> bool:
    """Whether what ends with these bytes (at least ``LONGEST_END``, or all) is a whole transcript."""
    return _WHOLE.search(tail) is not None
