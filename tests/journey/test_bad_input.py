"""What a person gets wrong costs one line with a code, one with a hint, the right exit code - and nothing else.

Each case runs on a room of its own, which afterwards holds exactly what it held before.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator import (
    LABORATORY,
    MAPPINGS,
    NORTHGATE,
    OWNERS,
    RARE,
    RIVERSIDE,
    ROOT,
    World,
    asepsis,
    call,
    persons_with,
)

BACKUPS = ROOT / "examples" / "two_hospitals"
RESTIC = f"restic:{BACKUPS / 'northgate' / 'restic-repository'}"


@dataclass(frozen=True)
class Place:
    """A room of one's own and an empty folder."""

    world: World
    folder: Path

    def file(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def mapping(self, name: str, change: Callable[[Path], object]) -> str:
        """A changed copy of a mapping."""
        shutil.copytree(MAPPINGS, self.folder / "mappings")
        change(self.folder / "mappings" / name)
        return str(self.folder / "mappings" / name)

    def contract(self, change: Callable[[dict[str, Any]], object]) -> str:
        """A changed copy of the contract."""
        document = yaml.safe_load(self.world.contract_file.read_text())
        change(document)
        return self.file("changed.yaml", yaml.safe_dump(document))

    def archive(self, change: Callable[[bytes], bytes]) -> str:
        """A changed copy of Riverside's newest archive."""
        newest = max((BACKUPS / "riverside").iterdir())
        return "tar:" + self.file(newest.name, change(newest.read_bytes()))


Arguments = Callable[[Place], list[str]]


def contribution(
    *, mapping: Callable[[Place], str] | None = None, source: Callable[[Place], str] | None = None, party: str = ""
) -> Arguments:
    def arguments(place: Place) -> list[str]:
        owner = party or NORTHGATE
        folder = mapping(place) if mapping else str(MAPPINGS / (owner if owner in OWNERS else NORTHGATE))
        uri = source(place) if source else f"dir:{place.world.source(NORTHGATE)}"
        point = ["--restore-point", "latest"]
        return place.world.command("contribute", "--mapping", folder, "--source", uri, "--as", owner, *point)

    return arguments


def room(*arguments: str | Callable[[Place], str]) -> Arguments:
    """A command on the room."""
    return lambda place: place.world.command(*(item if isinstance(item, str) else item(place) for item in arguments))


def plain(*arguments: str | Callable[[Place], str]) -> Arguments:
    """A command without a room."""
    return lambda place: [item if isinstance(item, str) else item(place) for item in arguments]


def changed(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def contract_file(place: Place) -> str:
    return str(place.world.contract_file)


def text(content: str | bytes) -> Callable[[Place], str]:
    return lambda place: place.file("input", content)


NOT_YAML, NOT_JSON, NOT_UTF8, DEEP = "a: [b\n c: d", '{"a":', b"SELECT \xff\xfe", "[" * 10_000
ZERO = "0" * 64

CASES: dict[str, tuple[int, str, Arguments]] = {
    "mapping that is not there": (4, "harmonise.mapping_missing", contribution(mapping=lambda _: "/nonexistent")),
    "mapping that is not YAML": (
        2,
        "harmonise.mapping_malformed",
        contribution(mapping=lambda p: p.mapping(NORTHGATE, lambda f: (f / "source.yaml").write_text(NOT_YAML))),
    ),
    "mapping that is not text": (
        2,
        "harmonise.mapping_malformed",
        contribution(mapping=lambda p: p.mapping(NORTHGATE, lambda f: (f / "source.yaml").write_bytes(NOT_UTF8))),
    ),
    "mapping with an unknown key": (
        2,
        "harmonise.mapping_malformed",
        contribution(mapping=lambda p: p.mapping(NORTHGATE, changed("source.yaml", "label:", "lable:"))),
    ),
    "mapping without tables": (
        2,
        "harmonise.mapping_malformed",
        contribution(mapping=lambda p: p.mapping(NORTHGATE, lambda f: shutil.rmtree(f / "tables"))),
    ),
    "mapping with a function of its own": (
        2,
        "harmonise.expression_refused",
        contribution(mapping=lambda p: p.mapping(NORTHGATE, changed("tables/person.yaml", "year(", "read_csv("))),
    ),
    "source of no known kind": (2, "source.unknown_scheme", contribution(source=lambda _: "ftp:/x")),
    "source without a kind": (2, "source.unknown_scheme", contribution(source=lambda _: "/x")),
    "source that is not there": (4, "source.missing", contribution(source=lambda _: "dir:/nonexistent")),
    "file where a folder is needed": (
        2,
        "source.not_a_repository",
        contribution(source=lambda p: "dir:" + p.file("file", "x")),
    ),
    "truncated archive": (
        2,
        "source.archive_truncated",
        contribution(source=lambda p: p.archive(lambda content: content[: len(content) // 2]), party=RIVERSIDE),
    ),
    "noise instead of an archive": (
        2,
        "source.not_a_repository",
        contribution(source=lambda p: p.archive(lambda content: bytes(range(256)) * 20), party=RIVERSIDE),
    ),
    "repository without a password": (3, "source.password_missing", contribution(source=lambda _: RESTIC)),
    "restore point that is not there": (
        4,
        "source.restore_point_missing",
        plain("source", "ls", lambda p: f"dir:{p.world.source(NORTHGATE)}", "--restore-point", "zzz"),
    ),
    "room that is not there": (4, "room.missing", plain("contract", "status", "--room", "/nonexistent")),
    "room whose settings are garbage": (
        5,
        "room.version_unknown",
        plain("contract", "status", "--room", lambda p: str(Path(p.file("room.json", "garbage")).parent)),
    ),
    "room whose settings lack the host": (
        5,
        "room.version_unknown",
        plain("contract", "status", "--room", lambda p: str(Path(p.file("room.json", '{"format": 1}')).parent)),
    ),
    "room of another version": (
        5,
        "room.version_unknown",
        plain("contract", "status", "--room", lambda p: str(Path(p.file("room.json", '{"format": 99}')).parent)),
    ),
    "contract that is not there": (4, "file.unreadable", room("contract", "sign", "/nonexistent", "--as", NORTHGATE)),
    "contract that is a folder": (4, "file.unreadable", plain("contract", "plan", lambda p: str(p.folder))),
    "contract that is not YAML": (2, "yaml.malformed", room("contract", "sign", text(NOT_YAML), "--as", NORTHGATE)),
    "contract that is not text": (2, "yaml.malformed", room("contract", "sign", text(NOT_UTF8), "--as", NORTHGATE)),
    "contract that is a deep list": (2, "yaml.malformed", plain("contract", "plan", text(DEEP))),
    "contract with a repeated key": (2, "yaml.malformed", plain("contract", "plan", text("a: 1\na: 2\n"))),
    "contract with an alias": (2, "yaml.malformed", plain("contract", "plan", text("a: &a [1]\nb: *a\n"))),
    "empty contract": (2, "document.malformed", room("contract", "sign", text(""), "--as", NORTHGATE)),
    "contract with an unknown key": (
        2,
        "document.malformed",
        room("contract", "sign", lambda p: p.contract(lambda c: c.update(surprise=1)), "--as", NORTHGATE),
    ),
    "contract with a wrong type": (
        2,
        "document.malformed",
        room("contract", "sign", lambda p: p.contract(lambda c: c.update(retention_days="x")), "--as", NORTHGATE),
    ),
    "contract with half a key": (
        2,
        "document.malformed",
        plain("contract", "plan", lambda p: p.contract(lambda c: c["parties"][NORTHGATE].update(signing_key="AAAA"))),
    ),
    "signature of nobody": (4, "keys.missing", room("contract", "sign", contract_file, "--as", "nobody")),
    "query of nobody": (4, "contract.unknown_party", room("query", persons_with(RARE), "--as", "nobody")),
    "query of an owner": (3, "contract.forbids", room("query", persons_with(RARE), "--as", NORTHGATE)),
    "query file that is not text": (
        4,
        "file.unreadable",
        room("query", "--file", text(NOT_UTF8), "--as", LABORATORY),
    ),
    "query file that is not there": (
        4,
        "file.unreadable",
        room("query", "--file", "/nonexistent", "--as", LABORATORY),
    ),
    "method that is not agreed": (3, "contract.forbids", room("method", "nonsense", "--as", LABORATORY)),
    "bundle that is not there": (4, "file.unreadable", plain("release", "verify", "/nonexistent", "--contract", ZERO)),
    "bundle that is not JSON": (
        2,
        "document.malformed",
        plain("release", "verify", text(NOT_JSON), "--contract", ZERO),
    ),
    "bundle that is not text": (
        2,
        "document.malformed",
        plain("release", "verify", text(NOT_UTF8), "--contract", ZERO),
    ),
    "bundle that is a deep list": (2, "document.malformed", plain("release", "verify", text(DEEP), "--contract", ZERO)),
    "bundle that is a list": (2, "document.malformed", plain("release", "verify", text("[]"), "--contract", ZERO)),
    "ledger that is not there": (
        4,
        "file.unreadable",
        plain("ledger", "verify", "/nonexistent", "--contract", contract_file),
    ),
    "ledger that is garbage": (
        7,
        "ledger.bundle_refused",
        plain("ledger", "verify", text(NOT_JSON), "--contract", contract_file),
    ),
    "ledger that is empty": (
        7,
        "ledger.bundle_refused",
        plain("ledger", "verify", text(""), "--contract", contract_file),
    ),
    "release that is not there": (4, "room.record_missing", room("release", "show", "release-x")),
    "bundle of no release": (4, "room.record_missing", room("release", "get", "release-x")),
    "review of no release": (
        4,
        "room.record_missing",
        room("release", "review", "release-x", "--approve", "--as", NORTHGATE),
    ),
    "referral that is not there": (
        4,
        "room.record_missing",
        room("refer", "collect", "referral-x", "--as", "northgate-clinic"),
    ),
    "referral without a cohort": (
        2,
        "referral.cohort_refused",
        room("refer", "new", "SELECT * FROM person", "--reason", "x", "--as", LABORATORY),
    ),
    "referral of an owner": (
        3,
        "contract.forbids",
        room("refer", "new", "SELECT DISTINCT person_id FROM person", "--reason", "x", "--as", NORTHGATE),
    ),
    "party that has keys": (5, "keys.exist", room("party", "new", NORTHGATE)),
    "room below a file": (
        4,
        "file.unreadable",
        plain("party", "new", "x", "--room", lambda p: p.file("file", "x") + "/room"),
    ),
    "demo in a full folder": (
        5,
        "room.folder_in_use",
        plain("demo", "--replace", "--folder", lambda p: str(Path(p.file("file", "x")).parent)),
    ),
    "demo below a file": (4, "file.unreadable", plain("demo", "--folder", lambda p: p.file("file", "x") + "/demo")),
    "demo in a file": (4, "file.unreadable", plain("demo", "--folder", lambda p: p.file("file", "x"))),
    "contribution of nobody": (4, "keys.missing", contribution(party="nobody")),
    "suspension by nobody": (4, "keys.missing", room("contract", "suspend", "--as", "nobody")),
    "contribution of a party without data": (3, "keys.owner_key_missing", contribution(party=LABORATORY)),
    "contribution under another owner's mapping": (
        3,
        "contribute.foreign_mapping",
        contribution(mapping=lambda _: str(MAPPINGS / NORTHGATE), party=RIVERSIDE),
    ),
    "party that is a path": (2, "document.malformed", room("party", "new", "../escaped")),
    "contract with an unknown profile": (
        2,
        "document.malformed",
        plain("contract", "plan", lambda p: p.contract(lambda c: c["disclosure"].update(profile="nonsense"))),
    ),
}


def one_clear_line(arguments: Arguments, place: Place, *, code: int, error: str) -> None:
    """One line, one hint, the exit code, the same as a JSON document - and everything is as it was."""
    typed = arguments(place)
    before = place.world.contents()
    answer = call(*typed)
    assert (answer.code, answer.error, answer.out) == (code, error, ""), answer
    with_json = call(*typed, "--json")
    document = with_json.document()["error"]
    assert (with_json.code, document["code"]) == (code, error)
    assert set(document) == {"kind", "code", "detail", "hint"}
    assert place.world.contents() == before


@pytest.fixture
def place(linked_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in list(os.environ):
        if name.startswith("ASEPSIS_"):
            monkeypatch.delenv(name)
    (tmp_path / "inputs").mkdir()
    return Place(linked_world.copy(tmp_path / "world"), tmp_path / "inputs")


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_line(case: str, place: Place) -> None:
    code, error, arguments = CASES[case]
    one_clear_line(arguments, place, code=code, error=error)


QUERIES = {
    "empty": "",
    "no SQL": "hello world (((",
    "two statements": "SELECT count(*) AS n FROM person; DROP TABLE person",
    "a deletion": "DELETE FROM person",
    "an unknown table": "SELECT count(DISTINCT person_id) AS n FROM nothing",
    "an unknown column": "SELECT nothing, count(DISTINCT person_id) AS n FROM person GROUP BY nothing",
    "too deep": "SELECT " + "(" * 3000 + "1" + ")" * 3000,
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_cannot_be_planned_is_refused_with_a_reason_before_anything_runs(query: str, place: Place) -> None:
    world = place.world
    desks, budgets = {owner: world.desk_acts(owner) for owner in OWNERS}, world.budgets()
    answer = call(*world.query(QUERIES[query]), "--json")
    assert (answer.code, answer.err) == (3, "")
    document = answer.document()
    assert (document["status"], document["table"], document["release"]) == ("refused", None, None)
    assert document["findings"]
    assert all(item["severity"] == "refuse" and item["code"].startswith("sql.") for item in document["findings"])
    assert {owner: world.desk_acts(owner) for owner in OWNERS} == desks
    assert world.budgets() == budgets


def test_an_export_into_nowhere_is_told_and_adds_no_entry(place: Place) -> None:
    """It may leave a newer checkpoint, which says nothing that the ledger did not hold before."""
    entries = place.world.room().audit.entries()
    answer = call(*place.world.command("ledger", "export", "--out", "/nonexistent/ledger"))
    assert (answer.code, answer.error, answer.out) == (4, "file.unreadable", "")
    assert place.world.room().audit.entries() == entries


def test_a_query_file_that_is_empty_is_refused_like_an_empty_query(place: Place) -> None:
    answer = call(*place.world.command("query", "--file", place.file("q.sql", ""), "--as", LABORATORY))
    assert (answer.code, answer.err) == (3, "")


def test_the_wrong_password_opens_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", "not this one")
    one_clear_line(contribution(source=lambda _: RESTIC), place, code=3, error="source.wrong_password")


def damaged(name: str, change: Callable[[bytes], bytes], folder: Path, signed: World) -> World:
    world = signed.copy(folder)
    path = world.source(NORTHGATE) / name
    path.write_bytes(change(path.read_bytes()))
    return world


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "dBase header": ("DXHIST.DBF", lambda content: b"\xff" * 300 + content[300:]),
    "dBase cut in a record": ("DXHIST.DBF", lambda content: content[:-30]),
    "dBase empty": ("DXHIST.DBF", lambda content: b""),
    "EBCDIC cut in a record": ("PATMAST.DAT", lambda content: content[:-60]),
    "EBCDIC noise": ("PATMAST.DAT", lambda content: bytes(range(256)) * 40),
    "EBCDIC empty": ("PATMAST.DAT", lambda content: b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_loses_nothing(damage: str, signed_world: World, tmp_path: Path) -> None:
    """Every byte is accounted for in balanced books, or the contribution is refused and nothing is visible."""
    name, change = DAMAGES[damage]
    world = damaged(name, change, tmp_path / "world", signed_world)
    answer = call(*world.contribution(NORTHGATE), "--json")
    if answer.code:
        assert answer.code in {2, 5}
        assert answer.error.split(".")[0] in {"harmonise", "source"}
        assert world.room().state.snapshots() == []
        return
    sums = ("accepted", "merged", "quarantined", "excluded", "header", "context", "residue")
    books = {Path(file["path"]).name: file for file in answer.document()["books"]["files"]}
    assert all(file["landed"] == sum(file[part] for part in sums) for file in books.values())
    assert set(books) == {"PATMAST.DAT", "DXHIST.DBF"}


def test_a_changed_folder_is_a_new_contribution(place: Place) -> None:
    world = place.world
    master = world.source(NORTHGATE) / "PATMAST.DAT"
    master.write_bytes(master.read_bytes()[:-131])
    answer = call(*world.contribution(NORTHGATE), "--json")
    assert answer.code == 0
    assert answer.document()["repeated"] is False


def test_the_same_folder_again_is_only_reported(place: Place) -> None:
    before = place.world.contents()
    answer = call(*place.world.contribution(NORTHGATE), "--json")
    assert (answer.code, answer.document()["repeated"]) == (0, True)
    assert place.world.contents() == before


def test_an_error_is_the_same_from_a_process_of_its_own(place: Place) -> None:
    """No traceback, no warning, nothing but the two lines reaches the standard error of the real program."""
    answer = asepsis("contract", "status", "--room", "/nonexistent", "--json")
    assert (answer.code, answer.error) == (4, "room.missing")
    assert json.loads(answer.out)["error"]["code"] == "room.missing"
