"""From facts to a verdict: what the name promises and what the previous version was, against what is there.

Pure and cheap, so that the same facts can be judged again under another name or in another restore point.
"""

from __future__ import annotations

import math
from typing import Final

from asepsis.domain.integrity import ObjectFacts, ObjectVerdict
from asepsis.domain.source import Verdict
from asepsis.integrity import formats
from asepsis.integrity.notes import NOTE_PHRASES, OUR_NAMES, KnownNames

_LARGEST_NOTE: Final = 64 << 10

_MEASURED: Final = formats.TEXT_FORMATS | {formats.UNKNOWN}

COMPROMISING: Final = frozenset(
    {
        "format.header_lost",
        "format.unreadable_text",
        "format.checksum_wrong",
        "format.records_damaged",
        "format.header_damaged",
        "format.structure_damaged",
        "pixels.damaged",
        "content.wiped",
        "note.ransom",
        "rule.compromised",
    }
)
"""Reasons that need no second one; all others make an object suspect."""

PROMISED_ONLY: Final = frozenset({"format.unreadable_json", "format.unreadable_xml"})
"""Much text begins like these formats by chance: it must be one only where its name, or an earlier version, says so."""

RISEN: Final = 1.0
"""Bits per byte by which the beginning of a text or an unknown format may be nearer to noise than before."""

LEAST_WIPED: Final = 512
"""So many bytes of one value are no content any more."""

LEAST_MEASURED: Final = 4096
"""Of fewer bytes the entropy says more about their number than about their kind."""

UNKNOWING: Final = "object.unreadable"
"""The object could not be read; the error's own code follows it among the reasons."""


def judge(
    path: str,
    facts: ObjectFacts,
    *,
    before: ObjectFacts | None = None,
    standing: frozenset[str] = frozenset(),
    names: KnownNames = OUR_NAMES,
) -> ObjectVerdict:
    """The verdict on an object under a path. ``before`` are the facts of the last clean version of the same file.

    ``standing`` are faults that the file had in the oldest restore point: those that do not compromise are no news.

    A lost header of a known type, text that stops being text and a broken checksum compromise; noise of an
    unknown type, a known extension, or a format that changed only arouse suspicion.
    """
    reasons = {*_faults(path, facts, before), *_name_reasons(path, facts, names), *_format_reasons(path, facts, before)}
    reasons |= _noise_reasons(facts, before)
    reasons |= {f"rule.{hit.verdict.value}" for hit in facts.hits}
    reasons -= standing - COMPROMISING
    rules = tuple(hit.rule for hit in facts.hits)
    return ObjectVerdict(path=path, verdict=_verdict(reasons), reasons=tuple(sorted(reasons)), rules=rules)


def unreadable(path: str, *, code: str) -> ObjectVerdict:
    """The verdict on an object that the source could not deliver."""
    return ObjectVerdict(path=path, verdict=Verdict.UNKNOWN, reasons=(UNKNOWING, code))


def _verdict(reasons: set[str]) -> Verdict:
    if not reasons:
        return Verdict.CLEAN
    is_attack = {"content.random", "name.known_ransomware_extension"} <= reasons
    return Verdict.COMPROMISED if reasons & COMPROMISING or is_attack else Verdict.SUSPECT


def _faults(path: str, facts: ObjectFacts, before: ObjectFacts | None) -> set[str]:
    """Faults of the structure; those of a grammar only where it was promised and kept so far."""
    named = formats.promised(path)
    is_promised = facts.format in named != formats.TEXT_FORMATS
    if before is not None and before.format == facts.format:
        is_promised = not PROMISED_ONLY & set(before.faults)
    return {fault for fault in facts.faults if is_promised or fault not in PROMISED_ONLY}


def _noise_reasons(facts: ObjectFacts, before: ObjectFacts | None) -> set[str]:
    """Noise as a whole, and noise where the last clean version had none."""
    reasons = {"content.random"} if facts.is_random else set()
    if before is None:
        return reasons
    if before.head_entropy and not facts.head_entropy and facts.format in _MEASURED and facts.size >= LEAST_WIPED:
        reasons.add("content.wiped")
    if not _is_comparable(before, facts):
        return reasons
    if facts.noise_blocks and not before.noise_blocks:
        reasons.add("content.noise_blocks")
    if facts.head_entropy > before.head_entropy + _rise(facts, before):
        reasons.add("content.entropy_rose")
    return reasons


def _rise(facts: ObjectFacts, before: ObjectFacts) -> float:
    """How much more entropy is too much: less where the size stayed, as it does in encryption in place."""
    if facts.size == before.size >= LEAST_WIPED:
        return RISEN / 2
    return RISEN if min(facts.size, before.size) >= LEAST_MEASURED else math.inf


def _is_comparable(before: ObjectFacts, facts: ObjectFacts) -> bool:
    """Whether the measures of both mean the same: those of all texts do, whatever they are texts of."""
    return facts.format == before.format or {facts.format, before.format} <= formats.TEXT_FORMATS


def _name_reasons(path: str, facts: ObjectFacts, names: KnownNames) -> set[str]:
    name = path.rpartition("/")[2]
    reasons = set()
    if names.has_extension(formats.extension(path)):
        reasons.add("name.known_ransomware_extension")
    if names.has_note(name):
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
    if before is not None and before.format == formats.UNKNOWN != facts.format and before.size >= LEAST_WIPED:
        return {"format.changed"}
    expected = formats.promised(path) or formats.promised(path.rpartition(".")[0])
    return {"format.header_lost"} if expected and facts.format == formats.UNKNOWN else set()


def _family(name: str) -> frozenset[str]:
    """What a later version may be: structured text stays of its kind, other text may turn into any."""
    structured = next((kind for kind in formats.STRUCTURED if name in kind), None)
    if structured is not None:
        return structured
    return formats.TEXT_FORMATS if name in formats.TEXT_FORMATS else frozenset({name})
