"""An archive from outside tries to get out of its place, to fill the memory, or to pass off half of itself."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import random
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import EntryType
from asepsis.errors import AsepsisError
from asepsis.errors.source import SourceError
from asepsis.ports import Source
from asepsis.sources.limits import Limits
from asepsis.sources.tar.source import TarSource


def content_of(source: Source, point: RestorePointId, path: str) -> bytes:
    with source.open(point, path) as file:
        return file.read()


NOISE = random.Random(1).randbytes(50_000)


def packed(members: dict[str, bytes], **special: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1_000_000_000
            archive.addfile(info, io.BytesIO(content))
        for info in special.values():
            archive.addfile(info)
    return out.getvalue()


PACKERS = {
    "plain.tar": lambda content: content,
    "a.tar.gz": lambda content: gzip.compress(content, mtime=0),
    "a.tar.xz": lzma.compress,
    "a.tar.zst": zstandard.compress,
}


def source_with(tmp_path: Path, content: bytes, *, name: str = "a.tar", limits: Limits | None = None) -> TarSource:
    path = tmp_path / name
    path.write_bytes(content)
    return TarSource.at(str(path), limits=limits or Limits())


def code_of_walking(source: TarSource) -> str:
    with pytest.raises(AsepsisError) as caught:
        [list(source.walk(point.id)) for point in source.restore_points()]
    return caught.value.code


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "a/..", "//x"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    assert code_of_walking(source_with(tmp_path, packed({"fine": b"x", name: b"y"}))) == "source.hostile_path"


def test_a_link_out_of_the_archive_is_listed_and_leads_nowhere(tmp_path: Path) -> None:
    link = tarfile.TarInfo("evil")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    below = tarfile.TarInfo("evil/below")
    source = source_with(tmp_path, packed({}, link=link, below=below))
    (point,) = source.restore_points()
    assert {entry.type for entry in source.walk(point.id) if entry.path == "/evil"} == {EntryType.LINK}
    with pytest.raises(AsepsisError) as caught:
        source.open(point.id, "/evil")
    assert caught.value.code == "source.not_a_file"


def test_a_hard_link_is_another_name_of_an_earlier_member_only(tmp_path: Path) -> None:
    inside, outside = tarfile.TarInfo("second"), tarfile.TarInfo("third")
    inside.type, inside.linkname = tarfile.LNKTYPE, "first"
    outside.type, outside.linkname = tarfile.LNKTYPE, "not/there"
    source = source_with(tmp_path, packed({"first": b"content"}, inside=inside, outside=outside))
    (point,) = source.restore_points()
    entries = {entry.path: entry for entry in source.walk(point.id)}
    assert content_of(source, point.id, "/second") == b"content"
    assert entries["/second"].content_id == entries["/first"].content_id
    assert entries["/third"].type is EntryType.OTHER


def test_a_hard_link_out_of_the_archive_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("evil")
    link.type, link.linkname = tarfile.LNKTYPE, "../../etc/passwd"
    assert code_of_walking(source_with(tmp_path, packed({}, link=link))) == "source.hostile_path"


@pytest.mark.parametrize("packer", PACKERS)
def test_a_cut_archive_is_one_clear_error(tmp_path: Path, packer: str) -> None:
    whole = PACKERS[packer](packed({"a": NOISE, "b": NOISE}))
    cuts = [len(whole) // 2, len(whole) - 4] if packer != "plain.tar" else [len(whole) // 2, 50_000, 700]
    for cut in cuts:
        source = source_with(tmp_path, whole[:cut], name=packer)
        assert code_of_walking(source) == "source.archive_truncated", cut
        assert [fault.code for fault in source.verify(RestorePointId(packer))] == ["source.archive_truncated"]


@pytest.mark.parametrize("packer", ["a.tar.gz", "a.tar.xz"])
def test_a_flipped_bit_in_compressed_content_is_found(tmp_path: Path, packer: str) -> None:
    whole = bytearray(PACKERS[packer](packed({"a": NOISE})))
    whole[len(whole) // 2] ^= 1
    assert code_of_walking(source_with(tmp_path, bytes(whole), name=packer)) in {
        "source.archive_damaged",
        "source.archive_truncated",
    }


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    bomb = gzip.compress(packed({"zeros": bytes(40_000_000)}), 9)
    limits = Limits(archive_ratio_from_bytes=1_000_000)
    assert code_of_walking(source_with(tmp_path, bomb, name="a.tar.gz", limits=limits)) == "source.limit_exceeded"


def test_a_bomb_of_many_members_is_stopped(tmp_path: Path) -> None:
    many = packed({f"f{number}": b"" for number in range(200)})
    assert code_of_walking(source_with(tmp_path, many, limits=Limits(archive_entries=100))) == "source.limit_exceeded"


def test_a_header_that_claims_gigabytes_is_stopped(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    assert code_of_walking(source_with(tmp_path, info.tobuf() + bytes(10_000))) == "source.limit_exceeded"


def test_a_member_that_claims_more_than_there_is_is_a_cut(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.size = 1 << 32
    assert code_of_walking(source_with(tmp_path, info.tobuf() + bytes(10_000))) == "source.archive_truncated"


def test_noise_is_no_archive(tmp_path: Path) -> None:
    assert code_of_walking(source_with(tmp_path, NOISE)) == "source.not_a_repository"


def test_an_archive_changed_after_its_first_reading_is_noticed(tmp_path: Path) -> None:
    source = source_with(tmp_path, packed({"a": NOISE}))
    (point,) = source.restore_points()
    path = tmp_path / "a.tar"
    with source.open(point.id, "/a") as file:
        path.write_bytes(path.read_bytes().replace(NOISE[:8], b"tampered"))
        with pytest.raises(AsepsisError) as caught:
            file.read()
    assert caught.value.code == "source.object_damaged"


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 12_000), value=st.integers(0, 255), cut=st.integers(0, 12_000))
def test_no_mutation_gives_anything_but_entries_or_a_named_error(
    tmp_path: Path, position: int, value: int, cut: int
) -> None:
    info = tarfile.TarInfo("l" * 150)
    content = bytearray(packed({"a": b"x" * 600, "b" * 120: b"y", "ü": b"z"}, long=info))
    content[position % len(content)] = value
    source = source_with(tmp_path, bytes(content[: cut if cut % 3 == 0 else None]))
    with contextlib.suppress(SourceError):
        for point in source.restore_points():
            for entry in source.walk(point.id):
                if entry.type is EntryType.FILE:
                    content_of(source, point.id, entry.path)


def test_a_path_of_too_many_levels_is_stopped(tmp_path: Path) -> None:
    deep = packed({"/".join("d" * 30): b"x"})
    assert code_of_walking(source_with(tmp_path, deep, limits=Limits(depth=10))) == "source.limit_exceeded"


def test_a_header_with_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    whole = bytearray(packed({"a": b"x", "b": b"y"}))
    whole[1024] ^= 1
    assert code_of_walking(source_with(tmp_path, bytes(whole))) == "source.archive_damaged"
