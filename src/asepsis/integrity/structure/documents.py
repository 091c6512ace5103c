"""Text formats with a grammar: JSON and FHIR, XML and C-CDA, HL7 v2, X12. Held in memory, hence up to a size.

RFC 8259; XML 1.0; HL7 v2.5.1, chapter 2; ASC X12.5 and X12.6.
"""

from __future__ import annotations

import json
import re
from typing import Final
from xml.parsers import expat

from lxml import etree
from pydantic_core import SchemaValidator, ValidationError, core_schema

LARGEST_PARSED: Final = 16 << 20
"""Larger texts are judged by their blocks and their encoding only."""

_SEGMENT: Final = re.compile(rb"[A-Z][A-Z0-9]{2}(?:[^A-Za-z0-9]|$)")
_LEADING: Final = b"\x0b\x1c"
_ENVELOPES_HL7: Final = ((b"FHS", b"FTS"), (b"BHS", b"BTS"))
_BREAKS: Final = b"\r\n"
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_BEGIN: Final = rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])[\x0b\x1c]*"
_ANY_SEGMENT: Final = re.compile(_BEGIN + rb"[A-Z][A-Z0-9]{2}(?:[^A-Za-z0-9]|\Z)")
_XML_ENCODING: Final = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]*)[\"']")
_ISA_LENGTH: Final = 106
_BAD_RECORDS: Final = ("format.records_damaged",)
_UNREADABLE: Final = ("format.unreadable_xml",)
_FRAGMENT: Final = frozenset({etree.ErrorTypes.ERR_DOCUMENT_END, etree.ErrorTypes.ERR_RESERVED_XML_NAME})
_CUT: Final = frozenset({etree.ErrorTypes.ERR_TAG_NOT_FINISHED, etree.ErrorTypes.ERR_DOCUMENT_EMPTY})
_BAD_COUNT: Final = ("format.record_count_wrong",)
_TRUNCATED: Final = ("format.truncated",)
_OBJECT: Final = SchemaValidator(core_schema.typed_dict_schema({}, extra_behavior="ignore"))
"""Parses all of an object and keeps nothing of it, which takes a quarter of the time of building values."""


def json_faults(content: bytes) -> tuple[str, ...]:
    """One value, or one in every line that is not empty."""
    if _parses(content):
        return ()
    lines = [line for line in content.splitlines() if line.strip()]
    if lines and _parses(lines[0]) and all(map(_parses, lines[1:-1])):
        return () if _parses(lines[-1]) else _TRUNCATED
    return ("format.unreadable_json",)


def _parses(text: bytes) -> bool:
    """As the standard library reads it, which is asked where the faster parser does not agree."""
    if _is_object(text):
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_object(text: bytes) -> bool:
    try:
        _OBJECT.validate_json(text)
    except ValidationError:
        return False
    return True


def declared_encoding(head: bytes) -> str | None:
    """The encoding that an XML declaration names, as it is written there; the parser knows it or refuses it."""
    found = _XML_ENCODING.match(head.removeprefix(b"\xef\xbb\xbf").lstrip()[:200])
    return found.group(1).decode("ascii").lower() if found else None


def xml_faults(content: bytes) -> tuple[str, ...]:
    """Well-formed, in its declared encoding; entities are not followed and nothing is loaded.

    Undeclared prefixes and several roots are passed over: pieces of documents are kept as files, too. What has no
    entities of its own is first given to a parser that keeps nothing; one that it refuses is looked at again.
    """
    if (b"<!" not in content or b"<!" not in content.replace(b"<!--", b"")) and _is_well_formed(content.lstrip()):
        return ()
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    try:
        etree.fromstring(content.lstrip(), parser)
    except (etree.XMLSyntaxError, LookupError, ValueError):
        return _UNREADABLE
    found = {error.type for error in parser.error_log if error.domain != etree.ErrorDomains.NAMESPACE} - _FRAGMENT
    if found & _CUT:
        return _TRUNCATED
    return _UNREADABLE if found else ()


def _is_well_formed(content: bytes) -> bool:
    try:
        expat.ParserCreate().Parse(content, True)  # noqa: FBT003 - the library's argument
    except (expat.ExpatError, LookupError, ValueError):
        return False
    return True


def hl7_faults(content: bytes) -> tuple[str, ...]:
    """Every line is a segment or goes on with text, and a file or batch that opens closes."""
    for opening, closing in _ENVELOPES_HL7 if b"HS" in content else ():
        if _has_segment(content, opening) and not _has_segment(content, closing):
            return _TRUNCATED
    last = _last_line(content.removeprefix(_UTF8_MARK))
    is_cut = len(last) < 3 and not _SEGMENT.match(last)  # noqa: PLR2004 - the name of a segment
    return _BAD_RECORDS if is_cut and _ANY_SEGMENT.search(content) else ()


def _last_line(content: bytes) -> bytes:
    """The last line that holds anything; some texts have hundreds of thousands."""
    end = len(content.rstrip(_BREAKS + _LEADING))
    begin = max(content.rfind(b"\r", 0, end), content.rfind(b"\n", 0, end)) + 1
    return content[begin:].lstrip(_LEADING).partition(b"\r")[0].partition(b"\n")[0]


def _has_segment(content: bytes, name: bytes) -> bool:
    return name in content and re.search(_BEGIN + name + rb"(?:[^A-Za-z0-9]|\Z)", content) is not None


def x12_faults(content: bytes) -> tuple[str, ...]:
    """Every envelope that opens closes, under the same control number, and counts what is in it."""
    content = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if len(content) < _ISA_LENGTH:
        return _TRUNCATED
    element, end = content[3:4], content[_ISA_LENGTH - 1 : _ISA_LENGTH]
    segments = [part.strip().split(element) for part in content.split(end) if part.strip()]
    opened: list[tuple[bytes, bytes]] = []
    counts = dict.fromkeys(_ENVELOPES, 0)
    for segment in segments:
        name = segment[0]
        if not re.fullmatch(rb"[A-Z][A-Z0-9]{1,2}", name):
            return _BAD_RECORDS
        counts["SE"] += 1
        if name in _OPENING:
            opened.append((name, segment[_OPENING[name]] if len(segment) > _OPENING[name] else b""))
        if name == b"ST":
            counts["SE"] = 1
        if name in _CLOSING and not _closes(segment, opened, counts):
            return _BAD_COUNT
    return _TRUNCATED if opened else ()


_ENVELOPES: Final = ("SE", "GE", "IEA")
_OPENING: Final = {b"ISA": 13, b"GS": 6, b"ST": 2}
_CLOSING: Final = {b"IEA": b"ISA", b"GE": b"GS", b"SE": b"ST"}


def _closes(segment: list[bytes], opened: list[tuple[bytes, bytes]], counts: dict[str, int]) -> bool:
    name = segment[0].decode("ascii")
    if len(segment) < 3 or not opened or not segment[1].isdigit():  # noqa: PLR2004 - name, count, control number
        return False
    kind, control = opened.pop()
    is_right = (
        kind == _CLOSING[segment[0]] and control.strip() == segment[2].strip() and int(segment[1]) == counts[name]
    )
    counts[name] = 0
    outer = {"SE": "GE", "GE": "IEA"}.get(name)
    if outer is not None:
        counts[outer] += 1
    return is_right
