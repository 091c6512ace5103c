"""COBOL copybooks: from the text of a record description to fixed offsets.

Known: levels, PIC X/A/9/S9/V, DISPLAY, COMP (COMP-4, BINARY), COMP-3 (PACKED-DECIMAL), OCCURS n, REDEFINES, FILLER,
VALUE and condition names (level 88, both without effect). Anything else is refused: a clause that is skipped would move
every offset after it. Storage sizes follow IBM Enterprise COBOL for z/OS, Language Reference, "USAGE clause".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from asepsis.errors.harmonise import CopybookRefused, LimitExceeded

_MAX_FIELDS: Final = 10_000
_MAX_BYTES: Final = 1 << 20
_MAX_DIGITS: Final = 38
_GROUP_LEVELS: Final = range(1, 50)
_CONDITION: Final = 88
_HALFWORD, _FULLWORD = 4, 9
_PICTURE: Final = re.compile(r"^(S?)((?:[9XA](?:\(\d{1,6}\))?)*)(?:V((?:9(?:\(\d{1,6}\))?)*))?$")
_PICTURE_PART: Final = re.compile(r"([9XA])(?:\((\d+)\))?")
_BINARY: Final = frozenset({"COMP", "COMP-4", "COMPUTATIONAL", "COMPUTATIONAL-4", "BINARY"})
_PACKED: Final = frozenset({"COMP-3", "COMPUTATIONAL-3", "PACKED-DECIMAL"})
_NOISE: Final = frozenset({"IS", "TIMES", "USAGE", "DISPLAY"})


class Storage(StrEnum):
    """How the bytes of a field hold its value."""

    TEXT = "text"
    DIGITS = "digits"
    ZONED = "zoned"
    PACKED = "packed"
    BINARY = "binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One elementary field: where it lies in the record (bytes) and how it is stored; ``scale`` is decimal places."""

    name: str
    offset: int
    length: int
    storage: Storage
    scale: int = 0
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A fixed-length record: its length in bytes and its elementary fields in order of description."""

    length: int
    spans: tuple[Span, ...]


@dataclass(slots=True, kw_only=True)
class _Item:
    level: int
    name: str
    picture: str | None = None
    usage: Storage | None = None
    occurs: int = 1
    redefines: str | None = None
    children: list[_Item] = field(default_factory=list)


def parse_copybook(text: str) -> Layout:
    """Read a record description of one 01 level (or of bare items) into offsets.

    Raises:
        CopybookRefused: a clause is unknown or contradicts another.
        LimitExceeded: the record would have too many fields or bytes.
    """
    root = _Item(level=0, name="record")
    stack = [root]
    for words in _statements(text):
        if words[0] == str(_CONDITION):
            continue
        item = _item(words)
        while stack[-1].level >= item.level:
            stack.pop()
        if stack[-1].picture is not None:
            raise CopybookRefused(item=item.name, problem="an item with a picture cannot have items below it")
        stack[-1].children.append(item)
        stack.append(item)
    spans: list[Span] = []
    length = _place(root, 0, "", spans)
    if not spans or len({span.name for span in spans}) != len(spans):
        raise CopybookRefused(item=root.name, problem="no fields, or two fields of one name")
    return Layout(length=length, spans=tuple(spans))


def field_name(name: str) -> str:
    """The name of a source field inside expressions: lower case, with underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _statements(text: str) -> Iterator[list[str]]:
    lines = [_code(number, line) for number, line in enumerate(text.splitlines(), start=1)]
    for statement in re.split(r"\.(?:\s+|$)", "\n".join(lines)):
        words = re.findall(r"'[^']*'|\"[^\"]*\"|[^\s'\"]+", statement.upper())
        if words:
            yield words


def _code(number: int, line: str) -> str:
    """The program text of a line in reference format: columns 1-6 are a sequence number, column 7 an indicator."""
    line = line.expandtabs(8)
    if line.lstrip().startswith("*"):
        return ""
    if line[:6].strip() and not line[:6].strip().isdigit():
        return line
    indicator = line[6:7]
    if indicator in {"*", "/"}:
        return ""
    if indicator.strip():
        raise CopybookRefused(item=f"line {number}", problem="continued and debugging lines are not read")
    return line[7:72]


def _item(words: list[str]) -> _Item:
    level = int(words[0]) if words[0].isdigit() else -1
    if level not in _GROUP_LEVELS:
        raise CopybookRefused(item=words[0], problem="a level number from 01 to 49 is expected")
    rest = words[1:]
    named = bool(rest) and rest[0] not in {"PIC", "PICTURE", "REDEFINES", "OCCURS", "FILLER"}
    item = _Item(level=level, name=rest[0] if named else "FILLER")
    position = 1 if named or (rest and rest[0] == "FILLER") else 0
    while position < len(rest):
        position = _clause(item, rest, position)
    return item


def _clause(item: _Item, words: list[str], position: int) -> int:
    word = words[position]
    following = next((n for n in range(position + 1, len(words)) if words[n] != "IS"), len(words))
    value = words[following] if following < len(words) else ""
    if word in {"PIC", "PICTURE"}:
        item.picture = value
    elif word == "REDEFINES":
        item.redefines = value
    elif word == "OCCURS" and value.isdigit() and int(value) > 0:
        item.occurs = int(value)
    elif word == "VALUE" and value:
        pass
    else:
        return _usage(item, word, position)
    return following + 1


def _usage(item: _Item, word: str, position: int) -> int:
    if word in _BINARY:
        item.usage = Storage.BINARY
    elif word in _PACKED:
        item.usage = Storage.PACKED
    elif word not in _NOISE:
        raise CopybookRefused(item=item.name, problem=f"the clause {word} is unknown")
    return position + 1


def _place(item: _Item, offset: int, suffix: str, spans: list[Span]) -> int:
    """Append the fields of ``item`` at ``offset`` and return the bytes it takes (all occurrences)."""
    total = 0
    for turn in range(1, item.occurs + 1):
        mark = f"{suffix}_{turn}" if item.occurs > 1 else suffix
        total += _place_once(item, offset + total, mark, spans)
        if total > _MAX_BYTES or len(spans) > _MAX_FIELDS:
            raise LimitExceeded(limit="copybook_record")
    return total


def _place_once(item: _Item, offset: int, suffix: str, spans: list[Span]) -> int:
    if item.picture is not None:
        span = _span(item, offset, suffix)
        if item.name != "FILLER":
            spans.append(span)
        return span.length
    if not item.children:
        raise CopybookRefused(item=item.name, problem="neither a picture nor items below it")
    starts: dict[str, int] = {}
    used = 0
    for child in item.children:
        if child.redefines is not None and child.redefines not in starts:
            raise CopybookRefused(item=child.name, problem="it redefines an item that is not before it")
        start = used if child.redefines is None else starts[child.redefines]
        starts[child.name] = start
        used = max(used, start + _place(child, offset + start, suffix, spans))
    return used


def _span(item: _Item, offset: int, suffix: str) -> Span:
    match = _PICTURE.match(item.picture or "")
    parts = [(kind, int(count or 1)) for kind, count in _PICTURE_PART.findall(match[2])] if match else []
    decimals = [int(count or 1) for _, count in _PICTURE_PART.findall((match[3] if match else None) or "")]
    scale = sum(decimals)
    size = sum(count for _, count in parts) + scale
    numeric = all(kind == "9" for kind, _ in parts)
    signed = bool(match and match[1])
    if match is None or not size or ((signed or scale or item.usage) and not numeric):
        raise CopybookRefused(item=item.name, problem="the picture is not one of X, A, 9, S9 and V")
    if numeric and size > _MAX_DIGITS:
        raise CopybookRefused(item=item.name, problem="the picture has too many digits")
    storage = _storage(item, numeric=numeric, signed=signed)
    length = _bytes(storage, size)
    name = field_name(item.name) + suffix
    return Span(name=name, offset=offset, length=length, storage=storage, scale=scale, signed=signed)


def _storage(item: _Item, *, numeric: bool, signed: bool) -> Storage:
    if item.usage is not None:
        return item.usage
    if not numeric:
        return Storage.TEXT
    return Storage.ZONED if signed else Storage.DIGITS


def _bytes(storage: Storage, size: int) -> int:
    if storage is Storage.PACKED:
        return size // 2 + 1
    if storage is not Storage.BINARY:
        return size
    if size <= _HALFWORD:
        return 2
    return 4 if size <= _FULLWORD else (8 if size <= 2 * _FULLWORD else 16)
