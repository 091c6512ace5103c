r"""The form in which every database source shows a table: one header line, tab-separated, ``\N`` for NULL.

Values are decoded. One that holds a tab, a line end or a quotation mark stands in quotation marks, doubled inside
(RFC 4180); so does a value that reads ``\N`` and is none. DuckDB reads it with ``delim='\t', quote='"', escape='"',
nullstr='\N', allow_quoted_nulls=false, header=true, all_varchar=true``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

NULL: Final = b"\\N"
_QUOTED: Final = re.compile(rb'[\t\n\r"]')
_SPECIAL: Final = re.compile(rb'["\r]|\\(?!N[\t\n])|[^\t\n]\\N')
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


def from_copy(lines: bytes) -> bytes:
    """Whole lines of PostgreSQL's COPY text format, decoded.

    Lines that read the same in both forms are passed on as they are, a block at a time.
    Source: PostgreSQL documentation, COPY, "Text Format".
    """
    if b'"' not in lines and b"\r" not in lines and _only_nulls(lines):
        return lines
    return b"\n".join(_copied(row) if _SPECIAL.search(row + b"\n") else row for row in lines.split(b"\n"))


def _only_nulls(lines: bytes) -> bool:
    """Whether every backslash belongs to a field that is NULL: counting is faster than looking at each."""
    escapes = lines.count(b"\\")
    begun = lines.count(b"\t\\N") + lines.count(b"\n\\N") + lines.startswith(NULL)
    return escapes == 0 or escapes == begun == lines.count(b"\\N\t") + lines.count(b"\\N\n")


def _copied(row: bytes) -> bytes:
    return b"\t".join(field if field == NULL else cell(_ESCAPE.sub(_plain, field)) for field in row.split(b"\t"))


def _plain(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code[:1].isdigit() and code[0] < ord("8"):
        return bytes([int(code, 8) & 0xFF])
    if code[:1] == b"x" and len(code) > 1:
        return bytes([int(code[1:], 16)])
    return _LETTERS.get(code, code)
