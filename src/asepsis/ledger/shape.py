"""The form of an entry's bytes, recognised without building the entry: what makes an audit of a long ledger quick.

Canonical entries of the closed schema are nearly a regular language: identifiers hold no character that JSON writes in
another way. What a pattern cannot say (known acts, names in order and once, days that exist) is looked up among what
was found right before. Whatever is not recognised here is read in full by :func:`asepsis.ledger.entry.parse_entry`,
which decides; so this only ever says yes where that says yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import Final

from asepsis.domain.ledger import FACTS, FORMAT, PERSONAL, Act
from asepsis.ledger.entry import parse_entry

_IDENTIFIER: Final = rb"[A-Za-z0-9][A-Za-z0-9._:@/+=-]{0,199}+"
_DIGEST: Final = rb"[0-9a-f]{64}"
_NUMBER: Final = rb"(?:0|-?[1-9][0-9]{0,14})"  # longer numbers may pass the largest one and are read in full
_VALUE: Final = rb'(?:"' + _IDENTIFIER + rb'"|' + _NUMBER + rb")"
_COMMITMENT_VALUE: Final = rb'"' + _DIGEST + rb'"'
_MOST_SHAPES: Final = 4
"""How many narrower patterns are kept for one act; more would be slower than the wide one."""
_FACT: Final = rb'"[a-z_]++":' + _VALUE
_COMMITMENT: Final = rb'"[a-z_]++":' + _COMMITMENT_VALUE


def _list_of(item: bytes) -> bytes:
    return rb"((?:" + item + rb"(?:," + item + rb")*+)?)"


def _entry(act: bytes, *, commitments: bytes, facts: bytes) -> re.Pattern[bytes]:
    return re.compile(
        rb'\{"act":"' + act + rb'","actor":"' + _IDENTIFIER + rb'"'
        rb',"at":"([0-9]{4}-[0-9]{2}-[0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"'
        rb',"commitments":\{' + commitments + rb'\},"facts":\{' + facts + rb"\}"
        rb',"format":"' + re.escape(FORMAT.encode()) + rb'","subject":"' + _IDENTIFIER + rb'"\}'
    )


_ENTRY: Final = _entry(rb"([a-z_.]++)", commitments=_list_of(_COMMITMENT), facts=_list_of(_FACT))
_NAME: Final = re.compile(rb'"([a-z_]++)":')
_ACTS: Final = {act.value.encode(): act for act in Act}
_START: Final = len(b'{"act":"')


def acts_of(lines: Iterable[bytes]) -> Iterator[Act]:
    """The act of each entry; raises `EntryMalformed` at the first line where `parse_entry` does."""
    learnt: dict[bytes, list[re.Pattern[bytes]]] = {}
    for line in lines:
        name = line[_START : line.find(b'"', _START)]
        for pattern in learnt.get(name, ()):
            match = pattern.fullmatch(line)
            if match is not None and _is_day(match[1]):
                yield _ACTS[name]
                break
        else:
            yield act_of(line)
            _learn(learnt, line)


def act_of(line: bytes) -> Act:
    """The act of an entry in its canonical bytes; raises `EntryMalformed` exactly where `parse_entry` does."""
    match = _ENTRY.fullmatch(line)
    if match is not None:
        name, day, commitments, facts = match.groups()
        act = _ACTS.get(name)
        if act is not None and _is_day(day) and _in_order(facts, FACTS) and _in_order(commitments, PERSONAL):
            return act
    return parse_entry(line).act


def _learn(learnt: dict[bytes, list[re.Pattern[bytes]]], line: bytes) -> None:
    """Remember what this entry, which was accepted, has for names."""
    match = _ENTRY.fullmatch(line)
    if match is None:
        return
    act, _, commitments, facts = match.groups()
    patterns = learnt.setdefault(act, [])
    if len(patterns) < _MOST_SHAPES:
        patterns.append(_shape(act, _NAME.findall(commitments), _NAME.findall(facts)))


def _shape(act: bytes, commitments: list[bytes], facts: list[bytes]) -> re.Pattern[bytes]:
    return _entry(
        re.escape(act),
        commitments=b",".join(b'"' + name + b'":' + _COMMITMENT_VALUE for name in commitments),
        facts=b",".join(b'"' + name + b'":' + _VALUE for name in facts),
    )


def _in_order(members: bytes, allowed: frozenset[str]) -> bool:
    return not members or _are_names(tuple(_NAME.findall(members)), allowed)


@lru_cache(maxsize=1024)
def _are_names(names: tuple[bytes, ...], allowed: frozenset[str]) -> bool:
    known = [name.decode("ascii") for name in names]
    return known == sorted(set(known)) and allowed.issuperset(known)


@lru_cache(maxsize=1024)
def _is_day(text: bytes) -> bool:
    try:
        date.fromisoformat(text.decode("ascii"))
    except ValueError:
        return False
    return True
