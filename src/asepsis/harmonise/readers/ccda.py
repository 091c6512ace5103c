"""C-CDA documents (HL7 CDA R2, also fragments of them): elements become records, the bytes between them are context.

A document is parsed to its end before anything of it is given on: what is not well-formed, declares a document type,
is too deep or too large, or is something else is set aside whole. Expat tells which bytes an element has; the tree in
which paths are evaluated is built by libxml2 from the same bytes, without entities, network or external documents.
An ``entry`` that no frame takes is left out by name. A missing ``xmlns`` of the root, as fragments have it, is HL7 v3.
Source: HL7 CDA Release 2; Extensible Markup Language (XML) 1.0, sections 2.8 and 4.3.3.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Final, NamedTuple
from xml.parsers import expat

from lxml import etree

from asepsis.harmonise.readers.batch import Batch, counted, ends_of, single
from asepsis.harmonise.readers.record import Limits, RecordKind, read_exactly, rest_of
from asepsis.harmonise.readers.xpaths import HL7, NAMESPACES, XPath, text_of

FRAME: Final = "frame"
_ELEMENTS: Final = 500_000
_BYTE_ORDERS: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_DECLARED: Final = re.compile(r"<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,40})[\"']")
_DECLARATION: Final = 400
_ALLOWED: Final = re.compile(r"utf-8|ascii|iso8859-\d+|cp(?:125\d|437|85\d|866)|koi8-[ru]|mac-\w+")
_START_TAG: Final = re.compile(rb"<(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+>")
_ENTRIES: Final = etree.XPath("//hl7:entry", namespaces=NAMESPACES)
_DOCUMENT: Final = f"{{{HL7}}}ClinicalDocument"


class _Refused(Exception):
    """Why a document is set aside whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a mapping takes out of documents: which elements become records, and values by their paths from there."""

    frames: Mapping[str, XPath]
    paths: Mapping[str, XPath]


class _Span(NamedTuple):
    """The bytes of one element in UTF-8, and which frame took it."""

    start: int
    end: int
    element: etree._Element
    frame: str | None


def allows(encoding: str) -> bool:
    """Whether documents without a declaration may be in this encoding."""
    return _ALLOWED.fullmatch(codecs.lookup(encoding).name) is not None


def read(stream: BinaryIO, *, encoding: str, wanted: Wanted, limits: Limits | None = None) -> Iterator[Batch]:
    """Yield the records of one document; ``encoding`` is that of documents that do not declare one.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    return counted(_batches(stream, encoding, wanted, limits), limits=limits)


def _batches(stream: BinaryIO, encoding: str, wanted: Wanted, limits: Limits) -> Iterator[Batch]:
    data = read_exactly(stream, limits.record_bytes + 1)
    try:
        batch = _batch(data, encoding, wanted, limits)
    except _Refused as refused:
        number = offset = 0
        batch = None
        for piece in rest_of(stream, data):
            yield single(RecordKind.RESIDUE, piece, number=number, offset=offset, defect=str(refused))
            number, offset = number + 1, offset + len(piece)
    if batch is not None:
        yield batch


def _batch(data: bytes, encoding: str, wanted: Wanted, limits: Limits) -> Batch:
    if len(data) > limits.record_bytes:
        raise _Refused("document_too_large")
    mark, codec = _encoding(data, encoding)
    content = _utf8(data[len(mark) :], codec)
    structure = _Structure(content, limits)
    root = _tree(content, structure)
    spans = _spans(content, structure, root, wanted)
    cuts = sorted({0, len(content), *(span.start for span in spans), *(span.end for span in spans)})
    pieces = [content[start:end] for start, end in pairwise(cuts)]
    lengths = [len(piece) if codec == "utf-8" else len(piece.decode().encode(codec)) for piece in pieces]
    lengths[0] += len(mark)
    if sum(lengths) != len(data):
        raise _Refused("undecodable")
    return _records(data, lengths, dict(zip(cuts, range(len(lengths)), strict=False)), spans, wanted)


def _records(
    data: bytes, lengths: Sequence[int], places: Mapping[int, int], spans: Sequence[_Span], wanted: Wanted
) -> Batch:
    kinds = dict.fromkeys(range(len(lengths)), RecordKind.CONTEXT)
    defects: dict[int, tuple[str, ...]] = {}
    columns: dict[str, list[str | None]] = {name: [None] * len(lengths) for name in (FRAME, *wanted.paths)}
    values = _Values(wanted.paths)
    for span in spans:
        index = places[span.start]
        del kinds[index]
        if span.frame is None:
            defects[index] = ("-entry_not_mapped",)
            continue
        columns[FRAME][index] = span.frame
        for name in wanted.paths:
            columns[name][index] = values.value(name, span.element)
        if values.failed:
            defects[index] = tuple(f"path_failed@{name}" for name in values.failed)
            values.failed = []
    if not spans:
        kinds, defects = {}, {0: ("-no_frame_matches",)}
    return Batch(number=0, offset=0, data=data, ends=ends_of(lengths), kinds=kinds, defects=defects, columns=columns)


class _Values:
    """The values of elements; what does not depend on the element is found once."""

    def __init__(self, paths: Mapping[str, XPath]) -> None:
        self._paths = paths
        self._known: dict[str, str | None] = {}
        self.failed: list[str] = []

    def value(self, name: str, element: etree._Element) -> str | None:
        if name in self._known:
            return self._known[name]
        path = self._paths[name]
        try:
            found = text_of(path.evaluate(element))
        except etree.XPathError:
            self.failed.append(name)
            return None
        if path.is_absolute:
            self._known[name] = found
        return found


def _encoding(data: bytes, otherwise: str) -> tuple[bytes, str]:
    """The byte order mark, and the encoding: that of the mark, else the declared one, else that of the mapping."""
    mark = next((mark for mark in (codecs.BOM_UTF8, *_BYTE_ORDERS) if data.startswith(mark)), b"")
    marked = _BYTE_ORDERS.get(mark, "utf-8" if mark else None)
    head = data[len(mark) :][:_DECLARATION].decode(marked or "latin-1", "replace")
    match = _DECLARED.match(head)
    codec = _codec(match[1] if match is not None else marked or otherwise)
    if marked is not None and match is not None and codec not in {marked, marked[:6]}:
        raise _Refused("encoding_contradicts_byte_order_mark")
    if marked is None and codec.startswith("utf-16"):
        raise _Refused("byte_order_mark_missing")
    return mark, marked or codec


def _codec(name: str) -> str:
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        raise _Refused("encoding_not_allowed") from None
    if not _ALLOWED.fullmatch(codec) and codec not in {"utf-16", *_BYTE_ORDERS.values()}:
        raise _Refused("encoding_not_allowed")
    return codec


def _utf8(data: bytes, codec: str) -> bytes:
    """The document in UTF-8, which both parsers are told it is: so none of them decides about encodings."""
    try:
        content = data.decode(codec)
    except UnicodeDecodeError:
        raise _Refused("undecodable") from None
    if "\0" in content:
        raise _Refused("nul_in_document")
    return data if codec == "utf-8" else content.encode()


class _Structure:
    """Where the elements of a document begin and end, in the order of their start tags; and what its root declares.

    Raises:
        _Refused: the document is not well-formed, declares a document type, or exceeds a limit.
    """

    def __init__(self, content: bytes, limits: Limits) -> None:
        self.starts: list[int] = []
        self.closes: list[int] = []
        self.root = ""
        self.declared: Sequence[str] = ()
        self._nesting = limits.nesting
        self._open: list[int] = []
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.ordered_attributes = parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._first
        parser.EndElementHandler = self._end
        try:
            parser.Parse(content, True)  # noqa: FBT003 - the parser takes it by position
        except expat.ExpatError:
            raise _Refused("not_well_formed") from None

    def end(self, content: bytes, number: int) -> int:
        """Where an element ends: expat gives the place of its end tag, an empty element has none."""
        tag = _START_TAG.match(content, self.starts[number])
        if tag is not None and tag[0].endswith(b"/>"):
            return tag.end()
        return content.index(b">", self.closes[number]) + 1

    def _first(self, name: str, attributes: list[str]) -> None:
        self.root, self.declared = name, attributes[::2]
        self._parser.StartElementHandler = self._start
        self._start(name, attributes)

    def _start(self, _name: str, _attributes: list[str]) -> None:
        number = len(self.starts)
        self._open.append(number)
        self.starts.append(self._parser.CurrentByteIndex)
        self.closes.append(0)
        if len(self._open) > self._nesting:
            raise _Refused("nested_too_deep")
        if number >= _ELEMENTS:
            raise _Refused("too_many_elements")

    def _end(self, _name: str) -> None:
        self.closes[self._open.pop()] = self._parser.CurrentByteIndex


def _refuse_doctype(*_: object) -> None:
    raise _Refused("doctype_not_allowed")


def _tree(content: bytes, structure: _Structure) -> etree._Element:
    """The document as a tree; the namespaces of HL7 that its root does not declare are declared for it."""
    missing = {f"xmlns:{prefix}": uri for prefix, uri in NAMESPACES.items() if prefix != "hl7"}
    if ":" not in structure.root:
        missing["xmlns"] = HL7
    added = "".join(f' {name}="{uri}"' for name, uri in missing.items() if name not in structure.declared)
    place = structure.starts[0] + 1 + len(structure.root.encode())
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(content[:place] + added.encode() + content[place:], parser)
    except etree.XMLSyntaxError as error:
        is_prefix = error.code == etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE
        raise _Refused("prefix_not_declared" if is_prefix else "not_well_formed") from None


def _spans(content: bytes, structure: _Structure, root: etree._Element, wanted: Wanted) -> list[_Span]:
    """The elements that become records, in the order of the document.

    An element that several frames take belongs to the first of them. An entry inside a frame, or around one, is read
    with it.
    """
    found: dict[etree._Element, str | None] = {}
    for name, frame in wanted.frames.items():
        for element in _elements(frame, root):
            found.setdefault(element, name)
    if not found and root.tag != _DOCUMENT:
        raise _Refused("not_a_clinical_document")
    for element in _ENTRIES(root):
        found.setdefault(element, None)
    spans = [
        _Span(structure.starts[number], structure.end(content, number), element, found[element])
        for number, element in enumerate(root.iter(etree.Element))
        if element in found
    ]
    frames = [span.start for span in spans if span.frame is not None]
    kept, covered = [], 0
    for span in spans:
        if span.frame is not None:
            covered = max(covered, span.end)
        elif span.start < covered or bisect_left(frames, span.start) < bisect_left(frames, span.end):
            continue
        kept.append(span)
    return _apart(kept)


def _apart(spans: list[_Span]) -> list[_Span]:
    """Entries inside entries are read with the outer one."""
    kept, covered = [], 0
    for span in spans:
        if span.frame is not None or span.start >= covered:
            kept.append(span)
            covered = max(covered, span.end if span.frame is None else 0)
    return kept


def _elements(frame: XPath, root: etree._Element) -> list[etree._Element]:
    try:
        found = frame.evaluate(root)
    except etree.XPathError:
        raise _Refused("frame_failed") from None
    return [item for item in found if isinstance(item, etree._Element)] if isinstance(found, list) else []  # noqa: SLF001
