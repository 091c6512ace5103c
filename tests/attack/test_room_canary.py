"""A canary value that lies in the patients' records comes out nowhere: not in an output, an error, a log, a ledger.

It sits in names, numbers, addresses, codes and broken fields of all four formats, goes the whole way, and every
failure on that way is provoked. Only the owner's own home and the clinical team's own file may hold it.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from asepsis.cli.story.agreement import TEAMS
from asepsis.cli.story.inspection import held
from simulator import (
    LABORATORY,
    MAPPINGS,
    NORTHGATE,
    OWNERS,
    RARE,
    RIVERSIDE,
    Answer,
    Nursery,
    World,
    base_folder,
    dbase_table,
    once,
    order_for,
    patient_record,
    persons_with,
    question,
)
from simulator import PERSONS as EVERYBODY

CANARY, SHORT = "QZXJVKWQ", "QZXJVK"
"""Eight letters, since shorter ones stand in base64 by luck; six where a field has no more."""
GAUCHER = persons_with(RARE)
COHORT = f"SELECT DISTINCT person_id FROM condition_occurrence WHERE condition_concept_id = {RARE}"


def needles() -> set[bytes]:
    """The canary as it may be written: letter case, encodings, hexadecimal, base64 at any offset."""
    texts = {CANARY, CANARY.lower(), CANARY.title()}
    raw = {text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le", "utf-16-be", "cp037")}
    hexed = {text.encode().hex().encode() for text in (*texts, SHORT, SHORT.lower(), SHORT.title())}
    return raw | hexed | {in_base64(shift) for shift in range(3)}


def in_base64(shift: int) -> bytes:
    """The digits that stand for the canary alone, with so many bytes before it: nine at least."""
    first, end = -(-8 * shift // 6), 8 * (shift + len(CANARY)) // 6
    return base64.b64encode(b"x" * shift + CANARY.encode())[first:end]


def holds_canary(content: bytes) -> bool:
    short = {text.encode(encoding) for text in (SHORT, SHORT.lower(), SHORT.title()) for encoding in ("utf-8", "cp037")}
    return any(needle in content for needle in needles()) or bool(held(short, content))


def plant(world: World) -> None:
    """The canary in every field where a patient's data can stand, well formed and broken."""
    north, south = world.source(NORTHGATE), world.source(RIVERSIDE)
    master = north / "PATMAST.DAT"
    rare = next(person for person in EVERYBODY if (person.number * 17) % len(EVERYBODY) == 0)
    records = [patient_record(rare, family=CANARY), patient_record(EVERYBODY[1], family=f"{CANARY} LONG")]
    broken = bytearray(patient_record(EVERYBODY[2], family=CANARY))
    broken[52:58] = SHORT.encode("cp037")  # in the place of the date of birth
    wild = bytearray(patient_record(EVERYBODY[3]))
    wild[0:8] = CANARY.encode("cp037")  # in the place of the record number
    master.write_bytes(
        master.read_bytes()[131:] + b"".join(records) + bytes(broken) + bytes(wild) + CANARY.encode("cp037") * 9
    )
    diagnoses = north / "DXHIST.DBF"
    rows = [("10000001", "19990203", SHORT), ("10000002", CANARY, "6918"), (CANARY, "19990203", "6918")]
    table = dbase_table(rows)
    header, length = 33 + 32 * 6, 54
    old = diagnoses.read_bytes()
    count = int.from_bytes(old[4:8], "little") + len(rows)
    diagnoses.write_bytes(
        old[:4] + count.to_bytes(4, "little") + old[8:-1] + table[header : header + length * len(rows)] + b"\x1a"
    )
    patients = south / "Patient.ndjson"
    lines = patients.read_text().splitlines()
    first = json.loads(lines[-1])
    first["name"][0]["family"], first["address"][0]["line"] = CANARY, [f"1 {CANARY} Road"]
    first["identifier"][0]["value"] = CANARY
    odd = json.loads(lines[-2]) | {"gender": CANARY, "birthDate": CANARY, "id": CANARY}
    patients.write_text("\n".join([*lines[:-2], json.dumps(first), json.dumps(odd), '{"name": "' + CANARY]) + "\n")
    conditions = south / "Condition.ndjson"
    content = conditions.read_text()
    strange = json.loads(content.splitlines()[0])
    strange["code"] = {"coding": [{"system": "http://snomed.info/sct", "code": CANARY}], "text": CANARY}
    late = json.loads(content.splitlines()[1]) | {"onsetDateTime": CANARY, "subject": {"reference": CANARY}}
    conditions.write_text(content + json.dumps(strange) + "\n" + json.dumps(late) + "\n" + f"[{CANARY}\n")


@dataclass
class Told:
    """All that the commands of the whole way said, native libraries included."""

    warm: Nursery
    answers: list[tuple[str, Answer]] = field(default_factory=list)

    def run(self, *arguments: str, code: int = 0) -> Answer:
        answer = self.warm.run(list(arguments))
        self.answers.append((" ".join(arguments[:3]), answer))
        assert answer.code == code, answer
        return answer

    def save(self, path: Path) -> None:
        path.write_text(json.dumps([[name, one.code, one.out, one.err] for name, one in self.answers]))


def whole_way(world: World, warm: Nursery) -> Told:
    """From contribution to collection, with refusals on the way."""
    told = Told(warm)
    for owner in OWNERS:
        told.run(*world.contribution(owner), "--books")
    told.run(*world.command("link"))
    told.run(*world.query(GAUCHER))
    told.run(*world.query("SELECT gender_concept_id, count(*) AS n FROM person GROUP BY gender_concept_id"))
    literal = f"{GAUCHER} AND condition_source_value = '{CANARY}'"
    told.run(*world.query(literal), code=3)
    told.run(*world.query(f"SELECT {CANARY}, count(*) AS n FROM {CANARY} GROUP BY 1"), code=3)
    told.run(*world.query(f"'{CANARY}"), "--json", code=3)
    told.run(*world.command("method", "kaplan_meier", "--as", LABORATORY), code=3)
    asked = told.run(*world.command("refer", "new", COHORT, "--reason", "x", "--as", LABORATORY), "--json")
    referral = asked.document()["referral"]
    for owner in OWNERS:
        told.run(*world.command("refer", "approve", referral, "--as", owner))
    for team in TEAMS:
        told.run(*world.command("refer", "collect", referral, "--as", team))
    told.run(*world.command("refer", "ls"), "--json")
    told.run(*world.command("ledger", "show"), "--json")
    told.run(*world.command("ledger", "export", "--out", str(world.folder / "ledger.jsonl")))
    told.run(*world.command("release", "ls"), "--json")
    told.run(*world.command("contract", "status"), "--json")
    return told


@dataclass(frozen=True)
class Canary:
    """A world where everything was done, and what was said."""

    world: World
    said: list[tuple[str, int, str, str]]


@pytest.fixture(scope="session")
def canary(tmp_path_factory: pytest.TempPathFactory, signed_world: World, warm: Nursery) -> Canary:
    """Read only."""

    def make(folder: Path) -> None:
        world = signed_world.copy(folder)
        plant(world)
        whole_way(world, warm).save(folder / "said.json")

    folder = once(base_folder(tmp_path_factory) / "world-canary", make)
    return Canary(World(folder), [tuple(one) for one in json.loads((folder / "said.json").read_text())])


def files_of(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_canary_really_went_the_whole_way(canary: Canary) -> None:
    """The control: the owners' quarantine and the clinical team's file hold it, so the search would find it."""
    parties = canary.world.path / "parties"
    for owner in OWNERS:
        assert any(holds_canary(path.read_bytes()) for path in files_of(parties / owner / "contributions")), owner
    collected = [path for team in TEAMS for path in (parties / team).glob("referral-*.json")]
    assert any(holds_canary(path.read_bytes()) for path in collected)
    books = [json.loads(path.read_text()) for path in parties.glob("*/contributions/*/books.json")]
    assert all(any(file["quarantined"] for file in document["files"]) for document in books)


# A researcher's own words come back in the reason of a refusal; what is searched for is a value of the records, so
# a refused query that happens to name it may name the researcher's column or table, and nothing else.
def test_no_command_said_the_canary(canary: Canary) -> None:
    told = [(name, code) for name, code, out, err in canary.said if holds_canary((out + err).encode())]
    assert told == []


def test_the_host_holds_no_canary(canary: Canary) -> None:
    """Guard: sealing, and that the ledger keeps digests of refused queries only."""
    for path in files_of(canary.world.path / "host"):
        assert not holds_canary(path.read_bytes()), path


def test_the_ledger_and_the_desks_hold_no_canary(canary: Canary) -> None:
    exports = [canary.world.folder / "ledger.jsonl", canary.world.contract_file]
    desks = [path for owner in OWNERS for path in (canary.world.path / "parties" / owner).glob("desk.db*")]
    assert desks
    for path in [*exports, *desks]:
        assert not holds_canary(path.read_bytes()), path


def test_a_party_holds_the_canary_only_in_its_own_files(canary: Canary) -> None:
    """Books count; what is kept of records names, and so does the exact report. The laboratory has nothing at all."""
    parties = canary.world.path / "parties"
    allowed = {"quarantine.parquet", "excluded.parquet", "merged.parquet", "provenance.parquet"}
    allowed |= {"quarantined_records.parquet", "persons.parquet", "quality-exact.json"}
    for path in files_of(parties):
        if holds_canary(path.read_bytes()):
            owner = path.relative_to(parties).parts[0]
            assert (owner in OWNERS and path.name in allowed) or (owner in TEAMS and path.name.startswith("referral-"))
    assert not list((parties / NORTHGATE / "work").glob("*"))


def cut(name: str, keep: float) -> tuple[str, object]:
    return name, lambda content: content[: int(len(content) * keep)]


DAMAGES = {
    "cut master": cut("PATMAST.DAT", 0.98),
    "shifted master": ("PATMAST.DAT", lambda content: content[7:]),
    "master of names": ("PATMAST.DAT", lambda _: (CANARY * 200).encode("cp037")),
    "cut table": cut("DXHIST.DBF", 0.9),
    "table of names": ("DXHIST.DBF", lambda _: CANARY.encode() * 200),
    "columns named so": ("DXHIST.DBF", lambda content: content.replace(b"DOCTOR\0", SHORT.encode() + b"\0")),
}


QUICK = ("cut master", "columns named so")
SOME = [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in DAMAGES]


@pytest.mark.parametrize("damage", SOME)
def test_a_failing_contribution_says_no_canary(damage: str, signed_world: World, warm: Nursery, tmp_path: Path) -> None:
    world = signed_world.copy(tmp_path / "world")
    plant(world)
    name, change = DAMAGES[damage]
    path = world.source(NORTHGATE) / name
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    answer = warm.run([*world.contribution(NORTHGATE), "--books", "--json"])
    assert answer.code in {0, 2, 5}
    assert not holds_canary((answer.out + answer.err).encode())
    assert not [path for path in files_of(world.path / "host") if holds_canary(path.read_bytes())]


MAPPING_EDITS = {
    "another format": ("format: asepsis-mapping/1", "format: other/1"),
    "another column": ("columns: [mrn, visitno", "columns: [mrn, nothing"),
    "another reader": ("reader: ebcdic", "reader: ndjson"),
    "another encoding": ("encoding: cp037", "encoding: ascii"),
}


@pytest.mark.parametrize("edit", MAPPING_EDITS)
def test_a_mapping_that_does_not_fit_says_no_canary(
    edit: str, signed_world: World, warm: Nursery, tmp_path: Path
) -> None:
    world = signed_world.copy(tmp_path / "world")
    plant(world)
    mapping = shutil.copytree(MAPPINGS, tmp_path / "mappings") / NORTHGATE
    text = (mapping / "source.yaml").read_text()
    old, new = MAPPING_EDITS[edit]
    assert old in text
    (mapping / "source.yaml").write_text(text.replace(old, new))
    arguments = world.contribution(NORTHGATE)
    arguments[arguments.index("--mapping") + 1] = str(mapping)
    answer = warm.run([*arguments, "--json"])
    assert not holds_canary((answer.out + answer.err).encode())
    assert not [path for path in files_of(world.path / "host") if holds_canary(path.read_bytes())]


def test_the_frames_and_the_errors_of_the_runtime_hold_no_canary(canary: Canary, tmp_path: Path) -> None:
    """The whole dialogue of a run that fails in the engine: standard error is captured here, not dropped."""
    world = canary.world.copy(tmp_path / "world")
    _, order, _ = order_for(world, question(f"{GAUCHER} AND condition_concept_id = 1"))
    frames = json.dumps({"type": "order", **order}).encode() + b"\n" + b'{"type": "grants", "grants": []}\n'
    done = subprocess.run(
        [sys.executable, "-I", "-m", "asepsis.runtime"],
        input=frames,
        capture_output=True,
        env={},
        cwd="/",
        check=False,
        timeout=600,
    )
    evidence, error = (json.loads(line) for line in done.stdout.splitlines())
    assert (evidence["type"], error["type"], error["code"]) == ("evidence", "error", "runtime.grant_not_trusted")
    assert done.stderr == b""
    assert not holds_canary(done.stdout)


def test_a_damaged_room_says_no_canary(canary: Canary, warm: Nursery, tmp_path: Path) -> None:
    """Tampering provokes the errors of the runtime's own engines and containers."""
    world = canary.world.copy(tmp_path / "world")
    for path in sorted((world.path / "host" / "snapshots").rglob("*.sealed"))[::3]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    answer = warm.run([*world.query("SELECT count(DISTINCT person_id) AS n FROM death"), "--json"])
    assert answer.code == 7
    assert not holds_canary((answer.out + answer.err).encode())


def test_a_contract_that_names_the_canary_is_refused_without_it(canary: Canary, warm: Nursery, tmp_path: Path) -> None:
    """Guard: ``Fields.malformed`` names places of the schema and never repeats a value."""
    document = yaml.safe_load(canary.world.contract_file.read_text())
    for place, value in (("retention_days", CANARY), ("valid", CANARY), ("parties", [CANARY]), ("version", CANARY)):
        path = tmp_path / "room.yaml"
        path.write_text(yaml.safe_dump(document | {place: value}))
        answer = warm.run(["contract", "plan", str(path), "--json"])
        assert answer.code == 2
        assert not holds_canary((answer.out + answer.err).encode())
