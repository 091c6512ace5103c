"""New keys and certificates of a desk: everything goes over to them or nothing, and shares are sealed to holders."""

from __future__ import annotations

import base64
import gc
import json
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asepsis import desk_home
from asepsis.cli.main import app
from asepsis.desk_home import DeskHome, Listening, choose_kek, create_desk_home, holders_of, open_desk_home
from asepsis.domain.keydesk import KeptLinks, KeptMemory, KeptSnapshot
from asepsis.domain.memory import EMPTY
from asepsis.domain.names import Digest, PartyId, SnapshotId
from asepsis.domain.snapshot import Label
from asepsis.errors.desk import DeskInUse
from asepsis.errors.keys import HoldersRefused, RewrapUnfinished, ShareRefused
from asepsis.errors.sealing import KeyUnwrapRefused
from asepsis.keys.certificates import Authority
from asepsis.keys.choice import KekChoice, KekKind
from asepsis.keys.files import FileKeys
from asepsis.keys.share_files import Holder, pass_on
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.links import LINKS
from asepsis.sealing.memory import share_binding

NORTH = PartyId("northgate")
ZERO = Digest("0" * 64)
SEALED = datetime(2026, 1, 1, tzinfo=UTC)
FILE = KekChoice()
BINDINGS = (
    snapshot_binding(NORTH, dataset="clinical", snapshot=SnapshotId("s1")),
    snapshot_binding(NORTH, dataset=LINKS, snapshot=SnapshotId("l1")),
    share_binding(NORTH, lineage=ZERO),
)
DEKS = tuple(secrets.token_bytes(32) for _ in BINDINGS)


@pytest.fixture
def home(tmp_path: Path) -> DeskHome:
    """A desk that keeps one key of each kind."""
    made = create_desk_home(tmp_path / "desk", NORTH, listening=Listening(), kek=FILE)
    snapshot, links, memory = (
        made.keys.wrap(dek, binding=binding) for dek, binding in zip(DEKS, BINDINGS, strict=True)
    )
    with desk_home.desk_of(NORTH, made.folder, keys=made.keys)._office.state.writing() as records:
        records.add_snapshot(
            KeptSnapshot(
                snapshot=SnapshotId("s1"),
                dataset="clinical",
                manifest=ZERO,
                label=Label.REAL,
                sealed_at=SEALED,
                wrapped=snapshot,
            )
        )
        records.add_links(
            KeptLinks(
                snapshot=SnapshotId("l1"),
                contract=ZERO,
                manifest=ZERO,
                label=Label.REAL,
                sealed_at=SEALED,
                wrapped=links,
                endorsement=bytes(64),
            )
        )
        records.put_memory(KeptMemory(lineage=ZERO, version=EMPTY, wrapped=memory))
    return made


def wrapped(home: DeskHome) -> list[bytes]:
    with desk_home.desk_of(NORTH, home.folder, keys=home.keys)._office.state.reading() as records:
        kept = [*records.kept_snapshots(), *records.kept_links(), *records.memories()]
        return [one.wrapped for one in kept]


def opened(home: DeskHome) -> tuple[bytes, ...]:
    return tuple(home.keys.unwrap(one, binding=binding) for one, binding in zip(wrapped(home), BINDINGS, strict=True))


def acts(home: DeskHome) -> list[str]:
    connection = sqlite3.connect(home.folder / "desk.db")
    try:
        rows = connection.execute("SELECT entry FROM ledger_entries ORDER BY position").fetchall()
    finally:
        connection.close()
    return [json.loads(row[0])["act"] for row in rows]


def passphrase(monkeypatch: pytest.MonkeyPatch) -> KekChoice:
    monkeypatch.setattr("asepsis.keys.kek._COST", 1 << 10)  # the real one takes half a second each time
    monkeypatch.setenv("DESK_SECRET", "correct horse")
    return choose_kek("passphrase", (), variable="DESK_SECRET", file=None)


def test_all_kept_keys_go_over_to_the_new_key_and_the_old_one_is_gone(home: DeskHome) -> None:
    old, before = (home.folder / "keys" / "owner.kek").read_bytes(), wrapped(home)
    assert home.rewrap(FILE) == 3
    again = open_desk_home(home.folder)
    assert opened(again) == DEKS
    assert not set(wrapped(again)) & set(before)
    assert (home.folder / "keys" / "owner.kek").read_bytes() != old
    assert old not in b"".join(path.read_bytes() for path in (home.folder / "keys").rglob("*") if path.is_file())
    assert not (home.folder / "keys" / "next").exists()
    assert acts(home)[-1] == "key.rewrapped"
    with pytest.raises(KeyUnwrapRefused):
        FileKeys(home.folder / "keys", kek=desk_home.HeldKek(old)).unwrap(wrapped(again)[0], binding=BINDINGS[0])


def test_a_key_can_go_under_a_passphrase(home: DeskHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home.rewrap(passphrase(monkeypatch))
    again = open_desk_home(home.folder)
    assert again.kek.kind is KekKind.PASSPHRASE
    assert not (home.folder / "keys" / "owner.kek").exists()
    assert opened(again) == DEKS


def stop_before(name: str) -> Callable[..., None]:
    def stopped(*_arguments: object, **_names: object) -> None:
        raise InterruptedError(name)

    return stopped


@pytest.mark.parametrize(
    "place",
    [
        "asepsis.services.keydesk.recovery.rewrap",
        "asepsis.desk_home.DeskHome._put_in_place",
        "asepsis.desk_home.shutil.rmtree",
    ],
)
def test_an_interrupted_rewrap_keeps_the_desk_closed_and_goes_on(
    home: DeskHome, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    home.rewrap(FILE)
    original = shutil.rmtree
    with monkeypatch.context() as patch:
        if place.endswith("rmtree"):
            made = home.folder / "keys" / "next"
            patch.setattr(
                place,
                lambda path, **more: (
                    None if not path.exists() or path != made or not (made / "made").exists() else stop_before(place)()
                ),
            )
        else:
            patch.setattr(place, stop_before(place))
        with pytest.raises(InterruptedError):
            open_desk_home(home.folder).rewrap(FILE)
    assert shutil.rmtree is original
    with pytest.raises(RewrapUnfinished):
        _ = open_desk_home(home.folder).desk
    open_desk_home(home.folder).rewrap(FILE)
    again = open_desk_home(home.folder)
    assert opened(again) == DEKS
    assert again.desk.owner == NORTH


def test_no_new_key_is_made_while_a_program_has_the_desk_open(home: DeskHome) -> None:
    """A desk that goes on with the old key would wrap new data keys under a key that nobody has any more."""
    served, before = open_desk_home(home.folder).desk, wrapped(home)
    with pytest.raises(DeskInUse):
        open_desk_home(home.folder).rewrap(FILE)
    assert wrapped(home) == before
    assert served.owner == open_desk_home(home.folder).desk.owner
    del served
    gc.collect()
    assert open_desk_home(home.folder).rewrap(FILE) == 3


def test_a_key_that_does_not_open_changes_nothing(home: DeskHome) -> None:
    before = wrapped(home)
    (home.folder / "keys" / "owner.kek").write_bytes(secrets.token_bytes(32))
    with pytest.raises(KeyUnwrapRefused):
        open_desk_home(home.folder).rewrap(FILE)
    assert wrapped(home) == before


def test_a_renewed_certificate_has_a_new_pin_and_the_room_stays_admitted(home: DeskHome, tmp_path: Path) -> None:
    room = Authority(tmp_path / "room", now=desk_home.now()).issue("room")
    (tmp_path / "room.pem").write_bytes(room.introduction())
    home.admit(tmp_path / "room.pem", pin=room.pin())
    before = home.identity.pin()
    assert home.renew().pin() != before
    assert home.room()[1] == room.pin()
    assert home.identity.introduction() == (home.folder / "northgate.pem").read_bytes()
    assert {path.name for path in home.folder.iterdir() if path.name.startswith("tls")} == {"tls"}


def test_a_renewal_that_was_interrupted_is_finished_by_the_next(home: DeskHome, tmp_path: Path) -> None:
    room = Authority(tmp_path / "room", now=desk_home.now()).issue("room")
    (tmp_path / "room.pem").write_bytes(room.introduction())
    home.admit(tmp_path / "room.pem", pin=room.pin())
    (home.folder / "tls").rename(home.folder / "tls.old")
    home.renew()
    assert home.room()[1] == room.pin()


@pytest.fixture
def holders(tmp_path: Path) -> dict[str, FileKeys]:
    return {name: FileKeys.create(tmp_path / name, owner=False) for name in ("ada", "ben", "cyd")}


def named(holders: dict[str, FileKeys]) -> tuple[Holder, ...]:
    return tuple(Holder(name=name, key=keys.public().sealing) for name, keys in holders.items())


def test_sealed_shares_come_back_through_their_holders_alone(
    home: DeskHome, holders: dict[str, FileKeys], tmp_path: Path
) -> None:
    paths = home.make_shares(tmp_path / "shares", shares=3, needed=2, holders=named(holders))
    assert [path.name for path in paths] == [f"northgate-share-{n}-{who}.json" for n, who in enumerate(holders, 1)]
    assert all("share" not in json.loads(path.read_text()) for path in paths)
    (home.folder / "keys" / "owner.kek").unlink()
    lost = open_desk_home(home.folder)
    with pytest.raises(ShareRefused, match="another key"):
        lost.recover(paths[:2])
    owner = Holder(name=NORTH, key=home.keys.public().sealing)
    returned = [tmp_path / f"back-{number}" for number in range(2)]
    for path, out, keys in zip(paths, returned, holders.values(), strict=False):
        pass_on(path, out, owner=NORTH, keys=keys, to=owner)
    lost.recover(returned)
    assert opened(open_desk_home(home.folder)) == DEKS


@pytest.mark.parametrize(("key", "value"), [("holder", "eve"), ("number", 3), ("needed", 3), ("check", "A" * 43 + "=")])
def test_a_sealed_share_opens_under_its_own_name_and_number(
    home: DeskHome, holders: dict[str, FileKeys], tmp_path: Path, key: str, value: object
) -> None:
    path = home.make_shares(tmp_path / "shares", shares=3, needed=2, holders=named(holders))[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ShareRefused):
        pass_on(path, tmp_path / "out", owner=NORTH, keys=holders["ada"], to=Holder(name="x", key=bytes(32)))


def test_each_share_goes_to_a_holder_and_a_key_of_its_own(home: DeskHome, holders: dict[str, FileKeys]) -> None:
    ada, ben, cyd = named(holders)
    for wrong in ((ada, ben), (ada, ada, cyd), (ada, ben, Holder(name="cyd", key=ada.key))):
        with pytest.raises(HoldersRefused):
            home.make_shares(home.folder / "shares", shares=3, needed=2, holders=wrong)
    assert not (home.folder / "shares").exists()
    for text in ("ada", "ada=", "ada=!!", "Ada=" + "A" * 43 + "=", "ada=AAAA"):
        with pytest.raises(HoldersRefused):
            holders_of([text])


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["keydesk", *arguments])
    return answer.exit_code, answer.stdout


def test_the_commands_of_shares_renewal_and_rewrapping(
    home: DeskHome, holders: dict[str, FileKeys], tmp_path: Path
) -> None:
    at = ("--at", str(home.folder))
    assert run("shares", str(tmp_path / "shares"), *at)[0] == 2
    assert run("shares", str(tmp_path / "clear"), *at, "--in-clear")[0] == 0
    given = [f"{one.name}={base64.b64encode(one.key).decode()}" for one in named(holders)]
    named_so = [word for text in given for word in ("--holder", text)]
    code, text = run("shares", str(tmp_path / "shares"), *at, *named_so)
    assert (code, text.count("northgate-share-")) == (0, 3)
    code, text = run("rewrap", *at)
    assert (code, "3 keys are under a new" in text) == (0, True)
    assert run("renew", *at)[0] == 0
    assert run("status", "--as", "northgate", *at)[0] == 4
