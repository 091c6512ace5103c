"""COBOL copybooks: from the text of a record description to fixed offsets.

Known are levels 01-49, PIC (see ``copybook_picture``), DISPLAY with every place of the sign, COMP (COMP-4, COMP-5,
BINARY), COMP-9 (little endian), COMP-1, COMP-2, COMP-3 (PACKED-DECIMAL), COMP-3U and COMP-6 (packed without a sign),
OCCURS with and without DEPENDING ON, REDEFINES and FILLER. Anything else that takes storage is refused: a clause that
is skipped would move every offset after it. Storage sizes follow IBM Enterprise COBOL for z/OS, Language Reference,
"USAGE clause"; binary numbers of more than 18 digits, which it does not know, take the fewest bytes, as in Cobrix.

Offsets are those of the longest record: every table has its maximum of elements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from asepsis.errors.harmonise import CopybookRefused, LimitExceeded
from asepsis.harmonise.readers.copybook_grammar import FILLER, Item, SignPlace, Usage, parse_items
from asepsis.harmonise.readers.copybook_picture import Content, Picture, parse_picture

_MAX_FIELDS: Final = 10_000
_MAX_BYTES: Final = 1 << 20
_BINARY_SIZES: Final = ((4, 2), (9, 4), (18, 8))


class Storage(StrEnum):
    """How the bytes of a field hold its value: ``digits`` are unsigned characters, ``zoned`` ones carry a sign."""

    TEXT = "text"
    NATIONAL = "national"
    DIGITS = "digits"
    ZONED = "zoned"
    EDITED = "edited"
    PACKED = "packed"
    PACKED_UNSIGNED = "packed_unsigned"
    BINARY = "binary"
    FLOAT = "float"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One elementary field: where it lies in the record (bytes) and how it is stored.

    ``scale`` is decimal places (negative: zeros before the point). ``leading`` and ``separate`` tell where the sign of
    a number in characters is. ``path`` are the names of the groups above, ``elements`` which elements of tables of
    variable size it is in: (place in ``Layout.tables``, element from 1).
    """

    name: str
    offset: int
    length: int
    storage: Storage
    scale: int = 0
    signed: bool = False
    leading: bool = False
    separate: bool = False
    little_endian: bool = False
    path: tuple[str, ...] = ()
    elements: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """OCCURS … DEPENDING ON: elements of ``stride`` bytes from ``offset``; ``counter`` is a place in the spans."""

    counter: int
    offset: int
    stride: int
    minimum: int
    maximum: int
    path: tuple[str, ...] = ()
    elements: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A record: its greatest length in bytes, its elementary fields in order of description, its variable tables."""

    length: int
    spans: tuple[Span, ...]
    tables: tuple[Table, ...] = ()

    @property
    def groups(self) -> frozenset[str]:
        """The names of all groups and fields that a segment may stand for."""
        return frozenset(name for span in self.spans for name in (span.name, *span.path))


def parse_copybook(text: str) -> Layout:
    """Read the record description of a file. Several 01 levels describe the same bytes, as in a file section.

    Raises:
        CopybookRefused: a clause is unknown or contradicts another.
        LimitExceeded: the record would have too many fields or bytes.
    """
    root = parse_items(text)
    for item in root.children[1:]:
        if item.level == 1 and root.children[0].level == 1 and item.redefines is None:
            item.redefines = root.children[0].name
    placing = _Placing()
    length = placing.group(root, _Place(offset=0))
    spans = _distinct(placing.spans)
    if not spans:
        raise CopybookRefused(item=root.name, problem="no fields")
    return Layout(length=length, spans=tuple(spans), tables=tuple(placing.tables))


def field_name(name: str) -> str:
    """The name of a source field inside expressions: lower case, with underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an item is placed, and what it inherits from the groups above it."""

    offset: int
    suffix: str = ""
    path: tuple[str, ...] = ()
    elements: tuple[tuple[int, int], ...] = ()
    usage: Usage | None = None
    sign: SignPlace | None = None

    def below(self, item: Item) -> _Place:
        path = self.path if item.name == FILLER or not item.level else (*self.path, field_name(item.name))
        return replace(self, path=path, usage=item.usage or self.usage, sign=item.sign or self.sign)


@dataclass(slots=True)
class _Placing:
    spans: list[Span] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    _latest: dict[str, int] = field(default_factory=dict)

    def group(self, item: Item, place: _Place) -> int:
        """Place the children of a group and return its bytes: redefinitions begin where the redefined item begins."""
        starts: dict[str, int] = {}
        used = 0
        for child in item.children:
            if child.redefines is not None and child.redefines not in starts:
                raise CopybookRefused(item=child.name, problem="it redefines an item that is not before it")
            start = used if child.redefines is None else starts[child.redefines]
            starts[child.name] = start
            used = max(used, start + self._all(child, replace(place, offset=place.offset + start)))
        return used

    def _all(self, item: Item, place: _Place) -> int:
        """Every occurrence of an item."""
        number = len(self.tables)
        if item.counter is not None:
            self.tables.append(self._table(item, place))
        stride = total = 0
        for turn in range(1, item.occurs + 1):
            mark = f"{place.suffix}_{turn}" if item.occurs > 1 else place.suffix
            elements = place.elements if item.counter is None else (*place.elements, (number, turn))
            stride = self._one(item, replace(place, offset=place.offset + total, suffix=mark, elements=elements))
            total += stride
            if total > _MAX_BYTES or len(self.spans) > _MAX_FIELDS or len(self.tables) > _MAX_FIELDS:
                raise LimitExceeded(limit="copybook_record")
        if item.counter is not None:
            self.tables[number] = replace(self.tables[number], stride=stride)
        return total

    def _table(self, item: Item, place: _Place) -> Table:
        counter = self._latest.get(item.counter or "")
        if counter is None:
            raise CopybookRefused(item=item.name, problem="it depends on an item that is not before it")
        span = self.spans[counter]
        if span.storage in {Storage.TEXT, Storage.NATIONAL, Storage.FLOAT} or span.scale > 0:
            raise CopybookRefused(item=item.name, problem="it depends on an item that is not a whole number")
        return Table(
            counter=counter,
            offset=place.offset,
            stride=0,
            minimum=item.minimum or 0,
            maximum=item.occurs,
            path=place.below(item).path,
            elements=place.elements,
        )

    def _one(self, item: Item, place: _Place) -> int:
        usage = item.usage or place.usage
        if item.picture is None and (item.children or usage not in {Usage.SINGLE, Usage.DOUBLE}):
            if not item.children:
                raise CopybookRefused(item=item.name, problem="neither a picture nor items below it")
            return self.group(item, place.below(item))
        span = _span(item, place)
        if item.name != FILLER:
            self._latest[item.name] = len(self.spans)
            self.spans.append(span)
        return span.length


def _span(item: Item, place: _Place) -> Span:
    usage, sign = item.usage or place.usage, item.sign or place.sign
    base = Span(
        name=field_name(item.name) + place.suffix,
        offset=place.offset,
        length=0,
        storage=Storage.FLOAT,
        path=place.path,
        elements=place.elements,
    )
    if usage in {Usage.SINGLE, Usage.DOUBLE}:
        if item.picture is not None:
            raise CopybookRefused(item=item.name, problem="a floating-point item has no picture")
        return replace(base, length=4 if usage is Usage.SINGLE else 8, signed=True)
    picture = parse_picture(item.picture or "")
    if picture is None:
        raise CopybookRefused(item=item.name, problem="the picture is unknown or has too many digits")
    if picture.content is not Content.NUMBER:
        return _characters(item, picture, base, usage)
    base = replace(base, scale=picture.scale, signed=picture.signed)
    if usage in _STORED:
        storage = _STORED[usage]
        little = usage is Usage.LITTLE_ENDIAN
        return replace(base, length=_bytes(storage, picture.size), storage=storage, little_endian=little)
    if usage is Usage.NATIONAL:
        raise CopybookRefused(item=item.name, problem="national numbers are not read")
    return _displayed(base, picture, sign)


_STORED: Final[Mapping[Usage | None, Storage]] = {
    Usage.BINARY: Storage.BINARY,
    Usage.LITTLE_ENDIAN: Storage.BINARY,
    Usage.PACKED: Storage.PACKED,
    Usage.PACKED_UNSIGNED: Storage.PACKED_UNSIGNED,
}


def _characters(item: Item, picture: Picture, base: Span, usage: Usage | None) -> Span:
    """Texts and edited numbers; a usage for numbers contradicts them where the item itself has it."""
    if item.usage not in {None, Usage.DISPLAY, Usage.NATIONAL}:
        raise CopybookRefused(item=item.name, problem="the usage needs a picture of digits")
    if picture.content is Content.EDITED:
        if usage is Usage.NATIONAL:
            raise CopybookRefused(item=item.name, problem="national numbers are not read")
        edited = Storage.EDITED
        return replace(base, length=picture.size, storage=edited, scale=picture.scale, signed=picture.signed)
    if picture.content is Content.NATIONAL or item.usage is Usage.NATIONAL:
        return replace(base, length=2 * picture.size, storage=Storage.NATIONAL)
    return replace(base, length=picture.size, storage=Storage.TEXT)


def _displayed(base: Span, picture: Picture, sign: SignPlace | None) -> Span:
    separate = sign is not None and sign.separate
    if not picture.signed and not separate:
        return replace(base, length=picture.size, storage=Storage.DIGITS)
    leading = sign is not None and sign.leading
    length = picture.size + separate
    return replace(base, length=length, storage=Storage.ZONED, leading=leading, separate=separate)


def _bytes(storage: Storage, digits: int) -> int:
    if storage is Storage.PACKED:
        return digits // 2 + 1
    if storage is Storage.PACKED_UNSIGNED:
        return (digits + 1) // 2
    for most, size in _BINARY_SIZES:
        if digits <= most:
            return size
    return int(10**digits).bit_length() // 8 + 1


def _distinct(spans: list[Span]) -> list[Span]:
    """Fields of one name are told apart by the groups that they are in."""
    names = [span.name for span in spans]
    depth = 0
    while len(set(names)) < len(names):
        depth += 1
        counts: dict[str, int] = {}
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        longer = [
            "_".join((*span.path[-depth:], span.name)) if counts[name] > 1 else name
            for name, span in zip(names, spans, strict=True)
        ]
        if longer == names:
            twice = next(name for name in names if counts[name] > 1)
            raise CopybookRefused(item=twice, problem="two fields of one name")
        names = longer
    return [span if name == span.name else replace(span, name=name) for name, span in zip(names, spans, strict=True)]
