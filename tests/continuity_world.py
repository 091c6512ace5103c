"""The two small hospitals with a contract that pre-approves what may run when production is down, and one pack.

The contract names a query that stamps, one that refuses what is too old, and the essentials. The pack is made by the
command line.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asepsis.attest.appraise import appraise
from asepsis.bootstrap.continuity import read_files
from asepsis.bootstrap.continuity_drill import LEAD
from asepsis.bootstrap.room import Room, now, open_room
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.continuity import approved_digest
from asepsis.domain.documents import encode_bytes
from asepsis.services.continuity_files import PackFiles
from asepsis.services.continuity_verify import Expected, VerifiedPack, verify_pack
from simulator import OWNERS, Answer, World, amend, base_folder, call, once, sign

SEX = "SELECT gender_concept_id, count(*) AS persons FROM person GROUP BY gender_concept_id"
BORN = "SELECT count(*) AS persons FROM person WHERE year_of_birth >= 1950"
COHORT = "SELECT DISTINCT person_id FROM person WHERE year_of_birth >= 1950"
LIMITS = {"rpo_hours": 24, "rto_minutes": 15}


def approved(query: str, **limits: Any) -> dict[str, Any]:
    pinned = approved_digest(AnalysisKind.QUERY, query, {})
    return {"title": "Title", "responsible": "Head of nursing", "query": query, "digest": pinned, **LIMITS, **limits}


CLAUSE: dict[str, Any] = {
    "lead": LEAD,
    "analyses": {
        "born": approved(BORN, max_age_hours=24, when_stale="refuse"),
        "sex": approved(SEX, max_age_hours=1, when_stale="stamp"),
    },
    "essentials": {
        "responsible": "Chief nurse",
        "cohort": COHORT,
        "lists": {"problems": {}, "recent_labs": {"days": 3}},
        "max_age_hours": 24,
        "when_stale": "stamp",
        **LIMITS,
    },
}


@dataclass(frozen=True)
class Ward:
    """A room with a contract and contributed data, and the pack that was made in it."""

    folder: Path

    @property
    def room(self) -> Room:
        return open_room(self.folder / "room")

    @property
    def contract(self) -> Any:
        return self.room.contracts.status().digest

    @property
    def files(self) -> dict[str, bytes]:
        return read_files(self.folder / "pack")

    def run(self, *arguments: str) -> Answer:
        return call("recover", *arguments, "--room", str(self.folder / "room"))

    def verified(self, files: PackFiles, **changes: Any) -> VerifiedPack:
        expected = {"contract": self.contract, "at": now(), **changes}
        return verify_pack(files, Expected(**expected), appraise=appraise)


def signed_ward(linked: World, folder: Path) -> Ward:
    """The room before the incident: the lead is enrolled, all have signed the clause, the essentials are approved."""
    world = linked.copy(folder)
    room = world.room()
    signing = encode_bytes(room.enrol(LEAD, owner=False).public().signing)
    lead = {"name": "Recovery lead", "roles": ["researcher"], "signing_key": signing}
    parties = {**room.contracts.contract().to_document()["parties"], LEAD: lead}  # type: ignore[dict-item]
    sign(world, amend(world, parties=parties, continuity=CLAUSE))
    ward = Ward(folder)
    for owner in OWNERS:
        answer = ward.run("continuity", "approve", "--as", owner)
        assert answer.code == 0, answer
    return ward


@pytest.fixture(scope="session")
def ward(tmp_path_factory: pytest.TempPathFactory, linked_world: World) -> Ward:
    """Read only: the pack of an incident, and everything that was said when it was made."""

    def make(folder: Path) -> None:
        made = signed_ward(linked_world, folder)
        before = made.run("continuity", "status", "--json")
        answer = made.run("continuity", "--out", str(folder / "pack"), "--index", str(folder / "estate.db"), "--json")
        assert answer.code == 0, answer
        (folder / "said.json").write_text(json.dumps([before.document(), answer.document(), answer.err]))

    return Ward(once(base_folder(tmp_path_factory) / "ward-continuity", make))


@pytest.fixture
def own(ward: Ward, tmp_path: Path) -> Ward:
    """A copy of the room: what was answered in it before is answered again without a run."""
    shutil.copytree(ward.folder, tmp_path / "ward")
    return Ward(tmp_path / "ward")


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place % len(changed)] ^= 1
    return bytes(changed)
