"""Delimited and fixed-width text: one physical line per record, so that no quote can swallow the lines after it.

Only framing and decoding are done here; the engine cuts the values out of the text set-based. A declared header is
compared: where it names other columns, every record of the file is set aside, because no value would be certain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from asepsis.harmonise.readers.batch import Batch, counted, of_lines
from asepsis.harmonise.readers.copybook import field_name
from asepsis.harmonise.readers.lines import Decoding, Found, Lines, decode_lines, read_lines
from asepsis.harmonise.readers.record import Limits, RecordKind

HEADER_DIFFERS = "header_differs"


def read(
    stream: BinaryIO,
    *,
    decoding: Decoding,
    header: tuple[str, tuple[str, ...]] | None = None,
    skip_header: bool = False,
    limits: Limits | None = None,
) -> Iterator[Batch]:
    """Yield every line; ``header`` is the delimiter and the column names that the first line must hold.

    ``skip_header``: the first line is a header whose words are not compared.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    return counted(_batches(stream, decoding, (header, skip_header), limits), limits=limits)


_Header = tuple[tuple[str, tuple[str, ...]] | None, bool]


def _batches(stream: BinaryIO, decoding: Decoding, expected: _Header, limits: Limits) -> Iterator[Batch]:
    differs = False
    header, skips = expected
    for block in read_lines(stream, limits=limits):
        found = decode_lines(block, decoding)
        if (header is not None or skips) and block.number == 0 and 0 not in found.kinds:
            differs = header is not None and _names(block, found, header[0]) != header[1]
            found.kinds[0] = RecordKind.HEADER
        if differs:
            for index in range(len(block)):
                found.add(index, HEADER_DIFFERS)
        yield of_lines(block, found)


def _names(block: Lines, found: Found, delimiter: str) -> tuple[str, ...]:
    text = found.texts.get(0, "") if 0 in found.texts else block.line(0).decode("utf-8", "replace")
    return tuple(field_name(name.strip().strip('"')) for name in (text or "").rstrip("\r\n").split(delimiter))
