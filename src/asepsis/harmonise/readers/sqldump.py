"""SQL dumps, parsed and never executed: the rows of one table, each a record with its values.

``mysql`` and ``sqlite``: tuples of INSERT statements. ``postgres``: lines of COPY blocks. All other statements are
header; rows of other tables are left out with the reason ``other_table``. A tuple that cannot be read makes the rest of
its line residue.
Source: MySQL 8.0 Reference Manual, 9.1.1 "String Literals"; PostgreSQL documentation, COPY, "Text Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO, Final

from asepsis.harmonise.readers.batch import Batch, counted, ends_of, of_lines
from asepsis.harmonise.readers.copybook import field_name
from asepsis.harmonise.readers.lines import Decoding, decode_lines, read_lines
from asepsis.harmonise.readers.record import Limits, RecordKind, read_exactly

OTHER_TABLE: Final = "-other_table"
_BLOCK: Final = 1 << 20
_BATCH: Final = 20_000
_QUOTES: Final = {
    "mysql": rb"(?:_binary\s*+)?(?:'(?:[^'\\]++|\\.|'')*+'|\"(?:[^\"\\]++|\\.|\"\")*+\")",
    "sqlite": rb"[xX]?'(?:[^']++|'')*+'",
}
_NOT_QUOTE: Final = rb"[^()'\"]++"
_INSERT: Final = re.compile(
    rb"\s*+(?:INSERT|REPLACE)(?:\s+IGNORE)?\s+INTO\s+([`\"\w.$]+)\s*(\([^()]*\))?\s*VALUES\s*", re.IGNORECASE
)
_COPY: Final = re.compile(
    rb"COPY\s+(?:\w+\.|\"[^\"]+\"\.)?\"?([\w$]+)\"?\s*(?:\(([^()]*)\))?\s+FROM\s+stdin", re.IGNORECASE
)
_END_OF_COPY: Final = re.compile(rb"\\\.\r?\n?$")
_NAME: Final = re.compile(rb"[\w$]+")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_LONGEST_HEAD: Final = 1 << 16
_WRITES: Final = re.compile(rb"\s*+(?:INSERT|REPLACE)\b", re.IGNORECASE)
_LOOKS_LIKE_ROWS: Final = re.compile(rb"\s*+(?:INSERT|REPLACE|VALUES)\b|\s*+\(", re.IGNORECASE)
_LOST: Final = "\ufffd"


class Dialect(StrEnum):
    """Whose dump it is."""

    MYSQL = "mysql"
    SQLITE = "sqlite"
    POSTGRES = "postgres"


def read(
    stream: BinaryIO,
    *,
    dialect: Dialect,
    table: str,
    columns: Sequence[str],
    decoding: Decoding,
    limits: Limits | None = None,
) -> Iterator[Batch]:
    """Yield every statement and row.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    if dialect is Dialect.POSTGRES:
        return counted(_copied(stream, table, tuple(columns), decoding, limits), limits=limits)
    inserts = _Inserts(dialect=dialect, table=table, columns=tuple(columns), encoding=decoding.encoding, limits=limits)
    return counted(inserts.batches(stream), limits=limits)


def _copied(
    stream: BinaryIO, table: str, columns: tuple[str, ...], decoding: Decoding, limits: Limits
) -> Iterator[Batch]:
    is_inside, defect = False, ""
    for block in read_lines(stream, limits=limits):
        found = decode_lines(block, decoding)
        for index in range(len(block)):
            line = block.line(index)
            if is_inside and not _END_OF_COPY.match(line):
                found.kinds.pop(index, None) if index not in block.too_long else None
                if defect:
                    found.add(index, defect)
                continue
            if index in block.too_long:
                continue
            found.kinds[index] = RecordKind.HEADER
            match = None if is_inside else _COPY.match(line)
            is_inside = match is not None
            defect = _copy_defect(match, table, columns) if match is not None else ""
        yield of_lines(block, found)


def _copy_defect(match: re.Match[bytes], table: str, columns: tuple[str, ...]) -> str:
    if match[1].decode("ascii", "replace") != table:
        return OTHER_TABLE
    named = tuple(field_name(name.decode("utf-8", "replace").strip(' "\n')) for name in (match[2] or b"").split(b","))
    return "" if match[2] is None or named == columns else "header_differs"


@dataclass(slots=True, kw_only=True)
class _Inserts:
    """A state machine over a buffer: outside a statement it goes line by line, inside INSERT tuple by tuple."""

    dialect: Dialect
    table: str
    columns: tuple[str, ...]
    encoding: str
    limits: Limits
    _number: int = 0
    _offset: int = 0
    _parts: list[bytes] = field(default_factory=list)
    _kinds: dict[int, RecordKind] = field(default_factory=dict)
    _defects: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _rows: list[tuple[str | None, ...] | None] = field(default_factory=list)
    _is_ours: bool = False
    _width: int = 0
    _places: tuple[int | None, ...] = ()

    def batches(self, stream: BinaryIO) -> Iterator[Batch]:
        """Every record of the stream."""
        quoted = _QUOTES[self.dialect]
        row = re.compile(rb"\s*+\(((?:" + _NOT_QUOTE + rb"|" + quoted + rb")*+)\)\s*+([,;])(?:\r?\n)?", re.DOTALL)
        value = re.compile(rb"(" + quoted + rb")|([^\s,()'\"]+)", re.DOTALL)
        buffer, place, is_end, in_rows = b"", 0, False, False
        while not is_end or place < len(buffer):
            match = row.match(buffer, place) if in_rows else None
            if match is not None:
                self._take_row(buffer[place : match.end()], match[1], value)
                in_rows, place = match[2] == b",", match.end()
            elif not is_end and self._needs_more(buffer, place, in_rows=in_rows):
                more = read_exactly(stream, _BLOCK)
                is_end = not more
                buffer, place = buffer[place:] + more, 0
            else:
                head = None if in_rows else _INSERT.match(buffer, place)
                end = head.end() if head is not None else self._line_end(buffer, place)
                self._take_other(buffer[place:end], head, is_residue=in_rows)
                in_rows, place = head is not None, end
            if len(self._parts) >= _BATCH:
                yield self._flush()
        yield self._flush()

    def _needs_more(self, buffer: bytes, place: int, *, in_rows: bool) -> bool:
        """Whether what is at hand cannot be judged yet: a tuple, a line or the head of an INSERT is not whole."""
        left = len(buffer) - place
        if in_rows:
            return left <= self.limits.record_bytes
        if _WRITES.match(buffer, place):
            head = _INSERT.match(buffer, place)
            return left < _LONGEST_HEAD and (head is None or head.end() == len(buffer))
        return left <= self.limits.record_bytes and buffer.find(b"\n", place) < 0

    def _line_end(self, buffer: bytes, place: int) -> int:
        end = buffer.find(b"\n", place, place + self.limits.record_bytes)
        return end + 1 if end >= 0 else min(len(buffer), place + self.limits.record_bytes)

    def _take_row(self, raw: bytes, inner: bytes, value: re.Pattern[bytes]) -> None:
        if self._is_ours:
            self._rows.append(self._values(value.findall(inner)))
        else:
            self._defects[len(self._parts)] = (OTHER_TABLE,)
            self._rows.append(None)
        self._parts.append(raw)

    def _values(self, found: list[tuple[bytes, bytes]]) -> tuple[str | None, ...] | None:
        index = len(self._parts)
        if len(found) != self._width:
            self._defects[index] = ("column_count",)
            return None
        values = [self._text(quoted, bare) for quoted, bare in found]
        row = tuple(None if place is None else values[place] for place in self._places)
        lost = [name for name, text in zip(self.columns, row, strict=True) if text is not None and _LOST in text]
        if lost:
            self._defects[index] = tuple(f"undecodable@{name}" for name in lost)
        return row

    def _text(self, quoted: bytes, bare: bytes) -> str | None:
        if not quoted:
            return None if bare in (b"NULL", b"null") else bare.decode(self.encoding, "replace")
        start = quoted.index(quoted[-1:]) + 1
        mark = chr(quoted[-1])
        text = quoted[start:-1].decode(self.encoding, "replace")
        if mark * 2 in text:
            text = text.replace(mark * 2, mark)
        if self.dialect is Dialect.MYSQL and "\\" in text:
            text = _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text)
        return text.replace("\0", "")

    def _take_other(self, raw: bytes, head: re.Match[bytes] | None, *, is_residue: bool) -> None:
        """A statement or a comment; what looks like rows and could not be read is residue, never header."""
        index = len(self._parts)
        is_residue = is_residue or (head is None and _LOOKS_LIKE_ROWS.match(raw) is not None)
        self._kinds[index] = RecordKind.RESIDUE if is_residue else RecordKind.HEADER
        if is_residue:
            self._defects[index] = ("unreadable_rows",)
        if head is not None:
            self._begin(head)
        self._parts.append(raw)
        self._rows.append(None)

    def _begin(self, head: re.Match[bytes]) -> None:
        self._is_ours = head[1].decode("utf-8", "replace").split(".")[-1].strip('`"') == self.table
        named = [field_name(name.decode("ascii", "replace")) for name in _NAME.findall(head[2] or b"")]
        order = named or list(self.columns)
        self._width = len(order)
        self._places = tuple(order.index(name) if name in order else None for name in self.columns)

    def _flush(self) -> Batch:
        columns = {
            name: [None if row is None else row[place] for row in self._rows] for place, name in enumerate(self.columns)
        }
        batch = Batch(
            number=self._number,
            offset=self._offset,
            data=b"".join(self._parts),
            ends=ends_of(map(len, self._parts)),
            kinds=self._kinds,
            defects=self._defects,
            columns=columns,
        )
        self._number += len(self._parts)
        self._offset += len(batch.data)
        self._parts, self._rows, self._kinds, self._defects = [], [], {}, {}
        return batch
