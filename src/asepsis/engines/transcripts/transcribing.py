"""Transcribing binary tables: a confined process writes the transcript, this side reads it over a pipe.

Invariant: a transcript that ends has been written whole; whatever else happens to the process that writes it - a
refusal, a crash, a limit - is an error that says nothing of the file's content.
"""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

import asepsis
from asepsis.engines.transcripts.order import Kind, Order, Refusal
from asepsis.errors import AsepsisError
from asepsis.errors.harmonise import (
    LimitExceeded,
    TableFileDamaged,
    TableMissing,
    TableReaderMissing,
)
from asepsis.harmonise.entries import FileEntry, Reader
from asepsis.harmonise.transcript import LONGEST_END, is_whole

MEMORY: Final = 4 << 30
"""Bytes of address space of the process that reads a file."""
LARGEST: Final = 64 << 30
"""Bytes of a file that is transcribed."""

_SECONDS: Final = 120
_BYTES_PER_SECOND: Final = 200_000
_CHUNK: Final = 1 << 20
_PIPE: Final = 1 << 16
_KINDS: Final = {
    Reader.STATISTICS: Kind.STATISTICS,
    Reader.EXCEL: Kind.EXCEL,
    Reader.ACCESS: Kind.ACCESS,
}
_BEGIN: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from asepsis.engines.transcripts.inside import main; sys.exit(main(sys.argv[2:]))"
)


def transcribe(
    entry: FileEntry, stream: BinaryIO, *, name: str, workdir: Path | None = None, memory: int = MEMORY
) -> BinaryIO:
    """The transcript of a file, or the stream itself where the reader of the entry reads bytes as they are.

    The file is read to its end before anything comes out. It lies in ``workdir`` meanwhile, in a file without a name.

    Raises:
        TableReaderMissing: a library or program is not installed.
        TableFileDamaged: while reading, if the file cannot be read whole.
        TableMissing: while reading, if the file has no such sheet or table.
        LimitExceeded: the file is too large, or reading it took too much memory or time.
    """
    if entry.reader not in _KINDS:
        return stream
    kind = _KINDS[entry.reader]
    programs = _programs() if kind is Kind.ACCESS else ""
    with tempfile.TemporaryFile(dir=workdir) as spool:
        size = _copy(stream, spool)
        shape = entry.shape
        order = Order(
            kind=kind,
            memory=memory,
            seconds=_SECONDS + size // _BYTES_PER_SECOND,
            form=str(shape.form or ""),
            table=shape.table,
            header_row=shape.header_row,
            columns=entry.columns,
            labels=shape.labels,
            missing=shape.missing,
            charset=shape.charset,
            programs=programs,
        )
        return io.BufferedReader(_Transcript(spool, order, name), _CHUNK)


def _programs() -> str:
    found = shutil.which("mdb-export")
    if found is None:
        raise TableReaderMissing(reader="access", needed="the program mdb-export (Debian package mdbtools)")
    return str(Path(found).parent)


def _copy(stream: BinaryIO, spool: BinaryIO) -> int:
    size = 0
    while data := stream.read(_CHUNK):
        size += len(data)
        if size > LARGEST:
            raise LimitExceeded(limit="transcribed_bytes")
        spool.write(data)
    spool.flush()
    spool.seek(0)
    return size


class _Transcript(io.RawIOBase):
    """What the process writes. The end is only an end after it said that it is done."""

    def __init__(self, spool: BinaryIO, order: Order, name: str) -> None:
        self._order = order
        self._name = name
        self._tail = b""
        root = str(Path(asepsis.__file__).parent.parent)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-I", "-c", _BEGIN, root, order.to_text()],
            stdin=spool,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
            cwd="/",
            pipesize=_PIPE,
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._process.stdout is None:
            return 0
        count = self._process.stdout.readinto1(buffer)  # type: ignore[attr-defined]
        if not count:
            self._finish()
            return 0
        self._tail = (self._tail + bytes(buffer[max(0, count - LONGEST_END) : count]))[-LONGEST_END:]
        return int(count)

    def close(self) -> None:
        """End the process, whatever it does."""
        if not self.closed:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
        super().close()

    def _finish(self) -> None:
        code = self._process.wait()
        if code or not is_whole(self._tail):
            raise self._error(code)

    def _error(self, code: int) -> AsepsisError:
        reader = self._order.kind.value
        if code == Refusal.LIBRARY_MISSING:
            return TableReaderMissing(reader=reader, needed="the extra 'tables'")
        if code == Refusal.TABLE_MISSING:
            return TableMissing(file=self._name, table=self._order.table)
        if code == Refusal.LIMIT:
            return LimitExceeded(limit="memory of a table file")
        if code == -signal.SIGXCPU:
            return LimitExceeded(limit="processor time of a table file")
        return TableFileDamaged(file=self._name, reader=reader)
