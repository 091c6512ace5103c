"""A repository without its index, with locks of others, and two restore points that are nearly equal."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from restic_writer import Writer, seal

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Change, ChangeKind
from asepsis.errors import AsepsisError
from asepsis.integrity.differences import diff
from asepsis.sources.restic.source import ResticSource


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "repository")


def opened(writer: Writer) -> ResticSource:
    return ResticSource.unlock(str(writer.root), password=writer.password)


def packs(writer: Writer) -> list[Path]:
    return [path for path in (writer.root / "data").rglob("*") if path.is_file()]


def codes(source: ResticSource, point: RestorePointId) -> set[str]:
    return {fault.code for fault in source.verify(point)}


@pytest.mark.parametrize("compress", [False, True])
def test_a_repository_without_any_index_is_read_by_the_headers_of_its_packs(writer: Writer, *, compress: bool) -> None:
    blob = writer.blob(b"content" * 100, compress=compress)
    point = RestorePointId(writer.snapshot(writer.tree({"name": "f", "type": "file", "size": 700, "content": [blob]})))
    index = writer.flush()
    (writer.root / "index" / index).unlink()
    source = opened(writer)
    assert [entry.path for entry in source.walk(point)] == ["/f"]
    with source.open(point, "/f") as file:
        assert file.read() == b"content" * 100
    assert codes(source, point) == {"source.pack_not_indexed"}


def test_a_damaged_index_costs_no_data_and_is_told(writer: Writer) -> None:
    point = RestorePointId(writer.snapshot(writer.tree(writer.file("f", b"content"))))
    path = writer.root / "index" / writer.flush()
    path.write_bytes(path.read_bytes()[:-1])
    source = opened(writer)
    assert source.open(point, "/f").read() == b"content"
    assert codes(source, point) == {"source.object_damaged", "source.pack_not_indexed"}


def test_what_the_index_knows_is_not_looked_for_in_headers(writer: Writer) -> None:
    """Reading all headers of a large repository is slow; it happens only when something is missing."""
    point = RestorePointId(writer.snapshot(writer.tree(writer.file("f", b"content"))))
    writer.flush()
    source = opened(writer)
    list(source.walk(point))
    assert source.open(point, "/f").read() == b"content"
    assert not source._repository.index.has_headers


@pytest.mark.parametrize("where", [-1, -20, 0])
def test_a_damaged_header_gives_nothing_and_is_told(writer: Writer, where: int) -> None:
    """The length at the end, the sealed header before it; a flip in a blob leaves the header as it is."""
    point = RestorePointId(writer.snapshot(writer.tree(writer.file("f", b"content"))))
    index = writer.flush()
    (writer.root / "index" / index).unlink()
    (pack,) = packs(writer)
    content = bytearray(pack.read_bytes())
    content[where] ^= 1
    pack.write_bytes(content)
    with pytest.raises(AsepsisError) as caught:
        opened(writer).open(point, "/f").read()
    assert caught.value.code in {"source.object_missing", "source.object_damaged"}
    assert codes(opened(writer), point) - {"source.pack_not_indexed"}


def test_an_authentic_header_of_another_shape_is_refused(writer: Writer) -> None:
    point = RestorePointId(writer.snapshot(writer.tree(writer.file("f", b"content"))))
    index = writer.flush()
    (writer.root / "index" / index).unlink()
    for header in (b"\x07" * 37, b"\x00" * 20, bytes(37)):
        for pack in packs(writer):
            pack.unlink()
        sealed = seal(writer.key, header)
        content = b"blobs" + sealed + len(sealed).to_bytes(4, "little")
        (writer.root / "data" / "00").mkdir(exist_ok=True)
        (writer.root / "data" / "00" / ("0" * 64)).write_bytes(content)
        assert "source.object_damaged" in codes(opened(writer), point)


def test_locks_are_ignored_and_told_with_their_time(writer: Writer) -> None:
    point = RestorePointId(writer.snapshot(writer.tree(writer.file("f", b"x"))))
    writer.flush()
    assert opened(writer).remarks() == []
    lock = writer.put("locks", seal(writer.key, b'{"time": "2013-01-31T23:30:00Z", "hostname": "canary"}'))
    broken = writer.put("locks", b"no lock at all")
    source = opened(writer)
    assert source.open(point, "/f").read() == b"x"
    found = {remark.object: remark for remark in source.remarks()}
    assert found.keys() == {f"locks/{lock}", f"locks/{broken}"}
    assert str(found[f"locks/{lock}"].at) == "2013-01-31 23:30:00+00:00"
    assert found[f"locks/{broken}"].at is None
    assert {remark.code for remark in found.values()} == {"source.lock_ignored"}
    assert "canary" not in repr(found)


def tree_of(writer: Writer, files: dict[str, bytes]) -> str:
    folders: dict[str, dict[str, bytes]] = {}
    nodes = []
    for path, content in files.items():
        head, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(head, {})[rest] = content
        else:
            nodes.append(writer.file(head, content))
    nodes += [writer.folder(name, tree_of(writer, below)) for name, below in folders.items()]
    return writer.tree(*sorted(nodes, key=lambda node: str(node["name"])))


def test_a_difference_is_the_one_that_two_whole_listings_show(writer: Writer) -> None:
    generator = random.Random(5)
    before = {f"{i % 3}/{i % 5}/{i}": f"{i % 20}".encode() for i in range(60)}
    for _ in range(6):
        after = dict(before)
        for path in generator.sample(sorted(after), 12):
            after[f"new/{path}" if generator.random() < 0.5 else path] = after.pop(path) + b"x" * generator.randrange(2)
        points = [RestorePointId(writer.snapshot(tree_of(writer, files))) for files in (before, after)]
        writer.flush()
        source = opened(writer)
        assert source.diff(*points) == diff(source.walk(points[0]), source.walk(points[1])) != []
        assert source.diff(points[0], points[0]) == []
        before = after


def test_equal_directories_are_not_entered(writer: Writer) -> None:
    """The directory that both restore points share cannot even be read, and nobody notices."""
    shared = "0" * 64
    one, other = (
        RestorePointId(writer.snapshot(writer.tree(writer.file("f", content), writer.folder("same", shared))))
        for content in (b"1", b"2")
    )
    writer.flush()
    source = opened(writer)
    assert source.diff(one, other) == [Change(kind=ChangeKind.MODIFIED, path="/f")]
    with pytest.raises(AsepsisError):
        list(source.walk(one))


def test_a_difference_of_endless_trees_is_stopped(writer: Writer) -> None:
    one, other = writer.tree(writer.file("f", b"x")), writer.tree(writer.file("f", b"y"))
    for _ in range(300):
        one, other = writer.tree(writer.folder("d", one)), writer.tree(writer.folder("d", other))
    points = [RestorePointId(writer.snapshot(tree)) for tree in (one, other)]
    writer.flush()
    with pytest.raises(AsepsisError) as caught:
        opened(writer).diff(*points)
    assert caught.value.code == "source.limit_exceeded"
