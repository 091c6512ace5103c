"""Newline-delimited JSON: one record per line, its line end included in its bytes.

Only the framing is done here; the fields are taken out of the text set-based by the engine. Blank lines are header
records. What a line may not be (too long, too deep, not UTF-8) is a defect, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np

from asepsis.harmonise.readers.batch import Batch, counted, of_lines
from asepsis.harmonise.readers.lines import Decoding, Lines, decode_lines, read_lines
from asepsis.harmonise.readers.record import Limits

_BRACKET_BIT: Final = ord("[") ^ ord("{")
_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def read(stream: BinaryIO, *, limits: Limits | None = None) -> Iterator[Batch]:
    """Yield every line of the stream.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    return counted(_batches(stream, limits), limits=limits)


def _batches(stream: BinaryIO, limits: Limits) -> Iterator[Batch]:
    decoding = Decoding(drops_nul=False)
    for block in read_lines(stream, limits=limits):
        found = decode_lines(block, decoding)
        for index in _suspects(block, limits.nesting):
            if index not in found.kinds and _depth(block.line(index)) > limits.nesting:
                found.add(index, "nested_too_deep")
                found.texts[index] = None
        yield of_lines(block, found)


def _suspects(lines: Lines, nesting: int) -> list[int]:
    """The lines that open more brackets than may be nested; ``[`` and ``{`` differ in one bit."""
    if not len(lines):
        return []
    counts = lines.count((lines.numbers | _BRACKET_BIT) == ord("{"))
    return [int(index) for index in np.flatnonzero(counts > nesting)]


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
