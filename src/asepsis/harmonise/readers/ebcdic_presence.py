"""Which bytes of a row belong to its record, where records are shorter than the longest record of their layout."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asepsis.harmonise.readers.copybook import Span
from asepsis.harmonise.readers.text_columns import Flags

Places = npt.NDArray[np.int64]


class Presence:
    """A byte is there if it is before the size of its row and, where records have tables, one of those kept.

    ``kept`` has a row of flags for every shape of record, and ``kinds`` tell the shape of each record. A field is
    whole if its last byte is there, and begun if its first byte is.
    """

    def __init__(self, sizes: Places, kept: Flags | None = None, kinds: Places | None = None) -> None:
        self._sizes = sizes
        self._kept = kept
        self._kinds = kinds

    def whole(self, span: Span) -> Flags:
        """The records that hold the whole field."""
        return self._has(span.offset + span.length - 1)

    def begun(self, span: Span) -> Flags:
        """The records that hold at least the beginning of the field."""
        return self._has(span.offset)

    def lengths(self, span: Span, rows: Places) -> Places:
        """How many bytes of the field these records hold."""
        before: Places = np.clip(self._sizes[rows] - span.offset, 0, span.length)
        if self._kept is None or self._kinds is None:
            return before
        flags = self._kept[self._kinds[rows], span.offset : span.offset + span.length]
        found: Places = (flags & (np.arange(span.length) < before[:, None])).sum(axis=1)
        return found

    def _has(self, place: int) -> Flags:
        found: Flags = self._sizes > place
        if self._kept is None or self._kinds is None or self._kept[:, place].all():
            return found
        return found & self._kept[:, place][self._kinds]
