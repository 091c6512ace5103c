"""Small rooms made with the real machinery: two hospitals' files written byte by byte, real keys, desks and runtime.

A room is prepared once per test session and copied for each test. Nothing here stands in for a part of Asepsis.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import typer
import yaml

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.mappings import harmoniser, mapping_of
from asepsis.bootstrap.room import Room, create_room, now, open_room
from asepsis.cli.story.agreement import LABORATORY, NORTHGATE, RIVERSIDE, enrol_everybody, write_contract
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.documents import encode_time
from asepsis.domain.keydesk import GrantRequest
from asepsis.domain.ledger import Act
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import PartyId
from asepsis.domain.run import Run
from asepsis.sealing.canonical import digest
from asepsis.services.runs import Opening, question_digest

ROOT = Path(__file__).resolve().parents[1]
MAPPINGS = ROOT / "examples" / "mappings"
OWNERS = (NORTHGATE, RIVERSIDE)
ORIGIN = "room.example/test"

COMMON, RARE, FEW, NOBODY = 133834, 2000000026, 134438, 132797
"""Concepts that 40, 14, 4 and no persons of the small hospitals have."""

_CODES = {COMMON: ("6918", "24079001"), RARE: ("2727", "190794006"), FEW: ("6929", "40275004")}
_HOW_MANY = {COMMON: 40, RARE: 14, FEW: 4}
SHARED = 12
"""Persons whom both hospitals know: the last of Northgate are the first of Riverside."""

_FAMILIES = [
    "ABBOTT",
    "BAXTER",
    "CALDWELL",
    "DAWSON",
    "EVERETT",
    "FLEMING",
    "GARRISON",
    "HOLLOWAY",
    "IRVING",
    "JENNINGS",
    "KENDRICK",
    "LOCKHART",
    "MERCER",
    "NOLAN",
    "OSBORNE",
    "PRESCOTT",
    "QUIGLEY",
    "RADCLIFFE",
    "SINCLAIR",
    "THORNTON",
    "UNDERHILL",
    "VAUGHN",
    "WHITAKER",
    "YARDLEY",
    "ZELLER",
]
_GIVEN = [
    "ADA",
    "BRUNO",
    "CLARA",
    "DAVID",
    "EDITH",
    "FELIX",
    "GRETA",
    "HENRY",
    "IRENE",
    "JONAS",
    "KARLA",
    "LEWIS",
    "MARTA",
]
_PER_HOSPITAL = 36


@dataclass(frozen=True)
class Person:
    """One person in truth, known to one hospital or to both."""

    number: int

    @property
    def family(self) -> str:
        return _FAMILIES[self.number % len(_FAMILIES)]

    @property
    def given(self) -> str:
        return _GIVEN[self.number % len(_GIVEN)]

    @property
    def national_id(self) -> str:
        return f"{300_000_000 + 7_919 * self.number}"

    @property
    def born(self) -> tuple[int, int, int]:
        return 1930 + self.number % 60, 1 + self.number % 12, 1 + self.number % 28

    @property
    def sex(self) -> str:
        return "FM"[self.number % 2]


PERSONS = [Person(number) for number in range(2 * _PER_HOSPITAL - SHARED)]
AT_NORTHGATE, AT_RIVERSIDE = PERSONS[:_PER_HOSPITAL], PERSONS[_PER_HOSPITAL - SHARED :]


def patient_record(person: Person, *, family: str = "") -> bytes:
    """A record of 131 bytes as ``PATMAST.CPY`` describes it."""
    year, month, day = person.born
    text = (
        f"{10_000_000 + person.number:8}{person.national_id:9}{family or person.family:20}{person.given:15}"
        f"{year % 100:02}{month:02}{day:02}{person.sex}000000"
        f"{f'{person.number} HIGH STREET':30}{'BOSTON':20}{'02115':5}"
    )
    return text.encode("cp037") + bytes.fromhex("000012345c2001123c0007")


def dbase_table(rows: list[tuple[str, str, str]]) -> bytes:
    """A dBase III table of diagnoses: mrn, date, ICD-9-CM code."""
    kinds = {"MRN": ("N", 8), "VISITNO": ("N", 10), "DXDATE": ("D", 8), "ICD": ("C", 6), "DXTYPE": ("C", 1)}
    kinds["DOCTOR"] = ("C", 20)
    length = 1 + sum(size for _, size in kinds.values())
    header = bytes([3, 99, 1, 1]) + len(rows).to_bytes(4, "little") + (33 + 32 * len(kinds)).to_bytes(2, "little")
    header += length.to_bytes(2, "little") + bytes(20)
    for name, (kind, size) in kinds.items():
        header += name.encode().ljust(11, b"\0") + kind.encode() + bytes(4) + bytes([size, 0]) + bytes(14)
    body = b"".join(
        f" {mrn:>8}{number:>10}{day:8}{code:6}P{'DR MUELLER':20}".encode("cp850")
        for number, (mrn, day, code) in enumerate(rows)
    )
    return header + b"\r" + body + b"\x1a"


def write_northgate(folder: Path) -> Path:
    """Northgate's folder: an EBCDIC patient master and a dBase table of diagnoses."""
    folder.mkdir(parents=True)
    (folder / "PATMAST.DAT").write_bytes(b"".join(map(patient_record, AT_NORTHGATE)))
    rows = [
        (str(10_000_000 + person.number), f"{1995 + person.number % 15}0{1 + person.number % 9}15", _CODES[concept][0])
        for concept, persons in _who().items()
        for person in persons
        if person in AT_NORTHGATE
    ]
    (folder / "DXHIST.DBF").write_bytes(dbase_table(rows))
    return folder


def follow_up(world: World) -> None:
    """Northgate sees its patients with the common condition again, years later, and contributes that."""
    table = world.source(NORTHGATE) / "DXHIST.DBF"
    rows = [
        (str(10_000_000 + person.number), day, _CODES[COMMON][0])
        for person in _who()[COMMON]
        if person in AT_NORTHGATE
        for day in (f"{1995 + person.number % 15}0{1 + person.number % 9}15", f"{2012 + person.number % 5}0615")
    ]
    table.write_bytes(dbase_table(rows))
    contribute(world, NORTHGATE)
    world.room().linkage.link()


def write_riverside(folder: Path) -> Path:
    """Riverside's folder: a FHIR bulk export."""
    folder.mkdir(parents=True)
    patients = [_fhir_patient(person) for person in AT_RIVERSIDE]
    conditions = [
        _fhir_condition(person, code=_CODES[concept][1])
        for concept, persons in _who().items()
        for person in persons
        if person in AT_RIVERSIDE
    ]
    for name, resources in {"Patient": patients, "Condition": conditions}.items():
        (folder / f"{name}.ndjson").write_text("".join(json.dumps(resource) + "\n" for resource in resources))
    return folder


def _who() -> dict[int, list[Person]]:
    """Who has what; the persons are spread over both hospitals."""
    spread = sorted(PERSONS, key=lambda person: (person.number * 17) % len(PERSONS))
    return {concept: spread[:many] for concept, many in _HOW_MANY.items()}


def _fhir_patient(person: Person) -> dict[str, Any]:
    year, month, day = person.born
    number = person.national_id
    return {
        "resourceType": "Patient",
        "id": f"p{person.number}",
        "identifier": [
            {"system": "urn:hospital-b:mrn", "value": f"B{20_000 + person.number}"},
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": f"{number[:3]}-{number[3:5]}-{number[5:]}"},
        ],
        "name": [{"use": "official", "family": person.family.title(), "given": [person.given.title()]}],
        "gender": "female" if person.sex == "F" else "male",
        "birthDate": f"{year:04}-{month:02}-{day:02}",
        "address": [{"use": "home", "line": [f"{person.number} High Street"], "city": "Boston", "postalCode": "02115"}],
        "telecom": [{"system": "phone", "value": f"555-{1000 + person.number}"}],
    }


def _fhir_condition(person: Person, *, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": f"c{person.number}-{code}",
        "subject": {"reference": f"Patient/p{person.number}"},
        "onsetDateTime": f"{2003 + person.number % 15}-0{1 + person.number % 9}-15T08:00:00+00:00",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
    }


@dataclass(frozen=True)
class World:
    """A room with the sources beside it: ``folder/room``, ``folder/northgate``, ``folder/riverside``."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "room"

    @property
    def database(self) -> Path:
        return self.path / "host" / "room.db"

    @property
    def contract_file(self) -> Path:
        return self.path / "room.yaml"

    def room(self) -> Room:
        """The room, opened anew, as the next command would."""
        return open_room(self.path)

    def source(self, owner: PartyId) -> Path:
        return self.folder / owner

    def copy(self, folder: Path) -> World:
        shutil.copytree(self.folder, folder)
        return World(folder)

    def command(self, *arguments: str) -> list[str]:
        """The arguments of a command that acts on this room."""
        return [*arguments, "--room", str(self.path)]

    def contribution(self, owner: PartyId) -> list[str]:
        """The arguments that contribute an owner's folder."""
        source = ["--source", f"dir:{self.source(owner)}", "--restore-point", "latest"]
        return self.command("contribute", "--mapping", str(MAPPINGS / owner), *source, "--as", owner)

    def query(self, sql: str) -> list[str]:
        return self.command("query", sql, "--as", LABORATORY)

    def budgets(self) -> dict[PartyId, int]:
        """What each owner's desk has counted under the room's contract."""
        room = self.room()
        digest = room.contracts.status().digest
        return {owner: room.desk(owner).budget(digest).used for owner in OWNERS}

    def desk_acts(self, owner: PartyId) -> list[str]:
        """The acts in the own ledger of an owner's desk."""
        with sqlite3.connect(self.path / "parties" / owner / "desk.db") as connection:
            rows = connection.execute("SELECT entry FROM ledger_entries ORDER BY position").fetchall()
        connection.close()
        return [json.loads(row[0])["act"] for row in rows]

    def verify_ledger(self) -> int:
        """Export and verify the room's ledger; returns its size, with the entry of the export itself."""
        from asepsis.services.audit import ledger_keys, verify_export  # noqa: PLC0415

        room = self.room()
        return verify_export(room.audit.export(), ledger_keys(room.contracts.contract())).size

    def contents(self) -> dict[str, object]:
        """What the room is made of: state, desks' ledgers and files; equal before and after a refused command.

        That somebody asked for what the policies do not allow is on record, and counts as nothing here.
        """
        rows: dict[str, object] = {}
        databases = [self.database, *(self.path / "parties" / owner / "desk.db" for owner in OWNERS)]
        for database in databases:
            if database.exists():
                left_out = _OF_ENTRIES if database == self.database else ()
                rows[str(database.relative_to(self.folder))] = _dump(database, left_out)
        if self.database.exists():
            entries = self.room().audit.entries()
            rows["entries"] = [repr(entry) for entry in entries if entry.act is not Act.ACCESS_DENIED]
        files = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and ".db" not in path.suffix)
        return rows | {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


_OF_ENTRIES = ('INSERT INTO "ledger_entries"', 'INSERT INTO "ledger_nodes"')


def _dump(database: Path, left_out: tuple[str, ...]) -> str:
    connection = sqlite3.connect(database)
    try:
        kept = (line for line in connection.iterdump() if not line.startswith(("BEGIN", *left_out)))
        return "\n".join(kept)
    finally:
        connection.close()


def write_world(folder: Path) -> World:
    """The sources of both hospitals, and a room where everybody has keys and has signed the contract."""
    for write, owner in ((write_northgate, NORTHGATE), (write_riverside, RIVERSIDE)):
        write(folder / owner)
    enrol_everybody(create_room(folder / "room", origin=ORIGIN))
    world = World(folder)
    sign(world, draft(world))
    return world


def contribute(world: World, owner: PartyId) -> None:
    """What ``asepsis contribute`` does, in this process."""
    room, source, mapping = world.room(), look_into(f"dir:{world.source(owner)}"), mapping_of(MAPPINGS / owner)
    point = source.restore_points()[-1].id
    harmonise = harmoniser(mapping, room.keys(owner))
    room.contribute(owner).contribute(source, point, mapping=mapping, harmonise=harmonise)


def draft(world: World, **changes: Any) -> dict[str, Any]:
    """The document of a contract; ``changes`` replace whole top-level parts.

    The rooms of these tests have identifiers to attack, and are ready sooner: they are linked in mode ``sealed``.
    """
    room = world.room()
    document = json.loads(json.dumps(write_contract(room, world.contract_file, now=now(), linkage=LinkMode.SEALED)))
    document.update(changes)
    read_contract(document)
    world.contract_file.write_text(yaml.safe_dump(document, sort_keys=False))
    return document


def sign(world: World, document: Mapping[str, Any], *, without: PartyId | None = None) -> None:
    """Propose a contract and let every party sign it, or all but one."""
    room = world.room()
    room.contracts.propose(document)
    for party in room.contracts.status().waiting_for:
        if party != without:
            room.contracts.sign(party, signature=room.sign_contract(party, document))
    room.audit.checkpoint()


def amend(world: World, **changes: Any) -> dict[str, Any]:
    """The next version of the contract that all have signed, as ``asepsis contract amend`` writes it, edited."""
    document = {**json.loads(json.dumps(world.room().contracts.amendment())), **changes}
    world.contract_file.write_text(yaml.safe_dump(document, sort_keys=False))
    return document


def between(begin: timedelta, end: timedelta) -> dict[str, str]:
    """The times of a contract, relative to now."""
    present: datetime = now()
    return {"from": encode_time(present + begin), "until": encode_time(present + end)}


def order_for(world: World, analysis: Analysis) -> tuple[Run, dict[str, Any], str]:
    """A run, the order that the room hands to a runtime for it, and the checkpoint behind it."""
    room = world.room()
    agreement = room.contracts._signed_agreement()
    inputs = room.runs.inputs(agreement, analysis.kind)
    plan = digest({"analysis": analysis.to_document()})
    question = question_digest(agreement.digest, plan=plan, inputs=inputs)
    run = room.runs.submit(agreement, analysis, question=question, inputs=inputs)
    checkpoint = room.audit.checkpoint()
    nonces = {owner: room.desk(owner).nonce() for owner in OWNERS}
    opening = Opening(checkpoint=checkpoint, approvals={}, memory=room.runs.memories.start(run, agreement))
    return run, room.runs._order(run, opening, nonces=nonces), checkpoint


def no_receipts(_step: Mapping[str, Any], _signature: bytes) -> dict[PartyId, bytes]:
    """A room that keeps no memory of releases and asks no desk."""
    return {}


def grant_request(
    world: World, run: Run, order: Mapping[str, Any], evidence: Mapping[str, Any], *, owner: PartyId, checkpoint: str
) -> GrantRequest:
    """What the room asks an owner's desk for a run."""
    papers = world.room().contracts.papers()
    return GrantRequest(
        contract=papers.contract,
        signatures=papers.signatures,
        statements=papers.statements,
        job=run.job.to_document(),
        evidence=dict(evidence),
        nonce=base64.b64decode(order["nonces"][owner]),
        checkpoint=checkpoint,
        approvals={},
        memory=None if order["memory"] is None else order["memory"]["version"],
    )


def question(sql: str) -> Analysis:
    """A query of the laboratory."""
    return Analysis(kind=AnalysisKind.QUERY, author=LABORATORY, body=sql, arguments={})


def persons_with(concept: int) -> str:
    """The SQL that counts the persons with a condition."""
    return (
        f"SELECT count(DISTINCT person_id) AS persons FROM condition_occurrence WHERE condition_concept_id = {concept}"
    )


def some(cases: Iterable[Any], *quick: object) -> list[Any]:
    """All cases of one guard, as parameters: those that are not ``quick`` run in ``make test-all`` only."""
    listed = [(case, case if isinstance(case, tuple) else (case,)) for case in cases]
    return [pytest.param(*values, marks=[] if case in quick else [pytest.mark.long]) for case, values in listed]


def once(folder: Path, make: Callable[[Path], object], *, patience: float = 900) -> Path:
    """Make a folder exactly once among all workers of a test session, and wait for whoever makes it."""
    failed, ready = folder.with_suffix(".failed"), folder.with_suffix(".ready")
    try:
        os.close(os.open(folder.with_suffix(".lock"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        until = time.monotonic() + patience
        while not ready.exists():
            if failed.exists() or time.monotonic() > until:
                pytest.fail(f"{folder.name} could not be prepared")
            time.sleep(0.05)
        return folder
    try:
        make(folder)
    except BaseException:
        failed.touch()
        raise
    ready.touch()
    return folder


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The code of the one error line; the text has exactly that line and its hint."""
        lines = self.err.splitlines()
        assert len(lines) == 2, self.err
        assert lines[0].startswith("asepsis: ")
        assert lines[1].startswith("  hint: ")
        assert len(lines[1]) > len("  hint: ")
        return lines[0].split(": ")[1]


_tree = functools.cache(typer.main.get_command)
"""The tree of commands is made from the code alone: once per process is enough, and every call would take 0.2 s."""


@contextmanager
def _as_the_program(*arguments: str) -> Iterator[None]:
    """What the command line sees of the process that runs it, however the tests were started."""
    with (
        patch.object(sys, "argv", ["asepsis", *arguments]),
        patch.object(sys.modules["__main__"], "__package__", None, create=True),
        patch.object(typer.main, "get_command", _tree),
    ):
        yield


def call(*arguments: str) -> Answer:
    """Run the command line in this process: the same code, without the start of an interpreter."""
    from asepsis.cli.main import main  # noqa: PLC0415

    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err), _as_the_program(*arguments):
            main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Answer(code, out.getvalue(), err.getvalue())


def asepsis(*arguments: str, cwd: Path | None = None, **variables: str) -> Answer:
    """Run the command line as its own process in a small environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **variables}
    done = subprocess.run(
        [sys.executable, "-c", "from asepsis.cli.main import main; main()", *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=environment,
        timeout=600,
    )
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


_NURSERY = """
import functools, json, os, signal, sys, typer
from asepsis.cli.main import app, main
import duckdb, pyarrow.parquet, sqlglot.optimizer, yaml
import asepsis.bootstrap.mappings, asepsis.bootstrap.room, asepsis.services.analyses, asepsis.services.contribute
import asepsis.bootstrap.quality, asepsis.engines.query.room, asepsis.methods.registry
from sqlalchemy import Engine, event

def hurt(kill_at):
    seen = 0
    def moment(*_):
        nonlocal seen
        if os.getpid() != owner:
            return
        if seen == kill_at:
            os.killpg(0, signal.SIGKILL)
        seen += 1
    owner = os.getpid()
    event.listen(Engine, "commit", moment)
    watched = {"os.rename", "os.mkdir", "shutil.rmtree", "subprocess.Popen", "os.remove"}
    sys.addaudithook(lambda name, _: moment() if name in watched else None)
    return lambda: seen

typer.main.get_command = functools.cache(typer.main.get_command)
typer.main.get_command(app)  # once, before the first child
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        for number, path in ((1, order["out"]), (2, order["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["asepsis", *order["arguments"]]
        counted = hurt(order["kill_at"])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        sys.stdout.flush()
        with open(order["out"] + ".moments", "w") as file:
            file.write(str(counted()))
        os._exit(code)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """Runs commands as forked children of one warm process, each in a process group of its own that can be killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, arguments: list[str], *, kill_at: int = -1, kill_after: float | None = None) -> Answer:
        """Run a command; ``kill_at`` kills its group at that moment, ``kill_after`` after so many seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        out, err = self._folder / "out", self._folder / "err"
        order = {"arguments": arguments, "kill_at": kill_at, "out": str(out), "err": str(err)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):  # it was done before
                os.killpg(child, signal.SIGKILL)
        code = int(self._process.stdout.readline())
        return Answer(code, out.read_text(), err.read_text())

    def moments(self) -> int:
        """How many moments the last command passed at which it could have been killed."""
        return int((self._folder / "out.moments").read_text())

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(300)


@contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """A warm process for many commands."""
    folder.mkdir(parents=True, exist_ok=True)
    warm = Nursery(folder)
    try:
        yield warm
    finally:
        warm.close()


def base_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of one test session share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def signed_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Read only: keys, sources, a contract in force, nothing contributed."""
    return World(once(base_folder(tmp_path_factory) / "world-signed", write_world))


@pytest.fixture(scope="session")
def contributed_world(tmp_path_factory: pytest.TempPathFactory, signed_world: World) -> World:
    """Read only: both hospitals have contributed."""

    def make(folder: Path) -> None:
        world = signed_world.copy(folder)
        for owner in OWNERS:
            contribute(world, owner)

    return World(once(base_folder(tmp_path_factory) / "world-contributed", make))


@pytest.fixture(scope="session")
def linked_world(tmp_path_factory: pytest.TempPathFactory, contributed_world: World) -> World:
    """Read only: both hospitals have contributed and their patients are linked."""

    def make(folder: Path) -> None:
        contributed_world.copy(folder).room().linkage.link()

    return World(once(base_folder(tmp_path_factory) / "world-linked", make))


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """The warm process of this worker."""
    with nursery(tmp_path_factory.mktemp("nursery")) as process:
        yield process


@pytest.fixture
def unlinked(contributed_world: World, tmp_path: Path) -> World:
    """A room of one's own with both contributions, before linkage."""
    return contributed_world.copy(tmp_path / "world")


@pytest.fixture
def world(linked_world: World, tmp_path: Path) -> World:
    """A room of one's own that can be asked."""
    return linked_world.copy(tmp_path / "world")


@contextmanager
def edited(database: Path) -> Iterator[sqlite3.Connection]:
    """The host's own hands in its database: every trigger is dropped first."""
    connection = sqlite3.connect(database)
    try:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        connection.commit()
    finally:
        connection.close()
