"""Production is down, in a small real room: one signed pack, no patient in it, and drills that are on record."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from asepsis.bootstrap.collecting import collect_referral
from asepsis.bootstrap.continuity import make_pack, read_files
from asepsis.bootstrap.continuity_drill import LEAD, TEAM, verify_drill
from asepsis.bootstrap.room import now
from asepsis.cli.story.inspection import held
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.continuity import approved_digest
from asepsis.domain.continuity_age import Freshness
from asepsis.domain.continuity_pack import Outcome
from asepsis.errors import AsepsisError
from asepsis.errors.continuity import PackForged, PackOfAnotherRoom, PackOutdated
from asepsis.errors.contract import ContractForbids, DocumentMalformed
from asepsis.sealing.canonical import canonical
from asepsis.services.continuity_choice import Occasion
from asepsis.services.continuity_drill import last_drills, verify_report
from asepsis.services.continuity_verify import Expected
from continuity_world import BORN, Ward, flipped
from simulator import AT_NORTHGATE, NORTHGATE, OWNERS, PERSONS, call


def test_one_command_makes_a_pack_that_verifies_offline(ward: Ward, tmp_path: Path) -> None:
    """The folder alone is enough: it verifies away from the room, on the command line too."""
    alone = tmp_path / "pack"
    shutil.copytree(ward.folder / "pack", alone)
    answer = call("recover", "continuity", "verify", str(alone), "--contract", ward.contract, "--json")
    assert answer.code == 0, answer
    document = answer.document()
    assert [(one["name"], one["outcome"]) for one in document["outputs"]] == [
        ("born", "released"),
        ("sex", "released"),
        ("essentials", "delivered"),
    ]
    assert document["metrics"]["coverage"]["outputs"] == [3, 3]
    assert document["metrics"]["rto"]["met"]
    assert all(one["stamp"]["says"].startswith("DATA AS OF 20") for one in document["outputs"])
    found = ward.verified(read_files(alone))
    assert set(found.tables) == {"born", "sex"}
    assert found.tables["sex"].rows


def test_what_is_ready_is_said_before_it_is_needed(ward: Ward) -> None:
    ready = json.loads((ward.folder / "said.json").read_text())[0]
    assert [(one["name"], one["outcome"], one["responsible"], one["last_drill"]) for one in ready] == [
        ("born", "ready", "Head of nursing", None),
        ("sex", "ready", "Head of nursing", None),
        ("essentials", "ready", "Chief nurse", None),
    ]


def test_runs_are_charged_and_on_record_like_any_other(ward: Ward) -> None:
    assert {ward.room.desk(owner).budget(ward.contract).used for owner in OWNERS} == {4}, (
        "linkage, two queries, essentials"
    )
    acts = [entry.act.value for entry in ward.room.audit.entries()]
    assert acts.count("run.finished") == 4
    assert acts[-1] == "continuity.packed"


def test_neither_room_nor_pack_holds_a_patient_level_row(ward: Ward) -> None:
    """Names, numbers and record ids of the patients; the control is the clinical team's own file."""
    numbers = {person.national_id for person in PERSONS} | {str(10_000_000 + one.number) for one in AT_NORTHGATE}
    needles = {number.encode() for number in numbers}
    copied = ward.folder.parent / "ward-collected"
    shutil.copytree(ward.folder, copied, dirs_exist_ok=True)
    room = Ward(copied).room
    [referral] = room.state.referrals()
    opened = collect_referral(room, referral.id, team=TEAM)
    collected = opened.path.read_bytes()
    assert opened.patients >= 10
    assert sum(needle in collected for needle in needles) >= opened.patients
    document = json.loads(collected)
    assert set(document["tables"]) == {"identity", "problems", "recent_labs"}
    assert document["tables"]["problems"]
    assert document["says"].startswith("DATA AS OF 20")
    said = (ward.folder / "said.json").read_bytes()
    host = [path.read_bytes() for path in (ward.folder / "room" / "host").rglob("*") if path.is_file()]
    for content in [said, *ward.files.values(), *host]:
        assert not held(needles, content)


def test_a_text_that_was_changed_after_approval_makes_the_contract_void(ward: Ward) -> None:
    """With the approved digest it is not read; with a digest of its own it is another contract, which nobody signed."""
    papers = json.loads(ward.files["contract.json"])
    changed = copy.deepcopy(papers)
    changed["contract"]["continuity"]["analyses"]["sex"]["query"] = BORN
    with pytest.raises(DocumentMalformed, match="digest of this text"):
        ward.room.contracts.propose(changed["contract"])
    changed["contract"]["continuity"]["analyses"]["sex"]["digest"] = approved_digest(AnalysisKind.QUERY, BORN, {})
    with pytest.raises(PackOfAnotherRoom):
        ward.verified({**ward.files, "contract.json": canonical(changed)})


def test_a_pack_is_never_written_over_another(ward: Ward) -> None:
    assert ward.run("continuity", "--out", str(ward.folder / "pack")).error == "recovery.output_exists"


def test_essentials_that_no_owner_approved_stay_where_they_are(own: Ward) -> None:
    """Guard: the pack never approves for an owner. What was answered before is the same release, free of charge."""
    with sqlite3.connect(own.folder / "room" / "host" / "room.db") as connection:
        connection.execute("DELETE FROM referrals")
    connection.close()
    answer = own.run("continuity", "--out", str(own.folder / "again"), "--json")
    assert answer.code == 3
    outputs = answer.document()["outputs"]
    assert [one["outcome"] for one in outputs] == ["released", "released", "not approved"]
    assert own.room.desk(NORTHGATE).budget(own.contract).used == 4


def test_data_that_are_too_old_are_refused_or_stamped_as_the_clause_says(own: Ward) -> None:
    """The clock of this occasion stands 25 hours ahead; the arithmetic of ages has tests of its own."""
    ahead = timedelta(hours=25)
    occasion = Occasion(declared_at=now() + ahead, drill=True, ahead=ahead)
    pack, files = make_pack(own.room, occasion)
    assert [(one.name, one.outcome, one.stamp.freshness) for one in pack.outputs] == [
        ("born", Outcome.STALE, Freshness.STALE),
        ("sex", Outcome.RELEASED, Freshness.STALE),
        ("essentials", Outcome.DELIVERED, Freshness.STALE),
    ]
    assert b"TOO OLD" in files["index.html"]
    assert "tables/born.csv" not in files
    assert own.verified(files, drill=True).pack.to_document() == pack.to_document()


@pytest.mark.long
def test_a_backup_that_is_named_is_judged_and_data_of_a_clean_point_are_used(own: Ward) -> None:
    backups = [f"--backup={owner}=dir:{own.folder / owner}" for owner in OWNERS]
    out = own.folder / "judged"
    answer = own.run("continuity", *backups, "--index", str(own.folder / "e.db"), "--out", str(out), "--json")
    assert answer.code == 0, answer
    document = answer.document()
    assert {one["choice"] for one in document["inputs"]} == {"last clean"}
    assert {one["verdict"] for one in document["inputs"]} == {"clean"}
    assert document["metrics"]["time_to_verdict_seconds"] <= document["metrics"]["time_to_pack_seconds"]
    assert document["metrics"]["coverage"]["datasets"] == [4, 4]
    assert own.verified(read_files(out)).pack.number == 2


def test_where_every_restore_point_is_hit_nothing_runs(own: Ward) -> None:
    """Guard: a snapshot whose restore point is not clean is never taken, however new it is."""
    for path in (own.folder / NORTHGATE).iterdir():
        modified = path.stat()
        path.with_name(path.name + ".locked").write_bytes(hashlib.shake_256(path.name.encode()).digest(60_000))
        os.utime(path.with_name(path.name + ".locked"), ns=(modified.st_atime_ns, modified.st_mtime_ns))
        path.unlink()
    backup = f"--backup={NORTHGATE}=dir:{own.folder / NORTHGATE}"
    answer = own.run("continuity", backup, "--index", str(own.folder / "e.db"), "--out", str(own.folder / "judged"))
    assert (answer.code, answer.error) == (7, "continuity.no_clean_snapshot")
    assert not (own.folder / "judged").exists()


@pytest.mark.parametrize("named", ["northgate", "stranger=dir:x", "genomics-lab=dir:x"])
def test_only_an_owners_backup_can_be_named(ward: Ward, named: str) -> None:
    assert ward.run("continuity", f"--backup={named}", "--out", "none").error == "continuity.verdict_unclear"


@pytest.fixture(scope="module")
def drilled(ward: Ward, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ward, Path]:
    """A drill in a room of one's own."""
    folder = tmp_path_factory.mktemp("drilled")
    shutil.copytree(ward.folder, folder / "ward")
    own = Ward(folder / "ward")
    answer = own.run("drill", "--folder", str(folder / "drill"), "--json")
    assert answer.code == 0, answer
    assert answer.document()["passed"] is True
    return own, folder / "drill"


def test_a_drill_leaves_a_report_that_verifies_and_is_shown_from_then_on(drilled: tuple[Ward, Path]) -> None:
    own, folder = drilled
    answer = call("recover", "drill", "verify", str(folder), "--contract", own.contract, "--json")
    assert answer.code == 0, answer
    report = answer.document()
    assert [one["step"] for one in report["steps"]] == [
        "judge the backups",
        "run what was pre-approved, and sign the pack",
    ]
    assert "(D) Testing and revision procedures" in {one["item"] for one in report["mapping"]}
    assert (folder / "drill.md").read_text().startswith("# Drill report drill-")
    ready = own.run("continuity", "status", "--json").document()
    assert {one["last_drill"] for one in ready} == {report["ended_at"]}
    acts = [entry.act.value for entry in own.room.audit.entries()]
    assert acts[-2:] == ["continuity.packed", "continuity.drilled"]


def test_a_pack_of_a_drill_does_not_pass_for_one_in_earnest(drilled: tuple[Ward, Path]) -> None:
    own, folder = drilled
    files = read_files(folder / "pack")
    assert own.verified(files, drill=True).pack.drill
    with pytest.raises(PackOutdated, match="in a drill"):
        own.verified(files)


def test_no_flip_of_a_drill_report_survives(drilled: tuple[Ward, Path], tmp_path: Path) -> None:
    own, folder = drilled
    content, agreement = (folder / "drill.json").read_bytes(), own.room.contracts.in_force()
    assert verify_report(content, agreement)[0]["passed"]
    for place in range(0, len(content), len(content) // 20):
        with pytest.raises(AsepsisError):
            verify_report(flipped(content, place), agreement)
    shutil.copytree(folder, tmp_path / "drill")
    (tmp_path / "drill" / "drill.md").write_bytes((folder / "drill.md").read_bytes().replace(b"met", b"not met"))
    with pytest.raises(PackForged, match=r"drill\.md says something else"):
        verify_drill(tmp_path / "drill", Expected(contract=own.contract, at=now(), drill=True))


def test_a_drill_that_the_lead_did_not_sign_counts_as_none(drilled: tuple[Ward, Path]) -> None:
    own, folder = drilled
    contract = own.room.contracts.contract()
    content = (folder / "drill.json").read_bytes()
    document = json.loads(content)
    document["report"]["ended_at"] = "2099-01-01T00:00:00Z"
    assert len(last_drills([content], contract)) == 3
    assert last_drills([canonical(document), b"{}", b"no JSON"], contract) == {}


@pytest.mark.long
def test_essentials_are_those_of_the_contract_and_no_others(own: Ward) -> None:
    """Guard: the runtime compares the referral with the clause; approvals alone would let another cohort through.

    The comparison itself is tested with the other rules of the essentials.
    """
    room = own.room
    terms = room.contracts.contract().continuity
    assert terms is not None
    assert terms.essentials is not None
    wider = replace(terms.essentials.analysis(LEAD), body="SELECT DISTINCT person_id FROM person")
    referral = room.referrals.ask(wider, reason="more than was agreed")
    for owner in OWNERS:
        room.approve_referral(referral.id, owner=owner)
    with pytest.raises(ContractForbids, match="these essentials"):
        room.referrals.deliver(referral.id)
