"""Tables of Access files by the programs of mdbtools, processes of their own. Runs inside a confined process only.

The programs quote text and escape inside it (tab, line ends, backslash, quotation mark), so that a tab always ends a
value and a line feed a row; here the quotation marks are taken off.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import BinaryIO, Final

from asepsis.engines.transcripts.names import column_names
from asepsis.engines.transcripts.order import Order, TableAbsentError
from asepsis.harmonise.transcript import end, line

_FORMS: Final = ("-d", "\t", "-R", "\n", "-q", '"', "-X", "\\", "-e", "-0", "\\N", "-b", "hex")
_MOMENT: Final = "%Y-%m-%dT%H:%M:%S"
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_INPUT: Final = "/proc/self/fd/0"


class ProgramFailedError(Exception):
    """A program ended with a failure."""


def transcript(file: BinaryIO, order: Order) -> Iterator[bytes]:
    """Every row of one table.

    Raises:
        TableAbsentError: there is no such table.
        ProgramFailedError: the file is damaged.
    """
    listed = _output(file, order, "mdb-tables", "-1", _INPUT).decode("utf-8", "replace").splitlines()
    if order.table not in listed:
        raise TableAbsentError
    declared = int(_output(file, order, "mdb-count", "--", _INPUT, order.table))
    options = (*_FORMS, "-D", _MOMENT, "-T", _MOMENT)
    with _started(file, order, "mdb-export", *options, "--", _INPUT, order.table) as process:
        if process.stdout is None:
            raise ProgramFailedError
        heading = process.stdout.readline().decode("utf-8", "replace").rstrip("\n")
        yield line(column_names(heading.split("\t")))
        for row in process.stdout:
            yield _unquoted(row)
    if process.returncode:
        raise ProgramFailedError
    yield end(declared)


def _started(file: BinaryIO, order: Order, program: str, *words: str) -> subprocess.Popen[bytes]:
    environment = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    if order.charset:
        environment["MDB_JET3_CHARSET"] = order.charset.upper()
    return subprocess.Popen(  # noqa: S603 - a list, no shell; the program's path was found by the parent
        [f"{order.programs}/{program}", *words],
        stdin=file.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _output(file: BinaryIO, order: Order, program: str, *words: str) -> bytes:
    with _started(file, order, program, *words) as process:
        found, _ = process.communicate()
    if process.returncode:
        raise ProgramFailedError
    return found


def _unquoted(row: bytes) -> bytes:
    if b'"' not in row:
        return row
    return b"\t".join(_value(value) for value in row.rstrip(b"\n").split(b"\t")) + b"\n"


def _value(value: bytes) -> bytes:
    if not value.startswith(b'"'):
        return value
    inner = value[1:-1]
    return _ESCAPE.sub(_kept, inner) if b'\\"' in inner else inner


def _kept(match: re.Match[bytes]) -> bytes:
    return b'"' if match[1] == b'"' else match[0]
