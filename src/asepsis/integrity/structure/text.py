"""Text, block by block: encrypted bytes among it are neither its characters nor its encoding.

A block is judged by control characters. Noise of some dozen bytes holds many different ones; text that uses some as
separators (Hive, X12, padding) uses few different ones, again and again.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final

import numpy as np

from asepsis.integrity import spread

BLOCK: Final = 4096
# Control bytes that text of no code page built on ASCII contains; tab, line ends, form feed, HL7's vertical tab and
# file separator, escape (ISO 2022) and DOS end of file are ordinary.
_CONTROLS: Final = bytes(byte for byte in range(32) if byte not in b"\t\n\x0b\x0c\r\x1a\x1b\x1c\x1d\x1e") + b"\x7f"
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in _CONTROLS)
_CONTROL_VALUES: Final = spread.values_of(_CONTROLS)
_FEW: Final = 3
_MANY_KINDS: Final = 6
_SHARE: Final = 0.02
_SEPARATORS_SHARE: Final = 0.25
_SMALLEST: Final = 512
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_ANY_MARK: Final = tuple(mark for mark, _ in _MARKS)
_UNREADABLE: Final = "format.unreadable_text"
_BROKEN: Final = "format.encoding_broken"


def is_text(block: bytes) -> bool:
    """Whether a block of at most some thousand bytes can be text of a code page that is built on ASCII."""
    controls = block.translate(None, _OTHERS)
    if len(controls) <= _FEW:
        return True
    kinds = len(set(controls))
    if len(controls) > len(block) * _SHARE:
        return kinds <= _FEW and len(controls) <= len(block) * _SEPARATORS_SHARE
    return kinds < _MANY_KINDS


def controls_in(counts: spread.Counts) -> int:
    """How many control bytes there are that text does not have."""
    return spread.number_of(counts, _CONTROL_VALUES)


def is_mostly_text(head: bytes, *, controls: int) -> bool:
    """Whether the first block and more than half of all can be text; much that is binary has text further on.

    With as few ``controls`` as one block may have, all are.
    """
    if controls <= _FEW:
        return True
    if not is_text(head[:BLOCK]):
        return False
    found = [is_text(head[at : at + BLOCK]) for at in range(0, len(head), BLOCK)]
    return sum(found) * 2 > len(found)


def marked_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark announces."""
    if not head.startswith(_ANY_MARK):
        return None
    return next(name for mark, name in _MARKS if head.startswith(mark))


class TextTest:
    """Takes a text piece by piece; ``faults`` are what was found so far.

    With a declared encoding all of it must decode. Without, the first bytes beyond ASCII decide: if they are UTF-8,
    everything after them must be, too. ``controls`` is the number of control bytes in the first piece.
    """

    def __init__(self, encoding: str | None, *, controls: int) -> None:
        self.faults: set[str] = set()
        self._is_plain = controls <= _FEW
        self._decoder = None if encoding is None else codecs.getincrementaldecoder(encoding)("strict")
        self._is_wide = encoding is not None and encoding.startswith("utf-16")
        self._is_open = encoding is None

    def watch(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass pieces on, testing each."""
        for piece in pieces:
            self._test(piece)
            yield piece
        if self._decoder is not None and _BROKEN not in self.faults:
            self._decode(b"", is_last=True)

    def _test(self, piece: bytes) -> None:
        if not (self._is_wide or self._is_plain or _is_text_throughout(piece)):
            self.faults.add(_UNREADABLE)
        self._is_plain = False
        if self._is_open and not piece.isascii():
            self._settle(piece)
        elif self._decoder is not None and _BROKEN not in self.faults:
            self._decode(piece, is_last=False)

    def _settle(self, piece: bytes) -> None:
        self._is_open = False
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        try:
            decoder.decode(piece)
        except UnicodeDecodeError:
            return
        self._decoder = decoder

    def _decode(self, piece: bytes, *, is_last: bool) -> None:
        if self._decoder is None:
            return
        try:
            self._decoder.decode(piece, is_last)
        except UnicodeDecodeError:
            self.faults.add(_BROKEN)


def _is_text_throughout(piece: bytes) -> bool:
    """Whether every block is text; a piece with as few controls as one block may have is done with at once."""
    values = np.frombuffer(piece, dtype=np.uint8)
    controls = np.count_nonzero(values < 9) + np.count_nonzero(values - 14 < 12)  # noqa: PLR2004 - those of _CONTROLS
    controls += np.count_nonzero(values == 31) + np.count_nonzero(values == 127)  # noqa: PLR2004
    return bool(controls <= _FEW) or all(is_text(piece[at : at + BLOCK]) for at in range(0, len(piece), BLOCK))
