"""Forged continuity packs: files that were changed, and packs that their own lead changed, signed and put on record."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from asepsis.bootstrap.continuity_drill import LEAD
from asepsis.bootstrap.room import now
from asepsis.cli.story.agreement import LABORATORY
from asepsis.domain.continuity_age import Measured, Stamp
from asepsis.domain.continuity_reading import read_pack
from asepsis.domain.documents import encode_bytes
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.domain.release import read_released
from asepsis.errors import AsepsisError
from asepsis.errors.continuity import PackForged, PackOfAnotherRoom, PackOutdated
from asepsis.errors.contract import DocumentMalformed
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.signing import Purpose
from asepsis.services.continuity_files import table_csv
from asepsis.services.continuity_page import pack_page
from continuity_world import Ward, flipped

Statement = dict[str, Any]
Files = dict[str, bytes]
Change = Callable[[Statement, Files], None]


def test_no_flip_of_any_file_survives(ward: Ward) -> None:
    files = ward.files
    assert {"pack.json", "contract.json", "index.html", "tables/sex.csv", "evidence/sex.json"} <= set(files)
    for name, content in files.items():
        for step in range(5):
            with pytest.raises(AsepsisError):
                ward.verified({**files, name: flipped(content, step * (len(content) // 5) + step)})


def test_a_missing_file_and_a_strange_one_are_refused(ward: Ward) -> None:
    files = ward.files
    for name in files:
        with pytest.raises(PackForged):
            ward.verified({key: content for key, content in files.items() if key != name})
    with pytest.raises(PackForged, match="does not belong"):
        ward.verified({**files, "tables/more.csv": b"x"})


def test_a_table_that_was_replaced_is_refused(ward: Ward) -> None:
    files = ward.files
    changed = files["tables/sex.csv"].replace(b",30,", b",25,")
    assert changed != files["tables/sex.csv"]
    with pytest.raises(PackForged, match=r"tables/sex\.csv was changed"):
        ward.verified({**files, "tables/sex.csv": changed})


def signed_anew(ward: Ward, statement: Statement, *, by: PartyId = LEAD) -> Files:
    """The true pack with another statement and its signature; the ledger's entry stays that of the true one."""
    document = json.loads(ward.files["pack.json"])
    signature = ward.room.keys(by).sign(Purpose.CONTINUITY_PACK, canonical(statement))
    return {**ward.files, "pack.json": canonical({**document, "pack": statement, "signature": encode_bytes(signature)})}


def test_only_its_lead_signs_a_pack(ward: Ward) -> None:
    statement = json.loads(ward.files["pack.json"])["pack"]
    assert ward.verified(signed_anew(ward, statement))
    with pytest.raises(PackForged, match="its lead did not sign"):
        ward.verified(signed_anew(ward, statement, by=LABORATORY))
    with pytest.raises(PackForged, match="another lead"):
        ward.verified(signed_anew(ward, {**statement, "lead": LABORATORY}, by=LABORATORY))


def test_a_pack_of_another_format_is_not_read(ward: Ward) -> None:
    document = json.loads(ward.files["pack.json"])
    with pytest.raises(DocumentMalformed):
        ward.verified(
            {**ward.files, "pack.json": canonical({**document, "format": "asepsis/signed-continuity-pack/2"})}
        )


def test_what_the_lead_signs_anew_is_not_what_the_ledger_knows(ward: Ward) -> None:
    """Guard: the ledger's entry names the digest of the statement."""
    statement = json.loads(ward.files["pack.json"])["pack"]
    with pytest.raises(PackForged, match="ledger's entry"):
        ward.verified(signed_anew(ward, {**statement, "not_checked": []}))


def derived(statement: Statement, files: Files) -> Files:
    """Tables and page as they follow from a statement, so that a forgery is consistent in itself."""
    made, tables = dict(files), {}
    pack = read_pack(statement)
    for output in pack.outputs:
        if f"tables/{output.name}.csv" in files and f"evidence/{output.name}.json" in files:
            evidence = json.loads(files[f"evidence/{output.name}.json"])
            tables[output.name] = read_released(evidence["statistic"]["table"])
            made[f"tables/{output.name}.csv"] = table_csv(tables[output.name], output.stamp, findings=pack.findings)
    return {**made, "index.html": pack_page(pack, tables)}


def forged(ward: Ward, change: Change, late: Change) -> Files:
    """A lead who changes a pack, signs it, and has the room's ledger record it: everything else must still hold."""
    files = dict(ward.files)
    document = json.loads(files["pack.json"])
    statement = document["pack"]
    change(statement, files)
    files = {**derived(statement, files), "pack.json": files["pack.json"]}
    late(statement, files)
    statement["files"] = [
        {"path": path, "length": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in sorted(files.items())
        if path != "pack.json"
    ]
    pack, room = read_pack(statement), ward.room
    facts = {"contract": pack.contract, "digest": digest(statement), "sequence": pack.number}
    entry = LedgerEntry(at=pack.signed_at, actor=LEAD, act=Act.CONTINUITY_PACKED, subject=pack.id, facts=facts)
    with room.state.acting(entry):
        pass
    (entry, proof) = room.audit.trail({pack.id})[-1]
    signed = json.loads(signed_anew(ward, statement)["pack.json"])
    return {**files, "pack.json": canonical({**signed, "entry": entry.to_document(), "proof": proof})}


def nothing(_statement: Statement, _files: Files) -> None:
    """No change."""


def dated(statement: Statement, moment: datetime, *, rpo: timedelta | None = timedelta(0)) -> None:
    """All outputs stamped as of another instant."""
    for output in statement["outputs"]:
        at, most = datetime.fromisoformat(output["stamp"]["at"]), timedelta(seconds=output["stamp"]["max_age_seconds"])
        output["stamp"] = Stamp(as_of=moment, at=at, most=most).to_document()
        objective = timedelta(seconds=output["rpo"]["objective_seconds"])
        output["rpo"] = Measured(actual=rpo, objective=objective).to_document()


def newer_data(statement: Statement, _: Files) -> None:
    for item in statement["inputs"]:
        item["taken_at"] = statement["declared_at"]
    dated(statement, datetime.fromisoformat(statement["declared_at"]))


def newer_stamp(statement: Statement, _: Files) -> None:
    true = datetime.fromisoformat(min(item["taken_at"] for item in statement["inputs"]))
    lost = datetime.fromisoformat(statement["declared_at"]) - true
    dated(statement, true + timedelta(seconds=1), rpo=lost)


def smaller_loss(statement: Statement, _: Files) -> None:
    """RPO alone: the stamps stay true."""
    for output in statement["outputs"]:
        output["rpo"] = Measured(
            actual=timedelta(0), objective=timedelta(seconds=output["rpo"]["objective_seconds"])
        ).to_document()


def longer_limit(statement: Statement, _: Files) -> None:
    statement["outputs"][1]["stamp"]["max_age_seconds"] = 10**6
    stamp = statement["outputs"][1]["stamp"]
    at, as_of = (datetime.fromisoformat(stamp[key]) for key in ("at", "as_of"))
    statement["outputs"][1]["stamp"] = Stamp(as_of=as_of, at=at, most=timedelta(seconds=10**6)).to_document()


def other_snapshot(statement: Statement, _: Files) -> None:
    for item in statement["inputs"]:
        item["snapshot"] = item["snapshot"] + "-x"


def other_evidence(statement: Statement, files: Files) -> None:
    """The evidence of one analysis under the name of another."""
    files["evidence/sex.json"] = files["evidence/born.json"]
    born, sex = statement["outputs"][:2]
    sex |= {"release": born["release"], "run": born["run"]}


def other_release(statement: Statement, _: Files) -> None:
    statement["outputs"][1]["release"] = statement["outputs"][0]["release"]


def other_digest(statement: Statement, _: Files) -> None:
    statement["outputs"][1]["digest"] = statement["outputs"][0]["digest"]


def essentials_left_out(statement: Statement, _: Files) -> None:
    statement["outputs"] = statement["outputs"][:-1]


def no_evidence(_: Statement, files: Files) -> None:
    del files["evidence/sex.json"]


def no_page(_: Statement, files: Files) -> None:
    del files["index.html"]


def other_table(_: Statement, files: Files) -> None:
    files["tables/sex.csv"] = files["tables/sex.csv"].replace(b",30,", b",90,")


def other_page(_: Statement, files: Files) -> None:
    files["index.html"] = files["index.html"].replace(b"Title", b"Other")


def patient_rows(_: Statement, files: Files) -> None:
    files["tables/patients.csv"] = b"person_id,name\r\n1,ABBOTT\r\n"


EARLY: list[Change] = [
    newer_data, newer_stamp, smaller_loss, longer_limit, other_snapshot, other_evidence, other_release, other_digest,
    essentials_left_out,
]  # fmt: skip
LATE: list[Change] = [no_evidence, no_page, other_table, other_page, patient_rows]


@pytest.fixture(scope="module")
def copied(ward: Ward, tmp_path_factory: pytest.TempPathFactory) -> Ward:
    """A room whose ledger records forged packs."""
    folder = tmp_path_factory.mktemp("forged") / "ward"
    shutil.copytree(ward.folder, folder)
    return Ward(folder)


@pytest.mark.parametrize("change", [*EARLY, *LATE], ids=lambda change: change.__name__)
def test_even_its_own_lead_can_change_nothing_that_can_be_derived(change: Change, copied: Ward) -> None:
    early, late = (nothing, change) if change in LATE else (change, nothing)
    with pytest.raises(PackForged):
        copied.verified(forged(copied, early, late))


def test_what_is_the_leads_own_word_is_not_held_against_it(copied: Ward) -> None:
    """The control: a forgery is refused for what was forged."""
    assert copied.verified(forged(copied, nothing, nothing)).position > 0


def test_a_statement_about_another_contract_is_refused(copied: Ward) -> None:
    def other(statement: Statement, _: Files) -> None:
        statement["contract"] = "0" * 64

    with pytest.raises(PackOfAnotherRoom):
        copied.verified(forged(copied, other, nothing))


def test_an_older_pack_does_not_pass_for_a_newer_one(ward: Ward) -> None:
    files, signed_at = ward.files, ward.verified(ward.files).pack.signed_at
    assert ward.verified(files, since=signed_at).pack.signed_at == signed_at
    with pytest.raises(PackOutdated, match="earlier than you expect"):
        ward.verified(files, since=signed_at + timedelta(seconds=1))
    with pytest.raises(PackOutdated, match="too old by now"):
        ward.verified(files, at=now() + timedelta(hours=25))
    with pytest.raises(PackOutdated, match="later than the present"):
        ward.verified(files, at=signed_at - timedelta(seconds=1))
    assert ward.verified(files, at=now() + timedelta(hours=2)).stale == ("sex",)


def test_a_pack_in_earnest_is_no_drill(ward: Ward) -> None:
    with pytest.raises(PackOutdated, match="not in a drill"):
        ward.verified(ward.files, drill=True)


def test_a_pack_from_another_room_is_refused(ward: Ward) -> None:
    other = ward.contract[:-1] + ("0" if ward.contract[-1] != "0" else "1")
    with pytest.raises(PackOfAnotherRoom):
        ward.verified(ward.files, contract=other)
