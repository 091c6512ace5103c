"""One reading of an object: its format by content, damage to its structure, and whether it is noise.

Nothing here knows a file name, and nothing quotes content: facts are names, counts and reason codes. Entropy
is a hint only (medical archives and images look random); what a format says about itself decides.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final, NamedTuple

from asepsis.domain.integrity import ObjectFacts
from asepsis.integrity import formats, spread
from asepsis.integrity.notes import NOTE_PHRASES, phrases_in
from asepsis.integrity.structure import documents, images, office, packed, tables
from asepsis.integrity.structure.cursor import LARGEST_HELD, Cursor
from asepsis.integrity.structure.dicom import dicom_faults
from asepsis.integrity.structure.noise import NoiseCount, is_noise
from asepsis.integrity.structure.postgres import page_faults, page_size
from asepsis.integrity.structure.tar import tar_faults
from asepsis.integrity.structure.text import BLOCK, TextTest, controls_in, is_mostly_text, marked_encoding
from asepsis.integrity.structure.zipped import zip_faults

HEAD: Final = 64 << 10
_PIECE: Final = 256 * BLOCK

# Space, letters, digits and common marks in cp037: the share that only EBCDIC text reaches.
_EBCDIC_TEXT: Final = " .<(+&!$*);-/,%_>?:#@'=\"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".encode(
    "cp037"
)
_EBCDIC_VALUES: Final = spread.values_of(_EBCDIC_TEXT)
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
_CLINICAL: Final = frozenset({formats.HL7, formats.X12, formats.FHIR, formats.CCDA})
"""No note begins as these do."""
_PACKED: Final = frozenset({formats.GZIP, "xz", "bzip2", "zstd", "zip", "7z", "png", "jpeg", "parquet", "pdf"})
"""Sound content of these is noise to any measure."""


class Beginning(NamedTuple):
    """What the first bytes show: the format, how often each byte value occurs, and how what follows is counted.

    No verdict asks for the entropy of what is noise when it is sound: of that only some bytes are counted.
    """

    format: str
    counts: spread.Counts
    counting: Callable[[bytes], spread.Counts]


def observe(stream: BinaryIO, *, size: int) -> ObjectFacts:
    """Read an object of ``size`` bytes once from its start and say what it is.

    Whatever reading raises passes through.
    """
    head = exactly(stream, min(HEAD, size))
    return observe_from(head, recognise(head), stream, size=size)


def observe_from(head: bytes, beginning: Beginning, stream: BinaryIO, *, size: int) -> ObjectFacts:
    """The same, when the first ``HEAD`` bytes were read and recognised already."""
    if not head:
        return ObjectFacts(format=formats.EMPTY, size=size)
    pieces = _pieces(stream, head)
    kind, counts = beginning.format, beginning.counts
    if kind in formats.TEXT_FORMATS:
        return _text(kind, head, counts, pieces, size=size)
    if kind == formats.EBCDIC:
        return _ebcdic(head, pieces, size=size)
    if kind == formats.POSTGRES:
        return _postgres(head, pieces, size=size)
    return _unknown(head, counts, pieces, size=size) if kind == formats.UNKNOWN else _binary(kind, pieces, size=size)


def recognise(head: bytes) -> Beginning:
    """The format of which this is the beginning, and nothing more than that."""
    known = formats.binary_format(head)
    if known in _PACKED:
        return Beginning(known, spread.count_some(head), spread.count_some)
    counts = spread.count(head)
    return Beginning(known or _without_magic(head, counts), counts, spread.count)


def _without_magic(head: bytes, counts: spread.Counts) -> str:
    if marked_encoding(head) is None:
        if _is_ebcdic(head, counts):
            return formats.EBCDIC
        if not is_mostly_text(head, controls=controls_in(counts)):
            return formats.UNKNOWN
    return formats.text_format(head)


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


def _unknown(head: bytes, counts: spread.Counts, pieces: Iterator[bytes], *, size: int) -> ObjectFacts:
    noise = NoiseCount()
    for _ in noise.watch(pieces):
        pass
    return ObjectFacts(
        format=formats.UNKNOWN,
        size=size,
        is_random=is_noise(head),
        noise_blocks=max(noise.blocks, is_noise(head[:_SMALLEST_SAMPLE])),
        head_entropy=spread.entropy(counts),
    )


def _ebcdic(head: bytes, pieces: Iterator[bytes], *, size: int) -> ObjectFacts:
    noise = NoiseCount()
    faults = _ebcdic_faults(noise.watch(pieces))
    blocks = max(noise.blocks, is_noise(head[:_SMALLEST_SAMPLE]))
    return ObjectFacts(format=formats.EBCDIC, size=size, faults=faults, noise_blocks=blocks, is_checked=True)


def _postgres(head: bytes, pieces: Iterator[bytes], *, size: int) -> ObjectFacts:
    """Without checksums most of a page can be anything, so that it is not said to be checked."""
    faults, is_checked = page_faults(Cursor(pieces), page=page_size(head) or size)
    return ObjectFacts(format=formats.POSTGRES, size=size, faults=faults, is_checked=is_checked)


def _text(name: str, head: bytes, counts: spread.Counts, pieces: Iterator[bytes], *, size: int) -> ObjectFacts:
    test = TextTest(marked_encoding(head) or _stated_encoding(name, head), controls=controls_in(counts))
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
        note_words=phrases_in(head, least=NOTE_PHRASES) if size <= HEAD and name not in _CLINICAL else 0,
        head_entropy=spread.entropy(counts),
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


def _is_ebcdic(head: bytes, counts: spread.Counts) -> bool:
    """Mostly letters, digits and marks of cp037, with its space (which is ``@`` in ASCII) as the commoner one."""
    is_spaced = counts[0x40] > counts[0x20]
    return bool(is_spaced and spread.number_of(counts, _EBCDIC_VALUES) >= _EBCDIC_SHARE * len(head))


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


def _pieces(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    yield head
    while piece := stream.read(_PIECE):
        yield piece


def exactly(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, or all there are."""
    content = b""
    while len(content) < size:
        piece = stream.read(size - len(content))
        if not piece:
            break
        content += piece
    return content
