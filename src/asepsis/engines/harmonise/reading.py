"""Which reader reads the files of an entry: one function per format, each from bytes to batches that tile them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO, Final

from asepsis.harmonise.entries import FileEntry, Reader
from asepsis.harmonise.extraction import hl7_paths
from asepsis.harmonise.readers import ccda, companion, dbase, delimited, ebcdic, hl7v2, ndjson, sqldump, transcript, x12
from asepsis.harmonise.readers.batch import Batch
from asepsis.harmonise.readers.plain import plain_lines
from asepsis.harmonise.readers.x12paths import parse_path
from asepsis.harmonise.readers.xpaths import compile_xpath


def read_batches(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    """The records of a stream as the entry says; of delimited text also which of them are plain."""
    batches = _READERS[entry.reader](entry, stream)
    return (_with_plain(entry, batch) for batch in batches) if entry.is_delimited else batches


def _with_plain(entry: FileEntry, batch: Batch) -> Batch:
    shape = entry.shape
    unusual = "\\" if shape.dialect is not None else shape.quote or ""
    found = plain_lines(batch, delimiter=shape.delimiter, columns=len(entry.columns), unusual=unusual)
    return replace(batch, plain=found)


def _ebcdic(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    if entry.layout is None:
        return iter(())
    return ebcdic.read(stream, layout=entry.layout, encoding=entry.encoding, options=entry.mainframe)


def _delimited(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    header = (entry.shape.delimiter, entry.columns) if entry.shape.header else None
    return delimited.read(stream, decoding=entry.decoding, header=header)


def _fixed_width(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    return delimited.read(stream, decoding=entry.decoding, skip_header=entry.shape.header)


def _hl7v2(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    segments = entry.shape.segments
    return hl7v2.read(stream, decoding=entry.decoding, segments=segments, paths=hl7_paths(entry))


def _sqldump(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    dialect = entry.shape.dialect or sqldump.Dialect.MYSQL
    table, columns = entry.shape.table, entry.columns
    return sqldump.read(stream, dialect=dialect, table=table, columns=columns, decoding=entry.decoding)


def _transcript(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    return transcript.read(stream, columns=entry.columns, is_sheet=entry.reader is Reader.EXCEL)


def _x12(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    paths = {name: path for name, text in entry.paths.items() if (path := parse_path(text)) is not None}
    return x12.read(stream, encoding=entry.encoding, segments=entry.shape.segments, paths=paths)


def _ccda(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    frames = {name: xpath for name, text in entry.shape.frames.items() if (xpath := compile_xpath(text)) is not None}
    paths = {name: xpath for name, text in entry.paths.items() if (xpath := compile_xpath(text)) is not None}
    return ccda.read(stream, encoding=entry.encoding, wanted=ccda.Wanted(frames=frames, paths=paths))


def _copybook(entry: FileEntry, stream: BinaryIO) -> Iterator[Batch]:
    return companion.read(stream, understood=lambda data: companion.layout_of(data, entry.encoding))


_READERS: Final[dict[Reader, Callable[[FileEntry, BinaryIO], Iterator[Batch]]]] = {
    Reader.EBCDIC: _ebcdic,
    Reader.DBASE: lambda entry, stream: dbase.read(stream, encoding=entry.encoding),
    Reader.NDJSON: lambda _, stream: ndjson.read(stream),
    Reader.DELIMITED: _delimited,
    Reader.FIXED_WIDTH: _fixed_width,
    Reader.HL7V2: _hl7v2,
    Reader.SQLDUMP: _sqldump,
    Reader.STATISTICS: _transcript,
    Reader.EXCEL: _transcript,
    Reader.ACCESS: _transcript,
    Reader.X12: _x12,
    Reader.CCDA: _ccda,
    Reader.COPYBOOK: _copybook,
    Reader.FHIR_MANIFEST: lambda _, stream: companion.read(stream, understood=companion.exported_counts),
}
