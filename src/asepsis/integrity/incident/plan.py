"""The contingency plan and the runbook of one hospital, written from what its room really holds.

Every item of the regulations names the evidence that is there, or says that nothing shows it: a plan that was filled in
to look complete helps nobody at night. Sources: 45 CFR 164.308(a)(7)(ii)(A)-(E); NIST CSF 2.0 (NIST CSWP 29), RC.RP and
RC.CO; requirements are given in our own, shorter words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from asepsis.domain.continuity import ContinuityTerms
from asepsis.domain.documents import encode_time
from asepsis.domain.incident import Appointment, IncidentRole
from asepsis.domain.incident_certificate import metrics
from asepsis.domain.incident_state import Incident
from asepsis.integrity.incident.papers import Paper, Section

NOTHING: Final = "**nothing here shows this**"
DRILL_EVERY: Final = timedelta(days=90)
"""A drill that is older is called old. A judgement, not a rule of law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """A source as it is now, judged by what the estate index knows; ``fault`` is why it could not be looked into."""

    uri: str
    points: int = 0
    newest: datetime | None = None
    last_clean: str = ""
    unread: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillFacts:
    """A drill report that is in the room."""

    report: str
    ended_at: datetime
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFacts:
    """Everything that plan and runbook are written from, at one instant."""

    party: str
    room: str
    at: datetime
    tool: str
    sources: tuple[SourceFacts, ...]
    people: tuple[Appointment, ...]
    continuity: ContinuityTerms | None
    drills: tuple[DrillFacts, ...]
    incidents: tuple[Incident, ...]
    certificates: int

    def in_role(self, role: IncidentRole) -> list[str]:
        """Who is appointed in a role now."""
        return sorted({one.person for one in self.people if role in one.roles and one.since <= self.at < one.until})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a regulation, with the evidence for it; without any, nothing shows it."""

    framework: str
    id: str
    asks: str
    evidence: tuple[str, ...]


def mapping(facts: RoomFacts) -> list[Item]:
    """What the regulations ask, and what of it this room shows."""
    hipaa, csf = "HIPAA 164.308(a)(7)(ii)", "NIST CSF 2.0"
    rows = (
        (hipaa, "(A)", "data backup plan: exact copies that can be retrieved", _backups(facts)),
        (hipaa, "(B)", "disaster recovery plan: restoring what was lost", _recovery(facts)),
        (hipaa, "(C)", "emergency mode operation: what goes on while production is down", _essential(facts)),
        (hipaa, "(D)", "testing and revision of the plans", _tests(facts)),
        (hipaa, "(E)", "criticality of applications and data", _criticality(facts)),
        (csf, "RC.RP-01", "the recovery plan is carried out once an incident calls for it", _confirmed(facts)),
        (csf, "RC.RP-02", "recovery actions are chosen, scoped and ranked", _chosen(facts)),
        (csf, "RC.RP-03", "backups are verified before they are used", _scanned(facts)),
        (csf, "RC.RP-04", "critical functions are considered for the time after the incident", _essential(facts)),
        (csf, "RC.RP-05", "restored assets are verified, and normal operation is confirmed", _exported(facts)),
        (csf, "RC.RP-06", "the end of recovery is declared on criteria, and documented", _closed(facts)),
        (csf, "RC.CO-03", "progress is told to those who have to know", ()),
        (csf, "RC.CO-04", "the public is told by approved means", ()),
    )
    return [Item(framework=framework, id=id_, asks=asks, evidence=tuple(shown)) for framework, id_, asks, shown in rows]


def contingency_plan(facts: RoomFacts) -> Paper:
    """The plan: what there is, who acts, what is essential, and what shows which item of the regulations."""
    items = mapping(facts)
    shown = sum(bool(item.evidence) for item in items)
    return Paper(
        title=f"Contingency plan of {facts.party}",
        lead=(
            f"Written {encode_time(facts.at)} by {facts.tool} from the room {facts.room}. {shown} of {len(items)} "
            "items of the mapping have evidence in the room; of the others this page says so. It is no legal advice."
        ),
        sections=(
            Section(heading="Backups", lines=tuple(_sources(facts))),
            Section(heading="Who acts", lines=tuple(_roles(facts))),
            Section(heading="Essential analyses, the most urgent first", lines=tuple(_analyses(facts))),
            Section(heading="Incidents so far", lines=tuple(_incidents(facts))),
            Section(heading="Drills", lines=tuple(_drills(facts))),
            *(
                Section(heading=f"{item.framework} {item.id}: {item.asks}", lines=item.evidence or (NOTHING,))
                for item in items
            ),
        ),
    )


def runbook(facts: RoomFacts) -> Paper:
    """What to type, in this order, with the names of this room."""
    lead, security, owner = (
        (facts.in_role(role) or [f"PERSON-AS-{role.value.upper()}"])[0]
        for role in (IncidentRole.RECOVERY_LEAD, IncidentRole.SECURITY, IncidentRole.DATA_OWNER)
    )
    sources = " ".join(source.uri for source in facts.sources) or "SOURCE"
    incident = "asepsis recover incident"
    steps = (
        ("Declare: two persons", (f"{incident} declare {sources} --by {lead} --reason 'WHAT HAPPENED'",
                                  f"{incident} confirm INCIDENT --by {security}")),
        ("Freeze, and stop the expiry of the backup tool yourself", (f"{incident} freeze INCIDENT --by {lead}",)),
        ("Quick verdict", (f"{incident} verdict INCIDENT --by {security}",)),
        ("Keep essentials going", _continuity_commands(facts)),
        ("Full scan", (f"{incident} scan INCIDENT --by {security}",)),
        ("Rows and columns, where there are tables", (f"{incident} compare INCIDENT BEFORE AFTER --by {security}",)),
        ("Choose", (f"{incident} choose INCIDENT --by {lead} --reason 'WHY'",)),
        ("Settle what is open", (f"{incident} settle INCIDENT FINDING --by {security} --reason 'WHY'",)),
        ("Sign off: three persons", (f"{incident} sign INCIDENT --by {owner} --role data-owner",
                                     f"{incident} sign INCIDENT --by {security} --role security",
                                     f"{incident} sign INCIDENT --by {lead} --role recovery-lead")),
        ("Export, certify, close", (f"{incident} export INCIDENT FOLDER --by {lead}",
                                    f"{incident} close INCIDENT --by {lead}",
                                    "asepsis recover certify INCIDENT certificate.json --pdf certificate.pdf")),
    )  # fmt: skip
    numbered = (
        Section(heading=f"{number}. {heading}", commands=tuple(commands))
        for number, (heading, commands) in enumerate(steps, start=1)
    )
    return Paper(
        title=f"Runbook of {facts.party}",
        lead=f"Written {encode_time(facts.at)} by {facts.tool}. First set ASEPSIS_PARTY={facts.party}, ASEPSIS_ROOM.",
        sections=(
            Section(heading="Who acts", lines=tuple(_roles(facts))),
            *numbered,
            Section(heading="Report of the last drill", lines=tuple(_drills(facts))),
            Section(
                heading="Report of the next drill, to be filled in",
                lines=("date:", "who took part:", "scenario:", "what went wrong:", "what changes in this plan:"),
            ),
        ),
    )


def _sources(facts: RoomFacts) -> Iterator[str]:
    for source in facts.sources:
        if source.fault:
            yield f"{source.uri}: could not be looked into ({source.fault})"
            continue
        newest = "" if source.newest is None else f", the newest {_age(facts.at - source.newest)} old"
        clean = f"last clean {source.last_clean[:16]}" if source.last_clean else "no clean one is known"
        rest = f"; {source.unread} objects were never read" if source.unread else ""
        yield f"{source.uri}: {source.points} restore points{newest}; {clean}{rest}"
    if not facts.sources:
        yield NOTHING


def _roles(facts: RoomFacts) -> Iterator[str]:
    for role in IncidentRole:
        yield f"{role.value}: {', '.join(facts.in_role(role)) or NOTHING}"
    yield "telephone numbers and deputies beyond these are not kept here: write them beside this page"


def _analyses(facts: RoomFacts) -> Iterator[str]:
    terms = facts.continuity
    for one in sorted(terms.analyses if terms else (), key=lambda one: (one.limits.rto, one.name)):
        limits = one.limits
        yield (
            f"{one.name} ({one.title}), {one.responsible}: RTO {_age(limits.rto)}, RPO {_age(limits.rpo)}, "
            f"no older than {_age(limits.most_age)}"
        )
    if terms is not None and terms.essentials is not None:
        limits = terms.essentials.limits
        lists = ", ".join(sorted(terms.essentials.lists))
        yield f"patient-level lists to the clinical teams ({lists}): RTO {_age(limits.rto)}, RPO {_age(limits.rpo)}"
    if terms is None:
        yield NOTHING


def _incidents(facts: RoomFacts) -> Iterator[str]:
    for one in facts.incidents:
        signed, age = (metrics(one)[name] for name in ("to_sign_off", "data_age"))
        took = "not signed off" if signed is None else f"signed off after {_age(timedelta(seconds=signed))}"
        lost = "" if not age else f", chosen data {_age(timedelta(seconds=age))} old"
        yield f"{one.id}: {'open' if one.closed is None else 'closed'}, {took}{lost}"
    if not facts.incidents:
        yield "none"


def _drills(facts: RoomFacts) -> Iterator[str]:
    for one in sorted(facts.drills, key=lambda one: one.ended_at):
        result, ago = "passed" if one.passed else "missed objectives", facts.at - one.ended_at
        yield f"{one.report}: {result}, {_age(ago)} ago{', which is long' if ago > DRILL_EVERY else ''}"
    if not facts.drills:
        yield NOTHING


def _continuity_commands(facts: RoomFacts) -> tuple[str, ...]:
    if facts.continuity is None:
        return ("# the contract in force pre-approves nothing for this time",)
    backups = "".join(f" --backup {facts.party}={source.uri}" for source in facts.sources[:1])
    return (f"asepsis recover continuity --out PACK{backups}",)


def _backups(facts: RoomFacts) -> list[str]:
    return [
        f"{one.uri}: {one.points} restore points, last clean {one.last_clean[:16]}"
        for one in facts.sources
        if one.last_clean
    ]


def _recovery(facts: RoomFacts) -> list[str]:
    is_staffed = all(facts.in_role(role) for role in IncidentRole)
    people = ["the runbook beside this plan, with a person in each of the three roles"] if is_staffed else []
    return [*people, *_closed(facts)]


def _essential(facts: RoomFacts) -> list[str]:
    terms = facts.continuity
    if terms is None:
        return []
    lists = ["patient-level lists for the clinical teams"] if terms.essentials is not None else []
    return [f"{len(terms.analyses)} analyses that the contract in force pre-approves", *lists]


def _tests(facts: RoomFacts) -> list[str]:
    return [f"drill {one.report}, {_age(facts.at - one.ended_at)} ago" for one in facts.drills]


def _criticality(facts: RoomFacts) -> list[str]:
    terms = facts.continuity
    return [] if terms is None else ["recovery time and recovery point of every essential analysis, in the contract"]


def _confirmed(facts: RoomFacts) -> list[str]:
    return [f"{one.id}: confirmed by a second person" for one in facts.incidents if one.confirmed is not None]


def _chosen(facts: RoomFacts) -> list[str]:
    return [f"{one.id}: {one.choice.deed.reason}" for one in facts.incidents if one.choice is not None]


def _scanned(facts: RoomFacts) -> list[str]:
    counted = ((one, _full_scans(one)) for one in facts.incidents)
    return [f"{one.id}: {count} full scans before the choice" for one, count in counted if count and one.choice]


def _full_scans(incident: Incident) -> int:
    return sum(incident.scan(noted.deed.source, full=True) is not None for noted in incident.frozen)


def _exported(facts: RoomFacts) -> list[str]:
    """Of normal operation nothing here knows anything."""
    found = [
        f"{one.id}: a clean set under root {noted.deed.root[:16]}" for one in facts.incidents for noted in one.exports
    ]
    return [*found, "of normal operation: nothing here shows this"] if found else []


def _closed(facts: RoomFacts) -> list[str]:
    closed = [f"{one.id}: closed on all criteria" for one in facts.incidents if one.closed is not None]
    return [*closed, f"{facts.certificates} recovery certificates in the ledger"] if closed else []


def _age(span: timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    if hours >= 48:  # noqa: PLR2004 - two days
        return f"{hours // 24} d"
    return f"{hours} h" if hours else f"{int(span.total_seconds() // 60)} min"
