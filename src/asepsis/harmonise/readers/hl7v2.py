r"""HL7 v2 (ER7) files: one segment per record, with the message it belongs to.

Segments end at CR, LF or both; separators come from each message's MSH; byte order mark and MLLP frames (VT, FS) are
taken off the text. Records that a mapping reads are data; segments that are only read together with them (``MSH``,
``PID``, ...) are context; batch and file envelopes (FHS, BHS, BTS, FTS) are header. What is no segment, or is a message
without a body, is data with a defect: it is set aside with its bytes. ``BTS-1`` declares the number of messages.
Source: HL7 Version 2.5.1, chapter 2.6 (message construction rules) and 2.10.3 (batch protocol).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa

from asepsis.harmonise.readers.batch import Batch, counted, of_lines
from asepsis.harmonise.readers.hl7fields import Fields, Hl7Path
from asepsis.harmonise.readers.lines import Decoding, Found, Lines, decode_lines, read_lines
from asepsis.harmonise.readers.record import Limits, RecordKind

SEGMENT: Final = "segment"
_DEFAULT: Final = "|^~\\&"
_ENVELOPE: Final = frozenset({"FHS", "BHS", "BTS", "FTS"})
_ALWAYS: Final = frozenset({"MSH", "EVN"})
_FRAME: Final = b"\x0b"
_FRAME_END: Final = b"\x1c"
_MARK: Final = b"\xef\xbb\xbf"
_NAME: Final = re.compile(rb"[A-Z][A-Z0-9]{2}$")
_HEAD: Final = 3
_SEPARATED: Final = slice(3, 8)
_LOOSE: Final = _MARK + _FRAME
_CR: Final = 13
_LF: Final = 10
_IS_LOOSE: Final = np.isin(np.arange(256), (_FRAME[0], _MARK[0]))
_IS_LETTER: Final = np.isin(np.arange(256), list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
_IS_NAME: Final = _IS_LETTER | np.isin(np.arange(256), list(b"0123456789"))


def read(
    stream: BinaryIO,
    *,
    decoding: Decoding,
    segments: Sequence[str],
    paths: Mapping[str, Hl7Path],
    limits: Limits | None = None,
) -> Iterator[Batch]:
    """Yield every segment; ``segments`` are data, and ``paths`` name the values of a record.

    A path into one of ``segments`` is a value of such a record; any other is read from the last such segment before
    the record in its message.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    state = _State(tuple(segments), paths)
    return counted(_batches(stream, decoding, state, limits), limits=limits)


@dataclass(slots=True)
class _State:
    """Where reading is: the message, its separators, and the last segment of each kind of context in it."""

    segments: tuple[str, ...]
    paths: Mapping[str, Hl7Path]
    separators: str = _DEFAULT
    is_open: dict[str, bool] = field(default_factory=dict)
    values: dict[str, str | None] = field(default_factory=dict)

    @property
    def context(self) -> tuple[str, ...]:
        """The segments that data is read together with."""
        return tuple(sorted({path.segment for path in self.paths.values()} - set(self.segments)))


def _batches(stream: BinaryIO, decoding: Decoding, state: _State, limits: Limits) -> Iterator[Batch]:
    """A message header is judged by what follows it, so the last line of a block waits for the next block."""
    held = Lines(0, 0, b"", np.zeros(0, np.int64))
    for block in read_lines(stream, limits=limits, any_end=True):
        lines = _joined(held, block)
        keep = len(lines) - (not block.too_long)
        held = _slice(lines, keep, len(lines))
        yield _batch(_slice(lines, 0, keep), decoding, state, following=held.data)
    yield _batch(held, decoding, state, following=b"")


def _joined(held: Lines, block: Lines) -> Lines:
    if not len(held):
        return block
    ends = np.concatenate((held.ends, block.ends + len(held.data)))
    too_long = frozenset(index + len(held) for index in block.too_long)
    return Lines(held.number, held.offset, held.data + block.data, ends, too_long)


def _slice(lines: Lines, first: int, last: int) -> Lines:
    start = int(lines.ends[first - 1]) if first else 0
    stop = int(lines.ends[last - 1]) if last else 0
    too_long = frozenset(index - first for index in lines.too_long if first <= index < last)
    return Lines(
        lines.number + first, lines.offset + start, lines.data[start:stop], lines.ends[first:last] - start, too_long
    )


def _batch(block: Lines, decoding: Decoding, state: _State, *, following: bytes) -> Batch:
    found = decode_lines(block, decoding)
    segments = _Segments(block, found)
    messages = _Messages(segments, state, following)
    messages.judge(found)
    batch = of_lines(block, found)
    return replace(batch, columns=messages.columns(found), declared=messages.declared(), counted=messages.bodies)


class _Segments:
    """The first bytes of every line: its name as a number, and the byte after the name.

    ``name`` is -1 where a line begins with none, ``code`` also where a line is not to be judged (blank, or a piece of
    one too long).
    """

    def __init__(self, lines: Lines, found: Found) -> None:
        self.lines = lines
        numbers, heads = lines.numbers, lines.starts
        for index in np.flatnonzero(_IS_LOOSE[numbers[heads]]).tolist():
            line = lines.line(index)
            heads[index] += len(line) - len(_bare(line))
        self.heads = heads
        lengths = lines.ends - heads
        padded = np.concatenate((numbers, np.zeros(_HEAD + 1, np.uint8)))
        letters = [padded[heads + place] for place in range(_HEAD)]
        code = (letters[0].astype(np.int64) << 16) | (letters[1].astype(np.int64) << 8) | letters[2]
        is_name = _IS_LETTER[letters[0]] & _IS_NAME[letters[1]] & _IS_NAME[letters[2]] & (lengths >= _HEAD)
        judged = np.ones(len(lines), np.bool_)
        judged[list(found.kinds)] = False
        self.judged = judged
        self.name = np.where(is_name, code, -1)
        self.code = np.where(judged, self.name, -1)
        self.after = np.where(lengths > _HEAD, padded[heads + _HEAD], 0)
        self.first = np.where(lengths > 0, letters[0], 0)
        self.is_header = (self.code == _code("MSH")) & (lengths > _HEAD + 1)

    def bare(self, index: int) -> bytes:
        """A line without byte order mark and frame."""
        return self.lines.data[int(self.heads[index]) : int(self.lines.ends[index])]


class _Messages:
    """To which message every line belongs, with which separators, and what it says."""

    def __init__(self, segments: _Segments, state: _State, following: bytes) -> None:
        self._segments = segments
        self._state = state
        self._following = following
        self._headers = np.flatnonzero(segments.is_header)
        texts = [state.separators, *(_separators(segments.bare(index)) for index in self._headers.tolist())]
        self._separators = sorted(set(texts))
        known = {text: number for number, text in enumerate(self._separators)}
        self._place = np.cumsum(segments.is_header)
        self._which = np.fromiter((known[text] for text in texts), np.int64)[self._place]
        self._marks = np.fromiter((ord(text[0]) for text in self._separators), np.int64)[self._which]
        ends_early = np.isin(segments.after, (0, _CR, _LF))
        self.is_segment = (segments.code >= 0) & (ends_early | (segments.after == self._marks))
        self.bodies = 0
        state.separators = texts[-1]

    def judge(self, found: Found) -> None:
        """Give every line its kind or its defect."""
        segments, state, code = self._segments, self._state, self._segments.code
        self._judge_headers(found)
        is_frame_end = segments.judged & (segments.first == _FRAME_END[0])
        found.kinds |= dict.fromkeys(np.flatnonzero(is_frame_end).tolist(), RecordKind.HEADER)
        for index in np.flatnonzero(segments.judged & ~self.is_segment & ~is_frame_end).tolist():
            found.add(index, "not_a_segment")
        is_envelope = self.is_segment & np.isin(code, _codes(_ENVELOPE))
        found.kinds |= dict.fromkeys(np.flatnonzero(is_envelope).tolist(), RecordKind.HEADER)
        is_open = self.is_segment & ~is_envelope & ~np.isin(code, _codes(state.segments))
        is_open[list(found.defects)] = False
        is_context = is_open & np.isin(code, _codes((*state.context, *_ALWAYS)))
        found.kinds |= dict.fromkeys(np.flatnonzero(is_context).tolist(), RecordKind.CONTEXT)
        found.defects |= dict.fromkeys(np.flatnonzero(is_open & ~is_context).tolist(), ("-segment_not_mapped",))

    def _judge_headers(self, found: Found) -> None:
        """A message must have a body: a segment with its separator that is no header or envelope."""
        segments = self._segments
        is_body = (segments.name >= 0) & ~np.isin(segments.name, _codes(("MSH", *_ENVELOPE)))
        for index in self._headers.tolist():
            after = index + 1
            mark = int(self._marks[index])
            if after < len(segments.lines):
                has_body = bool(is_body[after]) and int(segments.after[after]) == mark
            else:
                has_body = _begins_body(self._following, mark)
            self.bodies += has_body
            if not has_body:
                found.add(index, "message_without_body")

    def columns(self, found: Found) -> dict[str, pa.Array]:
        """The segment, and the values of every path."""
        segments, state = self._segments, self._state
        codes, places = np.unique(segments.code, return_inverse=True)
        names = pa.array([_name(int(code)) for code in codes], pa.string())
        columns = {SEGMENT: names.take(pa.array(places, mask=~self.is_segment))}
        fields = Fields(segments.lines, segments.heads, found.texts)
        last = {name: self._last(name) for name in state.context}
        for name, path in state.paths.items():
            rows = np.flatnonzero(self.is_segment & (segments.code == _code(path.segment)))
            values = fields.values(path, rows, self._separators, self._which[rows])
            if path.segment in last:
                values = pa.concat_arrays([pa.array([state.values.get(name)], pa.string()), values])
                columns[name] = values.take(last[path.segment])
                state.values[name] = columns[name][-1].as_py() if len(columns[name]) else state.values.get(name)
            else:
                places = np.zeros(len(segments.lines), np.int64)
                places[rows] = np.arange(len(rows))
                is_other = np.ones(len(places), np.bool_)
                is_other[rows] = False
                columns[name] = values.take(pa.array(places, mask=is_other))
        return columns

    def _last(self, name: str) -> pa.Array:
        """For each line the last such segment of its message: its number in this block from 1, 0 for one before it."""
        segments, state = self._segments, self._state
        is_own = self.is_segment & (segments.code == _code(name))
        number = np.cumsum(is_own)
        before = np.concatenate((np.zeros(1, np.int64), number[self._headers] - is_own[self._headers]))[self._place]
        is_here = number > before
        is_carried = (self._place == 0) & ~is_here & state.is_open.get(name, False)
        is_open = is_here | is_carried
        if len(is_open):
            state.is_open[name] = bool(is_open[-1])
        return pa.array(np.where(is_here, number, 0), mask=~is_open)

    def declared(self) -> int | None:
        """The messages that the batch trailers state."""
        total = None
        for index in np.flatnonzero(self.is_segment & (self._segments.code == _code("BTS"))).tolist():
            mark = chr(int(self._marks[index])).encode()
            fields = self._segments.bare(index).rstrip(b"\r\n").split(mark)
            if len(fields) > 1 and fields[1].isdigit() and len(fields[1]) < len(str(1 << 62)):
                total = (total or 0) + int(fields[1])
        return total


def _code(name: str) -> int:
    return int.from_bytes(name.encode(), "big")


def _codes(names: Iterable[str]) -> list[int]:
    return [_code(name) for name in names]


def _name(code: int) -> str | None:
    return code.to_bytes(_HEAD, "big").decode() if code >= 0 else None


def _separators(bare: bytes) -> str:
    """The five separators that a message header declares; where they are not distinct ASCII, the usual ones."""
    separators = bare[_SEPARATED].split(b"\r")[0].split(b"\n")[0]
    separators = separators[:1] + separators[1:].split(separators[:1])[0]
    text = separators.decode("latin-1")
    return text + _DEFAULT[len(text) :] if text.isascii() and len(set(text)) == len(text) else _DEFAULT


def _begins_body(after: bytes, mark: int) -> bool:
    bare = _bare(after)
    name = bare[:_HEAD]
    is_segment = bool(_NAME.match(name)) and bare[_HEAD : _HEAD + 1] == chr(mark).encode("latin-1")
    return is_segment and name != b"MSH" and name.decode() not in _ENVELOPE


def _bare(line: bytes) -> bytes:
    return line.lstrip(_LOOSE) if line[:1] in (_FRAME, _MARK[:1]) else line
