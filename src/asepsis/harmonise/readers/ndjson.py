"""Newline-delimited JSON: one record per line, its line end included in its bytes.

Only the framing is done here; the fields are taken out of the text set-based by the engine (``fields`` is ``None``).
Blank lines are header records. What a line may not be (too long, too deep, not UTF-8) is a defect, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from asepsis.harmonise.readers.record import Limits, Record, RecordKind, counted

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def read(stream: BinaryIO, *, limits: Limits | None = None) -> Iterator[Record]:
    """Yield every line of the stream.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    return counted(_records(stream, limits), limits=limits)


def _records(stream: BinaryIO, limits: Limits) -> Iterator[Record]:
    number = offset = 0
    whole = True
    while line := stream.readline(limits.record_bytes):
        complete = line.endswith(b"\n") or len(line) < limits.record_bytes
        if whole and complete:
            yield _record(line, number, offset, limits.nesting)
        else:
            yield Record(number, offset, len(line), line, None, RecordKind.RESIDUE, ("record_too_long",))
        whole = complete
        number, offset = number + 1, offset + len(line)


def _record(line: bytes, number: int, offset: int, nesting: int) -> Record:
    if line.isspace():
        return Record(number, offset, len(line), line, None, RecordKind.HEADER)
    defects: tuple[str, ...] = ()
    if not line.isascii() and not _is_utf8(line):
        defects = ("not_utf8",)
    if b"\0" in line:
        defects = (*defects, "nul_byte")
    if line.count(b"{") + line.count(b"[") > nesting and _depth(line) > nesting:
        defects = (*defects, "nested_too_deep")
    return Record(number, offset, len(line), line, None, RecordKind.DATA, defects)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _depth(line: bytes) -> int:
    depth = deepest = 0
    for match in _TOKENS.finditer(line):
        token = match[0][:1]
        if token in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif token in b"]}":
            depth -= 1
    return deepest
