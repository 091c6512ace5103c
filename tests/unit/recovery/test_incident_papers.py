"""What is written of an incident: findings of scans, certificate, plan and runbook say what is so and no more."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.continuity import ContinuityTerms, Limits, PreApproved, WhenStale
from asepsis.domain.estate import EstateScan, Inventory, RuleSet
from asepsis.domain.incident import Finding, IncidentRole
from asepsis.domain.incident_acts import Part
from asepsis.domain.incident_certificate import certificate_content, metrics, not_checked
from asepsis.domain.integrity import HistoryVerdict, ObjectVerdict, RestorePointVerdict, Signal
from asepsis.domain.names import PartyId, RestorePointId
from asepsis.domain.source import RestorePoint, Verdict
from asepsis.errors.incident import IncidentNotReady, RecoveryNotCertified
from asepsis.errors.recovery import OutputExists, OutputUnwritable
from asepsis.integrity.incident.certificate_text import certificate_sections
from asepsis.integrity.incident.looking import compared, looked
from asepsis.integrity.incident.papers import Paper, Section, as_html, as_markdown
from asepsis.integrity.incident.pdf import pages_of
from asepsis.integrity.incident.plan import (
    DrillFacts,
    RoomFacts,
    SourceFacts,
    contingency_plan,
    mapping,
    runbook,
)
from asepsis.integrity.records.values import Divergence, Severity
from asepsis.services.clean_sets import check_clean_set, copy_part, new_folder, seal_clean_set
from asepsis.sources.directory import DirectorySource
from incident_world import FROZEN, GOOD, NOW, SOURCE, WAY, Hospital


def scan(*points: RestorePointVerdict, inventory: Inventory | None = None) -> EstateScan:
    history = HistoryVerdict(points=points, last_clean=RestorePointId("good"), objects_read=0, bytes_read=0)
    return EstateScan(
        history=history,
        inventory=inventory or Inventory(),
        objects=9,
        new_objects=9,
        new_bytes=0,
        roots={RestorePointId("good"): "aa", RestorePointId("bad"): "changed"},
        unread=2,
        unparsed=3,
        names="ours 1",
    )


def point(
    name: str, verdict: Verdict, *objects: ObjectVerdict, signals: tuple[Signal, ...] = ()
) -> RestorePointVerdict:
    of = RestorePoint(id=RestorePointId(name), taken_at=NOW)
    return RestorePointVerdict(point=of, verdict=verdict, objects=objects, signals=signals)


def test_a_scan_becomes_codes_and_counts_without_any_path() -> None:
    patient = ObjectVerdict(
        path="/doe_jane.pdf", verdict=Verdict.COMPROMISED, reasons=("content.random", "note.ransom")
    )
    other = replace(patient, path="/roe.pdf", verdict=Verdict.SUSPECT, reasons=("content.random",))
    found = looked(
        SOURCE,
        scan(point("good", Verdict.CLEAN), point("bad", Verdict.COMPROMISED, patient, other)),
        held=FROZEN,
        rules={"r": "1"},
    )
    told = {(one.about, one.code): (one.count, one.verdict) for one in found.findings}
    assert told["bad", "content.random"] == (2, Verdict.COMPROMISED)
    assert told["bad", "note.ransom"] == (1, Verdict.COMPROMISED)
    assert told["bad", "inventory.rewritten"] == (1, Verdict.SUSPECT)  # since the freeze
    assert "doe" not in str(found.to_document())
    assert found.unchecked == (
        f"{SOURCE}: 2 of 9 objects were not read",
        f"{SOURCE}: of 3 objects only name and bytes were looked at, since their format is unknown",
        f"{SOURCE}: no YARA rules were held against the objects",
    )
    assert found.rules == {"r": "1", "names": "ours 1"}


def test_the_rules_that_were_held_against_content_stand_in_the_certificate() -> None:
    rules = RuleSet(digest="d", engine="yara-x 1", rules=9, skipped=2, files=1)
    seen = replace(scan(point("good", Verdict.CLEAN)), rules=rules, unhunted=4, unread=0, unparsed=0)
    found = looked(SOURCE, seen, held=replace(FROZEN, points=(GOOD,)), rules={})
    assert found.rules["yara"] == "yara-x 1 9 rules d"
    assert found.unchecked == (
        f"{SOURCE}: 4 of 9 objects were never held against the YARA rules",
        f"{SOURCE}: 2 YARA rules cannot be compiled and were not looked for",
    )


def test_a_restore_point_that_vanished_since_the_freeze_is_a_finding() -> None:
    found = looked(SOURCE, scan(point("good", Verdict.CLEAN)), held=FROZEN, rules={})
    assert [(one.about, one.code) for one in found.findings] == [("bad", "inventory.vanished")]


@pytest.mark.parametrize(
    ("signals", "code"),
    [((), "point.not_clean"), ((Signal(code="source.record_damaged", count=1),), "source.record_damaged")],
)
def test_a_restore_point_whose_own_record_is_damaged_is_never_silent(signals: tuple[Signal, ...], code: str) -> None:
    found = looked(
        SOURCE,
        scan(point("good", Verdict.CLEAN), point("bad", Verdict.UNKNOWN, signals=signals)),
        held=replace(FROZEN, points=(GOOD,)),
        rules={},
    )
    assert [(one.about, one.code, one.verdict) for one in found.findings] == [("bad", code, Verdict.UNKNOWN)]


def test_the_worst_of_several_divergences_of_one_code_counts() -> None:
    severe = Divergence(code="rows.deleted", severity=Severity.SEVERE, table="lab", rows=9)
    mild = replace(severe, severity=Severity.NOTICE, rows=1)
    found = compared("a, b", [severe, mild], verdict=Verdict.COMPROMISED, rules={}, unchecked=["rates"])
    assert found.findings == (
        Finding(source="a, b", about="lab", code="rows.deleted", count=9, verdict=Verdict.COMPROMISED),
    )
    assert found.unchecked == ("a, b: rates",)


def test_times_are_counted_from_the_declaration() -> None:
    hospital = Hospital()
    told = metrics(hospital.go(WAY))
    assert told == {
        "to_quick_verdict": None,
        "to_full_verdict": 1800,
        "to_choice": 2400,
        "to_sign_off": 4200,
        "to_close": 4800,
        "data_age": 2 * 86_400 + 600,
    }


def test_what_was_not_checked_is_never_empty_and_knows_what_was_not_compared() -> None:
    state = Hospital().go(WAY)
    assert "2 objects of formats that are not parsed" in not_checked(state)
    assert any("no comparison" in text for text in not_checked(state))


def test_before_the_sign_off_nothing_is_certified() -> None:
    with pytest.raises(IncidentNotReady):
        certificate_content(Hospital().go(WAY[:7]), tool={}, issued_at=NOW)


def pages(sections: list[Section]) -> bytes:
    return pages_of(sections, footer="footer")


def test_a_pdf_has_every_line_and_its_places_are_right() -> None:
    content = certificate_content(Hospital().go(WAY), tool={"name": "asepsis"}, issued_at=NOW + timedelta(days=1))
    data = pages(certificate_sections(content, digest="d" * 64))
    start = int(data.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert data[start : start + 4] == b"xref"
    places = [int(line[:10]) for line in data[start:].split(b"\n")[3:] if line.endswith(b" n ")]
    assert [data[place:].split(b" ", 1)[0] for place in places] == [b"%d" % n for n in range(1, len(places) + 1)]
    for text in (b"Not checked", b"the newest clean one", b"footer - 1/", b"ada as recovery-lead agrees", b"d" * 64):
        assert text in data
    assert data == pages(certificate_sections(content, digest="d" * 64))


@settings(max_examples=40)
@given(st.lists(st.text(max_size=300), max_size=30))
def test_any_text_makes_a_whole_pdf(lines: list[str]) -> None:
    data = pages([Section(heading="(h)\\", lines=tuple(lines))])
    assert data.startswith(b"%PDF-1.7")
    assert data.endswith(b"%%EOF\n")
    for stream in re.findall(rb"stream\n(.*?)\nendstream", data, re.DOTALL):
        bare = re.sub(rb"\\.", b"", stream, flags=re.DOTALL)
        assert bare.count(b"(") == bare.count(b")") == bare.count(b"Tj")


def test_letters_beyond_the_fonts_are_transliterated() -> None:
    assert b"Zaluzec" in pages([Section(heading="h", lines=("Za\u0142uzec",))])


def facts(**more: object) -> RoomFacts:
    bare = RoomFacts(
        party="northgate",
        room="room",
        at=NOW + timedelta(days=100),
        tool="asepsis 0",
        sources=(),
        people=(),
        continuity=None,
        drills=(),
        incidents=(),
        certificates=0,
    )
    return replace(bare, **more)  # type: ignore[arg-type]


TERMS = ContinuityTerms(
    lead=PartyId("northgate"),
    analyses=(
        PreApproved(
            name="census",
            title="Beds",
            responsible="dr-lee",
            kind=AnalysisKind.QUERY,
            body="SELECT 1",
            arguments={},
            limits=Limits(
                most_age=timedelta(days=3),
                when_stale=WhenStale.STAMP,
                rpo=timedelta(hours=24),
                rto=timedelta(hours=4),
            ),
        ),
    ),
)


def test_an_empty_room_shows_nothing_and_says_so_thirteen_times() -> None:
    assert [item.evidence for item in mapping(facts())] == [()] * 13
    text = as_markdown(contingency_plan(facts()))
    assert "0 of 13 items" in text
    assert text.count("**nothing here shows this**") >= 13


def test_every_item_names_what_the_room_holds_and_the_public_is_never_told_by_us() -> None:
    hospital = Hospital()
    full = facts(
        sources=(SourceFacts(uri=SOURCE, points=2, newest=NOW, last_clean="good"),),
        people=hospital.roster().appointments,
        continuity=TERMS,
        drills=(DrillFacts(report="drill-1", ended_at=NOW, passed=True),),
        incidents=(hospital.go(WAY),),
        certificates=1,
    )
    shown = {item.id: item.evidence for item in mapping(full)}
    assert [id_ for id_, evidence in shown.items() if not evidence] == ["RC.RP-05", "RC.CO-03", "RC.CO-04"]
    plan = as_markdown(contingency_plan(full))
    assert "RTO 4 h, RPO 24 h" in plan
    assert "which is long" in plan
    steps = as_markdown(runbook(full))
    assert f"asepsis recover incident declare {SOURCE} --by ada" in steps
    assert "--by cy --role data-owner" in steps
    assert all(role.value in steps for role in IncidentRole)


def test_somebody_whose_appointment_ended_is_in_no_role() -> None:
    people = Hospital().roster().appointments
    assert facts(people=people).in_role(IncidentRole.SECURITY) == ["ben"]
    assert facts(people=people, at=NOW + timedelta(days=366)).in_role(IncidentRole.SECURITY) == []


def test_papers_take_no_markup_from_names() -> None:
    paper = Paper(title="<b>", lead="*x* [a](b)", sections=(Section(heading="`h`", lines=("**ok** <script>",)),))
    assert "<script>" not in as_html(paper)
    assert "<strong>ok</strong>" in as_html(paper)
    assert r"\<script\>" in as_markdown(paper)
    assert r"\[a\]" in as_markdown(paper)


@pytest.fixture
def source(tmp_path: Path) -> DirectorySource:
    for name in ("a/one.txt", "a/two.txt", "b/three.txt"):
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_text(name)
    return DirectorySource.at(str(tmp_path / "from"))


def everything(source: DirectorySource, path: str = "") -> Part:
    return Part(source="dir:", point=source.restore_points()[0].id, root="", path=path)


def test_a_composite_takes_each_file_once(source: DirectorySource, tmp_path: Path) -> None:
    whole, exact = everything(source), everything(source, "/a")
    new_folder(tmp_path / "out")
    copy_part(source, whole, tmp_path / "out", others=(whole, exact))
    assert [path.name for path in sorted((tmp_path / "out").rglob("*.txt"))] == ["three.txt"]
    copy_part(source, exact, tmp_path / "out", others=(whole, exact))
    assert seal_clean_set(tmp_path / "out", incident="i").files == 3
    with pytest.raises(OutputExists):
        copy_part(source, exact, tmp_path / "out", others=(exact,))


def test_a_clean_set_that_changed_is_not_the_one_that_was_sealed(source: DirectorySource, tmp_path: Path) -> None:
    out = tmp_path / "out"
    new_folder(out)
    copy_part(source, everything(source), out, others=())
    sealed = seal_clean_set(out, incident="i")
    assert check_clean_set(out, root=sealed.root) == 3
    assert {path.stat().st_mode & 0o077 for path in out.rglob("*")} == {0}
    victim = out / "files" / "a" / "one.txt"
    for change in (lambda: victim.write_text("A/one.txt"), victim.unlink, lambda: (out / "more").write_text("")):
        change()
        with pytest.raises(RecoveryNotCertified):
            check_clean_set(out, root=sealed.root)
        victim.write_text("a/one.txt")
    with pytest.raises(RecoveryNotCertified):
        check_clean_set(out, root="0" * 64)
    with pytest.raises(OutputExists):
        new_folder(out)
    with pytest.raises(OutputUnwritable):
        new_folder(tmp_path / "none" / "out")
