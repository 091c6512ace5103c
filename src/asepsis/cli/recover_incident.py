"""``asepsis recover incident``: from a declaration by two persons to an end on criteria, every act signed."""

from __future__ import annotations

import csv
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.recover_incident_text import incident_document, incident_text
from asepsis.cli.report import emit, reported
from asepsis.cli.steps import end_steps, step_line

if TYPE_CHECKING:
    from asepsis.domain.incident_acts import Deed, Step
    from asepsis.domain.incident_state import Incident
    from asepsis.services.incidents import Incidents

app = typer.Typer(help="Work through an incident with signed acts of appointed persons.", no_args_is_help=True)

IncidentArgument = Annotated[str, typer.Argument(help="The incident's name, or the beginning of it.")]
ByOption = Annotated[str, typer.Option("--by", help="The appointed person who acts.")]
KeysOption = Annotated[
    Path | None, typer.Option("--person-keys", help="The folder of the person's keys; default is in the party's home.")
]
IndexOption = Annotated[
    Path | None, typer.Option("--index", help="The file of the estate index; default is in the party's home.")
]
TableKeysOption = Annotated[
    list[str] | None, typer.Option("--key", help="TABLE=COLUMN,COLUMN; else keys are found in the data.")
]


class RoleName(StrEnum):
    """The three roles."""

    DATA_OWNER = "data-owner"
    SECURITY = "security"
    RECOVERY_LEAD = "recovery-lead"


@app.command("appoint")
def appoint(
    person: Annotated[str, typer.Argument(help="The person's short name.")],
    party: AsOption,
    role: Annotated[list[RoleName], typer.Option("--role", help="What the person may do in incidents.")],
    days: Annotated[int, typer.Option("--days", min=1, help="For how long.")] = 365,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Appoint a person to act in the hospital's incidents, under a key of their own, made if it is not there."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import incidents
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.documents import read_name
        from asepsis.domain.incident import IncidentRole
        from asepsis.domain.names import PartyId

        opened, owner = open_room(room), PartyId(party)
        folder = keys or incidents.person_folder(opened, owner, read_name(person, what="person"))
        roles = [IncidentRole(one.value) for one in role]
        incidents.appoint(opened, owner, person, roles=roles, days=days, keys=folder)
        emit(
            {"person": person, "roles": sorted(roles), "days": days, "keys": str(folder)},
            as_json=as_json,
            text=f"{person}: {', '.join(sorted(roles))} for {days} days; keys in {folder}, for {person} alone",
        )


@app.command("declare")
def declare(
    source: Annotated[list[str], typer.Argument(help="The sources that are concerned: restic:…, tar:…, dir:…")],
    by: ByOption,
    reason: Annotated[str, typer.Option("--reason", help="What happened, in one line and without patients' data.")],
    party: AsOption,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Declare an incident; it counts once another person confirmed it."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import incidents
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        opened, owner = open_room(room), PartyId(party)
        doing = incidents.doing(opened, owner, by, keys=keys)
        _show(incidents.open_incidents(opened, owner).declare(source, reason=reason, by=doing), as_json=as_json)


@app.command("confirm")
def confirm(
    incident: IncidentArgument,
    by: ByOption,
    party: AsOption,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Confirm an incident that somebody else declared."""
    with reported(as_json=as_json):
        from asepsis.domain.incident_acts import Confirmed, Step

        acting = _Acting(room, party, by, keys)
        _show(acting.do(acting.incident(incident), Step.CONFIRMED, Confirmed()), as_json=as_json)


@app.command("freeze")
def freeze(
    incident: IncidentArgument,
    by: ByOption,
    party: AsOption,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Hold all sources of the incident as they are: the key desk destroys no key, and nothing of Asepsis expires.

    Asepsis writes to no backup: stop the expiry of the backup tool itself. What vanishes there is found by every scan.
    """
    with reported(as_json=as_json):
        from asepsis.bootstrap.incidents import freeze_source
        from asepsis.domain.incident_acts import Step

        acting = _Acting(room, party, by, keys)
        state = acting.incident(incident)
        held = {noted.deed.source for noted in state.frozen}
        for source in state.declared.deed.sources:
            if source not in held:
                step_line(f"listing {source}", quiet=as_json)
                state = acting.do(state, Step.FROZEN, freeze_source(source))
        end_steps(quiet=as_json)
        _show(state, as_json=as_json)


@app.command("verdict")
def verdict(
    incident: IncidentArgument,
    by: ByOption,
    party: AsOption,
    index: IndexOption = None,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """The quick verdict: what the estate index knows by now, without reading any object."""
    with reported(as_json=as_json):
        _look(_Acting(room, party, by, keys), incident, {"reads": False}, index=index, as_json=as_json)


@app.command("scan")
def scan(
    incident: IncidentArgument,
    by: ByOption,
    party: AsOption,
    index: IndexOption = None,
    rules: Annotated[
        list[str] | None, typer.Option("--rules", help="YARA rules: a folder, a file, or 'builtin' (extra yara).")
    ] = None,
    misp: Annotated[bool, typer.Option("--misp", help="Names of the MISP galaxy beside our own (extra misp).")] = False,
    limit: Annotated[float | None, typer.Option("--limit", min=0.01, help="Read at most so many MB a second.")] = None,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """The full scan: read everything that the estate index does not know, and judge all restore points."""
    with reported(as_json=as_json):
        rate = None if limit is None else int(limit * 1_000_000)
        how = {"rules": tuple(rules or ()), "misp": misp, "rate": rate}
        _look(_Acting(room, party, by, keys), incident, how, index=index, as_json=as_json)


@app.command("compare")
def compare(
    incident: IncidentArgument,
    before: Annotated[str, typer.Argument(help="The older state: a folder of tables, or a source.")],
    after: Annotated[str, typer.Argument(help="The newer state.")],
    by: ByOption,
    party: AsOption,
    before_point: Annotated[str, typer.Option("--before-point", help="The older one's restore point.")] = "latest",
    after_point: Annotated[str, typer.Option("--after-point", help="The newer one's restore point.")] = "latest",
    key: TableKeysOption = None,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Compare two states of the same tables row by row; what diverges has to be settled before anybody signs off."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.incidents import compare_states
        from asepsis.bootstrap.recovery import SnapshotAddress
        from asepsis.domain.incident_acts import Step

        acting = _Acting(room, party, by, keys)
        state = acting.incident(incident)
        states = (SnapshotAddress(text=before, point=before_point), SnapshotAddress(text=after, point=after_point))
        found = compare_states(*states, keys=key or (), say=lambda text: step_line(text, quiet=as_json))
        end_steps(quiet=as_json)
        _show(acting.do(state, Step.COMPARED, found), as_json=as_json)


@app.command("choose")
def choose(
    incident: IncidentArgument,
    by: ByOption,
    reason: Annotated[str, typer.Option("--reason", help="Why this one.")],
    party: AsOption,
    point: Annotated[
        str, typer.Option("--point", help="For everything that no part names: a restore point, or 'last-clean'.")
    ] = "last-clean",
    source: Annotated[str | None, typer.Option("--source", help="Of which source, if there are several.")] = None,
    part: Annotated[
        list[str] | None, typer.Option("--part", help="PATH=POINT: take a file or folder from another restore point.")
    ] = None,
    composite: Annotated[
        Path | None, typer.Option("--composite", help="The composite that 'recover scan --composite' wrote.")
    ] = None,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Choose the restore point to go back to; with --part or --composite, a composite of several."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.incidents import choice
        from asepsis.domain.incident_acts import Step
        from asepsis.errors.incident import IncidentStepRefused

        acting = _Acting(room, party, by, keys)
        state = acting.incident(incident)
        sources = [source] if source else [noted.deed.source for noted in state.frozen]
        parts = [one.rpartition("=") for one in (*(part or ()), *_composite(composite))]
        if (parts and len(sources) != 1) or not all(path and wanted for path, _, wanted in parts):
            raise IncidentStepRefused(step="chosen", problem="a part is written PATH=POINT, and is of one --source")
        chosen = choice(
            state,
            dict.fromkeys(sources, point),
            parts=[(sources[0], path, wanted) for path, _, wanted in parts],
            reason=reason,
        )
        _show(acting.do(state, Step.CHOSEN, chosen), as_json=as_json)


@app.command("settle")
def settle(
    incident: IncidentArgument,
    finding: Annotated[str, typer.Argument(help="The finding, such as F-0123abcd.")],
    by: ByOption,
    reason: Annotated[str, typer.Option("--reason", help="Why it can be accepted, or how it was resolved.")],
    party: AsOption,
    resolved: Annotated[bool, typer.Option("--resolved", help="It was mended; else it is waived and stays.")] = False,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Waive a finding, or tell that it is resolved; security or the data owner does."""
    with reported(as_json=as_json):
        from asepsis.domain.incident_acts import Settled, Settlement, Step

        acting = _Acting(room, party, by, keys)
        how = Settlement.RESOLVED if resolved else Settlement.WAIVED
        deed = Settled(finding=finding, how=how, reason=reason)
        _show(acting.do(acting.incident(incident), Step.SETTLED, deed), as_json=as_json)


@app.command("sign")
def sign(
    incident: IncidentArgument,
    by: ByOption,
    role: Annotated[RoleName, typer.Option("--role", help="The role in which you sign; one person, one role.")],
    party: AsOption,
    dissent: Annotated[str | None, typer.Option("--dissent", help="Do not agree, and say why.")] = None,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Agree with everything so far in a role, or dissent."""
    with reported(as_json=as_json):
        from asepsis.domain.incident import IncidentRole
        from asepsis.domain.incident_acts import SignedOff, Step

        acting = _Acting(room, party, by, keys)
        deed = SignedOff(role=IncidentRole(role.value), agrees=dissent is None, reason=dissent or "")
        _show(acting.do(acting.incident(incident), Step.SIGNED, deed), as_json=as_json)


@app.command("export")
def export(
    incident: IncidentArgument,
    out: Annotated[Path, typer.Argument(help="The new folder for the clean set: private.")],
    by: ByOption,
    party: AsOption,
    against: Annotated[
        str | None, typer.Option("--against", help="The damaged state of the tables: also write a revert patch.")
    ] = None,
    against_point: Annotated[str, typer.Option("--against-point", help="Its restore point.")] = "latest",
    key: TableKeysOption = None,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write what was chosen into a new folder, under a manifest whose root the ledger and the certificate carry."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import incidents
        from asepsis.bootstrap.recovery import SnapshotAddress
        from asepsis.domain.incident_acts import Step
        from asepsis.domain.incident_state import require_ready

        acting = _Acting(room, party, by, keys)
        state = acting.incident(incident)
        require_ready(state, step=Step.EXPORTED.value)
        damaged = None if against is None else SnapshotAddress(text=against, point=against_point)
        say = lambda text: step_line(text, quiet=as_json)  # noqa: E731
        written = incidents.export(state, out, against=damaged, keys=key or (), say=say)
        end_steps(quiet=as_json)
        _show(acting.do(state, Step.EXPORTED, written), as_json=as_json)


@app.command("close")
def close(
    incident: IncidentArgument,
    by: ByOption,
    party: AsOption,
    keys: KeysOption = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Declare the end of recovery; refused as long as a criterion is not met. What was held is let go."""
    with reported(as_json=as_json):
        from asepsis.domain.incident_acts import Closed, Step

        acting = _Acting(room, party, by, keys)
        _show(acting.do(acting.incident(incident), Step.CLOSED, Closed()), as_json=as_json)


@app.command("report")
def report(
    incident: IncidentArgument,
    to: Annotated[str, typer.Option("--to", help="veeam:https://HOST:PORT; tested against a stub only.")],
    machine: Annotated[list[str], typer.Option("--machine", help="FACT=VALUE, two of them: fqdn=…, uuid=…, ipv4=…")],
    party: AsOption,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Post what was found to Veeam's incident API, as malware events about one machine: codes and counts only."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.incidents import report_to_veeam
        from asepsis.errors.incident import MachineUnclear

        facts = [one.partition("=") for one in machine]
        if not all(name and sign and value for name, sign, value in facts):
            raise MachineUnclear(known="fqdn, uuid, ipv4, ipv6, backupObjectId")
        incidents = _incidents(room, party)
        state = incidents.incident(incident)
        posted = report_to_veeam(incidents, state, to, machine={name: value for name, _, value in facts})
        emit(
            list(posted),
            as_json=as_json,
            text="\n".join(f"event {one}" for one in posted) or "there is nothing to report",
        )


@app.command("show")
def show(
    party: AsOption,
    incident: Annotated[str | None, typer.Argument(help="The incident; without one, all are listed.")] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Show an incident with its findings and what is missing, after checking every signature and the ledger."""
    with reported(as_json=as_json):
        found = _incidents(room, party)
        if incident is not None:
            _show(found.incident(incident), as_json=as_json)
            return
        states = found.all()
        text = "\n".join(incident_text(state, brief=True) for state in states)
        emit([incident_document(state) for state in states], as_json=as_json, text=text or "there was no incident")


def _composite(path: Path | None) -> list[str]:
    """Where to take each file from, as parts. Raises FileUnreadable or IncidentStepRefused."""
    from asepsis.cli.files import read_bytes
    from asepsis.errors.incident import IncidentStepRefused

    if path is None:
        return []
    rows = list(csv.reader(read_bytes(path).decode(errors="surrogateescape").splitlines()))
    if rows[:1] != [["path", "restore_point"]] or not all(len(row) == len(rows[0]) for row in rows):
        raise IncidentStepRefused(step="chosen", problem="the composite is not one that 'recover scan' wrote")
    return [f"{file}={point}" for file, point in rows[1:]]


class _Acting:
    """Who acts, in which room and for which party."""

    def __init__(self, room: Path, party: str, by: str, keys: Path | None) -> None:
        from asepsis.bootstrap import incidents
        from asepsis.bootstrap.estates import Recorder
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        opened, owner = open_room(room), PartyId(party)
        self.home = opened.home(owner)
        self.recorder = Recorder(room=opened, party=owner)
        self._incidents = incidents.open_incidents(opened, owner)
        self._doing = incidents.doing(opened, owner, by, keys=keys)

    def incident(self, wanted: str) -> Incident:
        """The incident as it stands."""
        return self._incidents.incident(wanted)

    def do(self, state: Incident, step: Step, deed: Deed) -> Incident:
        """The incident after this act."""
        return self._incidents.act(state.id, step, deed, by=self._doing)


def _look(acting: _Acting, incident: str, how: dict[str, Any], *, index: Path | None, as_json: bool) -> None:
    """Look at every held source; what is seen goes into the hospital's own signed record, too."""
    from asepsis.bootstrap.estates import ScanRequest
    from asepsis.bootstrap.incidents import INDEX, look_at
    from asepsis.cli.recover_scan import scan_progress
    from asepsis.domain.incident_acts import Step

    state = acting.incident(incident)
    request = ScanRequest(uri="", index=index or acting.home / INDEX, recorder=acting.recorder, **how)
    for noted in state.frozen:
        found = look_at(noted.deed, replace(request, uri=noted.deed.source), report=scan_progress(quiet=as_json))
        state = acting.do(state, Step.SCANNED if request.reads else Step.JUDGED, found)
    end_steps(quiet=as_json)
    _show(state, as_json=as_json)


def _incidents(room: Path, party: str) -> Incidents:
    from asepsis.bootstrap.incidents import open_incidents
    from asepsis.bootstrap.room import open_room
    from asepsis.domain.names import PartyId

    return open_incidents(open_room(room), PartyId(party))


def _show(state: Incident, *, as_json: bool) -> None:
    emit(incident_document(state), as_json=as_json, text=incident_text(state))
