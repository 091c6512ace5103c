"""A minimal reader of DER (ITU-T X.690): definite, shortest lengths, one-byte tags, nothing left over.

It exists because AMD's certificates carry the serial number 0, which the library that we use has announced to
refuse. It reads structure only; keys are loaded and signatures are verified by the library.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from asepsis.errors.attest import EvidenceMalformed

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
_LONG_FORM: Final = 0x80
_LONGEST_LENGTH: Final = 3
_HIGH_TAG: Final = 0x1F
_CONTINUES: Final = 0x80
_LONGEST_NAME: Final = 32
_KEPT_NAMES: Final = 256


class Element(NamedTuple):
    """One element: its tag, its content, and itself as it was encoded."""

    tag: int
    content: bytes
    raw: bytes

    def enter(self) -> DerReader:
        """A reader of what stands inside."""
        return DerReader(self.content)


class DerReader:
    """Reads elements one after another."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def has_more(self) -> bool:
        """Whether anything is left to read."""
        return self._at < len(self._data)

    def element(self, *tags: int) -> Element:
        """The next element, which must have one of the tags. Raises EvidenceMalformed."""
        data, at = self._data, self._at
        if at + 1 >= len(data):
            raise malformed()
        tag, length, start = data[at], data[at + 1], at + 2
        if tag & _HIGH_TAG == _HIGH_TAG or (tags and tag not in tags):
            raise malformed()
        if length >= _LONG_FORM:
            start, length = self._long_length(start, length - _LONG_FORM)
        end = start + length
        if end > len(data):
            raise malformed()
        self._at = end
        return Element(tag, data[start:end], data[at:end])

    def optional(self, tag: int) -> Element | None:
        """The next element if it has the tag."""
        return self.element(tag) if self.has_more and self._data[self._at] == tag else None

    def close(self) -> None:
        """Raise EvidenceMalformed if anything is left."""
        if self.has_more:
            raise malformed()

    def _long_length(self, at: int, count: int) -> tuple[int, int]:
        octets = self._data[at : at + count]
        length = int.from_bytes(octets, "big")
        is_shortest = len(octets) == count and length >= max(_LONG_FORM, 1 << 8 * (count - 1) if count else 0)
        if not 1 <= count <= _LONGEST_LENGTH or not is_shortest:
            raise malformed()
        return at + count, length


def whole(data: bytes, tag: int) -> Element:
    """The one element that the bytes are. Raises EvidenceMalformed."""
    reader = DerReader(data)
    found = reader.element(tag)
    reader.close()
    return found


def integer(element: Element) -> int:
    """The number of an INTEGER in its shortest form. Raises EvidenceMalformed."""
    content = element.content
    padded = len(content) > 1 and content[0] in {0x00, 0xFF} and (content[0] ^ content[1]) & 0x80 == 0
    if element.tag != INTEGER or not content or padded:
        raise malformed()
    return int.from_bytes(content, "big", signed=True)


def bits(element: Element) -> bytes:
    """The bytes of a BIT STRING that is whole bytes. Raises EvidenceMalformed."""
    if element.tag != BIT_STRING or element.content[:1] != b"\0":
        raise malformed()
    return element.content[1:]


def object_identifier(element: Element) -> str:
    """The dotted form of an OBJECT IDENTIFIER. Raises EvidenceMalformed."""
    if element.tag != OBJECT_IDENTIFIER or not 0 < len(element.content) <= _LONGEST_NAME:
        raise malformed()
    return _dotted(element.content)


@lru_cache(maxsize=_KEPT_NAMES)
def _dotted(content: bytes) -> str:
    if content[-1] & _CONTINUES:
        raise malformed()
    arcs: list[int] = []
    arc = 0
    for octet in content:
        if arc == 0 and octet == _CONTINUES:
            raise malformed()  # a leading zero
        arc = arc << 7 | octet & 0x7F
        if not octet & _CONTINUES:
            arcs.append(arc)
            arc = 0
    top = min(arcs[0] // 40, 2)
    return ".".join(map(str, (top, arcs[0] - 40 * top, *arcs[1:])))


def malformed() -> EvidenceMalformed:
    """The one error of reading DER."""
    return EvidenceMalformed(part="a certificate")
