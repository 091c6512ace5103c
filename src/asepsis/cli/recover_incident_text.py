"""An incident for people: where it stands, what was found, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asepsis.cli.report import table

if TYPE_CHECKING:
    from asepsis.domain.incident_state import Incident

_FEW = 3


def incident_document(incident: Incident) -> dict[str, object]:
    """An incident for programs."""
    from asepsis.domain.incident_certificate import findings_document, metrics, not_checked
    from asepsis.domain.incident_state import missing

    return {
        "incident": incident.id,
        "status": _status(incident),
        "party": incident.party,
        "declared": {
            "by": incident.declared.person,
            "at": incident.declared.at.isoformat(),
            "reason": incident.declared.deed.reason,
        },
        "confirmed_by": None if incident.confirmed is None else incident.confirmed.person,
        "sources": [_source(incident, source) for source in incident.declared.deed.sources],
        "chosen": [] if incident.choice is None else [part.to_document() for part in incident.choice.deed.parts],
        "findings": findings_document(incident),
        "signed": [
            {"person": voice.person, "role": voice.deed.role.value, "agrees": voice.deed.agrees}
            for voice in incident.voices
        ],
        "dissent": [{"person": voice.person, "reason": voice.deed.reason} for voice in incident.dissent],
        "exports": [noted.deed.to_document() for noted in incident.exports],
        "holds": incident.holds,
        "missing": missing(incident),
        "not_checked": not_checked(incident),
        "metrics": metrics(incident),
        "acts": incident.acts,
    }


def incident_text(incident: Incident, *, brief: bool = False) -> str:
    """An incident in words; ``brief`` is one line."""
    from asepsis.domain.incident_state import missing

    declared = incident.declared
    head = f"{incident.id}: {_status(incident)}, declared by {declared.person} {declared.at:%Y-%m-%d %H:%M} UTC"
    if brief:
        return head
    lines = [head, f"reason: {declared.deed.reason}"]
    for source in declared.deed.sources:
        told = _source(incident, source)
        lines.append(
            f"source {source}: {told['looked']}"
            + (f", last clean {_short(told['last_clean'])}" if told["last_clean"] else "")
        )
    if incident.choice is not None:
        lines += [f"chosen: {_short(one.point)} {one.path or 'everything'}" for one in incident.choice.deed.parts]
    lines += _findings(incident)
    lines += [
        f"{'agreed' if voice.deed.agrees else 'DISSENTED'}: {voice.person} as {voice.deed.role.value}"
        + (f" ({voice.deed.reason})" if voice.deed.reason else "")
        for voice in incident.voices
    ]
    lines += [f"exported: {noted.deed.files} files, root {noted.deed.root}" for noted in incident.exports]
    lines += [f"missing: {text}" for text in _brief(missing(incident))]
    return "\n".join(lines)


def _findings(incident: Incident) -> list[str]:
    rows = [
        [
            finding.id,
            incident.status(finding).value,
            finding.verdict.value,
            finding.code,
            finding.count,
            _short(finding.about),
        ]
        for finding in incident.findings
    ]
    return [table(["finding", "status", "verdict", "code", "count", "about"], rows)] if rows else []


def _brief(lacking: list[str]) -> list[str]:
    """Findings stand in the table above: where there are many, their number is enough."""
    settlements = [text for text in lacking if text.startswith("a settlement of ")]
    if len(settlements) <= _FEW:
        return lacking
    others = [text for text in lacking if text not in settlements]
    return [*others, f"a settlement of {len(settlements)} open findings"]


def _source(incident: Incident, source: str) -> dict[str, object]:
    look = incident.scan(source)
    is_held = source in {noted.deed.source for noted in incident.frozen}
    looked = "not frozen" if not is_held else "frozen" if look is None else look.step.value
    points = [] if look is None else look.deed.points
    return {
        "source": source,
        "looked": looked,
        "restore_points": {point.id: point.verdict.value for point in points},
        "last_clean": "" if look is None else look.deed.last_clean,
    }


def _status(incident: Incident) -> str:
    from asepsis.domain.incident_state import missing

    if incident.closed is not None:
        return "closed"
    if incident.confirmed is None:
        return "declared, not confirmed"
    return "open" if missing(incident) else "signed off"


def _short(name: object) -> str:
    """Ids of backup tools are long; their beginning names them."""
    return str(name)[:16]
