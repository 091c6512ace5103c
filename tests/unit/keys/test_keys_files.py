"""Keys in files: made once, readable by their owner alone, never shown."""

from __future__ import annotations

import copy
import pickle
import stat
from pathlib import Path

import pytest

from asepsis.errors.keys import (
    KeyDestroyed,
    KeysExist,
    KeysMalformed,
    KeysMissing,
    KeysUnsafe,
    KeysUnwritable,
    OwnerKeyMissing,
)
from asepsis.errors.sealing import EnvelopeRefused, KeyUnwrapRefused
from asepsis.keys.files import FileKeys
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.signing import Purpose, verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    FileKeys.create(tmp_path / "keys", owner=True)
    return tmp_path / "keys"


def test_the_same_keys_are_read_back(folder: Path) -> None:
    first, second = FileKeys(folder), FileKeys(folder)
    assert first.public() == second.public()
    assert first.person_key() == second.person_key()
    sealed = seal_to(first.public().sealing, b"hello", info=b"i")
    assert second.open_sealed(sealed, info=b"i") == b"hello"
    assert second.unwrap(first.wrap(bytes(32), binding=b"b"), binding=b"b") == bytes(32)
    verify(second.public().signing, purpose=Purpose.GRANT, payload=b"p", signature=first.sign(Purpose.GRANT, b"p"))


def test_all_keys_differ(folder: Path, tmp_path: Path) -> None:
    other = FileKeys.create(tmp_path / "other", owner=True)
    contents = [path.read_bytes() for part in (folder, tmp_path / "other") for path in part.iterdir()]
    assert len(contents) == len(set(contents)) == 8
    assert other.public() != FileKeys(folder).public()


def test_folder_and_files_belong_to_their_owner_alone(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_keys_are_never_overwritten(folder: Path) -> None:
    before = FileKeys(folder).public()
    with pytest.raises(KeysExist):
        FileKeys.create(folder, owner=True)
    assert FileKeys(folder).public() == before


def test_nothing_is_left_behind_where_keys_cannot_be_made(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeysUnwritable):
        FileKeys.create(tmp_path / "no" / "such" / "place", owner=True)
    with pytest.raises(KeysExist):
        FileKeys.create(folder, owner=True)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_file_open_to_others_is_refused(folder: Path, mode: int) -> None:
    (folder / "owner.kek").chmod(mode)
    with pytest.raises(KeysUnsafe):
        FileKeys(folder)


@pytest.mark.parametrize("mode", [0o750, 0o701])
def test_a_folder_open_to_others_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(KeysUnsafe):
        FileKeys(folder)


def test_a_link_in_the_place_of_a_key_or_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(KeysUnsafe):
        FileKeys(tmp_path / "link")
    (folder / "person.key").rename(tmp_path / "moved")
    (folder / "person.key").symlink_to(tmp_path / "moved")
    with pytest.raises(KeysUnsafe):
        FileKeys(folder)


def test_a_missing_or_damaged_key_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "person.key").write_bytes(bytes(31))
    with pytest.raises(KeysMalformed):
        FileKeys(folder)
    (folder / "person.key").unlink()
    with pytest.raises(KeysMissing):
        FileKeys(folder)
    with pytest.raises(KeysMissing):
        FileKeys(tmp_path / "nowhere")


def test_who_is_no_owner_wraps_no_data_keys(tmp_path: Path) -> None:
    keys = FileKeys.create(tmp_path / "team", owner=False)
    with pytest.raises(OwnerKeyMissing):
        keys.wrap(bytes(32), binding=b"")
    with pytest.raises(OwnerKeyMissing):
        keys.unwrap(bytes(60), binding=b"")


def test_other_contexts_and_bindings_do_not_open(folder: Path) -> None:
    keys = FileKeys(folder)
    with pytest.raises(EnvelopeRefused):
        keys.open_sealed(seal_to(keys.public().sealing, b"x", info=b"a"), info=b"b")
    keys.wrap(bytes(32), binding=b"b")
    with pytest.raises(KeyUnwrapRefused):
        keys.unwrap(keys.wrap(bytes(32), binding=b"a"), binding=b"b")
    with pytest.raises(KeyDestroyed):
        keys.unwrap(keys.wrap(bytes(32), binding=b"a"), binding=b"never made")


def test_private_bytes_show_nowhere(folder: Path) -> None:
    keys = FileKeys(folder)
    shown = repr(keys) + str(keys)
    for path in folder.iterdir():
        assert path.read_bytes().hex() not in shown
        assert str(path.read_bytes()) not in shown
    assert not hasattr(keys, "__dict__")
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            refuse(keys)
