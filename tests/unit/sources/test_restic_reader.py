from __future__ import annotations

import contextlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from restic_writer import COST, Writer, seal

from asepsis.domain.names import RestorePointId
from asepsis.errors import AsepsisError, Kind
from asepsis.errors.source import SourceError
from asepsis.sources.limits import Limits
from asepsis.sources.restic.crypto import Key, NotAuthenticError
from asepsis.sources.restic.source import ResticSource
from asepsis.sources.restic.tree import unquoted

KEYS = ["nodes", "name", "type", "size", "content", "subtree", "packs", "blobs", "id", "supersedes", "time", "tree"]


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "repository")


def opened(writer: Writer, *, limits: Limits | None = None) -> ResticSource:
    return ResticSource.unlock(str(writer.root), password=writer.password, limits=limits or Limits())


def one_point(writer: Writer, *nodes: dict[str, object]) -> RestorePointId:
    return RestorePointId(writer.snapshot(writer.tree(*nodes)))


def refusal(call: object) -> AsepsisError:
    with pytest.raises(AsepsisError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    return caught.value


@given(plain=st.binary(max_size=200), position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_not_authentic(plain: bytes, position: int, bit: int) -> None:
    secret = bytes(range(64))
    sealed = bytearray(seal(secret, plain))
    assert Key.from_bytes(secret).open(bytes(sealed)) == plain
    sealed[position % len(sealed)] ^= 1 << bit
    with pytest.raises(NotAuthenticError):
        Key.from_bytes(secret).open(bytes(sealed))


def test_a_key_does_not_show_itself() -> None:
    assert "6162" not in repr(Key.from_bytes(b"ab" * 32))
    assert "abab" not in repr(Key.from_bytes(b"ab" * 32))


def test_a_wrong_password_is_denied(writer: Writer) -> None:
    error = refusal(lambda: ResticSource.unlock(str(writer.root), password="canary-password"))
    assert error.code == "source.wrong_password"
    assert error.kind is Kind.DENIED
    assert "canary" not in str(error.as_dict())


def test_nothing_at_the_path_is_missing(tmp_path: Path) -> None:
    assert refusal(lambda: ResticSource.unlock(str(tmp_path / "no"), password="x")).code == "source.missing"


def test_a_folder_without_configuration_is_no_repository(tmp_path: Path) -> None:
    assert refusal(lambda: ResticSource.unlock(str(tmp_path), password="x")).code == "source.not_a_repository"


def test_a_repository_without_keys_is_no_repository(writer: Writer) -> None:
    for key in (writer.root / "keys").iterdir():
        key.unlink()
    assert refusal(lambda: opened(writer)).code == "source.not_a_repository"


def test_a_second_key_opens_as_well(writer: Writer) -> None:
    writer.password = "second"
    writer.add_key(**COST)
    assert opened(writer).restore_points() == []


def test_a_key_file_that_asks_for_too_much_memory_is_refused_unread(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "r")
    for key in (writer.root / "keys").iterdir():
        key.unlink()
    writer.add_key(N=1 << 30, r=8, p=1)
    assert refusal(lambda: opened(writer)).code == "source.limit_exceeded"


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    assert refusal(lambda: opened(Writer(tmp_path / "r", version=3))).code == "source.unsupported_format"


def test_restore_points_come_oldest_first_in_utc(writer: Writer) -> None:
    tree = writer.tree()
    newer = writer.snapshot(tree, time="2013-01-31T00:30:00+01:00")
    older = writer.snapshot(tree, time="2012-12-31T23:59:59.999999999Z")
    writer.flush()
    points = opened(writer).restore_points()
    assert [point.id for point in points] == [older, newer]
    assert points[1].taken_at == datetime(2013, 1, 30, 23, 30, tzinfo=UTC)
    assert points[0].label == "northgate"


def test_a_damaged_snapshot_is_listed_with_its_fault_and_not_readable(writer: Writer) -> None:
    tree = writer.tree()
    good, bad = writer.snapshot(tree), writer.snapshot(tree)
    writer.flush()
    path = writer.root / "snapshots" / bad
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    source = opened(writer)
    assert {point.id: point.fault for point in source.restore_points()} == {good: None, bad: "source.object_damaged"}
    assert refusal(lambda: list(source.walk(RestorePointId(bad)))).code == "source.object_damaged"
    assert [fault.object for fault in source.verify(RestorePointId(bad))] == [f"snapshot {bad}"]


def test_a_snapshot_under_another_name_is_refused(writer: Writer) -> None:
    """Restoring an old record under a new one's name would hide what was backed up since."""
    tree = writer.tree()
    old, new = writer.snapshot(tree), writer.snapshot(tree, time="2014-01-01T00:00:00Z")
    writer.flush()
    (writer.root / "snapshots" / new).write_bytes((writer.root / "snapshots" / old).read_bytes())
    assert [point.fault for point in opened(writer).restore_points()].count("source.object_damaged") == 1


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../up", "a\\x00b", "\\u002e\\u002e"])
def test_a_name_that_leads_elsewhere_is_refused(writer: Writer, name: str) -> None:
    point = one_point(writer, writer.file(name, b"x"))
    writer.flush()
    error = refusal(lambda: list(opened(writer).walk(point)))
    assert error.code == "source.hostile_path"
    assert error.kind is Kind.UNTRUSTED


def test_one_name_twice_in_a_directory_is_refused(writer: Writer) -> None:
    point = one_point(writer, writer.file("same", b"x"), writer.file("same", b"y"))
    writer.flush()
    assert refusal(lambda: opened(writer).open(point, "/same")).code == "source.hostile_path"


def test_a_tree_that_unfolds_without_end_is_stopped(writer: Writer) -> None:
    tree = writer.tree(writer.file("f", b"x"))
    for _ in range(40):
        tree = writer.tree(writer.folder("a", tree), writer.folder("b", tree))
    point = RestorePointId(writer.snapshot(tree))
    writer.flush()
    source = opened(writer, limits=Limits(entries=1000))
    assert refusal(lambda: list(source.walk(point))).code == "source.limit_exceeded"
    assert refusal(lambda: list(source.verify(point))).code == "source.limit_exceeded"


def test_a_tree_that_is_too_deep_is_stopped(writer: Writer) -> None:
    tree = writer.tree()
    for _ in range(30):
        tree = writer.tree(writer.folder("d", tree))
    point = RestorePointId(writer.snapshot(tree))
    writer.flush()
    assert refusal(lambda: list(opened(writer, limits=Limits(depth=20)).walk(point))).code == "source.limit_exceeded"


def test_a_blob_that_unpacks_to_more_than_its_index_says_is_stopped(writer: Writer) -> None:
    bomb = writer.blob(bytes(50_000_000), compress=True, claims=100)
    point = one_point(writer, {"name": "f", "type": "file", "size": 1, "content": [bomb]})
    writer.flush()
    file = opened(writer).open(point, "/f")
    assert refusal(file.read).code == "source.limit_exceeded"


def test_a_blob_beyond_any_honest_size_is_not_even_read(writer: Writer) -> None:
    big = writer.blob(b"x" * 10, compress=True, claims=1 << 40)
    point = one_point(writer, {"name": "f", "type": "file", "size": 1, "content": [big]})
    writer.flush()
    assert refusal(opened(writer).open(point, "/f").read).code == "source.limit_exceeded"


def test_a_missing_pack_is_missing(writer: Writer) -> None:
    file = writer.file("f", b"content")
    writer.flush()
    (pack,) = (path for path in (writer.root / "data").rglob("*") if path.is_file())
    point = one_point(writer, file)
    writer.flush()
    pack.unlink()
    source = opened(writer)
    assert [entry.path for entry in source.walk(point)] == ["/f"]
    error = refusal(source.open(point, "/f").read)
    assert (error.code, error.kind) == ("source.object_missing", Kind.MISSING)
    assert {(fault.code, fault.path) for fault in source.verify(point)} == {
        ("source.object_missing", None),
        ("source.object_missing", "/f"),
    }


def test_a_blob_that_lies_in_two_packs_survives_the_loss_of_one(writer: Writer) -> None:
    file = writer.file("f", b"content")
    writer.flush()
    (first,) = (path for path in (writer.root / "data").rglob("*") if path.is_file())
    writer.blob(b"content")
    point = one_point(writer, file)
    writer.flush()
    first.unlink()
    assert opened(writer).open(point, "/f").read() == b"content"


def test_a_superseded_index_is_left_out(writer: Writer) -> None:
    file = writer.file("f", b"content")
    old = writer.flush()
    (pack,) = (path for path in (writer.root / "data").rglob("*") if path.is_file())
    pack.unlink()
    writer.blob(b"content")
    point = one_point(writer, file)
    writer.flush(supersedes=(old,))
    source = opened(writer)
    assert source.open(point, "/f").read() == b"content"
    assert list(source.verify(point)) == []


def test_a_prune_while_reading_is_noticed(writer: Writer) -> None:
    file = writer.file("f", b"content")
    old = writer.flush()
    (pack,) = (path for path in (writer.root / "data").rglob("*") if path.is_file())
    point = one_point(writer, file)
    writer.flush()
    source = opened(writer)
    stream = source.open(point, "/f")
    writer.blob(b"content")
    writer.flush()
    (writer.root / "index" / old).unlink()
    pack.unlink()
    assert stream.read() == b"content"


@given(text=st.text(max_size=30), raw=st.binary(max_size=10))
def test_any_name_that_go_quotes_comes_back(text: str, raw: bytes) -> None:
    name = raw.decode("utf-8", "surrogateescape") + "".join(c for c in text if c.isprintable())
    quoted = "".join(_quoted(character) for character in name)
    assert unquoted(quoted, name="tree") == name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _quoted(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def test_a_backslash_that_quotes_nothing_is_refused() -> None:
    assert refusal(lambda: unquoted("a\\q", name="tree")).code == "source.unsupported_format"


@pytest.mark.parametrize(
    "node",
    [
        {"name": 5, "type": "file"},
        {"name": "f", "type": "file", "size": -1},
        {"name": "f", "type": "file", "content": ["../../config"]},
        {"name": "f", "type": "file", "content": "abc"},
        {"name": "d", "type": "dir"},
        {"name": "d", "type": "dir", "subtree": "../x"},
    ],
)
def test_a_node_of_another_shape_is_refused(writer: Writer, node: dict[str, object]) -> None:
    point = one_point(writer, node)
    writer.flush()
    assert refusal(lambda: list(opened(writer).walk(point))).code == "source.unsupported_format"


def test_a_document_that_is_no_json_quotes_nothing(writer: Writer) -> None:
    writer.write("config", b"{canary")
    error = refusal(lambda: opened(writer))
    assert error.code == "source.unsupported_format"
    assert "canary" not in json.dumps(error.as_dict())


def test_upload_leftovers_are_not_objects(writer: Writer) -> None:
    point = one_point(writer, writer.file("f", b"x"))
    writer.flush()
    for folder in ("snapshots", "index", "keys"):
        (writer.root / folder / "tmp-123").write_bytes(b"partial")
    assert [found.id for found in opened(writer).restore_points()] == [point]


def test_locks_of_a_live_repository_do_not_matter(writer: Writer) -> None:
    point = one_point(writer, writer.file("f", b"x"))
    writer.flush()
    (writer.root / "locks").mkdir()
    (writer.root / "locks" / ("0" * 64)).write_bytes(b"stale")
    assert opened(writer).open(point, "/f").read() == b"x"


def test_a_short_id_finds_its_restore_point(writer: Writer) -> None:
    point = one_point(writer, writer.file("f", b"x"))
    writer.flush()
    assert [entry.path for entry in opened(writer).walk(RestorePointId(point[:8]))] == ["/f"]


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("a" * 64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(document=any_json, where=st.sampled_from(["tree", "index", "snapshot", "config"]))
def test_no_document_of_any_shape_gives_anything_but_entries_or_a_named_error(document: object, where: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        writer = Writer(Path(scratch) / "r")
        plain = json.dumps(document).encode()
        point = writer.snapshot(writer.blob(plain) if where == "tree" else writer.tree(writer.file("f", b"x")))
        writer.flush()
        if where == "index":
            writer.put("index", seal(writer.key, plain))
        if where == "snapshot":
            point = writer.put("snapshots", seal(writer.key, plain))
        if where == "config":
            writer.write("config", plain)
        with contextlib.suppress(SourceError):
            source = opened(writer)
            source.restore_points()
            list(source.walk(RestorePointId(point)))
        with contextlib.suppress(SourceError):
            list(opened(writer).verify(RestorePointId(point)))


@pytest.mark.parametrize("compress", [False, True])
def test_an_authentic_blob_under_another_ones_id_is_refused(writer: Writer, *, compress: bool) -> None:
    """Whoever has the repository's key can write an index that swaps one patient file for another."""
    wanted = writer.blob(b"one patient", compress=compress)
    writer.blob(b"two patient", compress=compress)
    writer.blobs[0]["offset"], writer.blobs[1]["offset"] = writer.blobs[1]["offset"], writer.blobs[0]["offset"]
    point = one_point(writer, {"name": "f", "type": "file", "size": 11, "content": [wanted]})
    writer.flush()
    assert refusal(opened(writer).open(point, "/f").read).code == "source.object_damaged"


def test_a_key_file_that_asks_for_endless_work_is_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "r")
    for key in (writer.root / "keys").iterdir():
        key.unlink()
    writer.add_key(N=16, r=1, p=5000)
    assert refusal(lambda: opened(writer)).code == "source.limit_exceeded"


def test_a_very_long_name_is_refused(writer: Writer) -> None:
    point = one_point(writer, writer.file("n" * 5000, b"x"))
    writer.flush()
    assert refusal(lambda: list(opened(writer).walk(point))).code == "source.limit_exceeded"


def test_no_error_carries_content_or_the_password(writer: Writer) -> None:
    """A canary in names, content and password appears in no error text."""
    writer.password = "canary-password"
    writer.add_key(**COST)
    point = one_point(writer, {"name": "canary\\q", "type": "file"}, writer.file("canary/..", b"canary"))
    writer.flush()
    error = refusal(lambda: list(opened(writer).walk(point)))
    assert "canary" not in f"{error} {error.as_dict()} {error.names}"


def test_a_lock_that_was_left_behind_does_not_matter_and_nothing_is_written(writer: Writer) -> None:
    point = one_point(writer, writer.file("f", b"x"))
    writer.flush()
    writer.put("locks", seal(writer.key, b'{"exclusive": true}'))
    for path in [writer.root, *writer.root.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.stat().st_mtime_ns for path in writer.root.rglob("*")}
    source = opened(writer)
    assert source.open(point, "/f").read() == b"x"
    assert list(source.verify(point)) == []
    assert {path: path.stat().st_mtime_ns for path in writer.root.rglob("*")} == before
