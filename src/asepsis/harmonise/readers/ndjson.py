"""Newline-delimited JSON: one record per line, its line end included in its bytes.

Only the framing is done here; the fields are taken out of the text set-based by the engine. Blank lines are header
records. What a line may not be (too long, too deep, not UTF-8) is a defect, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from asepsis.harmonise.readers.batch import Batch, counted, of_lines
from asepsis.harmonise.readers.lines import Decoding, Lines, decode_lines, read_lines
from asepsis.harmonise.readers.record import Limits

_BRACKET_BIT: Final = ord("[") ^ ord("{")
_WINDOW: Final = 128
_PIECE: Final = 1 << 17
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
    """The lines that open more brackets than may be nested.

    Brackets are counted in windows of bytes; only lines whose windows hold too many are counted alone.
    """
    if not len(lines):
        return []
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(_brackets(lines.numbers), dtype=np.int64)))
    most = before[(lines.ends - 1) // _WINDOW + 1] - before[lines.starts // _WINDOW]
    return [index for index in np.flatnonzero(most > nesting).tolist() if _opened(lines.line(index)) > nesting]


def _brackets(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How many brackets open in each window; ``[`` and ``{`` differ in one bit. In pieces that stay in the cache."""
    folded, found = np.empty(_PIECE, np.uint8), np.zeros(_PIECE, np.bool_)
    counts = []
    for start in range(0, len(numbers), _PIECE):
        piece = numbers[start : start + _PIECE]
        np.bitwise_or(piece, _BRACKET_BIT, out=folded[: len(piece)])
        np.equal(folded[: len(piece)], ord("{"), out=found[: len(piece)])
        found[len(piece) :] = False
        bits = np.bitwise_count(np.packbits(found).view(np.uint64))
        counts.append(bits[::2] + bits[1::2])  # two words of 64 bits are a window
    return np.concatenate(counts)


def _opened(line: bytes) -> int:
    return line.count(b"{") + line.count(b"[")


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
