"""A recovery certificate to read: the same content as the signed file, as headings and lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asepsis.integrity.incident.papers import Section


def certificate_sections(content: Mapping[str, Any], *, digest: str) -> list[Section]:
    """The sections of a certificate's content; ``digest`` names the content that was signed."""
    return [
        Section(heading=heading, lines=tuple(lines))
        for heading, lines in (
            ("Recovery certificate", _head(content, digest)),
            ("Chosen", _chosen(content["chosen"])),
            ("Checked", _checked(content)),
            ("Not checked", content["not_checked"]),
            ("Findings", _findings(content["findings"])),
            ("Signed off", [_voice(voice) for voice in content["signers"]]),
            ("Dissent", [_voice(voice) for voice in content["dissent"]] or ["none"]),
            ("Exported", [_export(one) for one in content["exports"]] or ["nothing so far"]),
            ("Times", _times(content["metrics"])),
            ("Made by", _made_by(content)),
        )
    ]


def _head(content: Mapping[str, Any], digest: str) -> Iterator[str]:
    declared = content["declared"]
    yield f"{content['incident']} of {content['party']}, recorded in {content['room']}: {content['status']}"
    yield f"issued {content['issued_at']}"
    yield f"declared by {declared['person']} at {declared['at']}: {declared['reason']}"
    yield f"confirmed by {declared['confirmed']['person']} at {declared['confirmed']['at']}"
    if content["closed"] is not None:
        yield f"closed by {content['closed']['person']} at {content['closed']['at']}"
    yield f"SHA-256 of the signed content: {digest}"
    yield "This page is for reading. What counts is the signed file: asepsis recover verify FILE --keys KEYS"


def _chosen(chosen: Mapping[str, Any]) -> Iterator[str]:
    yield f"by {chosen['person']} at {chosen['at']}: {chosen['reason']}"
    for part in chosen["parts"]:
        what = part["path"] or "everything"
        yield f"{what} of restore point {part['point']}, taken {part['taken_at']}, {part['verdict']}"
        yield f"  from {part['source']}, root {part['root']}"


def _checked(content: Mapping[str, Any]) -> Iterator[str]:
    for look in content["checked"]:
        points = ", ".join(f"{count} {verdict}" for verdict, count in look["restore_points"].items())
        yield f"{look['source']}: {look['how']} by {look['person']} at {look['at']}"
        yield f"  restore points: {points}; {look['objects']} different objects, {look['unread']} of them not read"
    for one in content["compared"]:
        yield f"rows and columns: {one['subject']}: {one['verdict']} ({one['person']} at {one['at']})"


def _findings(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for one in findings:
        why = f": {one['reason']} ({one['by']})" if one["reason"] else ""
        lines.append(
            f"{one['id']} {one['status']}: {one['verdict']}, {one['code']} {one['count']}, {one['about']}{why}"
        )
    return lines or ["none"]


def _voice(voice: Mapping[str, Any]) -> str:
    word = "agrees" if voice["agrees"] else "DISSENTS"
    why = f": {voice['reason']}" if voice["reason"] else ""
    before = ", before something changed" if voice.get("voided") else ""
    return f"{voice['person']} as {voice['role']} {word} at {voice['at']}{before}{why}"


def _export(one: Mapping[str, Any]) -> str:
    patch = f"; revert patch against {one['subject']} restores root {one['restored']}" if one["restored"] else ""
    return f"{one['files']} files, {one['size']} bytes, root {one['root']}, by {one['person']} at {one['at']}{patch}"


def _times(metrics: Mapping[str, Any]) -> Iterator[str]:
    names = {
        "to_quick_verdict": "from the declaration to the quick verdict",
        "to_full_verdict": "to the full verdict",
        "to_choice": "to the choice",
        "to_sign_off": "to the last signature",
        "to_close": "to the end",
        "data_age": "age of the chosen data at the declaration (actual RPO)",
    }
    for key, words in names.items():
        yield f"{words}: {_span(metrics[key])}"


def _made_by(content: Mapping[str, Any]) -> Iterator[str]:
    yield " ".join(str(value) for value in content["tool"].values())
    for name, versions in content["rules"].items():
        yield f"rules {name}: {', '.join(versions)}"
    yield f"{content['acts']['count']} signed acts, the last one {content['acts']['head']}"


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "not so far"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    return f"{days} d {hours} h {rest // 60} min {rest % 60} s" if days else f"{hours} h {rest // 60} min {rest % 60} s"
