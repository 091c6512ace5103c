"""DICOM: every data element to the end, nested ones too, and the pixels.

DICOM PS3.5 (data elements, transfer syntaxes) and PS3.10 (the file's beginning).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from asepsis.integrity.structure.cursor import SOME, Cursor
from asepsis.integrity.structure.images import are_packets, jpeg_faults
from asepsis.integrity.structure.noise import has_noise

_DAMAGED: Final = ("format.structure_damaged",)
_IMPLICIT: Final = b"1.2.840.10008.1.2"
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_BIG: Final = b"1.2.840.10008.1.2.2"
_JPEG: Final = re.compile(rb"1\.2\.840\.10008\.1\.2\.4\.(?:50|51|57|70)")
_PACKETS: Final = re.compile(rb"1\.2\.840\.10008\.1\.2\.4\.9[0-3]")
_LONG: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_NUMERIC: Final = {
    b"DS": re.compile(rb"[0-9+\-.eE\\ \0]*"),
    b"IS": re.compile(rb"[0-9+\-\\ \0]*"),
    b"DA": re.compile(rb"[0-9.\-\\ \0]*"),
    b"TM": re.compile(rb"[0-9.:\-\\ \0]*"),
    b"UI": re.compile(rb"[0-9.\\ \0]*"),
}
_OPEN: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_PIXELS: Final = (0x7FE0, 0x0010)
_LARGEST_FRAGMENT: Final = 64 << 20
_DEEPEST: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Syntax:
    uid: bytes
    is_explicit: bool
    is_big: bool

    def number(self, content: bytes) -> int:
        return int.from_bytes(content, "big" if self.is_big else "little")


class _DamageError(Exception):
    """The elements do not follow each other."""


def dicom_faults(cursor: Cursor) -> tuple[str, ...]:
    """Follow a file's elements to its end. Raises EOFError when one is cut."""
    cursor.skip(132)
    try:
        uid = _meta(cursor)
        if uid == _DEFLATED:
            cursor = Cursor(_inflated(cursor))
        syntax = _Syntax(uid=uid, is_explicit=uid != _IMPLICIT, is_big=uid == _BIG)
        return _elements(cursor, syntax, end=None, depth=0)
    except (_DamageError, zlib.error):
        return _DAMAGED


def _meta(cursor: Cursor) -> bytes:
    """Pass the group 0002, which is always explicit and little; the transfer syntax stands in it."""
    explicit = _Syntax(uid=b"", is_explicit=True, is_big=False)
    uid = b""
    while cursor.peek(2) == b"\x02\x00":
        tag, vr, length = _header(cursor, explicit)
        value = cursor.take(_bounded(length))
        _judge_value(vr, value)
        uid = value.rstrip(b"\0 ") if tag == (2, 0x10) else uid
    if not uid:
        raise _DamageError
    return uid


def _elements(cursor: Cursor, syntax: _Syntax, *, end: int | None, depth: int) -> tuple[str, ...]:
    """Elements up to ``end``, to the end of an open item, or to the end of the file."""
    last = (0, 0)
    if depth > _DEEPEST:
        raise _DamageError
    while (end is None or cursor.position < end) and (depth or cursor.peek(1)):
        tag, vr, length = _header(cursor, syntax)
        if tag == _ITEM_END:
            return ()
        if tag <= last:
            raise _DamageError
        last = tag
        if faults := _value_faults(cursor, syntax, (tag, vr, length), depth=depth):
            return faults
    if end is not None and cursor.position != end:
        raise _DamageError
    return ()


def _value_faults(
    cursor: Cursor, syntax: _Syntax, header: tuple[tuple[int, int], bytes, int], *, depth: int
) -> tuple[str, ...]:
    tag, vr, length = header
    if tag == _PIXELS:
        return _pixel_faults(cursor, syntax, length)
    if vr == b"SQ" or length == _OPEN:
        _sequence(cursor, syntax, length, depth=depth)
    elif vr in _LONG:
        cursor.skip(length)
    else:
        _judge_value(vr, cursor.take(_bounded(length)))
    return ()


def _header(cursor: Cursor, syntax: _Syntax) -> tuple[tuple[int, int], bytes, int]:
    start = cursor.take(8)
    tag = syntax.number(start[:2]), syntax.number(start[2:4])
    if not syntax.is_explicit or tag[0] == 0xFFFE:  # noqa: PLR2004 - items have no representation
        return tag, b"", syntax.number(start[4:])
    vr = start[4:6]
    if vr in _LONG:
        return tag, vr, syntax.number(cursor.take(4))
    if vr not in _SHORT:
        raise _DamageError
    return tag, vr, syntax.number(start[6:])


def _sequence(cursor: Cursor, syntax: _Syntax, length: int, *, depth: int) -> None:
    end = None if length == _OPEN else cursor.position + length
    while end is None or cursor.position < end:
        tag, _, size = _header(cursor, syntax)
        if tag == _SEQUENCE_END and end is None:
            return
        if tag != _ITEM:
            raise _DamageError
        _elements(cursor, syntax, end=None if size == _OPEN else cursor.position + size, depth=depth + 1)


def _pixel_faults(cursor: Cursor, syntax: _Syntax, length: int) -> tuple[str, ...]:
    if length == _OPEN:
        return _fragment_faults(cursor, syntax)
    noisy = False
    while length:
        part = cursor.take(min(length, SOME))
        noisy = noisy or has_noise(part)
        length -= len(part)
    return ("pixels.noise",) if noisy else ()


def _fragment_faults(cursor: Cursor, syntax: _Syntax) -> tuple[str, ...]:
    """Items to the end of the sequence; the first holds offsets."""
    is_first = True
    while True:
        tag, _, length = _header(cursor, syntax)
        if tag == _SEQUENCE_END:
            return ()
        if tag != _ITEM or length > _LARGEST_FRAGMENT:
            raise _DamageError
        fragment = cursor.take(length)
        if not is_first and not _is_sound(fragment, syntax):
            return ("pixels.damaged",)
        is_first = False


def _is_sound(fragment: bytes, syntax: _Syntax) -> bool:
    """Only whole images are followed; an image over several fragments begins like one and is not."""
    if _JPEG.fullmatch(syntax.uid) and fragment[:2] == b"\xff\xd8" and fragment.rstrip(b"\0")[-2:] == b"\xff\xd9":
        try:
            return not jpeg_faults(Cursor(iter([fragment])))
        except EOFError:
            return False
    return not _PACKETS.fullmatch(syntax.uid) or are_packets(fragment)


def _judge_value(vr: bytes, value: bytes) -> None:
    pattern = _NUMERIC.get(vr)
    if pattern is not None and not pattern.fullmatch(value):
        raise _DamageError


def _bounded(length: int) -> int:
    if length > _LARGEST_FRAGMENT:
        raise _DamageError
    return length


def _inflated(cursor: Cursor) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(-15)
    while not unpacker.eof:
        waiting = unpacker.unconsumed_tail or cursor.some()
        if not waiting:
            raise EOFError
        yield unpacker.decompress(waiting, 1 << 20)
