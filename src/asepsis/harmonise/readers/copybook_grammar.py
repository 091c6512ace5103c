"""The text of a copybook as items: reference format, statements, clauses and the tree that level numbers make.

A clause that is skipped would move every offset after it, so that an unknown one is refused. Clauses without effect on
storage (VALUE, JUSTIFIED, BLANK WHEN ZERO, INDEXED BY, keys of tables, GLOBAL, EXTERNAL) and entries that describe no
storage of the record (levels 66, 77 and 88) are read and left out.

Source: IBM Enterprise COBOL for z/OS, Language Reference, "Reference format" and "Data description entry".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from asepsis.errors.harmonise import CopybookRefused, LimitExceeded

FILLER: Final = "FILLER"
_MAX_TEXT: Final = 4 << 20
_MAX_NESTING: Final = 100
_LEVELS: Final = range(1, 50)
_ELSEWHERE: Final = frozenset({"66", "77", "88"})
_END_OF_FILE: Final = "\x1a"
_WORD: Final = re.compile(r"(?:[XNGZ]|NX)?(?:'(?:[^'\n]|'')*'|\"(?:[^\"\n]|\"\")*\")|[^\s'\"]+|['\"]")
_LITERAL: Final = re.compile(r"^(?:(?:[XNGZ]|NX)?['\"].*|[+-]?[\d.,]+)$", re.DOTALL)
_FIGURATIVE: Final = frozenset(
    [
        "ZERO",
        "ZEROS",
        "ZEROES",
        "SPACE",
        "SPACES",
        "HIGH-VALUE",
        "HIGH-VALUES",
        "LOW-VALUE",
        "LOW-VALUES",
        "QUOTE",
        "QUOTES",
        "NULL",
        "NULLS",
        "ALL",
    ]
)
_DIRECTIVES: Final = frozenset({"EJECT", "SKIP1", "SKIP2", "SKIP3"})
_NOISE: Final = frozenset(["IS", "TIMES", "USAGE", "DISPLAY", "DISPLAY-1", "GLOBAL", "EXTERNAL"]) - {"DISPLAY-1"}
_OPENING: Final = frozenset(
    [
        "PIC",
        "PICTURE",
        "REDEFINES",
        "OCCURS",
        "USAGE",
        "VALUE",
        "VALUES",
        "SIGN",
        "JUST",
        "JUSTIFIED",
        "BLANK",
        "COMP",
        "COMP-0",
        "COMP-1",
        "COMP-2",
        "COMP-3",
        "COMP-3U",
        "COMP-4",
        "COMP-5",
        "COMP-6",
        "COMP-9",
        "BINARY",
        "PACKED-DECIMAL",
        "DISPLAY",
        "NATIONAL",
        "GLOBAL",
        "EXTERNAL",
    ]
)


class Usage(StrEnum):
    """How numbers are stored, where it is not as characters."""

    BINARY = "binary"
    LITTLE_ENDIAN = "little_endian"
    PACKED = "packed"
    PACKED_UNSIGNED = "packed_unsigned"
    SINGLE = "single"
    DOUBLE = "double"
    NATIONAL = "national"
    DISPLAY = "display"


_USAGES: Final = {
    **dict.fromkeys(("COMP", "COMP-0", "COMP-4", "COMP-5", "BINARY"), Usage.BINARY),
    "COMP-9": Usage.LITTLE_ENDIAN,
    **dict.fromkeys(("COMP-3", "PACKED-DECIMAL"), Usage.PACKED),
    **dict.fromkeys(("COMP-3U", "COMP-6"), Usage.PACKED_UNSIGNED),
    "COMP-1": Usage.SINGLE,
    "COMP-2": Usage.DOUBLE,
    "NATIONAL": Usage.NATIONAL,
    "DISPLAY": Usage.DISPLAY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignPlace:
    """Where the sign of a number in characters is: in the first or last digit, or in a character of its own."""

    leading: bool
    separate: bool


@dataclass(slots=True, kw_only=True)
class Item:
    """One data description entry; ``minimum`` and ``counter`` stand for OCCURS … DEPENDING ON."""

    level: int
    name: str
    picture: str | None = None
    usage: Usage | None = None
    sign: SignPlace | None = None
    occurs: int = 1
    minimum: int | None = None
    counter: str | None = None
    redefines: str | None = None
    children: list[Item] = field(default_factory=list)


def parse_items(text: str) -> Item:
    """Read a copybook into the tree of its items, below a nameless root.

    Raises:
        CopybookRefused: a clause is unknown, or contradicts another.
        LimitExceeded: the text is too long, or its groups are nested too deeply.
    """
    if len(text) > _MAX_TEXT:
        raise LimitExceeded(limit="copybook_text")
    root = Item(level=0, name="record")
    stack = [root]
    for words in _statements(text):
        if words[0] in _ELSEWHERE:
            continue
        item = _item(words)
        while stack[-1].level >= item.level:
            stack.pop()
        if stack[-1].picture is not None or stack[-1].usage in {Usage.SINGLE, Usage.DOUBLE}:
            raise CopybookRefused(item=item.name, problem="an item with a picture cannot have items below it")
        stack[-1].children.append(item)
        stack.append(item)
        if len(stack) > _MAX_NESTING:
            raise LimitExceeded(limit="copybook_nesting")
    return root


def _statements(text: str) -> Iterator[list[str]]:
    words: list[str] = []
    for word in _WORD.findall("\n".join(_lines(text))):
        is_literal = word[-1] in "'\""
        bare = word if is_literal else word.upper().rstrip(",;")
        is_end = not is_literal and bare.endswith(".")
        bare = bare[:-1] if is_end else bare
        if bare:
            words.append(bare)
        if is_end and words:
            yield words
            words = []
    if words:
        yield words


def _lines(text: str) -> list[str]:
    """The program text of every line; a continued line is joined to the one that it continues."""
    lines: list[str] = []
    for number, line in enumerate(text.replace(_END_OF_FILE, "").splitlines(), start=1):
        code, is_continued = _code(number, line)
        if not is_continued:
            lines.append(code)
            continue
        before = next((place for place in range(len(lines) - 1, -1, -1) if lines[place].strip()), None)
        if before is None:
            raise CopybookRefused(item=f"line {number}", problem="it continues nothing")
        lines[before] = _joined(lines[before], code.strip())
    return lines


def _joined(line: str, rest: str) -> str:
    """An open literal goes on after the quotation mark that begins the next line."""
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", line)
    is_open = "'" in unquoted or '"' in unquoted
    return line + rest[1:] if is_open and rest[:1] in {"'", '"'} else line.rstrip() + rest


def _code(number: int, line: str) -> tuple[str, bool]:
    """The text of a line in reference format: columns 1-6 are a sequence area, column 7 an indicator, 73-80 a mark.

    A line with words in the sequence area, or with one that begins in column 7, is in free format.
    """
    line = line.expandtabs(8)
    if line.lstrip().startswith("*") or line.strip(" .").upper() in _DIRECTIVES:
        return "", False
    area, indicator = line[:6].strip(), line[6:7]
    is_indicator = indicator in {"", " ", "*", "/", "-", "D", "d"}
    if " " in area or "." in area or (not is_indicator and indicator.isalnum()):
        return line.split("*>")[0], False
    if indicator in {"*", "/", "D", "d"}:
        return "", False
    if not is_indicator:
        raise CopybookRefused(item=f"line {number}", problem="the indicator in column 7 is unknown")
    return line[7:72], indicator == "-"


def _item(words: list[str]) -> Item:
    level = int(words[0]) if re.fullmatch(r"\d{1,2}", words[0]) else -1
    if level not in _LEVELS:
        raise CopybookRefused(item=words[0], problem="a level number from 01 to 49 is expected")
    rest = _Words(words[1:])
    named = bool(rest.peek()) and rest.peek() not in _OPENING
    item = Item(level=level, name=rest.take() if named else FILLER)
    while word := rest.take():
        _clause(item, word, rest)
    if item.redefines is not None and item.redefines == item.name:
        raise CopybookRefused(item=item.name, problem="it redefines itself")
    return item


class _Words:
    """The words of a statement, taken one after the other; the empty word is the end."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._place = 0

    def peek(self) -> str:
        return self._words[self._place] if self._place < len(self._words) else ""

    def take(self) -> str:
        word = self.peek()
        self._place += 1
        return word

    def skip(self, *words: str) -> None:
        while self.peek() and self.peek() in words:
            self._place += 1


def _clause(item: Item, word: str, rest: _Words) -> None:
    usage = _USAGES.get(word.replace("COMPUTATIONAL", "COMP"))
    clause = _CLAUSES.get(word)
    if usage is not None:
        item.usage = usage
    elif clause is not None:
        clause(item, rest)
    elif word not in _NOISE:
        raise CopybookRefused(item=item.name, problem=f"the clause {_shown(word)} is unknown")


def _shown(word: str) -> str:
    return word if re.fullmatch(r"[A-Z][A-Z0-9-]{0,29}", word) else "at this place"


def _picture(item: Item, rest: _Words) -> None:
    rest.skip("IS")
    item.picture = rest.take()


def _redefines(item: Item, rest: _Words) -> None:
    item.redefines = rest.take()


def _occurs(item: Item, rest: _Words) -> None:
    first, last = rest.take(), None
    if rest.peek() == "TO":
        rest.take()
        last = rest.take()
    rest.skip("TIMES")
    numbers = [text for text in (first, last) if text is not None]
    if not all(re.fullmatch(r"\d{1,7}", text) for text in numbers):
        raise CopybookRefused(item=item.name, problem="OCCURS needs a whole number")
    item.occurs = int(numbers[-1])
    if rest.peek() == "DEPENDING":
        rest.take()
        rest.skip("ON")
        item.counter = rest.take()
        item.minimum = int(first) if last is not None else 0
        while rest.peek() in {"OF", "IN"}:
            rest.take()
            rest.take()
    if item.occurs < 1 or (last is not None and (item.counter is None or int(first) > item.occurs)):
        raise CopybookRefused(item=item.name, problem="the bounds of OCCURS contradict each other")


def _value(item: Item, rest: _Words) -> None:
    rest.skip("IS", "ARE")
    found = False
    while _LITERAL.match(rest.peek()) or rest.peek() in _FIGURATIVE or (found and rest.peek() in {"THRU", "THROUGH"}):
        rest.take()
        found = True
    if not found:
        raise CopybookRefused(item=item.name, problem="a literal is expected after VALUE")


def _sign(item: Item, rest: _Words) -> None:
    rest.skip("IS")
    place = rest.take()
    if place not in {"LEADING", "TRAILING"}:
        raise CopybookRefused(item=item.name, problem="SIGN is LEADING or TRAILING")
    separate = rest.peek() == "SEPARATE"
    rest.skip("SEPARATE")
    if separate:
        rest.skip("CHARACTER")
    item.sign = SignPlace(leading=place == "LEADING", separate=separate)


def _bare_sign(place: str) -> Callable[[Item, _Words], None]:
    """The word SIGN may be left out."""

    def clause(item: Item, rest: _Words) -> None:
        separate = rest.peek() == "SEPARATE"
        rest.skip("SEPARATE")
        if separate:
            rest.skip("CHARACTER")
        item.sign = SignPlace(leading=place == "LEADING", separate=separate)

    return clause


def _justified(_: Item, rest: _Words) -> None:
    rest.skip("RIGHT")


def _blank(item: Item, rest: _Words) -> None:
    rest.skip("WHEN")
    if rest.take() not in {"ZERO", "ZEROS", "ZEROES"}:
        raise CopybookRefused(item=item.name, problem="BLANK is WHEN ZERO")


def _names(_: Item, rest: _Words) -> None:
    """INDEXED BY and the keys of a table name things that have no storage here."""
    rest.skip("BY", "KEY", "IS")
    while rest.peek() and rest.peek() not in _OPENING | {"ASCENDING", "DESCENDING", "INDEXED"}:
        if not re.fullmatch(r"[A-Z0-9][A-Z0-9-]*", rest.peek()) or rest.peek() in {"SYNC", "SYNCHRONIZED"}:
            return
        rest.take()


_CLAUSES: Final[dict[str, Callable[[Item, _Words], None]]] = {
    "PIC": _picture,
    "PICTURE": _picture,
    "REDEFINES": _redefines,
    "OCCURS": _occurs,
    "VALUE": _value,
    "VALUES": _value,
    "SIGN": _sign,
    "LEADING": _bare_sign("LEADING"),
    "TRAILING": _bare_sign("TRAILING"),
    "JUST": _justified,
    "JUSTIFIED": _justified,
    "BLANK": _blank,
    "INDEXED": _names,
    "ASCENDING": _names,
    "DESCENDING": _names,
}
