"""X12 files (837 claims, 835 remittances, ...): one segment per record, read with the loops that it stands in.

Segments that a mapping names are data, those that its paths read are context, envelopes are header, all other segments
are left out by name. A value comes from the record itself, else from the nearest segment of its loop, else from the
loops around it: never from a sibling. What an envelope declares is compared when it ends: a transaction whose count or
control number is wrong, or that has no end, is set aside whole; records of such a group or interchange are flagged;
the trailer (the header, where there is no trailer) is set aside with the reason in either case.
Source: ASC X12.5, interchange control structures; X12.6, application control structures; 997 (AK5, AK9) and TA1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from asepsis.harmonise.readers.batch import Batch, counted
from asepsis.harmonise.readers.record import Limits, RecordKind
from asepsis.harmonise.readers.x12frame import Part, read_parts
from asepsis.harmonise.readers.x12page import Loop, Page, Words
from asepsis.harmonise.readers.x12paths import LOOPS, Path, Separators

SEGMENT: Final = "segment"
ENVELOPE: Final = frozenset({"ISA", "GS", "ST", "SE", "GE", "IEA"})
_LONGEST: Final = 64 << 10
_ELEMENTS: Final = 1000
_BATCH: Final = 8192
_KEYS: Final = 1000
_KEY: Final = 3
_UNMAPPED: Final = ("-segment_not_mapped",)
_NAME: Final = re.compile(rb"[A-Z][A-Z0-9]{1,2}")
_OPENERS: Final = frozenset({"HL"}.union(*LOOPS.values()))


def read(
    stream: BinaryIO,
    *,
    encoding: str,
    segments: Sequence[str],
    paths: Mapping[str, Path],
    limits: Limits | None = None,
) -> Iterator[Batch]:
    """Yield every segment; those named in ``segments`` are data and carry a value for each of ``paths``.

    An interchange is judged as a whole up to ``limits.record_bytes``; beyond it, its records say that it was not.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    reading = _Reading(encoding, frozenset(segments), paths, limits)
    return counted(_batches(stream, reading, limits), limits=limits)


def _batches(stream: BinaryIO, reading: _Reading, limits: Limits) -> Iterator[Batch]:
    for part in read_parts(stream, longest=min(_LONGEST, limits.record_bytes)):
        reading.add(part)
        yield from reading.ready()
    reading.finish()
    yield from reading.ready()


@dataclass(slots=True)
class _Rule:
    """What is done with the segments of one name; ``keyed`` are those for each first element."""

    name: str
    is_data: bool
    is_head: bool
    watched: tuple[int, ...]
    keyed: dict[bytes, _Rule] | None = None
    is_quiet: bool = False
    is_looked_at: bool = True

    def __post_init__(self) -> None:
        is_wanted = self.is_data or self.is_head or bool(self.watched)
        self.is_looked_at = is_wanted or self.name in ENVELOPE or self.name == "HL"
        self.is_quiet = not self.is_looked_at and self.name not in _OPENERS


@dataclass(slots=True)
class _Envelope:
    """An open interchange, group or transaction: where its header stands on the page, and what it counted so far."""

    first: int
    control: str
    count: int = 0


class _Reading:
    """Where reading is: the open envelopes, the loop, and the page."""

    def __init__(self, encoding: str, segments: frozenset[str], paths: Mapping[str, Path], limits: Limits) -> None:
        self._encoding = encoding
        self._segments = segments
        self._names = (SEGMENT, *paths)
        self._paths = tuple(paths.values())
        self._limits = limits
        self._rules: dict[bytes, _Rule] = {}
        self._separators = Separators("*", None, ":", "~")
        self._page = Page()
        self._ready: list[Batch] = []
        self._number = self._offset = 0
        self._interchange: _Envelope | None = None
        self._group: _Envelope | None = None
        self._transaction: _Envelope | None = None
        self._loop = self._root = Loop("", None)
        self._opens: Mapping[str, tuple[str, ...]] = {}
        self._levels: dict[str, Loop] = {}
        self._records: list[tuple[int, str, Loop]] = []
        self._is_too_long = False
        self._begin = {"GS": self._begin_group, "ST": self._begin_transaction}
        self._end = {"SE": self._end_transaction, "GE": self._end_group, "IEA": self._end_interchange}

    def ready(self) -> Iterator[Batch]:
        """The batches that are complete."""
        ready, self._ready = self._ready, []
        yield from ready

    def finish(self) -> None:
        """The end of the file: what is still open has no end."""
        self._end_interchange(None, -1)
        self._flush()

    def add(self, part: Part) -> None:
        """Take the next pieces of the file."""
        self._page.size += sum(map(len, part.pieces))
        if part.begins and part.separators is not None:
            self._end_interchange(None, -1)
            self._begin_interchange(part.pieces[0], part.separators)
        elif part.defect is not None or self._interchange is None:
            is_after = self._interchange is None and part.separators is not None
            self._add_residue(part.pieces, "outside_interchange" if is_after or not part.defect else part.defect)
        else:
            self._add_segments(part.pieces)
        self._turn()

    def _turn(self) -> None:
        """Give the page on where it is complete, or has become too large to wait for the end of what is open."""
        page, most = self._page, self._limits.record_bytes
        if self._interchange is None:
            if len(page.pieces) >= _BATCH or page.size > most:
                self._flush()
        elif self._transaction is None:
            if page.size > most:
                page.mark_rows(self._interchange.first, "envelope_not_compared@interchange")
                self._flush()
        elif page.size > 2 * most:
            page.mark(self._transaction.first, "transaction_too_long")
            self._settle(["transaction_too_long"])
            self._is_too_long = True
            self._flush()

    def _flush(self) -> None:
        page = self._page
        if not page.pieces:
            return
        batch = page.batch(self._names, number=self._number, offset=self._offset)
        self._ready.append(batch)
        self._number += len(batch)
        self._offset += len(batch.data)
        for envelope in (self._interchange, self._group, self._transaction):
            if envelope is not None:
                envelope.first -= len(batch)
        self._page = Page()

    def _add_residue(self, pieces: list[bytes], defect: str) -> None:
        for piece in pieces:
            self._page.add(piece, RecordKind.RESIDUE, defect)
        if self._transaction is not None:
            self._transaction.count -= len(pieces)

    def _add_segments(self, pieces: list[bytes]) -> None:
        """Most segments are of no interest to a mapping: they pass here, the others are looked at."""
        sign, page = self._separators.element.encode(), self._page
        for piece in pieces:
            at = piece.find(sign, 2, 4)
            rule = self._rules.get(piece[:at])
            if rule is not None and rule.keyed is not None:
                rule = rule.keyed.get(piece[at + 1 : piece.find(sign, at + 1)])
            if rule is not None and rule.is_quiet and self._interchange is not None:
                page.defects[len(page.pieces)] = _UNMAPPED
                page.pieces.append(piece)
            else:
                self._segment(piece, rule)
                page = self._page

    def _segment(self, piece: bytes, rule: _Rule | None) -> None:
        if self._interchange is None:
            self._add_residue([piece], "outside_interchange")
            return
        bare = piece.rstrip(b"\r\n").removesuffix(self._separators.terminator.encode())
        rule = rule or self._rule(bare)
        if rule is None:
            self._page.add(piece, defect="not_a_segment")
            self._skip()
            return
        words: Words = []
        if rule.is_looked_at:
            words, defect = _words(bare, self._encoding, self._separators)
            if defect is not None:
                self._page.add(piece, defect=defect)
                return
        if rule.name in ENVELOPE:
            self._envelope(piece, words, rule)
        else:
            self._body(piece, words, rule)

    def _envelope(self, piece: bytes, words: Words, rule: _Rule) -> None:
        index = self._page.add(piece, RecordKind.HEADER)
        if rule.name in self._begin:
            self._begin[rule.name](words, index)
            self._watch(rule, words, index)
        elif rule.name in self._end:
            self._end[rule.name](words, index)
            if self._transaction is None and self._interchange is not None:
                self._turn()

    def _body(self, piece: bytes, words: Words, rule: _Rule) -> None:
        index = len(self._page.pieces)
        self._page.pieces.append(piece)
        if self._transaction is None:
            self._page.defects[index] = ("outside_transaction",) if rule.is_data else _UNMAPPED
            return
        if rule.name in self._opens or rule.name == "HL":
            self._enter(rule.name, words, index)
        if rule.is_data:
            self._records.append((index, rule.name, self._loop))
        elif not rule.is_looked_at:
            self._page.defects[index] = _UNMAPPED
        elif index not in self._page.defects:
            self._page.kinds[index] = RecordKind.CONTEXT
        if not self._is_too_long:
            self._watch(rule, words, index)

    def _enter(self, name: str, words: Words, index: int) -> None:
        """Where a segment begins a loop, reading is in that loop from here on."""
        if name == "HL":
            self._enter_level(words, index)
            return
        parents = self._opens[name]
        loop: Loop | None = self._loop
        while loop is not None and loop.name not in parents:
            loop = loop.parent
        if loop is not None:
            self._loop = Loop(name, loop)

    def _enter_level(self, words: Words, index: int) -> None:
        number, above = (words[place].strip() if place < len(words) else "" for place in (1, 2))
        parent = self._levels.get(above, self._root)
        problem = None
        if above and above not in self._levels:
            problem = "hl_parent_unknown"
        elif number in self._levels:
            problem = "hl_number_repeated"
        elif parent.depth >= self._limits.nesting:
            problem, parent = "nested_too_deep", self._root
        if problem is not None:
            self._page.mark(index, problem)
        self._loop = self._levels[number] = Loop("HL", parent, problem)

    def _watch(self, rule: _Rule, words: Words, index: int) -> None:
        """Remember a segment for the paths that ask for it."""
        loop = self._loop
        if rule.is_head:
            loop.heads[rule.name] = words
        for number in rule.watched:
            path = self._paths[number]
            if path.after is not None:
                head = loop.heads.get(path.after.segment)
                if head is None or not path.after.takes(head, self._separators):
                    continue
            if path.selector.takes(words, self._separators):
                loop.keep(number, index, words)

    def _begin_interchange(self, piece: bytes, separators: Separators) -> None:
        if separators != self._separators:
            self._separators, self._rules = separators, {}
        words = piece.rstrip(b"\r\n").decode(self._encoding, "replace").split(separators.element)
        index = self._page.add(piece, RecordKind.HEADER)
        self._interchange = _Envelope(index, _control(words, 13))
        self._loop = self._root = Loop("ISA", None)
        rule = self._rule(piece[:3])
        if rule is not None:
            self._watch(rule, words, index)

    def _begin_group(self, words: Words, index: int) -> None:
        self._end_group(None, -1)
        self._group = _Envelope(index, _control(words, 6))
        while self._loop.parent is not None:
            self._loop = self._loop.parent
        self._loop = Loop("GS", self._loop)
        if self._interchange is not None:
            self._interchange.count += 1

    def _begin_transaction(self, words: Words, index: int) -> None:
        self._end_transaction(None, -1)
        kind = words[1].strip() if len(words) > 1 else ""
        problem = None if self._group is not None else "transaction_without_group"
        if kind not in LOOPS:
            problem = "transaction_set_unknown"
        if problem is not None:
            self._page.mark(index, problem)
        self._transaction = _Envelope(index, _control(words, 2))
        while self._loop.name not in {"GS", "ISA"} and self._loop.parent is not None:
            self._loop = self._loop.parent
        self._loop = self._root = Loop("ST", self._loop, problem)
        self._opens, self._levels = LOOPS.get(kind, {}), {}
        if self._group is not None:
            self._group.count += 1

    def _end_transaction(self, words: Words | None, index: int) -> None:
        transaction = self._transaction
        if transaction is None:
            self._stray(words, index)
            return
        count = len(self._page.pieces) - transaction.first + transaction.count
        problems = _problems(transaction, words, count, ("segment_count", "transaction"))
        self._page.declare(_control(words or [], 1), count)
        self._page.mark(transaction.first if words is None else index, *problems)
        self._settle([*problems, *(["transaction_too_long"] if self._is_too_long else [])])
        self._transaction, self._is_too_long = None, False
        self._loop = self._root.parent or self._root

    def _end_group(self, words: Words | None, index: int) -> None:
        self._end_transaction(None, -1)
        group, self._group = self._group, None
        self._end_outer(group, words, index, ("transaction_count", "group"))

    def _end_interchange(self, words: Words | None, index: int) -> None:
        self._end_group(None, -1)
        interchange, self._interchange = self._interchange, None
        self._end_outer(interchange, words, index, ("group_count", "interchange"))

    def _end_outer(self, envelope: _Envelope | None, words: Words | None, index: int, names: tuple[str, str]) -> None:
        if envelope is None:
            self._stray(words, index)
            return
        problems = _problems(envelope, words, envelope.count, names)
        self._page.mark(envelope.first if words is None else index, *problems)
        self._page.mark_rows(envelope.first, *(f"{problem}@{names[1]}" for problem in problems))

    def _stray(self, words: Words | None, index: int) -> None:
        if words is not None:
            self._page.mark(index, "trailer_without_header")

    def _settle(self, problems: list[str]) -> None:
        """Take the values of the records of a transaction: what follows a record in its loop is known now."""
        page, separators = self._page, self._separators
        for index, name, loop in self._records:
            found = [loop.nearest(number, index) for number in range(len(self._paths))]
            page.rows.append(index)
            page.values.append(
                (
                    name,
                    *(
                        None if words is None else path.value(words, separators)
                        for path, words in zip(self._paths, found, strict=True)
                    ),
                )
            )
            if problems or loop.problem is not None:
                page.mark(index, *([loop.problem] if loop.problem is not None else []), *problems)
        self._records = []

    def _skip(self) -> None:
        if self._transaction is not None:
            self._transaction.count -= 1

    def _rule(self, bare: bytes) -> _Rule | None:
        """What is done with a segment; ``None`` where it has no name."""
        sign = self._separators.element.encode()
        key = bare.split(sign, 1)[0]
        if _NAME.fullmatch(key) is None:
            return None
        rule = self._rules.get(key)
        if rule is None:
            rule = self._rules[key] = self._rule_of(key.decode())
        if rule.keyed is None:
            return rule
        first = bare.split(sign, 2)[1:2]
        return self._keyed(rule, first[0] if first else b"")

    def _rule_of(self, name: str) -> _Rule:
        """The rule for a name; where only the first element tells who asks, it has rules for each of its values."""
        watched = tuple(number for number, path in enumerate(self._paths) if path.selector.segment == name)
        is_head = any(path.after is not None and path.after.segment == name for path in self._paths)
        rule = _Rule(name, name in self._segments, is_head, watched)
        selectors = [self._paths[number].selector for number in watched]
        is_keyed = bool(selectors) and all(item.values and item.element == 1 for item in selectors)
        if is_keyed and not (rule.is_data or is_head) and name not in ENVELOPE | _OPENERS:
            rule.keyed = {}
        return rule

    def _keyed(self, rule: _Rule, first: bytes) -> _Rule:
        text = first.decode(self._encoding, "replace")
        words = [rule.name, text]
        watched = tuple(n for n in rule.watched if self._paths[n].selector.takes(words, self._separators))
        found = _Rule(rule.name, rule.is_data, rule.is_head, watched)
        if rule.keyed is not None and len(rule.keyed) < _KEYS and len(first) <= _KEY:
            rule.keyed[first] = found
        return found


def _words(bare: bytes, encoding: str, separators: Separators) -> tuple[Words, str | None]:
    """The elements of a segment, or what is wrong with it."""
    try:
        words = bare.decode(encoding).split(separators.element)
    except UnicodeDecodeError:
        return [], "undecodable"
    return words, "too_many_elements" if len(words) > _ELEMENTS else None


def _control(words: Words, place: int) -> str:
    return words[place].strip() if place < len(words) else ""


def _problems(envelope: _Envelope, words: Words | None, count: int, names: tuple[str, str]) -> list[str]:
    """What an envelope declares and does not hold: the count of its parts, and its control number."""
    if words is None:
        return [f"{names[1]}_not_closed"]
    declared = _control(words, 1)
    is_count = declared.isdecimal() and len(declared) < len(str(1 << 31)) and int(declared) == count
    found = [] if is_count else [f"{names[0]}_mismatch"]
    return found if _control(words, 2) == envelope.control else [*found, f"{names[1]}_control_mismatch"]
