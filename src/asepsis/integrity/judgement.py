"""From facts to a verdict: what the name promises and what the previous version was, against what is there.

Pure and cheap, so that the same facts can be judged again under another name or in another restore point.
"""

from __future__ import annotations

from typing import Final

from asepsis.domain.integrity import ObjectFacts, ObjectVerdict
from asepsis.domain.source import Verdict
from asepsis.integrity import formats, notes

NOTE_PHRASES: Final = 3
"""So many different phrases make a short text a ransom note; clinical prose has hardly one."""

_LARGEST_NOTE: Final = 64 << 10

COMPROMISING: Final = frozenset(
    {
        "format.header_lost",
        "format.unreadable_text",
        "format.checksum_wrong",
        "format.records_damaged",
        "format.header_damaged",
        "note.ransom",
    }
)
"""Reasons that need no second one; all others make an object suspect."""

UNKNOWING: Final = "object.unreadable"
"""The object could not be read; the error's own code follows it among the reasons."""


def judge(path: str, facts: ObjectFacts, *, before: ObjectFacts | None = None) -> ObjectVerdict:
    """The verdict on an object under a path. ``before`` are the facts of the last clean version of the same file.

    A lost header of a known type, text that stops being text and a broken checksum compromise; noise of an
    unknown type, a known extension, or a format that changed only arouse suspicion.
    """
    reasons = {*facts.faults, *_name_reasons(path, facts), *_format_reasons(path, facts, before)}
    if facts.is_random:
        reasons.add("content.random")
    return ObjectVerdict(path=path, verdict=_verdict(reasons), reasons=tuple(sorted(reasons)))


def unreadable(path: str, *, code: str) -> ObjectVerdict:
    """The verdict on an object that the source could not deliver."""
    return ObjectVerdict(path=path, verdict=Verdict.UNKNOWN, reasons=(UNKNOWING, code))


def _verdict(reasons: set[str]) -> Verdict:
    if not reasons:
        return Verdict.CLEAN
    is_attack = {"content.random", "name.known_ransomware_extension"} <= reasons
    return Verdict.COMPROMISED if reasons & COMPROMISING or is_attack else Verdict.SUSPECT


def _name_reasons(path: str, facts: ObjectFacts) -> set[str]:
    name = path.rpartition("/")[2]
    reasons = set()
    if notes.has_known_extension(formats.extension(path)):
        reasons.add("name.known_ransomware_extension")
    if notes.is_note_name(name):
        reasons.add("name.known_ransom_note")
    if facts.format in formats.TEXT_FORMATS and facts.size <= _LARGEST_NOTE and facts.note_words >= NOTE_PHRASES:
        reasons.add("note.ransom")
    return reasons


def _format_reasons(path: str, facts: ObjectFacts, before: ObjectFacts | None) -> set[str]:
    """Compare with the last clean version, or, for want of one, with what the name promises.

    Legacy files often carry a name of another format than theirs: without an earlier version that is no sign of
    anything, as long as the content is of a format at all.
    """
    if facts.format == formats.EMPTY:
        return set()
    if before is not None and before.format not in {formats.UNKNOWN, formats.EMPTY}:
        if facts.format in _family(before.format):
            return set()
        return {"format.header_lost"} if facts.format == formats.UNKNOWN else {"format.changed"}
    expected = formats.promised(path) or formats.promised(path.rpartition(".")[0])
    return {"format.header_lost"} if expected and facts.format == formats.UNKNOWN else set()


def _family(name: str) -> frozenset[str]:
    return formats.TEXT_FORMATS if name in formats.TEXT_FORMATS else frozenset({name})
