r"""The form in which every database source shows a table: one header line, tab-separated, ``\N`` for NULL.

Values are decoded. One that holds a tab, a line end or a quotation mark stands in quotation marks, doubled inside
(RFC 4180); so does a value that reads ``\N`` and is none. DuckDB reads it with ``delim='\t', quote='"', escape='"',
nullstr='\N', allow_quoted_nulls=false, header=true, all_varchar=true``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import numpy as np

NULL: Final = b"\\N"
_TAB, _NEWLINE, _BACKSLASH, _N = b"\t\n\\N"
_QUOTED: Final = re.compile(rb'[\t\n\r"]')
_SPECIAL: Final = re.compile(rb'["\r]|\\(?!N[\t\n])|[^\t\n]\\N')
_QUOTED_CELL: Final = re.compile(rb'"[^"]*"')
_CELLS: Final = re.compile(rb'("(?:[^"]|"")*"|[^\t]*)\t')
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)", re.DOTALL)
_LETTERS: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def line(values: Iterable[bytes | None]) -> bytes:
    """One record with its line end."""
    return b"\t".join(NULL if value is None else cell(value) for value in values) + b"\n"


def cell(value: bytes) -> bytes:
    """A value as it stands between tabs."""
    if value == NULL or _QUOTED.search(value):
        return b'"' + value.replace(b'"', b'""') + b'"'
    return value


def values_of(record: bytes) -> tuple[bytes, ...]:
    """The values of one record without NULL, such as the header; the opposite of ``line``."""
    cells = _CELLS.findall(record.removesuffix(b"\n") + b"\t")
    return tuple(found[1:-1].replace(b'""', b'"') if found.startswith(b'"') else found for found in cells)


def count(block: bytes) -> int:
    """How many records whole lines hold: line ends outside of quotation marks."""
    lines = _QUOTED_CELL.sub(b"", block) if b'"' in block else block
    if not lines:
        return 0
    return int(np.count_nonzero(np.frombuffer(lines, dtype=np.uint8) == _NEWLINE))


def from_copy(lines: bytes) -> bytes:
    """Whole lines of PostgreSQL's COPY text format, decoded.

    Lines that read the same in both forms are passed on as they are, a block at a time.
    Source: PostgreSQL documentation, COPY, "Text Format".
    """
    if b'"' not in lines and b"\r" not in lines and _only_nulls(lines):
        return lines
    return b"\n".join(_copied(row) if _SPECIAL.search(row + b"\n") else row for row in lines.split(b"\n"))


def _only_nulls(lines: bytes) -> bool:
    """Whether every backslash belongs to a field that is NULL, looked at side by side: faster than any search."""
    octets = np.frombuffer(lines, dtype=np.uint8)
    places = np.flatnonzero(octets == _BACKSLASH)
    if not len(places):
        return True
    before, letter, after = (octets.take(places + step, mode="clip") for step in (-1, 1, 2))
    begins = (before == _TAB) | (before == _NEWLINE) | (places == 0)
    return bool(np.all(begins & (letter == _N) & ((after == _TAB) | (after == _NEWLINE))))


def _copied(row: bytes) -> bytes:
    return b"\t".join(field if field == NULL else cell(_ESCAPE.sub(_plain, field)) for field in row.split(b"\t"))


def _plain(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code[:1].isdigit() and code[0] < ord("8"):
        return bytes([int(code, 8) & 0xFF])
    if code[:1] == b"x" and len(code) > 1:
        return bytes([int(code[1:], 16)])
    return _LETTERS.get(code, code)
