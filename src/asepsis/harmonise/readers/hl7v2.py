r"""HL7 v2 (ER7) files: one segment per record, with the message it belongs to.

Segments end at CR, LF or both; separators come from each message's MSH; byte order mark and MLLP frames (VT, FS) are
taken off the text. Records that a mapping reads are data; segments that are only read together with them (``MSH``,
``PID``, ...) are context; batch and file envelopes (FHS, BHS, BTS, FTS) are header. What is no segment, or is a message
without a body, is data with a defect: it is set aside with its bytes. ``BTS-1`` declares the number of messages.
Source: HL7 Version 2.5.1, chapter 2.6 (message construction rules) and 2.10.3 (batch protocol).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from asepsis.harmonise.readers.batch import Batch, counted, ends_of
from asepsis.harmonise.readers.lines import Decoding, Found, Lines, decode_lines, read_lines
from asepsis.harmonise.readers.record import Limits, RecordKind

MESSAGE: Final = "message"
SEPARATORS: Final = "separators"
SEGMENT: Final = "segment"
_DEFAULT: Final = "|^~\\&"
_ENVELOPE: Final = frozenset({b"FHS", b"BHS", b"BTS", b"FTS"})
_ALWAYS: Final = frozenset({b"MSH", b"EVN"})
_FRAME: Final = b"\x0b"
_FRAME_END: Final = b"\x1c"
_MARK: Final = b"\xef\xbb\xbf"
_NAME: Final = re.compile(rb"[A-Z][A-Z0-9]{2}$")
_HEAD: Final = 3
_SEPARATED: Final = slice(3, 8)
_LOOSE: Final = _MARK + _FRAME


def context_column(segment: str) -> str:
    """The column that holds the number of the record of that segment which a record is read together with."""
    return f"at_{segment.lower()}"


def read(
    stream: BinaryIO,
    *,
    decoding: Decoding,
    segments: Sequence[str],
    context: Sequence[str] = (),
    limits: Limits | None = None,
) -> Iterator[Batch]:
    """Yield every segment; ``segments`` are data, ``context`` are those that data is read together with.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    state = _State(frozenset(name.encode() for name in segments), tuple(name.encode() for name in context))
    return counted(_batches(stream, decoding, state, limits), limits=limits)


@dataclass(slots=True)
class _State:
    """Where reading is: the message, its separators, and the last segment of each kind of context in it."""

    segments: frozenset[bytes]
    context: tuple[bytes, ...]
    message: int = -1
    separators: str = _DEFAULT
    last: dict[bytes, str] = field(default_factory=dict)
    columns: dict[str, list[str | None]] = field(default_factory=dict)
    bodies: int = 0
    declared: int | None = None

    def begin(self, count: int) -> None:
        """Make room for the columns of one batch."""
        names = [SEGMENT, MESSAGE, SEPARATORS, *(context_column(name.decode()) for name in self.context)]
        self.columns = {name: [None] * count for name in names}
        self.bodies = 0
        self.declared = None


def _batches(stream: BinaryIO, decoding: Decoding, state: _State, limits: Limits) -> Iterator[Batch]:
    """A message header is judged by what follows it, so the last line of a block waits for the next block."""
    held: list[bytes] = []
    number = offset = 0
    for block in read_lines(stream, limits=limits, any_end=True):
        lines = [*held, *block.lines]
        shift = len(held)
        too_long = frozenset(index + shift for index in block.too_long)
        held = [] if block.too_long else lines[-1:]
        now = Lines(number, offset, lines[: len(lines) - len(held)], too_long)
        yield _batch(now, decoding, state, following=held[0] if held else b"")
        number, offset = number + len(now.lines), offset + sum(map(len, now.lines))
    yield _batch(Lines(number, offset, held), decoding, state, following=b"")


def _batch(block: Lines, decoding: Decoding, state: _State, *, following: bytes) -> Batch:
    found = decode_lines(block, decoding)
    state.begin(len(block.lines))
    for index, line in enumerate(block.lines):
        if index not in found.kinds:
            after = block.lines[index + 1] if index + 1 < len(block.lines) else following
            _judge(state, found, index, line, after, block.number)
    return Batch(
        number=block.number,
        offset=block.offset,
        data=b"".join(block.lines),
        ends=ends_of(map(len, block.lines)),
        kinds=found.kinds,
        defects=found.defects,
        texts=found.texts,
        columns=state.columns,
        declared=state.declared,
        counted=state.bodies,
    )


def _judge(state: _State, found: Found, index: int, line: bytes, after: bytes, first: int) -> None:
    bare = _bare(line)
    name = bare[:_HEAD]
    if name == b"MSH" and len(bare) > _HEAD + 1:
        _open_message(state, bare)
        is_body = _begins_body(after, state.separators)
        state.bodies += is_body
        if not is_body:
            found.add(index, "message_without_body")
    if bare.startswith(_FRAME_END):
        found.kinds[index] = RecordKind.HEADER
        return
    if not _NAME.match(name) or bare[_HEAD : _HEAD + 1] not in (state.separators[:1].encode(), b"\r", b"\n", b""):
        found.add(index, "not_a_segment")
        return
    _place(state, found, index, name, bare, first)


def _place(state: _State, found: Found, index: int, name: bytes, bare: bytes, first: int) -> None:
    columns = state.columns
    columns[SEGMENT][index] = name.decode()
    columns[MESSAGE][index] = str(state.message)
    columns[SEPARATORS][index] = state.separators
    if name in _ENVELOPE:
        found.kinds[index] = RecordKind.HEADER
        if name == b"BTS":
            _declare(state, bare)
        return
    if name in state.context:
        state.last[name] = str(first + index)
    for segment in state.context:
        columns[context_column(segment.decode())][index] = state.last.get(segment)
    if name in state.segments or index in found.defects:
        return
    if name in state.context or name in _ALWAYS:
        found.kinds[index] = RecordKind.CONTEXT
    else:
        found.add(index, "-segment_not_mapped")


def _open_message(state: _State, bare: bytes) -> None:
    state.message += 1
    state.last.clear()
    separators = bare[_SEPARATED].split(b"\r")[0].split(b"\n")[0]
    separators = separators[:1] + separators[1:].split(separators[:1])[0]
    text = separators.decode("latin-1")
    state.separators = text + _DEFAULT[len(text) :] if len(set(text)) == len(text) else _DEFAULT


def _begins_body(after: bytes, separators: str) -> bool:
    bare = _bare(after)
    name = bare[:_HEAD]
    is_segment = bool(_NAME.match(name)) and bare[_HEAD : _HEAD + 1] == separators[:1].encode()
    return is_segment and name != b"MSH" and name not in _ENVELOPE


def _declare(state: _State, bare: bytes) -> None:
    fields = bare.rstrip(b"\r\n").split(state.separators[:1].encode())
    if len(fields) > 1 and fields[1].isdigit() and len(fields[1]) < len(str(1 << 62)):
        state.declared = (state.declared or 0) + int(fields[1])


def _bare(line: bytes) -> bytes:
    return line.lstrip(_LOOSE) if line[:1] in (_FRAME, _MARK[:1]) else line
