"""Landing: every record of every file goes into a table with its place and its raw bytes, before anything is judged.

Invariant: the byte ranges of a file's records tile the file; a gap or an overlap stops the run.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from asepsis.domain.names import Digest
from asepsis.engines.harmonise.guard import guarded
from asepsis.engines.harmonise.reading import read_batches
from asepsis.engines.transcripts.transcribing import transcribe
from asepsis.errors.harmonise import BooksDoNotBalance
from asepsis.harmonise.entries import FileEntry
from asepsis.harmonise.expressions import enum_of, quote_name
from asepsis.harmonise.extraction import landed_fields, landed_table, take, take_objects, taken_fields
from asepsis.harmonise.readers.batch import Batch
from asepsis.harmonise.readers.gunzip import gunzip
from asepsis.harmonise.readers.record import RecordKind, read_into

_CHUNK: Final = 1 << 20
_ROW_GROUP: Final = 122_880
_MOST_WAITING: Final = 48 << 20
_KINDS: Final = tuple(RecordKind)
_KIND: Final = enum_of(_KINDS)
_OBJECT: Final = ord("{")

Opener = Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """One landed file: what it is (BLAKE3 of the stored bytes) and how many bytes were read and landed."""

    file_id: int
    path: str
    entry: str
    digest: Digest
    size: int
    landed_bytes: int
    declared: int | None = None
    counted: int | None = None


class HashedStream(io.RawIOBase):
    """Reads through to a stream and takes the BLAKE3 digest of every byte that passes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = blake3()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer and account for what was filled."""
        count = read_into(self._stream, buffer)
        self._hash.update(buffer[:count])
        return count

    def finish(self) -> Digest:
        """Read what is left and return the digest of all bytes."""
        buffer = bytearray(_CHUNK)
        while self.readinto(memoryview(buffer)):
            pass
        return Digest(self._hash.hexdigest())


def create_landed(connection: duckdb.DuckDBPyConnection, entry: FileEntry) -> None:
    """Make the empty table of an entry.

    A line-oriented record is kept as ``text``; ``raw`` is null where its bytes are those of the text.
    """
    columns = [_typed(column) for column in (landed_fields(entry) | taken_fields(entry)).values()]
    if entry.is_delimited:
        columns = ["plain BOOLEAN", *columns]
    if entry.is_text:
        columns = ["text VARCHAR", *columns]
    with guarded("land"):
        connection.execute(
            f"CREATE OR REPLACE TABLE {landed_table(entry.name)} (file_id INTEGER, rec_no BIGINT, byte_off BIGINT, "
            f"byte_len BIGINT, kind {_KIND}, defects VARCHAR[], {', '.join(['raw BLOB', *columns])})"
        )


def _typed(column: str) -> str:
    name, sql_type = column.rsplit(" ", 1)
    return f"{quote_name(name)} {sql_type}"


def land(
    connection: duckdb.DuckDBPyConnection,
    entry: FileEntry,
    *,
    file: tuple[int, str],
    opener: Opener,
    progress: Callable[[int], None],
    workdir: Path | None = None,
) -> Landed:
    """Land one file, given its number and path; what must lie on a disk meanwhile lies in ``workdir``, without a name.

    Raises:
        BooksDoNotBalance: the reader left out or repeated bytes.
        SourceFileDamaged: a compressed file or a binary table is damaged.
        TableMissing: a binary table has no such sheet or table.
        TableReaderMissing: what reads binary tables is not installed.
        LimitExceeded: the file asks for too much.
    """
    file_id, path = file
    with opener() as opened:
        hashed = HashedStream(opened)
        unpacked = gunzip(io.BufferedReader(hashed), name=path)
        plain = _Counted(transcribe(entry, unpacked, name=path, workdir=workdir))
        count = _Count()
        landing = _Landing(connection, entry, file_id)
        for batch in _tiling(read_batches(entry, io.BufferedReader(plain, _CHUNK)), path):
            landing.add(batch)
            count.add(batch)
            progress(count.records)
        landing.finish()
        plain.drain()
        digest = hashed.finish()
    return Landed(
        file_id=file_id,
        path=path,
        entry=entry.name,
        digest=digest,
        size=plain.count,
        landed_bytes=count.length,
        declared=count.declared,
        counted=count.counted if count.declared is not None else None,
    )


def insert(connection: duckdb.DuckDBPyConnection, entry: FileEntry, batch: Batch, *, file_id: int) -> None:
    """Put the records of a batch into the landed table of their entry."""
    landing = _Landing(connection, entry, file_id)
    landing.add(batch)
    landing.finish()


class _Landing:
    """Puts batches into a landed table, several at once: fewer rows than a row group are written twice by DuckDB.

    JSON is taken out of its text in the quick way while every record begins as an object and none of them is broken.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, entry: FileEntry, file_id: int) -> None:
        self._connection = connection
        self._entry = entry
        source, target = f"SELECT {file_id} AS file_id, * FROM batch", landed_table(entry.name)
        self._sql = f"INSERT INTO {target} BY NAME {take(entry, source)}"
        self._quick = f"INSERT INTO {target} BY NAME {take_objects(entry, source)}"
        self._is_quick = bool(taken_fields(entry))
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._are_objects = True

    def add(self, batch: Batch) -> None:
        """Take a batch; it may wait for others."""
        table = _Rows(batch, self._entry).table()
        if self._waiting and self._waiting[0].schema != table.schema:
            self.finish()
        self._waiting.append(table)
        self._rows, self._bytes = self._rows + len(batch), self._bytes + len(batch.data)
        self._are_objects = self._are_objects and self._is_quick and _are_objects(batch)
        if self._rows >= _ROW_GROUP or self._bytes >= _MOST_WAITING:
            self.finish()

    def finish(self) -> None:
        """Put what waits into the table."""
        if not self._waiting:
            return
        with guarded("land"):
            self._connection.register("batch", pa.concat_tables(self._waiting))
            if not (self._are_objects and self._try_quick()):
                self._connection.execute(self._sql)
            self._connection.unregister("batch")
        self._waiting, self._rows, self._bytes, self._are_objects = [], 0, 0, True

    def _try_quick(self) -> bool:
        """Whether the quick way went well; once it failed, it is not tried for the rest of the file."""
        self._is_quick = False
        with suppress(duckdb.InvalidInputException):
            self._connection.execute(self._quick)
            self._is_quick = True
        return self._is_quick


def _are_objects(batch: Batch) -> bool:
    """Whether every record is a data record whose text is its bytes and begins as a JSON object."""
    starts = np.concatenate((np.zeros(1, np.int32), batch.ends[:-1]))
    begins = np.frombuffer(batch.data, np.uint8)[starts] == _OBJECT
    return not batch.kinds and not batch.texts and bool(begins.all())


@dataclass(slots=True)
class _Count:
    records: int = 0
    length: int = 0
    counted: int = 0
    declared: int | None = None

    def add(self, batch: Batch) -> None:
        self.records = batch.number + len(batch)
        self.length = batch.offset + int(batch.ends[-1])
        self.counted += batch.counted
        if batch.declared is not None:
            self.declared = (self.declared or 0) + batch.declared


class _Rows:
    """A batch as Arrow columns; the bytes themselves are not copied."""

    def __init__(self, batch: Batch, entry: FileEntry) -> None:
        self._batch = batch
        self._entry = entry
        self._count = len(batch)

    def table(self) -> pa.Table:
        """The columns of the landed table without the number of the file."""
        batch, ends = self._batch, self._batch.ends
        lengths = np.diff(ends, prepend=np.int32(0))
        columns = {
            "rec_no": pa.array(np.arange(batch.number, batch.number + self._count)),
            "byte_off": pa.array(batch.offset + (ends - lengths).astype(np.int64)),
            "byte_len": pa.array(lengths),
            "kind": self._kinds(),
            "defects": self._defects(),
        }
        whole = self._bytes()
        if self._entry.is_text:
            columns |= self._texts(whole)
        else:
            columns["raw"] = whole
        if self._entry.is_delimited:
            is_plain = np.zeros(self._count, np.bool_) if batch.plain is None else batch.plain
            columns["plain"] = pa.array(is_plain)
        for name in landed_fields(self._entry):
            columns[f"f.{name}"] = self._column(name)
        return pa.table(columns)

    def _bytes(self) -> pa.Array:
        offsets = np.concatenate((np.zeros(1, np.int32), self._batch.ends))
        return pa.Array.from_buffers(
            pa.binary(), self._count, [None, pa.py_buffer(offsets), pa.py_buffer(self._batch.data)]
        )

    def _kinds(self) -> pa.Array:
        codes = np.full(self._count, _KINDS.index(RecordKind.DATA), np.int8)
        codes[list(self._batch.kinds)] = [_KINDS.index(kind) for kind in self._batch.kinds.values()]
        return pa.DictionaryArray.from_arrays(codes, pa.array([str(kind) for kind in _KINDS], pa.string()))

    def _defects(self) -> pa.Array:
        found = sorted(self._batch.defects.items())
        lengths = np.zeros(self._count, np.int32)
        lengths[[index for index, _ in found]] = [len(words) for _, words in found]
        offsets = np.concatenate((np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)))
        words = pa.array([word for _, words in found for word in words], pa.string())
        return pa.ListArray.from_arrays(offsets, words)

    def _texts(self, whole: pa.Array) -> dict[str, pa.Array]:
        texts = self._batch.texts or {}
        if not texts:
            return {"raw": pa.nulls(self._count, pa.binary()), "text": whole.view(pa.string())}
        mask = np.zeros(self._count, np.bool_)
        mask[list(texts)] = True
        is_special = pa.array(mask)
        found = [None if text is None else text.encode() for _, text in sorted(texts.items())]
        text = pc.replace_with_mask(whole, is_special, pa.array(found, pa.binary()))
        raw = pc.if_else(is_special, whole, pa.scalar(None, pa.binary()))
        return {"raw": raw, "text": text.view(pa.string())}

    def _column(self, name: str) -> pa.Array:
        values = self._batch.columns.get(name)
        if values is None:
            return pa.nulls(self._count, pa.string())
        return values if isinstance(values, pa.Array) else pa.array(values, pa.string())


class _Counted(io.RawIOBase):
    """Counts the bytes that a reader could have seen, independently of what it says."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = read_into(self._stream, buffer)
        self.count += count
        return count

    def drain(self) -> None:
        buffer = bytearray(_CHUNK)
        while self.readinto(memoryview(buffer)):
            pass


def _tiling(batches: Iterable[Batch], path: str) -> Iterator[Batch]:
    offset = number = 0
    for batch in batches:
        is_cut = not len(batch) or batch.ends[-1] != len(batch.data) or batch.ends[0] < 1
        if is_cut or batch.offset != offset or batch.number != number or not _rises(batch):
            raise BooksDoNotBalance(file=path, problem=f"record {number} does not begin where the one before ended")
        offset, number = offset + len(batch.data), number + len(batch)
        yield batch


def _rises(batch: Batch) -> bool:
    return bool((np.diff(batch.ends) > 0).all())
