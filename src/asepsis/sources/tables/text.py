"""A dump in SQL text: which stretches of it hold the rows of which table, and those rows as a file.

A statement that writes rows and cannot be read is damage; all other statements only tell names of columns.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

from asepsis.errors.source import (
    ArchiveDamagedError,
    ArchiveTruncatedError,
    HostileStatementError,
    UnsupportedFormatError,
)
from asepsis.sources.limits import Limits
from asepsis.sources.tables import rows
from asepsis.sources.tables.encodings import codec_of
from asepsis.sources.tables.scanner import Dialect, Readable, Scanner
from asepsis.sources.tables.tsv import from_copy, line


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Consecutive rows of one table: a COPY block or INSERT statements, and where they lie in the text."""

    start: int
    end: int
    copied: bool


@dataclass(slots=True, kw_only=True)
class Found:
    """A table met in the text, its columns and where its rows lie."""

    name: tuple[bytes, ...]
    columns: tuple[bytes, ...]
    stretches: list[Stretch] = field(default_factory=list)


class Dump:
    """Reads one text from its beginning to its end."""

    def __init__(self, *, dialect: Dialect, name: str, limits: Limits) -> None:
        self.dialect = dialect
        self.name = name
        self.limits = limits
        self._rows = rows.Rows(dialect, name=name)
        self.encoding = "utf-8"
        self._schema: bytes = b""
        self._created: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}
        self._found: dict[tuple[bytes, ...], Found] = {}
        self._last: Found | None = None

    def scanner(self, file: Readable) -> Scanner:
        """A scanner at the beginning of a text."""
        return Scanner(file, dialect=self.dialect, name=self.name, limits=self.limits)

    def expect(self, name: tuple[bytes, ...], columns: tuple[bytes, ...]) -> None:
        """Tell the columns of a table that the text itself does not create."""
        self._created[name] = columns

    def read(self, file: Readable) -> Iterator[tuple[Found, Iterable[bytes]]]:
        """Each stretch of rows with its table and the pieces of the table's file that it makes.

        The pieces of a COPY block must be taken before the next stretch is asked for.

        Raises:
            SourceError: the text is cut, damaged or hostile.
        """
        scanner = self.scanner(file)
        while (statement := scanner.statement()) is not None:
            start, text = statement
            if rows.ANY_COPY.match(text):
                yield self._copy(scanner, text)
            elif rows.ANY_INSERT.match(text):
                yield self._insert(scanner, start, text)
            else:
                self._refuse(text)
                self._note(text)
        for name, columns in self._created.items():
            if name not in self._found:
                yield self._table(name, columns), [line(columns)]

    def replay(self, file: Readable, stretch: Stretch, columns: tuple[bytes, ...]) -> Iterator[bytes]:
        """The rows of a stretch again, from a file that stands at its beginning."""
        scanner = self.scanner(file)
        if stretch.copied:
            yield from map(from_copy, scanner.copied())
            return
        while scanner.offset < stretch.end - stretch.start:
            statement = scanner.statement()
            if statement is None:
                raise ArchiveTruncatedError(name=self.name)
            match = rows.INSERT.match(statement[1])
            if match is None:
                raise ArchiveDamagedError(name=self.name)
            yield from self._inserted(statement[1], match.end(), columns)

    def _copy(self, scanner: Scanner, text: bytes) -> tuple[Found, Iterable[bytes]]:
        match = rows.COPY.match(text)
        if match is None:
            raise UnsupportedFormatError(name="a COPY block with options")
        found = self._table(rows.name_of(match["table"]), rows.columns_of(match["columns"]))
        return found, self._copied(scanner, found)

    def _copied(self, scanner: Scanner, found: Found) -> Generator[bytes]:
        if not found.stretches:
            yield line(found.columns)
        start = scanner.offset
        yield from map(from_copy, scanner.copied())
        found.stretches.append(Stretch(start=start, end=scanner.offset, copied=True))

    def _insert(self, scanner: Scanner, start: int, text: bytes) -> tuple[Found, Iterable[bytes]]:
        match = rows.INSERT.match(text)
        if match is None:
            raise ArchiveDamagedError(name=self.name)
        found = self._table(rows.name_of(match["table"]), rows.columns_of(match["columns"]))
        pieces = [] if found.stretches else [line(found.columns)]
        last = found.stretches[-1] if found.stretches else None
        if last is not None and self._last is found and not last.copied:
            found.stretches[-1] = Stretch(start=last.start, end=scanner.offset, copied=False)
        else:
            found.stretches.append(Stretch(start=start, end=scanner.offset, copied=False))
        self._last = found
        return found, [*pieces, *self._inserted(text, match.end(), found.columns)]

    def _inserted(self, text: bytes, start: int, columns: tuple[bytes, ...]) -> Iterator[bytes]:
        batch: list[bytes] = []
        for row in self._rows.read(text, start):
            if len(row) != len(columns):
                raise ArchiveDamagedError(name=self.name)
            batch.append(line(row))
        yield b"".join(batch)

    def _table(self, name: tuple[bytes, ...], columns: tuple[bytes, ...]) -> Found:
        full = self._qualified(name)
        columns = columns or self._created.get(full, ())
        found = self._found.setdefault(full, Found(name=full, columns=columns))
        if found.columns != columns:
            raise UnsupportedFormatError(name="a table whose rows name different columns")
        return found

    def _refuse(self, text: bytes) -> None:
        """Rows that a program of the server would make, or that lie in a file beside the dump, are not in it."""
        if rows.PROGRAM.match(text):
            raise HostileStatementError(name=self.name)
        if rows.SERVER_FILE.match(text):
            raise UnsupportedFormatError(name="a COPY from a file of the server")

    def _note(self, text: bytes) -> None:
        self._last = None
        if match := rows.CREATE.match(text):
            columns = rows.created_columns(text[match.end() :])
            self._created[self._qualified(rows.name_of(match["table"]))] = columns
        elif match := rows.USE.match(text) or rows.SEARCH_PATH.match(text):
            (self._schema,) = rows.name_of(match["name"])
        elif match := rows.ENCODING.match(text):
            self.encoding = codec_of(match["name"])

    def _qualified(self, name: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return name if len(name) > 1 or not self._schema else (self._schema, *name)
