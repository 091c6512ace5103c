"""One reading of an object: its format by content, damage to its structure, and whether it is noise.

Nothing here knows a file name, and nothing quotes content: facts are names, counts and reason codes. Entropy
is a hint only (medical archives and images look random); what a format says about itself decides.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np

from asepsis.domain.integrity import ObjectFacts
from asepsis.integrity import formats
from asepsis.integrity.notes import phrases_in

HEAD: Final = 64 << 10
BLOCK: Final = 4096
_PIECE: Final = 256 * BLOCK
_LARGEST_UNPACKED: Final = 64 << 30

# Control bytes that text of no code page built on ASCII contains; tab, line ends, form feed, HL7's vertical tab
# and file separator, escape (ISO 2022) and DOS end of file are ordinary.
_CONTROLS: Final = bytes(byte for byte in range(32) if byte not in b"\t\n\x0b\x0c\r\x1a\x1b\x1c\x1d\x1e") + b"\x7f"
_CONTROL_SHARE: Final = 0.02
_FEW: Final = 3
# Space, letters, digits and common marks in cp037: the share that only EBCDIC text reaches.
_EBCDIC_TEXT: Final = " .<(+&!$*);-/,%_>?:#@'=\"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".encode(
    "cp037"
)
_EBCDIC_SHARE: Final = 0.6
_EBCDIC_BLOCK_SHARE: Final = 0.45
_NEARLY_ALL_VALUES: Final = 240
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")

# Chi-square over 256 values has mean 255 and standard deviation 22.6 for noise; text, tables and code lie in
# the thousands and beyond (Davies et al., Entropy 24(10):1503, 2022).
_NOISE_AT_MOST: Final = 400.0
_NOISE_AT_LEAST: Final = 130.0
_SMALLEST_SAMPLE: Final = 512


def observe(stream: BinaryIO, *, size: int) -> ObjectFacts:
    """Read an object of ``size`` bytes once from its start and say what it is.

    Whatever reading raises passes through.
    """
    head = _exactly(stream, min(HEAD, size))
    if not head:
        return ObjectFacts(format=formats.EMPTY, size=size)
    known = formats.binary_format(head)
    rest = _pieces(stream, head)
    if known is not None:
        return ObjectFacts(format=known, size=size, faults=_binary_faults(known, head, rest, size=size))
    return _text_or_noise(head, rest, size=size)


def chi_square(sample: bytes) -> float:
    """Pearson's chi-square of the byte values of a sample against equal shares (255 degrees of freedom)."""
    expected = len(sample) / 256
    counts = Counter(sample)
    return sum((counts[value] - expected) ** 2 for value in range(256)) / expected


def is_noise(sample: bytes) -> bool:
    """Whether the byte values of a sample are spread as evenly as those of encrypted data."""
    if len(sample) < _SMALLEST_SAMPLE:
        return False
    return _NOISE_AT_LEAST <= chi_square(sample) <= _NOISE_AT_MOST


def _text_or_noise(head: bytes, rest: Iterator[bytes], *, size: int) -> ObjectFacts:
    if head.startswith(_UTF_16):
        return ObjectFacts(format=formats.TEXT, size=size, faults=_utf16_faults(rest))
    if _is_ebcdic(head):
        return ObjectFacts(format=formats.EBCDIC, size=size, faults=_ebcdic_faults(rest))
    blocks = list(_blocks(head))
    if sum(map(_is_text, blocks)) * 2 > len(blocks):
        return _text(head, rest, size=size)
    return ObjectFacts(format=formats.UNKNOWN, size=size, is_random=is_noise(head))


def _text(head: bytes, rest: Iterator[bytes], *, size: int) -> ObjectFacts:
    name = formats.text_format(head)
    faults = set()
    if not all(_is_text_throughout(piece) for piece in rest):
        faults.add("format.unreadable_text")
    if name == formats.JSON and not _begins_with_json(head, is_whole=size <= len(head)):
        faults.add("format.unreadable_json")
    return ObjectFacts(format=name, size=size, faults=tuple(sorted(faults)), note_words=phrases_in(head))


def _binary_faults(name: str, head: bytes, rest: Iterator[bytes], *, size: int) -> tuple[str, ...]:
    if name == formats.GZIP:
        return _gzip_faults(rest)
    if name == formats.DBASE:
        return _dbase_faults(head, rest, size=size)
    if name == formats.TAR and not _is_tar_header(head[:512]):
        return ("format.header_damaged",)
    return ()


def _gzip_faults(pieces: Iterator[bytes]) -> tuple[str, ...]:
    """Unpack the whole stream: its CRC covers every byte (RFC 1952, section 2.3.1)."""
    unpacker = zlib.decompressobj(31)
    unpacked = 0
    try:
        for piece in pieces:
            waiting = piece
            while waiting:
                unpacked += len(unpacker.decompress(waiting, _PIECE))
                waiting = unpacker.unconsumed_tail
                if unpacked > _LARGEST_UNPACKED:
                    return ("format.too_large",)
                if unpacker.eof:
                    waiting = unpacker.unused_data.lstrip(b"\0")
                    unpacker = zlib.decompressobj(31) if waiting else unpacker
    except zlib.error:
        return ("format.checksum_wrong",)
    return () if unpacker.eof else ("format.truncated",)


def _dbase_faults(head: bytes, rest: Iterator[bytes], *, size: int) -> tuple[str, ...]:
    """The table's own arithmetic: records fill the file, each begins with its deletion mark, the fields fill it."""
    count = int.from_bytes(head[4:8], "little")
    start, length = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
    faults = set()
    if size < start + count * length:
        faults.add("format.truncated")
    elif size > start + count * length + BLOCK:
        faults.add("format.record_count_wrong")
    if _dbase_field_lengths(head, start) + 1 != length and head[0] == 3:  # noqa: PLR2004  dBase III
        faults.add("format.header_damaged")
    if not _marks_are_sound(rest, start=start, length=length, count=count):
        faults.add("format.records_damaged")
    return tuple(sorted(faults))


def _dbase_field_lengths(head: bytes, start: int) -> int:
    return sum(head[at + 16] for at in range(32, min(start, len(head)) - 32, 32) if head[at] != 0x0D)  # noqa: PLR2004


def _marks_are_sound(pieces: Iterator[bytes], *, start: int, length: int, count: int) -> bool:
    """Every record begins with a space or an asterisk; pieces are looked at where records begin in them."""
    position, end = 0, start + count * length
    for piece in pieces:
        first = start if position <= start else position + (start - position) % length
        marks = piece[first - position : max(end - position, 0) : length]
        if marks.strip(b" *"):
            return False
        position += len(piece)
    return True


def _is_tar_header(header: bytes) -> bool:
    try:
        stated = int(header[148:156].strip(b"\0 "), 8)
    except ValueError:
        return False
    return stated == sum(header[:148]) + sum(header[156:512]) + 8 * ord(" ")


def _utf16_faults(pieces: Iterator[bytes]) -> tuple[str, ...]:
    """In UTF-16 text of Western records nearly every other byte is zero; noise has few."""
    sound = all(block.count(0) * 8 > len(block) for piece in pieces for block in _blocks(piece))
    return () if sound else ("format.unreadable_text",)


def _is_ebcdic(head: bytes) -> bool:
    """Mostly letters, digits and marks of cp037, with its space (which is ``@`` in ASCII) as the commoner one."""
    return _share(head, _EBCDIC_TEXT) >= _EBCDIC_SHARE and head.count(b"\x40") > head.count(b"\x20")


def _ebcdic_faults(pieces: Iterator[bytes]) -> tuple[str, ...]:
    blocks = (block for piece in pieces for block in _blocks(piece) if len(block) >= _SMALLEST_SAMPLE)
    return () if all(map(_is_ebcdic_block, blocks)) else ("format.uneven_text",)


def _is_ebcdic_block(block: bytes) -> bool:
    """Text and packed numbers use some 170 values; noise between them uses all."""
    has_all_values = len(block) == BLOCK and len(set(block)) >= _NEARLY_ALL_VALUES
    return _share(block, _EBCDIC_TEXT) >= _EBCDIC_BLOCK_SHARE and not has_all_values


def _begins_with_json(head: bytes, *, is_whole: bool) -> bool:
    """Whether the whole head, or its first line, parses; a first line longer than the head is not judged."""
    line, end, _ = head.partition(b"\n")
    candidates = [head] if is_whole else []
    if end or is_whole:
        candidates.append(line)
    if not candidates or line.strip() in {b"{", b"["}:
        return not is_whole or _parses(head)
    return any(_parses(candidate) for candidate in candidates) or not is_whole


def _parses(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_text_throughout(piece: bytes) -> bool:
    """Whether every block is text; a piece with as few controls as one block may have is done with at once."""
    values = np.frombuffer(piece, dtype=np.uint8)
    controls = np.count_nonzero(values < 9) + np.count_nonzero(values - 14 < 12)  # noqa: PLR2004 - those of _CONTROLS
    controls += np.count_nonzero(values == 31) + np.count_nonzero(values == 127)  # noqa: PLR2004
    return bool(controls <= _FEW) or all(map(_is_text, _blocks(piece)))


def _is_text(block: bytes) -> bool:
    controls = len(block) - len(block.translate(None, _CONTROLS))
    return controls <= max(_FEW, len(block) * _CONTROL_SHARE)


def _share(sample: bytes, values: bytes) -> float:
    return (len(sample) - len(sample.translate(None, values))) / len(sample)


def _blocks(piece: bytes) -> Iterator[bytes]:
    return (piece[at : at + BLOCK] for at in range(0, len(piece), BLOCK))


def _pieces(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    yield head
    while piece := stream.read(_PIECE):
        yield piece


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = stream.read(size - len(content))
        if not piece:
            break
        content += piece
    return content
