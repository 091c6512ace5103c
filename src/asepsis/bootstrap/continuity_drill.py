"""A drill from "production down" to a signed pack and a signed report: in a room of one's own, or on the example.

The example is Northgate Hospital, whose newest restore point was hit by ransomware. What a hospital does before an
incident - contribute, sign the contract, approve the essentials - is done first and counts for no objective. Then
production is declared down: from there on only the room and the backup repository are touched, the latter read-only.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.continuity import (
    DRILLS,
    approve_essentials,
    drilled,
    judge_backups,
    judge_source,
    make_pack,
    verify_folder,
    write_files,
)
from asepsis.bootstrap.mappings import harmoniser, mapping_of
from asepsis.bootstrap.room import Room, create_room, now
from asepsis.bootstrap.runtimes import runtime_measurement
from asepsis.domain.continuity_pack import Pack
from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import PartyId
from asepsis.domain.snapshot import Label
from asepsis.errors.continuity import PackForged
from asepsis.errors.recovery import OutputExists
from asepsis.errors.room import FileUnreadable
from asepsis.ports import Source
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose
from asepsis.services.continuity_choice import Occasion
from asepsis.services.continuity_drill import (
    Drill,
    Timed,
    drill_entry,
    drill_report,
    report_text,
    signed_report,
    verify_report,
)
from asepsis.services.continuity_verify import Expected, VerifiedPack
from asepsis.services.drafting import Enrolled, Terms, draft_contract
from asepsis.services.runs import Progress
from asepsis.yaml_files import read_yaml

PACK: Final = "pack"
REPORT: Final = "drill.json"
TEXT: Final = "drill.md"
INDEX: Final = "estate.db"
ORIGIN: Final = "asepsis.local/drill"

HOSPITAL: Final = PartyId("northgate")
LEAD: Final = PartyId("recovery-lead")
TEAM: Final = PartyId("northgate-clinic")
_PASSWORD: Final = "northgate-demo"  # noqa: S105 - the documented password of the bundled, synthetic backup

_EXAMPLE: Final = (
    "Northgate Hospital's production is down after ransomware (bundled, synthetic example). The clock of the drill "
    "stands at the moment of the attack. Production was not touched: only the room and the backup repository were."
)
_OWN: Final = (
    "As a drill, production was said to be down. It was not touched: only the room and the named backups were."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """What a drill left behind: the folder, the pack, the report, and whether every objective was met."""

    folder: Path
    pack: Pack
    report: Document

    @property
    def passed(self) -> bool:
        """Whether every objective was met."""
        return self.report["passed"] is True


@dataclass(slots=True)
class Stopwatch:
    """Which step takes how long."""

    progress: Progress
    steps: list[Timed] = field(default_factory=list)
    _began: datetime = field(default_factory=now)
    _step: str = ""

    def begin(self, step: str) -> None:
        """End the step before, and begin this one."""
        self.end()
        self._step, self._began = step, now()
        self.progress(step)

    def end(self) -> None:
        """End the last step."""
        if self._step:
            self.steps.append(Timed(step=self._step, took=now() - self._began))
        self._step = ""


def drill_room(room: Room, folder: Path, *, backups: tuple[str, ...], progress: Progress) -> Drilled:
    """A drill in a room of one's own, with its true budgets and its true desks. Raises what a real incident would."""
    _new(folder)
    declared_at, watch = now(), Stopwatch(progress)
    folder.mkdir(parents=True)
    watch.begin("judge the backups")
    judged = judge_backups(backups, room, index=folder / INDEX, progress=progress)
    occasion = Occasion(declared_at=declared_at, drill=True, judged=judged, last_drills=drilled(room))
    return _finish(room, folder, occasion, watch, scenario=_OWN, prepared=())


def drill_example(folder: Path, *, examples: Path, progress: Progress) -> Drilled:
    """The drill on the bundled example, from an empty folder."""
    _new(folder)
    folder.mkdir(parents=True)
    before = Stopwatch(progress)
    source = _backup(examples)
    room = _prepare(folder / "room", examples, source, before)
    before.end()
    attack = source.restore_points()[-1].taken_at.astimezone(UTC)
    started, watch = now(), Stopwatch(progress)
    watch.begin("judge the backups")
    judged = {HOSPITAL: judge_source(_backup(examples), index=folder / INDEX, progress=progress)}
    occasion = Occasion(
        declared_at=attack, drill=True, ahead=attack - started, judged=judged, last_drills=drilled(room)
    )
    return _finish(room, folder, occasion, watch, scenario=_EXAMPLE, prepared=tuple(before.steps))


def verify_drill(folder: Path, expected: Expected) -> tuple[VerifiedPack, Document]:
    """Check a drill's pack and its report offline, and that they belong together. Raises PackForged and others."""
    verified = verify_folder(folder / PACK, expected)
    try:
        content, text = (folder / REPORT).read_bytes(), (folder / TEXT).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise FileUnreadable(path=str(folder / REPORT)) from None
    report, pack = verify_report(content, verified.agreement)
    if pack != verified.pack:
        raise PackForged(what="the drill report is about another pack")
    if text != report_text(report, pack):
        raise PackForged(what=f"{TEXT} says something else than the report")
    return verified, report


def _finish(
    room: Room,
    folder: Path,
    occasion: Occasion,
    watch: Stopwatch,
    *,
    scenario: str,
    prepared: tuple[Timed, ...],
) -> Drilled:
    """Make the pack, write it, and sign the report about it."""
    watch.begin("run what was pre-approved, and sign the pack")
    pack, files = make_pack(room, occasion, progress=watch.progress)
    write_files(folder / PACK, files)
    watch.end()
    ended_at = now()
    drill = Drill(
        scenario=scenario,
        started_at=occasion.declared_at - occasion.ahead,
        ended_at=ended_at,
        steps=tuple(watch.steps),
        prepared=prepared,
    )
    report = drill_report(drill, pack, report="drill-" + secrets.token_hex(8))
    entry = drill_entry(report, at=ended_at)
    with room.state.acting(entry):
        pass
    [(_, proof)] = room.audit.trail({entry.subject})
    signature = room.keys(pack.lead).sign(Purpose.DRILL_REPORT, canonical(report))
    content = signed_report(report, signature=signature, entry=entry, proof=proof)
    kept = room.folder / "host" / DRILLS
    kept.mkdir(exist_ok=True)
    for path in (folder / REPORT, kept / f"{entry.subject}.json"):
        path.write_bytes(content)
    (folder / TEXT).write_text(report_text(report, pack), encoding="utf-8")
    return Drilled(folder=folder, pack=pack, report=report)


def _new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputExists(path=str(folder))
    if folder.exists():
        folder.rmdir()


def _backup(examples: Path) -> Source:
    repository = examples / "two_hospitals" / "northgate" / "restic-repository"
    return look_into(f"restic:{repository}", secret=lambda: _PASSWORD)


def _prepare(folder: Path, examples: Path, source: Source, watch: Stopwatch) -> Room:
    """What the hospital did before the attack: contribute its then newest restore point, sign, approve."""
    watch.begin("before the attack: contribute and seal")
    room = create_room(folder, origin=ORIGIN)
    room.enrol(HOSPITAL, owner=True)
    for party in (LEAD, TEAM):
        room.enrol(party, owner=False)
    mapping = mapping_of(examples / "mappings" / HOSPITAL)
    room.contribute(HOSPITAL).contribute(
        source,
        source.restore_points()[-2].id,
        mapping=mapping,
        harmonise=harmoniser(mapping, room.keys(HOSPITAL)),
        progress=lambda stage, subject, _: watch.progress(f"before the attack: {stage} {subject}"),
    )
    watch.begin("before the attack: sign the contract, approve the essentials")
    document = example_contract(room, read_yaml(examples / "continuity" / "northgate.yaml"))
    room.contracts.propose(document)
    for party in room.contracts.status().waiting_for:
        room.contracts.sign(party, signature=room.sign_contract(party, document))
    approve_essentials(room, HOSPITAL)
    return room


def example_contract(room: Room, clause: Mapping[str, object]) -> Document:
    """The contract of the example: one hospital, its recovery lead, its clinical team, the host, and the clause."""
    parties = (room.host, HOSPITAL, LEAD, TEAM)
    terms = Terms(
        name="continuity",
        title="Essential reports of Northgate Hospital while production is down",
        purpose="Keep essential reports running while production is rebuilt",
        legal_basis="Synthetic data: none needed",
        label=Label.SYNTHETIC,
        valid_from=now() - timedelta(minutes=5),
        valid_days=365,
        researchers=frozenset({LEAD}),
        teams={TEAM: HOSPITAL},
        automatic=True,
    )
    enrolled = Enrolled(
        host=room.host,
        owners=frozenset({HOSPITAL}),
        keys={party: room.keys(party).public() for party in parties},
        origin=room.origin,
    )
    drafted = draft_contract(
        terms, enrolled, datasets={HOSPITAL: (f"{HOSPITAL}-omop",)}, measurement=runtime_measurement()
    )
    with Fields(clause, document="contract").mapping("tables") as tables:
        more = {name: tables.anything(name) for name in tables.names()}
    with Fields(drafted, document="contract").mapping("tables") as tables:
        known = {name: tables.anything(name) for name in tables.names()}
    return {**drafted, "tables": {**known, **more}, "continuity": clause["continuity"]}
