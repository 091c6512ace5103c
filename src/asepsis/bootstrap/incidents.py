"""Incidents at a hospital's home: its records, its people's keys, the sources that are looked into."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from asepsis import __version__
from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.estates import ScanRequest, scan_estate
from asepsis.bootstrap.recovery import ComparisonRequest, SnapshotAddress, compare_snapshots, declared_keys
from asepsis.bootstrap.room import Room
from asepsis.desk_home import now
from asepsis.domain.documents import Document
from asepsis.domain.incident import IncidentRole
from asepsis.domain.incident_acts import Chosen, Compared, Exported, Frozen, Looked, Part
from asepsis.domain.incident_state import Incident
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.incident import IncidentStepRefused
from asepsis.errors.source import SettingMissingError, UnknownSchemeError
from asepsis.integrity.incident.looking import compared, frozen, looked
from asepsis.keys.files import FileKeys
from asepsis.sealing.canonical import digest, parse_canonical
from asepsis.services.clean_sets import copy_part, new_folder, seal_clean_set
from asepsis.services.comparing import Outputs
from asepsis.services.estate import Estate, Report
from asepsis.services.incidents import Doing, Incidents
from asepsis.services.recovery_certificates import certify
from asepsis.sources.registry import password_of
from asepsis.sources.veeam.incidents import IncidentApi
from asepsis.store.estate_index import EstateIndex
from asepsis.store.incident_records import SqlIncidentRecords

RECORDS: Final = "incidents.db"
PERSONS: Final = "persons"
INDEX: Final = "estate.db"
LAST_CLEAN: Final = "last-clean"
_VEEAM_USER: Final = "ASEPSIS_VEEAM_USER"
_NOWHERE: Final = Path(":memory:")

Say = Callable[[str], None]


def open_incidents(room: Room, party: PartyId) -> Incidents:
    """The incidents of one hospital of a room. Raises KeysMissing."""
    return Incidents(
        party=party,
        room=room.origin,
        key=room.keys(party).public().signing,
        records=SqlIncidentRecords(room.home(party) / RECORDS),
        state=room.state,
        audit=room.audit,
        desk=room.desk(party),
        clock=now,
        randomness=secrets.token_bytes,
    )


def tool() -> dict[str, str]:
    """The program and its version."""
    return {"name": "asepsis", "version": __version__}


def rules() -> dict[str, str]:
    """The versions of what judges: the program's, and the digest of the code that holds formats, reasons and limits."""
    return {"asepsis": __version__, "asepsis.integrity": _digest(files("asepsis.integrity"))}


def appoint(room: Room, party: PartyId, person: str, *, roles: Sequence[IncidentRole], days: int, keys: Path) -> Path:
    """Appoint a person whose keys lie in a folder; made now, unless they are there. Returns the folder."""
    if keys.exists():
        made = FileKeys(keys)
    else:
        keys.parent.mkdir(mode=0o700, exist_ok=True)
        made = FileKeys.create(keys, owner=False)
    incidents = open_incidents(room, party)
    key = made.public().signing
    incidents.appoint(person, key, roles=frozenset(roles), days=days, sign=room.keys(party).sign)
    return keys


def issue_certificate(room: Room, party: PartyId, wanted: str) -> tuple[bytes, Document, Digest]:
    """A certificate over an incident: its file, what it says, and the digest of that. Raises IncidentNotReady."""
    incidents = open_incidents(room, party)
    signed = certify(incidents, incidents.incident(wanted), tool=tool(), sign=room.keys(party).sign)
    content: Document = parse_canonical(signed)["certificate"]
    return signed, content, digest(content)


def report_to_veeam(
    incidents: Incidents, incident: Incident, address: str, *, machine: Mapping[str, str]
) -> tuple[str, ...]:
    """Post what speaks against restore points to a Veeam server, and tell the ledger; returns the ids of the events.

    Raises UnknownSchemeError, SettingMissingError, PasswordMissingError, MachineUnclear and the errors of the server.
    """
    scheme, _, url = address.partition(":")
    if scheme != "veeam" or not url:
        raise UnknownSchemeError(scheme=scheme, known="veeam:")
    user = os.environ.get(_VEEAM_USER)
    if not user:
        raise SettingMissingError(setting=_VEEAM_USER)
    password = password_of("VEEAM", uri=address, environment=os.environ)
    api = IncidentApi.sign_in(url, user=user, password=password, engine=f"Asepsis {__version__}")
    try:
        return incidents.report(incident, to=address, post=lambda report: api.post(report, machine=machine))
    finally:
        api.close()


def person_folder(room: Room, party: PartyId, person: str) -> Path:
    """Where a person's keys lie, if nobody says otherwise."""
    return room.home(party) / PERSONS / person


def doing(room: Room, party: PartyId, person: str, *, keys: Path | None = None) -> Doing:
    """A person with their keys. Raises KeysMissing."""
    return Doing(person=person, sign=FileKeys(keys or person_folder(room, party, person)).sign)


def freeze_source(source: str) -> Frozen:
    """A source as it is now: its restore points are listed, and nothing of them is read."""
    index = EstateIndex(_NOWHERE)
    try:
        scan = Estate(source=look_into(source), index=index, clock=now, reads=False).scan()
    finally:
        index.close()
    return frozen(source, [one.point for one in scan.history.points], scan.roots)


def look_at(held: Frozen, request: ScanRequest, *, report: Report = lambda _: None) -> Looked:
    """The verdict on a held source: from the index as it is, or after reading what the index does not know."""
    return looked(held.source, scan_estate(request, report=report), held=held, rules=rules())


def compare_states(before: SnapshotAddress, after: SnapshotAddress, *, keys: Sequence[str], say: Say) -> Compared:
    """Compare two states of the same tables, row by row, and write nothing."""
    request = ComparisonRequest(before=before, after=after, keys=declared_keys(keys), outputs=Outputs())
    found = compare_snapshots(request, step=say)
    subject = f"{before.text}@{before.point}, {after.text}@{after.point}"
    return compared(subject, found.divergences, verdict=found.verdict, rules=rules(), unchecked=found.unchecked)


def choice(
    incident: Incident, wanted: Mapping[str, str], *, parts: Sequence[tuple[str, str, str]], reason: str
) -> Chosen:
    """A choice in the words of who chooses: a restore point for each source, and parts (source, path, point).

    A restore point may be the beginning of its id or ``last-clean``. A part of the point that its source has anyway is
    none. Raises IncidentStepRefused.
    """
    whole = [_part(incident, source, "", point) for source, point in wanted.items()]
    exact = [_part(incident, *one) for one in parts]
    known = {(part.source, part.point) for part in whole}
    return Chosen(parts=(*whole, *(part for part in exact if (part.source, part.point) not in known)), reason=reason)


def export(
    incident: Incident, out: Path, *, against: SnapshotAddress | None, keys: Sequence[str], say: Say
) -> Exported:
    """Write the clean set into a new folder: the chosen files or tables and, against a damaged state, a revert patch.

    Raises OutputExists, OutputUnwritable, IncidentStepRefused and the errors of the sources and of comparing.
    """
    if incident.choice is None:
        raise IncidentStepRefused(step="exported", problem="nothing is chosen")
    chosen = incident.choice.deed.parts
    new_folder(out)
    for part in chosen:
        say(f"copying from {part.source}")
        copy_part(look_into(part.source), part, out, others=chosen)
    restored, subject = "", ""
    if against is not None:
        before = SnapshotAddress(text=chosen[0].source, point=chosen[0].point)
        request = ComparisonRequest(
            before=before,
            after=against,
            keys=declared_keys(keys),
            outputs=Outputs(rows=out / "rows.jsonl", patch=out / "patch"),
        )
        root = compare_snapshots(request, step=say).restored_root
        restored, subject = "" if root is None else root.hex(), f"{against.text}@{against.point}"
    written = seal_clean_set(out, incident=incident.id)
    return Exported(root=written.root, files=written.files, size=written.size, subject=subject, restored=restored)


def _part(incident: Incident, source: str, path: str, wanted: str) -> Part:
    look = incident.scan(source, full=True)
    if look is None:
        raise IncidentStepRefused(step="chosen", problem=f"there is no full scan of {source}")
    name = look.deed.last_clean if wanted == LAST_CLEAN else wanted
    found = [point for point in look.deed.points if name and point.id.startswith(name)]
    if len(found) != 1:
        raise IncidentStepRefused(step="chosen", problem=f"{source} has not exactly one restore point {wanted}")
    return Part(source=source, point=found[0].id, root=found[0].root, path=path)


def _digest(folder: Traversable) -> str:
    """The digest of all code and rules below a package, by name."""
    hashed = sha256()
    for path, content in sorted(_contents(folder, "")):
        hashed.update(f"{path}\0{len(content)}\0".encode() + content)
    return hashed.hexdigest()


def _contents(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        name = f"{prefix}{item.name}"
        if item.is_dir() and item.name != "__pycache__":
            found += _contents(item, f"{name}/")
        elif item.is_file():
            found.append((name, item.read_bytes()))
    return found
