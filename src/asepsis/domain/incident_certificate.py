"""What a recovery certificate says: worked out from the acts of an incident and nothing else.

Whoever verifies one works it out again from the signed acts inside it, so that it cannot say more or less than they do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from asepsis.domain.documents import Document, encode_time
from asepsis.domain.incident_acts import Looked, Part, SignedOff, Step
from asepsis.domain.incident_state import Incident, Noted, require_ready
from asepsis.domain.source import Verdict

FORMAT: Final = "asepsis/recovery-certificate/1"

_NEVER: Final = (
    "single values inside files that are still well-formed, except where a comparison below says so",
    "whether the restored system starts: Asepsis starts nothing",
    "the backup tool's own retention: Asepsis writes to no backup, and only sees afterwards what was deleted there",
    "the reasons that persons gave",
)


def certificate_content(incident: Incident, *, tool: Mapping[str, str], issued_at: datetime) -> Document:
    """The content of a certificate over an incident as it stands. Raises IncidentNotReady."""
    require_ready(incident, step="certified")
    return {
        "incident": incident.id,
        "room": incident.room,
        "party": incident.party,
        "issued_at": encode_time(issued_at),
        "tool": dict(tool),
        "rules": _rules(incident),
        "status": "signed off" if incident.closed is None else "closed",
        "declared": _declared(incident),
        "closed": None if incident.closed is None else _who(incident.closed),
        "checked": [_checked(look) for look in _looks(incident)],
        "compared": [
            {**_who(noted), "subject": noted.deed.subject, "verdict": noted.deed.verdict.value}
            for noted in incident.comparisons
        ],
        "not_checked": not_checked(incident),
        "chosen": _chosen(incident),
        "findings": findings_document(incident),
        "signers": [_voice(voice) for voice in incident.voices],
        "dissent": [{**_voice(voice), "voided": voice in incident.voided} for voice in incident.dissent],
        "exports": [{**_who(noted), **noted.deed.to_document()} for noted in incident.exports],
        "metrics": metrics(incident),
        "acts": {"count": incident.acts, "head": incident.head},
    }


def findings_document(incident: Incident) -> list[Document]:
    """All findings that count, what became of each, by whom and why."""
    reasons = {noted.deed.finding: noted for noted in incident.settled}
    found: list[Document] = []
    for finding in incident.findings:
        settled = reasons.get(finding.id)
        told = {} if settled is None else {"by": settled.person, "reason": settled.deed.reason}
        found.append(
            {
                "id": finding.id,
                **finding.to_document(),
                "status": incident.status(finding).value,
                "by": "",
                "reason": "",
            }
            | told
        )
    return found


def not_checked(incident: Incident) -> list[str]:
    """What nobody looked at, in words; never empty."""
    said = [text for look in _looks(incident) for text in look.deed.unchecked]
    said += [text for noted in incident.comparisons for text in noted.deed.unchecked]
    if not incident.comparisons:
        said.append("rows and columns of tables: no comparison of two states was made")
    if any(part.path for part in _parts(incident)):
        said.append("whether the parts of the composite fit each other: they were taken at different times")
    return list(dict.fromkeys([*said, *_NEVER]))


def metrics(incident: Incident) -> dict[str, int | None]:
    """Seconds from the declaration to each mark, and how old the chosen data were then; nothing where it is not so far.

    ``data_age`` is the actual recovery point (RPO): of several chosen restore points that of the oldest.
    """
    start = incident.declared.at

    def after(moment: datetime | None) -> int | None:
        return None if moment is None else int((moment - start).total_seconds())

    full = [incident.scan(noted.deed.source, full=True) for noted in incident.frozen]
    scanned = [one.at for one in full if one is not None]
    return {
        "to_quick_verdict": after(min((one.at for one in incident.looks if one.step is Step.JUDGED), default=None)),
        "to_full_verdict": after(max(scanned) if full and len(scanned) == len(full) else None),
        "to_choice": after(None if incident.choice is None else incident.choice.at),
        "to_sign_off": after(max((voice.at for voice in incident.voices), default=None)),
        "to_close": after(None if incident.closed is None else incident.closed.at),
        "data_age": -min((after(taken) or 0 for taken in _taken(incident)), default=0),
    }


def _taken(incident: Incident) -> Iterator[datetime]:
    for part in _parts(incident):
        look = incident.scan(part.source, full=True)
        point = None if look is None else look.deed.point(part.point)
        if point is not None:
            yield point.taken_at


def _parts(incident: Incident) -> tuple[Part, ...]:
    return () if incident.choice is None else incident.choice.deed.parts


def _rules(incident: Incident) -> Document:
    """Every rule set with its version; more than one version, where looks were taken with several."""
    versions: dict[str, set[str]] = {}
    looks = [look.deed.rules for look in _looks(incident)]
    for rules in (*looks, *(noted.deed.rules for noted in incident.comparisons)):
        for name, version in rules.items():
            versions.setdefault(name, set()).add(version)
    return {name: sorted(found) for name, found in sorted(versions.items())}


def _looks(incident: Incident) -> list[Noted[Looked]]:
    found = [incident.scan(noted.deed.source) for noted in incident.frozen]
    return [look for look in found if look is not None]


def _declared(incident: Incident) -> Document:
    confirmed = incident.confirmed
    return {
        **_who(incident.declared),
        "reason": incident.declared.deed.reason,
        "sources": list(incident.declared.deed.sources),
        "confirmed": None if confirmed is None else _who(confirmed),
    }


def _checked(look: Noted[Looked]) -> Document:
    verdicts = [point.verdict for point in look.deed.points]
    return {
        **_who(look),
        "source": look.deed.source,
        "how": look.step.value,
        "restore_points": {verdict.value: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts},
        "objects": look.deed.objects,
        "unread": look.deed.unread,
        "last_clean": look.deed.last_clean,
    }


def _chosen(incident: Incident) -> Document | None:
    if incident.choice is None:
        return None
    parts = []
    for part, taken_at in zip(_parts(incident), _taken(incident), strict=True):
        look = incident.scan(part.source, full=True)
        point = None if look is None else look.deed.point(part.point)
        verdict = "unknown" if point is None else point.verdict.value
        parts.append({**part.to_document(), "taken_at": encode_time(taken_at), "verdict": verdict})
    return {**_who(incident.choice), "reason": incident.choice.deed.reason, "parts": parts}


def _voice(voice: Noted[SignedOff]) -> Document:
    return {**_who(voice), **voice.deed.to_document()}


def _who(noted: Noted[Any]) -> Document:
    return {"person": noted.person, "at": encode_time(noted.at), "act": noted.number}
