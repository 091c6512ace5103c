"""One reading of an object: its format by content, damage to its structure, and whether it is noise.

Nothing here knows a file name, and nothing quotes content: facts are names, counts and reason codes. Entropy
is a hint only (medical archives and images look random); what a format says about itself decides.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final

import numpy as np

from asepsis.domain.integrity import ObjectFacts
from asepsis.integrity import formats
from asepsis.integrity.notes import phrases_in
from asepsis.integrity.structure import documents, images, office, packed, tables
from asepsis.integrity.structure.cursor import LARGEST_HELD, Cursor
from asepsis.integrity.structure.dicom import dicom_faults
from asepsis.integrity.structure.noise import NoiseCount, is_noise
from asepsis.integrity.structure.tar import tar_faults
from asepsis.integrity.structure.text import BLOCK, TextTest, is_mostly_text, marked_encoding
from asepsis.integrity.structure.zipped import zip_faults

HEAD: Final = 64 << 10
_PIECE: Final = 256 * BLOCK

# Space, letters, digits and common marks in cp037: the share that only EBCDIC text reaches.
_EBCDIC_TEXT: Final = " .<(+&!$*);-/,%_>?:#@'=\"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".encode(
    "cp037"
)
_EBCDIC_SHARE: Final = 0.6
_EBCDIC_BLOCK_SHARE: Final = 0.45
_NEARLY_ALL_VALUES: Final = 240
_SMALLEST_SAMPLE: Final = 512

_Check = Callable[[Cursor, int], tuple[str, ...]]
_BINARY: Final[Mapping[str, _Check]] = {
    formats.GZIP: lambda cursor, _: packed.gzip_faults(cursor),
    "xz": lambda cursor, _: packed.xz_faults(cursor),
    "bzip2": lambda cursor, _: packed.bzip2_faults(cursor),
    "zstd": lambda cursor, _: packed.zstd_faults(cursor),
    "zip": lambda cursor, _: zip_faults(cursor),
    "png": lambda cursor, _: images.png_faults(cursor),
    "jpeg": lambda cursor, _: images.jpeg_faults(cursor),
    "dicom": lambda cursor, _: dicom_faults(cursor),
    formats.TAR: lambda cursor, _: tar_faults(cursor),
    formats.DBASE: lambda cursor, size: tables.dbase_faults(cursor, size=size),
    "sqlite": lambda cursor, size: tables.sqlite_faults(cursor, size=size),
    "parquet": lambda cursor, size: tables.parquet_faults(cursor, size=size),
    "pdf": lambda cursor, size: office.pdf_faults(cursor, size=size),
    "ole": lambda cursor, size: office.ole_faults(cursor, size=size),
}
_HELD: Final = frozenset({"parquet", "pdf", "ole"})
_GRAMMARS: Final[Mapping[str, Callable[[bytes], tuple[str, ...]]]] = {
    formats.JSON: documents.json_faults,
    formats.FHIR: documents.json_faults,
    formats.XML: documents.xml_faults,
    formats.CCDA: documents.xml_faults,
    formats.HL7: documents.hl7_faults,
    formats.X12: documents.x12_faults,
}
_PACKED: Final = frozenset({formats.GZIP, "xz", "bzip2", "zstd", "zip", "7z", "png", "jpeg", "parquet", "pdf"})
"""Sound content of these is noise to any measure."""


def observe(stream: BinaryIO, *, size: int) -> ObjectFacts:
    """Read an object of ``size`` bytes once from its start and say what it is.

    Whatever reading raises passes through.
    """
    head = _exactly(stream, min(HEAD, size))
    if not head:
        return ObjectFacts(format=formats.EMPTY, size=size)
    known = formats.binary_format(head)
    pieces = _pieces(stream, head)
    if known is not None:
        return _binary(known, pieces, size=size)
    encoding = marked_encoding(head)
    if encoding is None and _is_ebcdic(head):
        return _ebcdic(head, pieces, size=size)
    if encoding is not None or is_mostly_text(head):
        return _text(head, pieces, encoding, size=size)
    return _unknown(head, pieces, size=size)


def _binary(name: str, pieces: Iterator[bytes], *, size: int) -> ObjectFacts:
    noise = NoiseCount()
    pieces = pieces if name in _PACKED else noise.watch(pieces)
    check = _BINARY.get(name)
    faults: tuple[str, ...] = ()
    if check is not None:
        try:
            faults = check(Cursor(pieces), size)
        except EOFError:
            faults = ("format.truncated",)
    for _ in pieces:
        pass
    is_checked = check is not None and (name not in _HELD or size <= LARGEST_HELD)
    return ObjectFacts(format=name, size=size, faults=faults, noise_blocks=noise.blocks, is_checked=is_checked)


def _unknown(head: bytes, pieces: Iterator[bytes], *, size: int) -> ObjectFacts:
    noise = NoiseCount()
    for _ in noise.watch(pieces):
        pass
    return ObjectFacts(
        format=formats.UNKNOWN,
        size=size,
        is_random=is_noise(head),
        noise_blocks=max(noise.blocks, is_noise(head[:_SMALLEST_SAMPLE])),
        head_entropy=_entropy(head),
    )


def _ebcdic(head: bytes, pieces: Iterator[bytes], *, size: int) -> ObjectFacts:
    noise = NoiseCount()
    faults = _ebcdic_faults(noise.watch(pieces))
    blocks = max(noise.blocks, is_noise(head[:_SMALLEST_SAMPLE]))
    return ObjectFacts(format=formats.EBCDIC, size=size, faults=faults, noise_blocks=blocks, is_checked=True)


def _text(head: bytes, pieces: Iterator[bytes], encoding: str | None, *, size: int) -> ObjectFacts:
    name = formats.text_format(head)
    test = TextTest(encoding or _stated_encoding(name, head))
    grammar = _GRAMMARS.get(name)
    is_parsed = grammar is not None and size <= documents.LARGEST_PARSED
    held = [piece for piece in test.watch(pieces) if is_parsed]
    faults = test.faults
    if grammar is not None and is_parsed and not faults:
        faults = {*faults, *grammar(b"".join(held))}
    return ObjectFacts(
        format=name,
        size=size,
        faults=tuple(sorted(faults)),
        note_words=phrases_in(head),
        head_entropy=_entropy(head),
        is_checked=is_parsed or grammar is None,
    )


def _stated_encoding(name: str, head: bytes) -> str | None:
    """What a text says itself, or its format demands; ``None`` for what Python cannot decode."""
    if name in {formats.JSON, formats.FHIR}:
        return "utf-8"
    stated = documents.declared_encoding(head) if name in {formats.XML, formats.CCDA} else None
    try:
        return None if stated is None else codecs.lookup(stated).name
    except LookupError:
        return None


def _is_ebcdic(head: bytes) -> bool:
    """Mostly letters, digits and marks of cp037, with its space (which is ``@`` in ASCII) as the commoner one."""
    return _share(head, _EBCDIC_TEXT) >= _EBCDIC_SHARE and head.count(b"\x40") > head.count(b"\x20")


def _ebcdic_faults(pieces: Iterator[bytes]) -> tuple[str, ...]:
    blocks = (
        piece[at : at + BLOCK]
        for piece in pieces
        for at in range(0, len(piece), BLOCK)
        if len(piece) - at >= _SMALLEST_SAMPLE
    )
    return () if all(map(_is_ebcdic_block, blocks)) else ("format.uneven_text",)


def _is_ebcdic_block(block: bytes) -> bool:
    """Text and packed numbers use some 170 values; noise between them uses all."""
    has_all_values = len(block) == BLOCK and len(set(block)) >= _NEARLY_ALL_VALUES
    return _share(block, _EBCDIC_TEXT) >= _EBCDIC_BLOCK_SHARE and not has_all_values


def _share(sample: bytes, values: bytes) -> float:
    return (len(sample) - len(sample.translate(None, values))) / len(sample)


def _entropy(sample: bytes) -> float:
    """Shannon's, in bits per byte."""
    counts = np.bincount(np.frombuffer(sample, dtype=np.uint8), minlength=256)
    shares = [float(count) / len(sample) for count in counts.tolist() if count]
    return round(-math.fsum(share * math.log2(share) for share in shares), 3) + 0.0


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
