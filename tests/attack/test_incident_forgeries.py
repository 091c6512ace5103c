"""Nobody bends an incident: not its records, not its ledger, not its certificate; and nobody acts for somebody else."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from asepsis.bootstrap import incidents as wiring
from asepsis.bootstrap.estates import ScanRequest
from asepsis.bootstrap.room import Room, create_room
from asepsis.domain.documents import encode_bytes
from asepsis.domain.incident_acts import Closed, Confirmed, Declared, Looked, Step
from asepsis.domain.incident_state import Incident
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors.incident import (
    AppointmentRefused,
    IncidentNotReady,
    IncidentTampered,
    PersonNotAppointed,
    RecoveryNotCertified,
)
from asepsis.keys.files import FileKeys
from asepsis.sealing.canonical import canonical, parse_canonical
from asepsis.sealing.incident import act_payload, replay, verify_roster
from asepsis.sealing.signing import Purpose
from asepsis.services import recovery_certificates
from asepsis.services.incidents import RECORDED_AS, Incidents
from asepsis.services.recovery_certificates import RecoveryKeys, certify, recovery_keys, verify_certificate
from asepsis.store.room_state import SqlRoomState
from incident_world import ADA, BEN, CY, HOSPITAL, LEAD, OWNER, ROOM, SECURITY, SOURCE, WAY, Hospital, agree, dissent

NORTHGATE = PartyId("northgate")
ROLES = {ADA: LEAD, BEN: SECURITY, CY: OWNER}


@dataclass
class Scene:
    """A room of one hospital with an incident in it."""

    room: Room
    source: str
    incident: str = ""

    @property
    def incidents(self) -> Incidents:
        return wiring.open_incidents(self.room, NORTHGATE)

    def by(self, person: str) -> Any:
        return wiring.doing(self.room, NORTHGATE, person)

    def do(self, person: str, step: Step, deed: Any) -> Incident:
        return self.incidents.act(self.incident, step, deed, by=self.by(person))

    def records(self) -> sqlite3.Connection:
        return sqlite3.connect(self.room.home(NORTHGATE) / wiring.RECORDS, isolation_level=None)

    def keys(self) -> RecoveryKeys:
        return recovery_keys(self.incidents)

    def certificate(self) -> bytes:
        found = self.incidents
        return certify(found, found.incident(self.incident), tool={"name": "x"}, sign=self.room.keys(NORTHGATE).sign)


def staged(folder: Path) -> Scene:
    """Three appointed persons, and an incident that two of them declared."""
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "note.txt").write_text("all is well\n")
    room = create_room(folder / "room", origin=f"asepsis.local/{folder.name}")
    room.enrol(NORTHGATE, owner=True)
    for person, role in ROLES.items():
        keys = wiring.person_folder(room, NORTHGATE, person)
        wiring.appoint(room, NORTHGATE, person, roles=[role], days=1, keys=keys)
    scene = Scene(room=room, source=f"dir:{folder / 'files'}")
    scene.incident = scene.incidents.declare([scene.source], reason="drill", by=scene.by(ADA)).id
    scene.do(BEN, Step.CONFIRMED, Confirmed())
    return scene


def signed_off(scene: Scene) -> Scene:
    """Ben dissents; the rest agrees."""
    held = wiring.freeze_source(scene.source)
    scene.do(ADA, Step.FROZEN, held)
    scene.do(BEN, Step.SCANNED, looked(scene))
    state = scene.incidents.incident(scene.incident)
    scene.do(ADA, Step.CHOSEN, wiring.choice(state, {scene.source: wiring.LAST_CLEAN}, parts=(), reason="clean"))
    scene.do(BEN, Step.SIGNED, dissent(SECURITY))
    scene.do(ADA, Step.SIGNED, agree(LEAD))
    scene.do(CY, Step.SIGNED, agree(OWNER))
    return scene


def looked(scene: Scene) -> Looked:
    (held,) = scene.incidents.incident(scene.incident).frozen
    request = ScanRequest(uri=scene.source, index=scene.room.folder / "estate.db")
    return wiring.look_at(held.deed, request)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = signed_off(staged(tmp_path_factory.mktemp("ended") / "one"))
    scene.do(ADA, Step.CLOSED, Closed())
    return scene


@pytest.fixture(scope="module")
def certificate(ended: Scene) -> bytes:
    return ended.certificate()


@pytest.fixture
def copy(ended: Scene, tmp_path: Path) -> Scene:
    """The room of the incident that ended, to be tampered with."""
    folder = shutil.copytree(ended.room.folder, tmp_path / "room")
    return replace(ended, room=Room(folder, ended.room.host, ended.room.origin))


def rewritten(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = parse_canonical(data)
    change(document)
    return canonical(document)


def test_a_certificate_verifies_with_public_keys_and_says_everything(ended: Scene, certificate: bytes) -> None:
    content = verify_certificate(certificate, ended.keys())
    assert content["status"] == "closed"
    assert [one["person"] for one in content["dissent"]] == [BEN]
    assert [one["person"] for one in content["signers"]] == [BEN, ADA, CY]
    assert content["not_checked"]
    assert content["chosen"]["parts"][0]["verdict"] == "clean"
    assert content["rules"]["asepsis.integrity"] == [wiring.rules()["asepsis.integrity"]]


@settings(max_examples=25)
@given(st.data())
def test_every_flipped_bit_is_refused(ended: Scene, certificate: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(certificate) * 8 - 1))
    flipped = bytearray(certificate)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecoveryNotCertified):
        verify_certificate(bytes(flipped), ended.keys())


@pytest.mark.long
def test_a_flipped_bit_of_every_part_is_refused(ended: Scene, certificate: bytes) -> None:
    keys = ended.keys()
    for place in range(0, len(certificate), 23):
        flipped = bytearray(certificate)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(RecoveryNotCertified):
            verify_certificate(bytes(flipped), keys)


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_cut_certificate_is_refused(ended: Scene, certificate: bytes, kept: int) -> None:
    with pytest.raises(RecoveryNotCertified):
        verify_certificate(certificate[:kept], ended.keys())


@pytest.mark.parametrize("part", ["acts", "appointments", "trail"])
def test_nothing_can_be_left_out_or_put_in_another_order(ended: Scene, certificate: bytes, part: str) -> None:
    size = len(parse_canonical(certificate)[part])
    for place in range(size):
        with pytest.raises(RecoveryNotCertified):
            verify_certificate(rewritten(certificate, lambda d, at=place: d[part].pop(at)), ended.keys())
    with pytest.raises(RecoveryNotCertified):
        verify_certificate(rewritten(certificate, lambda d: d[part].reverse()), ended.keys())
    with pytest.raises(RecoveryNotCertified):
        verify_certificate(rewritten(certificate, lambda d: d[part].append(d[part][-1])), ended.keys())


def test_a_certificate_of_another_room_is_refused(ended: Scene, certificate: bytes, tmp_path: Path) -> None:
    other = staged(tmp_path / "two").keys()
    mixed = replace(ended.keys(), ledger=other.ledger)
    renamed = replace(ended.keys().ledger, log=replace(ended.keys().ledger.log, name=other.ledger.log.name))
    for keys in (
        other,
        mixed,
        replace(ended.keys(), ledger=renamed),
        replace(ended.keys(), party=PartyId("riverside")),
    ):
        with pytest.raises(RecoveryNotCertified):
            verify_certificate(certificate, keys)


def test_a_second_certificate_verifies_beside_the_first(copy: Scene) -> None:
    first, second = copy.certificate(), copy.certificate()
    assert first != second
    for signed in (first, second):
        verify_certificate(signed, copy.keys())


def test_the_hospital_itself_cannot_certify_more_than_was_done(ended: Scene, certificate: bytes) -> None:
    """Not even with its own key over a content without the dissent, or over another list of what was not checked."""

    def signed_again(change: Callable[[dict[str, Any]], None]) -> bytes:
        document = parse_canonical(certificate)
        change(document["certificate"])
        payload = canonical(document["certificate"])
        document["signature"] = encode_bytes(ended.room.keys(NORTHGATE).sign(Purpose.RECOVERY, payload))
        return canonical(document)

    for change in (
        lambda content: content.update(dissent=[]),
        lambda content: content["not_checked"].pop(),
        lambda content: content["findings"].append({}),
        lambda content: content.update(issued_at="2020-01-01T00:00:00Z"),
        lambda content: content["tool"].update(version="2"),
    ):
        with pytest.raises(RecoveryNotCertified):
            verify_certificate(signed_again(change), ended.keys())


def test_who_was_appointed_after_the_act_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hospital writes an appointment with an earlier date, and the ledger learns of it only after the acts."""
    with monkeypatch.context() as patch:
        patch.setattr(SqlRoomState, "acting", lambda *_: nullcontext())
        patch.setattr(Incidents, "_record", lambda *_: None)
        patch.setattr(Incidents, "_checked", lambda self, name: replay(self.records.acts(name), self.roster()))
        scene = signed_off(staged(tmp_path / "six"))
    acts = scene.incidents.records.acts(scene.incident)
    appointments = scene.incidents.records.appointments()
    acted = [
        LedgerEntry(
            at=one.act.at,
            actor=NORTHGATE,
            act=RECORDED_AS[one.act.step],
            subject=scene.incident,
            facts={"digest": one.digest, "sequence": one.act.number},
        )
        for one in acts
    ]
    appointed = [replace(acted[0], act=Act.PERSON_APPOINTED, subject=one.digest, facts={}) for one in appointments]
    with scene.room.state.acting(*acted, *appointed):
        pass
    with pytest.raises(RecoveryNotCertified, match="before the ledger knew"):
        verify_certificate(scene.certificate(), scene.keys())


@pytest.mark.parametrize(
    ("name", "value"), [("dissent", []), ("not_checked", []), ("issued_at", "2020-01-01T00:00:00Z")]
)
def test_what_the_ledger_certifies_is_still_only_what_the_acts_say(
    copy: Scene, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    """Hospital and host together put another content under the hospital's key and into the ledger."""
    with monkeypatch.context() as patch:
        content = recovery_certificates.certificate_content
        patch.setattr(recovery_certificates, "certificate_content", lambda *a, **k: {**content(*a, **k), name: value})
        forged = copy.certificate()
    with pytest.raises(RecoveryNotCertified, match=r"something else than|older than"):
        verify_certificate(forged, copy.keys())


def test_another_signature_under_the_certificate_is_refused(copy: Scene, certificate: bytes) -> None:
    other = encode_bytes(copy.by(ADA).sign(Purpose.RECOVERY, canonical(parse_canonical(certificate)["certificate"])))
    with pytest.raises(RecoveryNotCertified):
        verify_certificate(rewritten(certificate, lambda d: d.update(signature=other)), copy.keys())


def test_the_trail_is_told_in_one_way_only(copy: Scene) -> None:
    """Neither in another order that would say the same, nor with entries that are true and do not belong there."""
    first, second = copy.certificate(), copy.certificate()
    certified = parse_canonical(first)["trail"][-1]
    for change in (
        lambda d: d["trail"].insert(3, d["trail"].pop(2)),
        lambda d: d["trail"].insert(-1, certified),
    ):
        with pytest.raises(RecoveryNotCertified):
            verify_certificate(rewritten(second, change), copy.keys())


def test_an_incident_that_names_another_room_is_none_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its persons signed it, and it was declared for a room that they are not in."""
    with monkeypatch.context() as patch:
        patch.setattr("asepsis.services.incidents.Declared", lambda **told: Declared(**{**told, "room": "elsewhere"}))
        patch.setattr(Incidents, "_checked", lambda self, name: replay(self.records.acts(name), self.roster()))
        scene = signed_off(staged(tmp_path / "seven"))
        forged = scene.certificate()
    with pytest.raises(RecoveryNotCertified, match="another room"):
        verify_certificate(forged, scene.keys())
    with pytest.raises(IncidentTampered, match="another room"):
        scene.incidents.incident(scene.incident)


def test_an_appointment_for_another_room_counts_in_none() -> None:
    hospital = Hospital()
    key, signed = hospital.keys.public, hospital.appointments()
    for party, room in ((HOSPITAL, "elsewhere"), (PartyId("riverside"), ROOM)):
        with pytest.raises(AppointmentRefused):
            verify_roster(signed, party=party, room=room, key=key)


def test_a_history_that_all_persons_signed_anew_is_not_the_one_in_the_ledger(copy: Scene) -> None:
    """The dissent is taken out, everything after it is signed again, and the records are replaced."""
    before = copy.incidents.acts(copy.incidents.incident(copy.incident))[:5]
    assert before[-1].act.step is Step.CHOSEN
    with copy.records() as records:
        records.execute("DELETE FROM acts WHERE number >= 5")
    with pytest.raises(IncidentTampered):
        copy.incidents.incident(copy.incident)
    forged = [(BEN, agree(SECURITY)), (ADA, agree(LEAD)), (CY, agree(OWNER))]
    previous = before[-1]
    for number, (person, deed) in enumerate(forged, start=5):
        act = replace(previous.act, number=number, previous=previous.digest, person=person, step=Step.SIGNED, deed=deed)
        act = replace(act, incident=copy.incident)
        signature = copy.by(person).sign(Purpose.INCIDENT_ACT, act_payload(act))
        previous = type(previous)(act=act, signature=signature)
        with copy.records() as records:
            row = (copy.incident, number, canonical(previous.to_document()))
            records.execute("INSERT INTO acts (incident, number, document) VALUES (?, ?, ?)", row)
    with pytest.raises(IncidentTampered, match="the ledger tells of other acts"):
        copy.incidents.incident(copy.incident)


def test_a_changed_finding_is_found_wherever_it_was_changed(copy: Scene) -> None:
    with copy.records() as records:
        ((document,),) = records.execute("SELECT document FROM acts WHERE number = 3").fetchall()
        changed = parse_canonical(bytes(document))
        changed["act"]["deed"]["objects"] += 1
        records.execute("UPDATE acts SET document = ? WHERE number = 3", (canonical(changed),))
    with pytest.raises(IncidentTampered, match="act 3 is not signed by ben"):
        copy.incidents.incident(copy.incident)


def test_a_finding_after_the_sign_off_voids_it(tmp_path: Path) -> None:
    scene = signed_off(staged(tmp_path / "three"))
    (tmp_path / "three" / "files" / "README.txt").write_text("another file\n")
    state = scene.do(BEN, Step.SCANNED, looked(scene))
    assert state.voices == ()
    with pytest.raises(IncidentNotReady):
        scene.do(ADA, Step.CLOSED, Closed())
    with pytest.raises(IncidentNotReady):
        scene.certificate()


def test_taking_the_last_act_away_is_found(copy: Scene) -> None:
    with copy.records() as records:
        records.execute("DELETE FROM acts WHERE number = (SELECT max(number) FROM acts)")
    with pytest.raises(IncidentTampered):
        copy.incidents.incident(copy.incident)


def test_an_act_that_was_interrupted_before_the_ledger_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = staged(tmp_path / "four")
    with monkeypatch.context() as patch:
        patch.setattr(Incidents, "_record", lambda *_: None)
        scene.do(ADA, Step.FROZEN, wiring.freeze_source(scene.source))
    assert scene.room.desk(NORTHGATE).holds() == []
    assert scene.incidents.incident(scene.incident).holds
    assert scene.room.desk(NORTHGATE).holds() == [scene.incident]
    assert [entry.act.value for entry in scene.room.audit.entries()][-1] == "incident.frozen"


def test_a_signature_from_another_incident_counts_in_none(ended: Scene) -> None:
    """The same words by the same person, signed for another incident of the same hospital."""
    one, two = Hospital(), None
    one.go(WAY[:7])
    two = Hospital(keys=one.keys, people=one.people)
    two.go(WAY[:1])
    two.acts[0] = two.signed(replace(two.acts[0].act, deed=replace(two.acts[0].act.deed, nonce="1" * 32)))  # type: ignore[type-var]
    two.go(WAY[1:7])
    cy = two.signed(two.next(CY, Step.SIGNED, agree(OWNER)))
    one.acts.append(cy)
    with pytest.raises(IncidentTampered):
        one.state()
    named = replace(cy.act, incident=one.acts[1].act.incident, previous=one.acts[-2].digest)
    one.acts[-1] = replace(cy, act=named)
    with pytest.raises(IncidentTampered, match="not signed by cy"):
        one.state()


def test_nobody_signs_for_somebody_else() -> None:
    hospital = Hospital()
    hospital.go(WAY[:6])
    forged = hospital.signed(hospital.next(BEN, Step.SIGNED, agree(SECURITY)), by=ADA)
    hospital.acts.append(forged)
    with pytest.raises(IncidentTampered, match="not signed by ben"):
        hospital.state()


def test_one_person_gets_no_second_name(tmp_path: Path) -> None:
    """Neither with the same key under another name, nor with the hospital's own key."""
    scene = staged(tmp_path / "five")
    keys, hospital = wiring.person_folder(scene.room, NORTHGATE, ADA), scene.room.home(NORTHGATE) / "keys"
    with pytest.raises(AppointmentRefused):
        wiring.appoint(scene.room, NORTHGATE, "dee", roles=[SECURITY], days=1, keys=keys)
    with pytest.raises(AppointmentRefused):
        wiring.appoint(scene.room, NORTHGATE, "dee", roles=[SECURITY], days=1, keys=hospital)
    with pytest.raises(AppointmentRefused):
        wiring.appoint(scene.room, NORTHGATE, ADA, roles=[SECURITY], days=1, keys=tmp_path / "new" / "ada")
    with pytest.raises(PersonNotAppointed):
        scene.incidents.roster().key("dee")


def test_an_appointment_that_the_hospital_did_not_sign_counts_nowhere(copy: Scene) -> None:
    with copy.records() as records:
        ((document,),) = records.execute("SELECT document FROM appointments WHERE number = 1").fetchall()
        changed = json.loads(bytes(document))
        changed["appointment"]["roles"] = ["data-owner", "recovery-lead", "security"]
        records.execute("UPDATE appointments SET document = ? WHERE number = 1", (canonical(changed),))
    with pytest.raises(AppointmentRefused):
        copy.incidents.incident(copy.incident)


def test_a_stranger_with_keys_of_their_own_is_nobody(copy: Scene, tmp_path: Path) -> None:
    keys = FileKeys.create(tmp_path / "eve", owner=False)
    with pytest.raises((IncidentTampered, PersonNotAppointed)):
        copy.incidents.declare([SOURCE], reason="x", by=replace(copy.by(ADA), sign=keys.sign))
    with pytest.raises(PersonNotAppointed):
        copy.incidents.declare([SOURCE], reason="x", by=replace(copy.by(ADA), person="eve", sign=keys.sign))
