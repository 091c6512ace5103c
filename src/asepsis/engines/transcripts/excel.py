"""Sheets of Excel and OpenDocument files by calamine. Runs inside a confined process only.

Results of formulas are read, never computed; macros never run. Where a formula failed, calamine gives an empty cell:
in xlsx and xls files the words of failed formulas (``#DIV/0!``) are taken from the sheet itself; in xlsb and ods files
they are lost.
"""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, BinaryIO, Final

from python_calamine import CalamineWorkbook, WorksheetNotFound

from asepsis.engines.transcripts import cell_errors, cell_errors_xls
from asepsis.engines.transcripts.names import column_names
from asepsis.engines.transcripts.order import Order, TableAbsentError, TooLargeError
from asepsis.engines.transcripts.values import clock, number
from asepsis.harmonise.transcript import aside, end, line

MOST_MEMBERS: Final = 10_000
MOST_BYTES: Final = 2 << 30
_ZIP: Final = b"PK\3\4"

Row = Sequence[str | None]


def transcript(file: BinaryIO, order: Order) -> Iterator[bytes]:
    """Every row of one sheet.

    Raises:
        TableAbsentError: there is no such sheet.
        TooLargeError: the archive says that it unpacks to too much.
        Exception: whatever the libraries say of a damaged file.
    """
    failed = _failed(file, order.table)
    file.seek(0)
    try:
        sheet = CalamineWorkbook.from_filelike(file).get_sheet_by_name(order.table)
    except WorksheetNotFound:
        raise TableAbsentError from None
    if not order.header_row:
        yield line(order.columns)
    rows = 0
    for place, row in enumerate(_rows(sheet, failed), start=1):
        if place < order.header_row:
            yield aside(row)
        elif place == order.header_row:
            yield line(column_names(row))
        else:
            yield line(row)
            rows += 1
    yield end(rows)


def _failed(file: BinaryIO, sheet: str) -> Mapping[tuple[int, int], str]:
    beginning = file.read(len(cell_errors_xls.MAGIC))
    if beginning == cell_errors_xls.MAGIC:
        return cell_errors_xls.failed_cells(beginning + file.read(), sheet)
    if not beginning.startswith(_ZIP):
        return {}
    with zipfile.ZipFile(file) as archive:
        check_sizes(archive)
        return cell_errors.failed_cells(archive, sheet)


def check_sizes(archive: zipfile.ZipFile) -> None:
    """Refuse what says that it unpacks to too much; memory is limited besides, for those that say less than is true.

    Raises:
        TooLargeError: it does.
    """
    members = archive.infolist()
    if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_BYTES:
        raise TooLargeError


def _rows(sheet: Any, failed: Mapping[tuple[int, int], str]) -> Iterator[Row]:
    """Rows from the first of the sheet on, each as wide as the widest."""
    for place, cells in enumerate(sheet.to_python(skip_empty_area=False)):
        values = [_text(cell) for cell in cells]
        if failed:
            values = [failed.get((place, column), value) for column, value in enumerate(values)]
        yield values


def _text(cell: Any) -> str | None:
    """A cell: what is empty is null, true and false are words, elapsed time may exceed 24 hours."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        return number(cell)
    if isinstance(cell, dt.timedelta):
        return clock(Decimal(cell // dt.timedelta(microseconds=1)) / 1_000_000)
    return str(cell.isoformat())
