"""Landing: every record of every file goes into a table with its place and its raw bytes, before anything is judged.

Invariant: the byte ranges of a file's records tile the file; a gap or an overlap stops the run.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Final

import duckdb
import pyarrow as pa

from asepsis.domain.names import Digest
from asepsis.engines.harmonise.guard import guarded
from asepsis.errors.harmonise import BooksDoNotBalance
from asepsis.harmonise.expressions import quote_name
from asepsis.harmonise.mapping import FileEntry, Reader
from asepsis.harmonise.readers import dbase, ebcdic, ndjson
from asepsis.harmonise.readers.gunzip import gunzip
from asepsis.harmonise.readers.record import Record
from asepsis.harmonise.staging import landed_table

_BATCH: Final = 20_000
_BATCH_BYTES: Final = 32 << 20

Opener = Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """One landed file: what it is (digest of the stored bytes) and how many bytes were read and landed."""

    file_id: int
    path: str
    entry: str
    digest: Digest
    size: int
    landed_bytes: int


class HashedStream(io.RawIOBase):
    """Reads through to a stream and takes the digest of every byte that passes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer and account for what was filled."""
        data = self._stream.read(len(buffer))
        self._hash.update(data)
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> Digest:
        """Read what is left and return the digest of all bytes."""
        buffer = bytearray(_BATCH)
        while self.readinto(memoryview(buffer)):
            pass
        return Digest(self._hash.hexdigest())


def create_landed(connection: duckdb.DuckDBPyConnection, entry: FileEntry) -> None:
    """Make the empty table of an entry."""
    fields = "".join(f", {quote_name(f'f.{name}')} VARCHAR" for name in _decoded(entry))
    with guarded("land"):
        connection.execute(
            f"CREATE OR REPLACE TABLE {landed_table(entry.name)} (file_id INTEGER, rec_no BIGINT, byte_off BIGINT, "
            f"byte_len BIGINT, kind VARCHAR, raw BLOB, defects VARCHAR[]{fields})"
        )


def land(
    connection: duckdb.DuckDBPyConnection,
    entry: FileEntry,
    *,
    file: tuple[int, str],
    opener: Opener,
    progress: Callable[[int], None],
) -> Landed:
    """Land one file, given its number and path.

    Raises:
        BooksDoNotBalance: the reader left out or repeated bytes.
        SourceFileDamaged: a compressed file is damaged.
        LimitExceeded: the file asks for too much.
    """
    file_id, path = file
    with opener() as opened:
        hashed = HashedStream(opened)
        plain = _Counted(gunzip(io.BufferedReader(hashed), name=path))
        records = _tiling(read_records(entry, io.BufferedReader(plain)), path)
        offset = done = 0
        for batch in _batches(records):
            _insert(connection, entry, batch, file_id)
            done += len(batch)
            offset = batch[-1].offset + batch[-1].length
            progress(done)
        plain.drain()
        digest = hashed.finish()
    return Landed(file_id=file_id, path=path, entry=entry.name, digest=digest, size=plain.count, landed_bytes=offset)


def read_records(entry: FileEntry, stream: BinaryIO) -> Iterator[Record]:
    """The records of a stream as the entry says; one branch per reader."""
    if entry.reader is Reader.EBCDIC and entry.layout is not None:
        return ebcdic.read(stream, layout=entry.layout, encoding=entry.encoding)
    if entry.reader is Reader.DBASE:
        return dbase.read(stream, encoding=entry.encoding)
    return ndjson.read(stream)


def insert_records(
    connection: duckdb.DuckDBPyConnection, entry: FileEntry, records: Sequence[Record], *, file_id: int
) -> None:
    """Put records into the landed table of their entry."""
    _insert(connection, entry, list(records), file_id)


class _Counted(io.RawIOBase):
    """Counts the bytes that a reader could have seen, independently of what it says."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        self.count += len(data)
        buffer[: len(data)] = data
        return len(data)

    def drain(self) -> None:
        buffer = bytearray(_BATCH)
        while self.readinto(memoryview(buffer)):
            pass


def _tiling(records: Iterable[Record], path: str) -> Iterator[Record]:
    offset = number = 0
    for record in records:
        if record.offset != offset or record.length != len(record.raw) or record.number != number or not record.length:
            raise BooksDoNotBalance(file=path, problem=f"record {number} does not begin where the one before ended")
        offset, number = offset + record.length, number + 1
        yield record


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, 1)):
        size = batch[0].length
        for record in records:
            batch.append(record)
            size += record.length
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                break
        yield batch


def _insert(connection: duckdb.DuckDBPyConnection, entry: FileEntry, batch: list[Record], file_id: int) -> None:
    columns = {
        "rec_no": pa.array([record.number for record in batch], pa.int64()),
        "byte_off": pa.array([record.offset for record in batch], pa.int64()),
        "byte_len": pa.array([record.length for record in batch], pa.int64()),
        "kind": pa.array([str(record.kind) for record in batch], pa.string()),
        "raw": pa.array([record.raw for record in batch], pa.binary()),
        "defects": pa.array([record.defects for record in batch], pa.list_(pa.string())),
    }
    empty: dict[str, str | None] = {}
    fields = [record.fields or empty for record in batch]
    for name in _decoded(entry):
        columns[f"f.{name}"] = pa.array([values.get(name) for values in fields], pa.string())
    with guarded("land"):
        connection.register("batch", pa.table(columns))
        connection.execute(f"INSERT INTO {landed_table(entry.name)} SELECT {file_id}, * FROM batch")
        connection.unregister("batch")


def _decoded(entry: FileEntry) -> tuple[str, ...]:
    """Fields that the reader decodes; those of NDJSON are extracted set-based in staging."""
    return () if entry.reader is Reader.NDJSON else entry.field_names
