r"""Transcripts of tables without physical lines (see ``asepsis.harmonise.transcript``): one record per line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, Final

import numpy as np

from asepsis.harmonise.readers.batch import Batch, counted, of_lines
from asepsis.harmonise.readers.lines import Decoding, Found, Lines, decode_lines, read_lines
from asepsis.harmonise.readers.record import Limits, RecordKind
from asepsis.harmonise.transcript import ASIDE, END, NULL

BLANK_ROW: Final = "-blank_row"
CELL_ERROR: Final = "cell_error"
HEADER_DIFFERS: Final = "header_differs"
CELL_ERRORS: Final = frozenset(
    {b"#DIV/0!", b"#N/A", b"#NAME?", b"#NULL!", b"#NUM!", b"#REF!", b"#VALUE!", b"#GETTING_DATA", b"#SPILL!", b"#CALC!"}
)


def read(
    stream: BinaryIO, *, columns: Sequence[str], is_sheet: bool = False, limits: Limits | None = None
) -> Iterator[Batch]:
    """Yield every line. Where the names are not those declared, no value is certain and every row says so.

    ``is_sheet``: blank rows are left out by design, and the words of failed formulas are a defect of their field.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    return counted(_Reading(tuple(columns), is_sheet=is_sheet).batches(stream, limits), limits=limits)


class _Reading:
    def __init__(self, columns: tuple[str, ...], *, is_sheet: bool) -> None:
        self._columns = columns
        self._is_sheet = is_sheet
        self._is_headed = False
        self._differs = False
        self._blank = b"\t".join([NULL.encode()] * len(columns)) + b"\n"

    def batches(self, stream: BinaryIO, limits: Limits) -> Iterator[Batch]:
        """Every line of the stream."""
        for block in read_lines(stream, limits=limits):
            found = decode_lines(block, Decoding())
            declared = self._judge(block, found)
            rows = len(block) - len(found.kinds)
            yield replace(of_lines(block, found), declared=declared, counted=rows)

    def _judge(self, block: Lines, found: Found) -> int | None:
        """Find out what each line is; returns the declared number of rows where the last line is among them."""
        for index in [index for index, kind in found.kinds.items() if kind is RecordKind.HEADER]:
            del found.kinds[index]  # a row of blank values is a row
        declared = self._set_aside(block, found)
        if not self._is_headed:
            self._take_names(block, found)
        if self._differs:
            for index in self._rows(block, found):
                found.add(index, HEADER_DIFFERS)
        elif self._is_sheet:
            for index in self._rows(block, found):
                self._judge_cells(index, block.line(index), found)
        return declared

    def _set_aside(self, block: Lines, found: Found) -> int | None:
        """Lines that are no rows: only these begin with a backslash and one of two signs."""
        numbers, starts = block.numbers, block.starts
        signs = numbers[np.minimum(starts + 1, len(numbers) - 1)]
        is_marked = (numbers[starts] == END[0]) & ((signs == END[1]) | (signs == ASIDE[1]))
        declared = None
        for index in np.flatnonzero(is_marked).tolist():
            if index not in block.too_long:
                found.kinds[index] = RecordKind.HEADER
                line = block.line(index)
                declared = _count(line) if line.startswith(END) else declared
        return declared

    def _take_names(self, block: Lines, found: Found) -> None:
        for index in self._rows(block, found):
            found.kinds[index] = RecordKind.HEADER
            names = block.line(index).decode("utf-8", "replace").rstrip("\n").split("\t")
            self._is_headed, self._differs = True, tuple(names) != self._columns
            return

    def _rows(self, block: Lines, found: Found) -> Iterator[int]:
        return (index for index in range(len(block)) if index not in found.kinds)

    def _judge_cells(self, index: int, line: bytes, found: Found) -> None:
        if line == self._blank:
            found.add(index, BLANK_ROW)
        elif b"#" in line:
            for name, value in zip(self._columns, line.rstrip(b"\n").split(b"\t"), strict=False):
                if value in CELL_ERRORS:
                    found.add(index, f"{CELL_ERROR}@{name}")


def _count(line: bytes) -> int | None:
    number = line[len(END) :].strip()
    return int(number) if number.isdigit() else None
