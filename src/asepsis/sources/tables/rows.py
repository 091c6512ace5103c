"""Names and rows inside of SQL statements. A row that cannot be read whole is damage, never left out.

Source: PostgreSQL documentation, 4.1 "Lexical Structure"; MySQL 8.0 Reference Manual, 9.1 "Literal Values".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from asepsis.errors.source import ArchiveDamagedError
from asepsis.sources.tables.scanner import Dialect

_NAME: Final = rb"(?:\"(?:[^\"]|\"\")+\"|`(?:[^`]|``)+`|[\w$\x80-\xff]+)"
_QUALIFIED: Final = _NAME + rb"(?:\s*\.\s*" + _NAME + rb")*"
_NAMES: Final = re.compile(_NAME)
_COLUMNS: Final = rb"(?:\s*\(\s*(?P<columns>" + _NAME + rb"(?:\s*,\s*" + _NAME + rb")*)\s*\))?"
COPY: Final = re.compile(
    rb"COPY\s+(?P<table>" + _QUALIFIED + rb")" + _COLUMNS + rb"(?:\s*\(\s*\))?\s+FROM\s+stdin\s*\Z", re.IGNORECASE
)
ANY_COPY: Final = re.compile(rb"COPY\s.*\bFROM\s+stdin\b", re.IGNORECASE | re.DOTALL)
INSERT: Final = re.compile(
    rb"(?:INSERT(?:\s+(?:IGNORE|DELAYED|LOW_PRIORITY))*|REPLACE)\s+INTO\s+(?P<table>"
    + _QUALIFIED
    + rb")"
    + _COLUMNS
    + rb"(?:\s+OVERRIDING\s+(?:SYSTEM|USER)\s+VALUE)?\s+VALUES?\s*(?=\()",
    re.IGNORECASE,
)
PROGRAM: Final = re.compile(rb"COPY\s.*\b(?:FROM|TO)\s+PROGRAM\b", re.IGNORECASE | re.DOTALL)
SERVER_FILE: Final = re.compile(rb"COPY\s.*\bFROM\s+[eE]?'", re.IGNORECASE | re.DOTALL)
ANY_INSERT: Final = re.compile(rb"(?:INSERT|REPLACE)\b", re.IGNORECASE)
CREATE: Final = re.compile(
    rb"CREATE\s+(?:(?:GLOBAL|LOCAL|TEMPORARY|TEMP|UNLOGGED|FOREIGN)\s+)*TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<table>"
    + _QUALIFIED
    + rb")\s*\(",
    re.IGNORECASE,
)
USE: Final = re.compile(rb"USE\s+(?P<name>" + _NAME + rb")\s*\Z", re.IGNORECASE)
SEARCH_PATH: Final = re.compile(rb"SET\s+search_path\s*=\s*(?P<name>" + _NAME + rb")", re.IGNORECASE)
ENCODING: Final = re.compile(rb"SET\s+(?:client_encoding\s*(?:=|TO)|NAMES)\s*'?(?P<name>\w+)", re.IGNORECASE)
_NO_COLUMN: Final = frozenset(
    {
        b"constraint",
        b"primary",
        b"key",
        b"unique",
        b"foreign",
        b"check",
        b"exclude",
        b"like",
        b"index",
        b"fulltext",
        b"spatial",
    }
)
_STRINGS: Final = {
    Dialect.MYSQL: rb"(?:_\w++\s*+)?(?:'(?:[^'\\]++|\\.|'')*+'|\"(?:[^\"\\]++|\\.|\"\")*+\")",
    Dialect.POSTGRES: rb"[eEbBxX]?'(?:[^'\\]++|\\.|'')*+'(?:::[\w ]++)?",
}
_STRINGS_STANDARD: Final = rb"(?:[eE]'(?:[^'\\]++|\\.|'')*+'|[bBxX]?'(?:[^']++|'')*+')(?:::[\w ]++)?"
_MYSQL_ESCAPED: Final = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}
_PG_ESCAPED: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


def name_of(qualified: bytes) -> tuple[bytes, ...]:
    """The parts of a qualified name without their quotation marks."""
    return tuple(_unquoted(part) for part in _NAMES.findall(qualified))


def columns_of(listed: bytes | None) -> tuple[bytes, ...]:
    """The names of a column list."""
    return name_of(listed) if listed else ()


def created_columns(body: bytes) -> tuple[bytes, ...]:
    """The column names of a CREATE TABLE statement, of what follows its opening parenthesis."""
    columns = []
    for item in _items(body):
        match = _NAMES.match(item.strip())
        if match is not None and match[0].lower() not in _NO_COLUMN:
            columns.append(_unquoted(match[0]))
    return tuple(columns)


_ITEM: Final = re.compile(
    rb"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|--[^\n]*\n|/\*.*?\*/|[(),]|[^'\"`(),/-]+|.", re.DOTALL
)


def _items(body: bytes) -> Iterator[bytes]:
    """What lies between the commas of the outermost level, comments left out."""
    depth, item = 0, b""
    for token in _ITEM.findall(body):
        if token == b"," and depth == 0:
            yield item
            item = b""
            continue
        depth += {b"(": 1, b")": -1}.get(token, 0)
        if depth < 0:
            break
        item += b"" if token.startswith((b"--", b"/*")) else token
    yield item


class Rows:
    """Cuts the tuples after VALUES into values."""

    def __init__(self, dialect: Dialect, *, name: str) -> None:
        string = _STRINGS_STANDARD if dialect is Dialect.POSTGRES else _STRINGS[dialect]
        self._name = name
        self._is_mysql = dialect is Dialect.MYSQL
        self._row = re.compile(rb"\s*+\(((?:[^()'\"]++|" + string + rb")*+)\)\s*+(,|\Z)", re.DOTALL)
        self._value = re.compile(
            rb"\s*+(?:(" + string + rb")|([^\s,'\"]++(?:[ ]++[^\s,'\"]++)*+))\s*+(?:,|\Z)", re.DOTALL
        )

    def read(self, statement: bytes, start: int) -> Iterator[list[bytes | None]]:
        """The rows of a statement from an offset on.

        Raises:
            ArchiveDamagedError: what stands there is not rows throughout.
        """
        while True:
            match = self._row.match(statement, start)
            if match is None:
                raise ArchiveDamagedError(name=self._name)
            yield self._values(match[1])
            start = match.end()
            if not match[2]:
                return

    def _values(self, inner: bytes) -> list[bytes | None]:
        values: list[bytes | None] = []
        place, is_open = 0, False
        while place < len(inner):
            match = self._value.match(inner, place)
            if match is None:
                raise ArchiveDamagedError(name=self._name)
            values.append(self._text(match[1]) if match[1] else _bare(match[2]))
            place = match.end()
            is_open = match[0].endswith(b",")
        if is_open:
            raise ArchiveDamagedError(name=self._name)
        return values

    def _text(self, quoted: bytes) -> bytes:
        mark = b'"' if self._is_mysql and quoted.endswith(b'"') else b"'"
        start = quoted.index(mark) + 1
        text = quoted[start : quoted.rindex(mark)].replace(mark * 2, mark)
        if self._is_mysql:
            return _ESCAPE.sub(lambda m: _MYSQL_ESCAPED.get(m[1], m[1] if m[1] not in b"%_" else m[0]), text)
        if quoted[:1] in b"eE":
            return _ESCAPE.sub(lambda m: _PG_ESCAPED.get(m[1], m[1]), text)
        return text


def _bare(word: bytes) -> bytes | None:
    return None if word.upper() == b"NULL" else word


def _unquoted(name: bytes) -> bytes:
    mark = name[:1]
    return name[1:-1].replace(mark * 2, mark) if mark in b'"`' else name
