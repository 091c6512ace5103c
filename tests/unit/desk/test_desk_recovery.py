"""A desk that lost its owner's key gets it back from shares, and from nothing else."""

from __future__ import annotations

import json
import secrets
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asepsis.desk_home import DeskHome, Listening, choose_kek, create_desk_home, open_desk_home
from asepsis.domain.keydesk import KeptSnapshot
from asepsis.domain.names import Digest, PartyId, SnapshotId
from asepsis.domain.snapshot import Label
from asepsis.errors.keys import KeysExist, ShareRefused, SharesRefused
from asepsis.errors.sealing import KeyUnwrapRefused
from asepsis.sealing.context import snapshot_binding

NORTH, SOUTH = PartyId("northgate"), PartyId("riverside")
BINDING = snapshot_binding(NORTH, dataset="clinical", snapshot=SnapshotId("s1"))
DEK = secrets.token_bytes(32)


def home_of(folder: Path, owner: PartyId = NORTH) -> DeskHome:
    return create_desk_home(folder, owner, listening=Listening(), kek=choose_kek("file", (), variable="", file=None))


@pytest.fixture
def home(tmp_path: Path) -> DeskHome:
    """A desk that keeps the key of one snapshot."""
    made = home_of(tmp_path / "desk")
    wrapped = made.keys.wrap(DEK, binding=BINDING)
    kept = KeptSnapshot(
        snapshot=SnapshotId("s1"),
        dataset="clinical",
        manifest=Digest("0" * 64),
        label=Label.REAL,
        sealed_at=datetime(2026, 1, 1, tzinfo=UTC),
        wrapped=wrapped,
    )
    with made.desk._office.state.writing() as records:
        records.add_snapshot(kept)
    return made


def lose(home: DeskHome) -> DeskHome:
    (home.folder / "keys" / "owner.kek").unlink()
    return open_desk_home(home.folder)


def acts(home: DeskHome) -> list[str]:
    connection = sqlite3.connect(home.folder / "desk.db")
    try:
        rows = connection.execute("SELECT entry FROM ledger_entries ORDER BY position").fetchall()
    finally:
        connection.close()
    return [json.loads(row[0])["act"] for row in rows]


@pytest.mark.parametrize("chosen", [(0, 1), (2, 0), (1, 2), (0, 1, 2)])
def test_any_two_of_three_shares_bring_the_key_back(home: DeskHome, tmp_path: Path, chosen: tuple[int, ...]) -> None:
    paths = home.make_shares(tmp_path / "shares", shares=3, needed=2)
    wrapped = home.keys.wrap(DEK, binding=BINDING)
    lost = lose(home)
    lost.recover([paths[number] for number in chosen])
    again = open_desk_home(home.folder)
    assert again.keys.unwrap(wrapped, binding=BINDING) == DEK
    assert acts(home) == ["key.split", "key.recovered"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [*paths, home.folder / "keys" / "owner.kek"])


def test_a_key_that_is_not_lost_is_not_written_over(home: DeskHome, tmp_path: Path) -> None:
    paths = home.make_shares(tmp_path / "shares", shares=3, needed=2)
    with pytest.raises(KeysExist):
        home.recover(paths[:2])


def test_one_share_alone_is_too_few(home: DeskHome, tmp_path: Path) -> None:
    paths = home.make_shares(tmp_path / "shares", shares=3, needed=2)
    with pytest.raises(SharesRefused):
        lose(home).recover(paths[:1])
    assert not (home.folder / "keys" / "owner.kek").exists()


def test_mixed_shares_are_refused_by_name(home: DeskHome, tmp_path: Path) -> None:
    paths = home.make_shares(tmp_path / "shares", shares=3, needed=2)
    others = home_of(tmp_path / "other", SOUTH).make_shares(tmp_path / "others", shares=3, needed=2)
    again = home_of(tmp_path / "again").make_shares(tmp_path / "again-shares", shares=3, needed=2)
    lost = lose(home)
    with pytest.raises(ShareRefused, match=r"riverside-share-2\.json.*not one of northgate"):
        lost.recover([paths[0], others[1]])
    with pytest.raises(ShareRefused, match=r"northgate-share-2\.json.*another key than northgate-share-1\.json"):
        lost.recover([paths[0], again[1]])
    with pytest.raises(ShareRefused, match="same number"):
        lost.recover([paths[0], paths[0]])
    with pytest.raises(ShareRefused, match=r"nowhere\.json.*cannot be read"):
        lost.recover([paths[0], tmp_path / "nowhere.json"])
    assert acts(home) == ["key.split"]


def test_a_changed_share_is_named_where_the_others_can_tell(home: DeskHome, tmp_path: Path) -> None:
    paths = home.make_shares(tmp_path / "shares", shares=3, needed=2)
    lost = lose(home)
    document = json.loads(paths[1].read_text())
    document["share"] = ("B" if document["share"][0] == "A" else "A") + document["share"][1:]
    paths[1].write_text(json.dumps(document))
    with pytest.raises(SharesRefused):
        lost.recover(paths[:2])
    with pytest.raises(ShareRefused, match=r"northgate-share-2\.json.*was changed"):
        lost.recover(paths)
    paths[2].write_text('{"format": "asepsis/recovery-share/1"}')
    with pytest.raises(ShareRefused, match="no recovery share"):
        lost.recover(paths[1:])


def test_a_whole_key_that_is_not_the_desks_is_refused_and_recorded(home: DeskHome, tmp_path: Path) -> None:
    """Shares of another key under the same owner's name: whole, and of no use here."""
    strange = home_of(tmp_path / "again").make_shares(tmp_path / "shares", shares=3, needed=2)
    with pytest.raises(KeyUnwrapRefused):
        lose(home).recover(strange[:2])
    assert acts(home) == ["key.refused"]
    assert not (home.folder / "keys" / "owner.kek").exists()


def test_a_share_alone_does_not_hold_the_key(home: DeskHome, tmp_path: Path) -> None:
    key = (home.folder / "keys" / "owner.kek").read_bytes()
    for path in home.make_shares(tmp_path / "shares", shares=3, needed=2):
        assert Digest(json.loads(path.read_text())["share"]) != Digest(key.hex())
        assert key.hex() not in path.read_text()
