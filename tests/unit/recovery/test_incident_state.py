"""The way of an incident: no path to its end goes past the two who declare, the scan, or the three who sign off."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))

from asepsis.domain.estate import NOT_READ
from asepsis.domain.incident import Appointment, Finding, FindingStatus, IncidentRole, Roster
from asepsis.domain.incident_acts import (
    Chosen,
    Closed,
    Compared,
    Confirmed,
    Deed,
    Exported,
    IncidentAct,
    Part,
    Settled,
    Settlement,
    Step,
    read_act,
)
from asepsis.domain.incident_state import Incident, advance, declare, missing
from asepsis.domain.source import Verdict
from asepsis.errors import AsepsisError
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.incident import (
    AppointmentRefused,
    FindingUnknown,
    IncidentNotReady,
    IncidentStepRefused,
    IncidentTampered,
    PersonNotAppointed,
    SamePerson,
)
from incident_world import (
    ADA,
    BAD,
    BEN,
    CHOICE,
    CY,
    DECLARED,
    FROZEN,
    HOSPITAL,
    LEAD,
    LOOK,
    MASS,
    NOW,
    OWNER,
    PEOPLE,
    RANSOM,
    ROOM,
    SECURITY,
    SOURCE,
    SUSPICIOUS,
    WAY,
    Hospital,
    agree,
    dissent,
)

Doing = tuple[str, Step, Deed]

SUSPECT = replace(LOOK, points=SUSPICIOUS, findings=(RANSOM, MASS), last_clean="")
WAIVED = Settled(finding=MASS.id, how=Settlement.WAIVED, reason="the archive was moved that week")
DIVERGED = Finding(source="lab", about="lab", code="rows.deleted", count=9, verdict=Verdict.SUSPECT)
COMPARED = Compared(subject="before, after", verdict=Verdict.SUSPECT, findings=(DIVERGED,), rules={})
EXPORTED = Exported(root="ff", files=2, size=10)


def roster(**people: set[IncidentRole]) -> Roster:
    return Roster(
        tuple(
            Appointment(
                room=ROOM,
                party=HOSPITAL,
                person=name,
                key=sha256(name.encode()).digest(),
                roles=frozenset(roles),
                since=NOW,
                until=NOW + timedelta(days=1),
            )
            for name, roles in (people or PEOPLE).items()
        )
    )


def after(state: Incident | None, doing: Doing, among: Roster) -> Incident:
    """The next state; a signed act's digest is stood in for by that of what it says."""
    person, step, deed = doing
    act = IncidentAct(step=step, person=person, at=NOW, deed=deed)
    if state is None:
        return declare(act, digest=sha256(b"first").hexdigest(), roster=among)
    act = replace(act, incident=state.id, number=state.acts, previous=state.head)
    return advance(state, act, digest=sha256(repr(act).encode()).hexdigest(), roster=among)


def gone(*way: Doing, among: Roster | None = None) -> Incident:
    state: Incident | None = None
    for doing in way:
        state = after(state, doing, among or roster())
    assert state is not None
    return state


def test_the_shortest_way_ends_and_nothing_follows_the_end() -> None:
    state = gone(*WAY)
    assert state.closed is not None
    assert not state.holds
    with pytest.raises(IncidentStepRefused):
        after(state, (ADA, Step.JUDGED, LOOK), roster())


@pytest.mark.parametrize("left_out", range(1, len(WAY) - 1))
def test_no_step_of_the_shortest_way_can_be_left_out(left_out: int) -> None:
    with pytest.raises((IncidentNotReady, IncidentStepRefused)):
        gone(*WAY[:left_out], *WAY[left_out + 1 :])


def test_who_declared_cannot_confirm() -> None:
    with pytest.raises(SamePerson):
        gone(WAY[0], (ADA, Step.CONFIRMED, Confirmed()))


def test_one_person_cannot_sign_in_two_roles_even_if_the_first_was_voided() -> None:
    people = roster(ada={LEAD, SECURITY, OWNER}, ben={SECURITY}, cy={OWNER})
    with pytest.raises(SamePerson):
        gone(*WAY[:6], (ADA, Step.SIGNED, agree(SECURITY)), among=people)
    with pytest.raises(SamePerson):
        gone(*WAY[:6], (ADA, Step.CHOSEN, CHOICE), (ADA, Step.SIGNED, agree(OWNER)), among=people)


def test_nobody_signs_in_a_role_that_they_do_not_have() -> None:
    with pytest.raises(PersonNotAppointed):
        gone(*WAY[:5], (ADA, Step.SIGNED, agree(OWNER)))


@pytest.mark.parametrize(
    "change",
    [
        (BEN, Step.JUDGED, LOOK),
        (BEN, Step.SCANNED, LOOK),
        (ADA, Step.CHOSEN, CHOICE),
        (BEN, Step.COMPARED, replace(COMPARED, findings=())),
    ],
)
def test_what_changes_after_the_sign_off_voids_it(change: Doing) -> None:
    state = gone(*WAY[:8], change)
    assert state.voices == ()
    assert len(state.voided) == 3
    with pytest.raises(IncidentNotReady):
        after(state, WAY[8], roster())


def test_a_finding_that_grew_is_not_the_one_that_was_waived() -> None:
    state = gone(*WAY[:3], (BEN, Step.SCANNED, SUSPECT), WAY[4], (BEN, Step.SETTLED, WAIVED))
    assert state.open_findings == ()
    grown = replace(MASS, count=9)
    state = after(state, (BEN, Step.SCANNED, replace(SUSPECT, findings=(RANSOM, grown))), roster())
    assert state.open_findings == (grown,)


def test_findings_of_the_chosen_point_stand_in_the_way_and_others_are_set_aside() -> None:
    state = gone(*WAY[:3], (BEN, Step.SCANNED, SUSPECT))
    assert state.open_findings == (RANSOM, MASS)
    state = after(state, WAY[4], roster())
    assert (state.status(RANSOM), state.status(MASS)) == (FindingStatus.SET_ASIDE, FindingStatus.OPEN)
    with pytest.raises(IncidentNotReady):
        after(state, WAY[5], roster())
    with pytest.raises(PersonNotAppointed):
        after(state, (ADA, Step.SETTLED, WAIVED), roster())
    with pytest.raises(FindingUnknown):
        after(state, (BEN, Step.SETTLED, replace(WAIVED, finding=RANSOM.id)), roster())
    assert gone(*WAY[:3], (BEN, Step.SCANNED, SUSPECT), WAY[4], (BEN, Step.SETTLED, WAIVED), *WAY[5:]).closed


def test_a_vanished_restore_point_is_never_set_aside() -> None:
    vanished = Finding(source=SOURCE, about="bad", code="inventory.vanished", count=1, verdict=Verdict.SUSPECT)
    state = gone(*WAY[:3], (BEN, Step.SCANNED, replace(LOOK, findings=(RANSOM, vanished))), WAY[4])
    assert state.open_findings == (vanished,)


def test_a_comparison_has_to_be_settled_too() -> None:
    state = gone(*WAY[:5], (BEN, Step.COMPARED, COMPARED))
    assert state.open_findings == (DIVERGED,)


def test_a_damaged_restore_point_without_a_finding_is_refused() -> None:
    with pytest.raises(IncidentStepRefused):
        gone(*WAY[:3], (BEN, Step.SCANNED, replace(LOOK, findings=())))


@pytest.mark.parametrize(
    "parts",
    [(), (Part(source=SOURCE, point="none", root="aa"),), (Part(source=SOURCE, point="good", root="bb"),)],
)
def test_only_what_the_newest_full_scan_judged_can_be_chosen(parts: tuple[Part, ...]) -> None:
    with pytest.raises(IncidentStepRefused):
        gone(*WAY[:4], (ADA, Step.CHOSEN, Chosen(parts=parts, reason="because")))


def test_before_the_second_person_nothing_else_is_done() -> None:
    with pytest.raises(IncidentStepRefused):
        gone(WAY[0], WAY[2])


def test_a_source_is_frozen_once_and_every_declared_one_is() -> None:
    with pytest.raises(IncidentStepRefused):
        gone(*WAY[:3], WAY[2])
    two = (ADA, Step.DECLARED, replace(DECLARED, sources=(SOURCE, "tar:/tapes")))
    assert "a freeze of tar:/tapes" in missing(gone(two, *WAY[1:5]))
    with pytest.raises(IncidentNotReady):
        gone(two, *WAY[1:6])


def test_the_first_act_declares_and_names_no_other_incident() -> None:
    act = IncidentAct(step=Step.DECLARED, person=ADA, at=NOW, deed=DECLARED)
    for other in (replace(act, incident="incident-1"), replace(act, previous="1"), replace(act, deed=FROZEN)):
        with pytest.raises(IncidentTampered):
            declare(other, digest="1", roster=roster())


def test_a_full_scan_may_meet_damage_and_may_not_leave_anything_out() -> None:
    """What cannot be read is a finding; what was not to be read makes no full scan."""
    points = (LOOK.points[0], replace(BAD, verdict=Verdict.UNKNOWN))
    damaged = replace(RANSOM, code="source.object_damaged", verdict=Verdict.UNKNOWN)
    look = replace(LOOK, points=points, unread=1, findings=(damaged,))
    assert gone(*WAY[:3], (BEN, Step.SCANNED, look)).scan(SOURCE, full=True)
    left_out = replace(look, findings=(replace(damaged, code=NOT_READ),))
    with pytest.raises(IncidentStepRefused):
        gone(*WAY[:3], (BEN, Step.SCANNED, left_out))
    assert gone(*WAY[:3], (BEN, Step.JUDGED, left_out)).scan(SOURCE)


def test_a_quick_verdict_is_no_full_scan() -> None:
    with pytest.raises(IncidentStepRefused):
        gone(*WAY[:3], (BEN, Step.JUDGED, LOOK), WAY[4])
    state = gone(*WAY[:3], (BEN, Step.JUDGED, LOOK))
    assert f"a full scan of {SOURCE}" in missing(state)


def test_a_choice_does_not_outlive_the_restore_point() -> None:
    rewritten = replace(LOOK, points=(replace(LOOK.points[0], root="cc"), BAD))
    state = gone(*WAY[:5], (BEN, Step.SCANNED, rewritten))
    assert any("another choice" in lacking for lacking in missing(state))


def test_a_dissent_of_one_is_carried_and_that_of_the_data_owner_or_of_two_stops() -> None:
    agreed = [(ADA, Step.SIGNED, agree(LEAD)), (CY, Step.SIGNED, agree(OWNER))]
    against = (BEN, Step.SIGNED, dissent(SECURITY))
    state = gone(*WAY[:5], *agreed, against, WAY[8])
    assert [voice.person for voice in state.dissent] == [BEN]
    with pytest.raises(IncidentNotReady):
        gone(*WAY[:7], (CY, Step.SIGNED, dissent(OWNER)), WAY[8])
    with pytest.raises(IncidentNotReady):
        gone(*WAY[:5], (ADA, Step.SIGNED, dissent(LEAD)), against, agreed[1], WAY[8])
    with pytest.raises(IncidentStepRefused):
        gone(*WAY[:5], (BEN, Step.SIGNED, dissent(SECURITY, reason="")))


def test_who_changes_their_mind_stays_on_record() -> None:
    state = gone(*WAY[:7], (CY, Step.SIGNED, dissent(OWNER)), *WAY[7:])
    assert [voice.person for voice in state.dissent] == [CY]
    assert state.closed is not None


def test_nothing_is_exported_before_the_sign_off() -> None:
    with pytest.raises(IncidentNotReady):
        gone(*WAY[:7], (ADA, Step.EXPORTED, EXPORTED))
    assert gone(*WAY[:8], (ADA, Step.EXPORTED, EXPORTED), WAY[8]).exports[0].deed == EXPORTED


def test_an_appointment_counts_in_its_time_only() -> None:
    state = gone(*WAY[:2])
    late = IncidentAct(
        step=Step.FROZEN,
        person=ADA,
        at=NOW + timedelta(days=1),
        deed=FROZEN,
        incident=state.id,
        number=2,
        previous=state.head,
    )
    with pytest.raises(PersonNotAppointed):
        advance(state, late, digest="1", roster=roster())


def test_acts_do_not_go_back_in_time() -> None:
    state = replace(gone(*WAY[:2]), last_at=NOW + timedelta(seconds=1))
    with pytest.raises(IncidentTampered):
        after(state, WAY[2], roster())


def test_two_persons_have_two_keys() -> None:
    one = roster(ada={LEAD}).appointments[0]
    with pytest.raises(AppointmentRefused):
        Roster((one, replace(one, person="ben")))
    with pytest.raises(AppointmentRefused):
        Roster((one, replace(one, key=b"2" * 32)))
    with pytest.raises(PersonNotAppointed):
        roster().key("nobody")


POOL: list[Doing] = [
    *WAY,
    *((person, Step.CONFIRMED, Confirmed()) for person in PEOPLE),
    *((person, Step.SIGNED, voice(role)) for person in PEOPLE for role in IncidentRole for voice in (agree, dissent)),
    *((person, Step.CLOSED, Closed()) for person in PEOPLE),
    (BEN, Step.SCANNED, SUSPECT),
    (BEN, Step.SETTLED, WAIVED),
    (BEN, Step.JUDGED, LOOK),
    (CY, Step.COMPARED, COMPARED),
    (ADA, Step.EXPORTED, EXPORTED),
]


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from(POOL), max_size=25),
    st.fixed_dictionaries({name: st.sets(st.sampled_from(list(IncidentRole)), min_size=1) for name in PEOPLE}),
)
def test_whatever_is_tried_no_path_ends_without_all_criteria(
    tries: Sequence[Doing], people: dict[str, set[IncidentRole]]
) -> None:
    among = roster(**people)
    state = after(None, (ADA, Step.DECLARED, DECLARED), among)
    done: list[Doing] = []
    for doing in [*tries, *WAY[1:]]:
        try:
            state = after(state, doing, among)
        except AsepsisError:
            continue
        done.append(doing)
    if state.closed is None:
        assert missing(state) or not any(doing[1] is Step.CLOSED for doing in done)
        return
    steps = [step for _, step, _ in done]
    assert done[-1][1] is Step.CLOSED
    assert done[0][:2] != (ADA, Step.CONFIRMED)
    changed = max(
        index for index, step in enumerate(steps) if step in {Step.SCANNED, Step.JUDGED, Step.CHOSEN, Step.COMPARED}
    )
    heard = {deed.role: person for person, step, deed in done[changed:] if step is Step.SIGNED}  # type: ignore[union-attr]
    assert len(set(heard.values())) == len(heard) == 3
    assert Step.FROZEN in steps[: steps.index(Step.SCANNED)]
    assert state.open_findings == ()


@pytest.mark.parametrize(
    ("person", "step", "deed"), [*WAY, (BEN, Step.SETTLED, WAIVED), (BEN, Step.COMPARED, COMPARED)]
)
def test_an_act_reads_back_as_it_was_written(person: str, step: Step, deed: Deed) -> None:
    act = IncidentAct(step=step, person=person, at=NOW, deed=deed, incident="i", number=3, previous="p")
    assert read_act(act.to_document()) == act
    with pytest.raises(DocumentMalformed):
        read_act({**act.to_document(), "more": 1})


def test_what_persons_write_is_one_bounded_line() -> None:
    hospital = Hospital()
    document = hospital.next(ADA, Step.DECLARED, replace(DECLARED, reason="two\nlines")).to_document()
    with pytest.raises(DocumentMalformed):
        read_act(document)
