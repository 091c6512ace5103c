"""The fields of HL7 v2 segments, cut out of whole blocks: ``OBX-3[1].2`` is segment, field, repetition, component.

Where separators and line are plain bytes, a field is the place between two separators, found for all lines at once with
numpy; lines whose text is not their bytes, and values with escapes, are cut one by one with the same result.
Source: HL7 Version 2.5.1, chapter 2.5.4 (message delimiters) and 2.7 (use of escape sequences).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asepsis.harmonise.readers.lines import Lines

Places = NDArray[np.int64]
_PATH: Final = re.compile(r"^([A-Z][A-Z0-9]{2})-(\d{1,3})(?:\[(\d{1,2})\])?(?:\.(\d{1,3}))?(?:\.(\d{1,3}))?$")
_ESCAPES: Final = {"F": 0, "S": 1, "R": 2, "T": 4, "E": 3}
"""The letter of each escape sequence, and the separator that it stands for."""
_EMPTY: Final = ("", '""')
_LOOSE: Final = "\ufeff\x0b"
_TRAIL: Final = "\r\n\x1c"
_IS_TRAIL: Final = np.isin(np.arange(256), list(_TRAIL.encode()))
_BEYOND: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Hl7Path:
    """Segment, field (from 1), repetition (from 0), component and subcomponent (from 1)."""

    segment: str
    field: int
    repetition: int = 0
    component: int | None = None
    subcomponent: int | None = None

    @property
    def bar(self) -> int:
        """After how many field separators the field begins; MSH-1 is the first separator itself."""
        return self.field - 1 if self.segment == "MSH" else self.field

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """How to go on inside the field: which separator, and which part (from 1) between it."""
        inner = ((1, self.component), (4, self.subcomponent))
        return ((2, self.repetition + 1), *((sign, part) for sign, part in inner if part is not None))


def parse_path(text: str) -> Hl7Path | None:
    """A path like ``PID-3[0].1.2``, or nothing if it is none."""
    match = _PATH.match(text)
    if match is None or int(match[2]) < 1 or (match[1] == "MSH" and match[2] == "1"):
        return None
    component, subcomponent = (int(match[n]) if match[n] else None for n in (4, 5))
    return Hl7Path(match[1], int(match[2]), int(match[3] or 0), component, subcomponent)


class Fields:
    """Cuts values out of one block of lines.

    ``heads`` are where the segments begin; ``texts`` the text of those lines whose text is not their bytes.
    """

    def __init__(self, lines: Lines, heads: Places, texts: Mapping[int, str | None]) -> None:
        self._lines = lines
        self._heads = heads
        self._texts = texts
        self._has_text = np.zeros(len(lines), np.bool_)
        self._has_text[list(texts)] = True
        self._stops = _without_trail(lines.numbers, heads, lines.ends)
        self._found: dict[str, Places] = {}

    def values(self, path: Hl7Path, rows: Places, separators: Sequence[str], which: Places) -> pa.Array:
        """The values of a path in some lines; ``which`` says for each line which of the separators are its own."""
        values = pa.nulls(len(rows), pa.string())
        for number in np.unique(which).tolist():
            is_own = which == number
            own = self._values(path, rows[is_own], separators[number])
            if len(own) == len(rows):
                return own
            places = np.full(len(rows), len(own))
            places[is_own] = np.arange(len(own))
            taken = own.take(pa.array(places, mask=~is_own))
            values = pa.compute.coalesce(values, taken)
        return values

    def _values(self, path: Hl7Path, rows: Places, separators: str) -> pa.Array:
        starts, stops, is_there = self._cut(path, rows, separators)
        is_plain = ~self._has_text[rows]
        lengths = np.where(is_there & is_plain, stops - starts, 0)
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        data = self._lines.numbers[np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])]
        special = self._special(path, rows, separators, data, offsets, is_plain)
        two_quotes = (lengths == len(_EMPTY[1])) & (_at(data, offsets[:-1]) == ord('"'))
        two_quotes &= _at(data, offsets[:-1] + 1) == ord('"')
        nothing = (lengths == 0) | two_quotes
        buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
        values = pa.Array.from_buffers(pa.string(), len(rows), buffers)
        values = pa.compute.if_else(pa.array(nothing), pa.scalar(None, pa.string()), values)
        if not special:
            return values
        mask = np.zeros(len(rows), np.bool_)
        mask[list(special)] = True
        found = [special[index] for index in sorted(special)]
        return pa.compute.replace_with_mask(values, pa.array(mask), pa.array(found, pa.string()))

    def _cut(self, path: Hl7Path, rows: Places, separators: str) -> tuple[Places, Places, NDArray[np.bool_]]:
        heads, stops = self._heads[rows], self._stops[rows]
        starts, stops, is_there = self._part(heads, stops, separators[0], path.bar + 1)
        for sign, part in path.parts:
            starts, stops, is_inside = self._part(starts, stops, separators[sign], part)
            is_there &= is_inside
        return starts, stops, is_there

    def _part(
        self, starts: Places, stops: Places, separator: str, part: int
    ) -> tuple[Places, Places, NDArray[np.bool_]]:
        """The part (from 1) between separators inside each place; outside of it, an empty place."""
        marks = self._marks(separator)
        first = np.searchsorted(marks, starts)
        if part > 1:
            before = _at(marks, first + part - 2, beyond=_BEYOND)
            is_there = before < stops
            starts = np.where(is_there, before + 1, stops)
        else:
            is_there = starts <= stops
        after = _at(marks, first + part - 1, beyond=_BEYOND)
        return starts, np.where(is_there, np.minimum(after, stops), stops), is_there

    def _marks(self, separator: str) -> Places:
        if separator not in self._found:
            self._found[separator] = np.flatnonzero(self._lines.numbers == ord(separator))
        return self._found[separator]

    def _special(
        self,
        path: Hl7Path,
        rows: Places,
        separators: str,
        data: NDArray[np.uint8],
        offsets: Places,
        is_plain: NDArray[np.bool_],
    ) -> dict[int, str | None]:
        """The values that are cut one by one: of lines with a text of their own, and those that hold an escape."""
        special = {int(index): self._one(path, int(rows[index]), separators) for index in np.flatnonzero(~is_plain)}
        escapes = np.flatnonzero(data == ord(separators[_ESCAPES["E"]]))
        for index in np.unique(np.searchsorted(offsets, escapes, side="right") - 1).tolist():
            raw = data[int(offsets[index]) : int(offsets[index + 1])].tobytes()
            special[index] = _meaning(raw.decode("utf-8", "replace"), separators)
        return special

    def _one(self, path: Hl7Path, row: int, separators: str) -> str | None:
        text = self._texts.get(row, self._lines.line(row).decode("utf-8", "replace"))
        if text is None:
            return None
        value = _nth(text.lstrip(_LOOSE).rstrip(_TRAIL), separators[0], path.bar + 1)
        for sign, part in path.parts:
            value = _nth(value, separators[sign], part)
        return _meaning(value, separators)


def _without_trail(numbers: NDArray[np.uint8], heads: Places, ends: Places) -> Places:
    """Where the segments end, without line ends and frame ends."""
    stops = ends.copy()
    while True:
        is_trail = (stops > heads) & _IS_TRAIL[_at(numbers, stops - 1)]
        if not is_trail.any():
            return stops
        stops -= is_trail


def _at(array: NDArray[np.int64] | NDArray[np.uint8], places: Places, beyond: int = 0) -> NDArray[np.int64]:
    """The items at some places, or ``beyond`` for places that there are not."""
    padded = np.append(array, np.array([beyond], array.dtype))
    return cast("NDArray[np.int64]", padded[np.clip(places, 0, len(array))])


def _nth(text: str, separator: str, part: int) -> str:
    parts = text.split(separator, part)
    return parts[part - 1] if len(parts) >= part else ""


def _meaning(value: str, separators: str) -> str | None:
    """A value without escapes; an empty one and the explicit null are null."""
    escape = separators[_ESCAPES["E"]]
    if escape in value:
        for letter, place in _ESCAPES.items():
            value = value.replace(f"{escape}{letter}{escape}", separators[place])
    return None if value in _EMPTY else value
