"""Tables of a dump as Parquet files, without loading the dump: every value as text, NULL as null, nothing guessed.

Blocks of whole lines go to pyarrow's CSV reader; blocks that hold quotation marks (which only values with a tab, a line
end or a quotation mark have) are read with quoting. What comes out is counted against the lines that went in.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from asepsis.domain.source import ExportedTable
from asepsis.errors.source import (
    ArchiveDamagedError,
    LimitExceededError,
    SourceUnavailableError,
    TargetNotEmptyError,
    TextNotDecodableError,
)
from asepsis.sources.digests import Meter
from asepsis.sources.listing import Listing
from asepsis.sources.paths import from_bytes
from asepsis.sources.tables.table import TableContainer, path_of
from asepsis.sources.tables.tsv import NULL, count, values_of

_BLOCK: Final = 16 << 20
_WAITING: Final = 64 << 20
_OPEN_FILES: Final = 200
_SAMPLE: Final = 20_000
_PARTIAL: Final = ".partial"


def exported(container: TableContainer, folder: Path, *, only: Collection[str], meter: Meter) -> list[ExportedTable]:
    """Write each table as ``schema/table.parquet`` below ``folder``; all of them or, after an error, none.

    A table without columns has no file. Files can be read by their owner only.

    Raises:
        TargetNotEmptyError: the folder holds something.
        TextNotDecodableError: a value is not in the character set that the dump declares.
        SourceError: the dump is cut, damaged or hostile.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise TargetNotEmptyError(folder=str(folder))
    except OSError:
        raise SourceUnavailableError(name=str(folder)) from None
    writing = _Writing(container, folder, meter)
    try:
        for name, pieces in container.stretches():
            writing.take(name, pieces, is_wanted=not only or writing.path(name) in only)
        return writing.finished()
    except OSError:
        raise SourceUnavailableError(name=str(folder)) from None
    finally:
        writing.discard()


class _Writing:
    """All tables of one dump while they come by."""

    def __init__(self, container: TableContainer, folder: Path, meter: Meter) -> None:
        self._container = container
        self._folder = folder
        self._meter = meter
        self._paths: Listing[None] = Listing(limits=container.limits)
        self._tables: dict[tuple[bytes, ...], _Table] = {}

    def path(self, name: tuple[bytes, ...]) -> str:
        """Where the table lies in the restore point; a name that would lead out of its place is refused."""
        return self._paths.path(path_of(name))

    def take(self, name: tuple[bytes, ...], pieces: Iterable[bytes], *, is_wanted: bool) -> None:
        table = self._tables.get(name)
        following = iter(pieces)
        if table is None:
            columns = values_of(next(following))
            table = self._tables[name] = _Table(self._container, self._folder, self.path(name), columns)
        for piece in following:
            self._meter.add(len(piece))
            if is_wanted:
                table.take(piece)
        table.is_wanted = is_wanted
        if sum(each.waiting for each in self._tables.values()) > _WAITING:
            for each in self._tables.values():
                each.flush()
        self._close_some()

    def finished(self) -> list[ExportedTable]:
        """Write what waits, and give the files their names."""
        tables = [table for table in self._tables.values() if table.is_wanted]
        for table in tables:
            table.finish()
        for table in tables:
            table.publish()
        return sorted((table.told() for table in tables), key=lambda told: told.path)

    def discard(self) -> None:
        """Remove files that never got their name."""
        for table in self._tables.values():
            table.discard()

    def _close_some(self) -> None:
        """A dump may have thousands of tables; they come one after the other."""
        is_open = [table for table in self._tables.values() if table.is_open]
        for table in is_open[: max(len(is_open) - _OPEN_FILES, 0)]:
            table.finish()


class _Table:
    """One table and its file."""

    def __init__(self, container: TableContainer, folder: Path, path: str, columns: tuple[bytes, ...]) -> None:
        self._container = container
        self._path = path
        self._file = path.removeprefix("/").removesuffix(".tsv") + ".parquet"
        self._target = folder / self._file
        self._columns = columns
        self._names: list[str] = []
        self._pieces: list[bytes] = []
        self._writer: Any = None
        self._out: BinaryIO | None = None
        self._is_finished = False
        self._rows = 0
        self.waiting = 0
        self.is_wanted = False

    @property
    def is_open(self) -> bool:
        return self._writer is not None and not self._is_finished

    def take(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.waiting += len(piece)
        if self.waiting >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write the lines at hand."""
        block, self._pieces, self.waiting = b"".join(self._pieces), [], 0
        if not block:
            return
        if self._is_finished:
            raise LimitExceededError(name=self._path, limit=_OPEN_FILES, unit="tables between rows of one table")
        expected = count(block)
        self._rows += expected
        if self._columns:
            rows = self._read(block, expected)
            self._writer = self._writer or self._opened(rows)
            self._writer.write_table(rows)

    def finish(self) -> None:
        """Write the rest and close; a table without rows has a file, too."""
        self.flush()
        if self._is_finished:
            return
        self._is_finished = True
        if self._columns:
            self._writer = self._writer or self._opened(self._read(b"", 0))
            self._close()

    def publish(self) -> None:
        if self._columns:
            self._partial.rename(self._target)

    def discard(self) -> None:
        if self._writer is not None:
            with suppress(OSError, pa.ArrowException):
                self._close()
            self._partial.unlink(missing_ok=True)

    def told(self) -> ExportedTable:
        file = self._file if self._columns else ""
        return ExportedTable(path=self._path, file=file, rows=self._rows, columns=len(self._columns))

    def _close(self) -> None:
        """The writer does not close a file that it was given."""
        try:
            self._writer.close()
        finally:
            if self._out is not None:
                self._out.close()

    @property
    def _partial(self) -> Path:
        return self._target.with_name(self._target.name + _PARTIAL)

    def _opened(self, rows: Any) -> Any:
        """A dictionary is worth its work where values recur, which the first rows tell."""
        first = rows.slice(0, _SAMPLE)
        recurring = [
            name for name in rows.column_names if 2 * pa.compute.count_distinct(first[name]).as_py() <= len(first)
        ]
        self._target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._out = os.fdopen(descriptor, "wb")
        return pa.parquet.ParquetWriter(self._out, rows.schema, use_dictionary=recurring)

    def _read(self, block: bytes, expected: int) -> Any:
        encoding = self._container.encoding()
        name = self._container.path.name
        try:
            names = [column.decode(encoding) for column in self._columns]
            rows = _parsed(block, names, encoding) if block else _none(names)
        except UnicodeDecodeError:
            raise TextNotDecodableError(name=name, encoding=encoding) from None
        except pa.ArrowInvalid:
            if not _is_text(block, encoding):
                raise TextNotDecodableError(name=name, encoding=encoding) from None
            raise ArchiveDamagedError(name=name) from None
        if len(rows) != expected:
            raise ArchiveDamagedError(name=name)
        return rows


def _parsed(block: bytes, names: list[str], encoding: str) -> Any:
    is_quoted = b'"' in block
    return pa.csv.read_csv(
        pa.BufferReader(block),
        read_options=pa.csv.ReadOptions(
            use_threads=False, column_names=names, block_size=max(len(block) + 1, 2), encoding=encoding
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter="\t",
            quote_char='"' if is_quoted else False,
            double_quote=is_quoted,
            escape_char=False,
            newlines_in_values=is_quoted,
            ignore_empty_lines=False,
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[from_bytes(NULL)],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _none(names: list[str]) -> Any:
    return pa.schema([(name, pa.string()) for name in names]).empty_table()


def _is_text(block: bytes, encoding: str) -> bool:
    try:
        block.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
