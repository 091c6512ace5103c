"""Zip and 7z archives from outside try to get out of their place, to fill the memory, or to pass off half of it."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import stat
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import EntryType
from asepsis.errors.source import SourceError
from asepsis.sources.history import HistorySource
from asepsis.sources.limits import Limits
from asepsis.sources.sevenzip.octets import Octets
from asepsis.sources.sevenzip.source import SevenZipSource
from asepsis.sources.zip.source import ZipSource

NOISE = random.Random(1).randbytes(50_000)


def zipped(members: dict[str, bytes], *, mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, method
            archive.writestr(info, content)
    return out.getvalue()


def zip_with(folder: Path, content: bytes, *, limits: Limits | None = None) -> ZipSource:
    (folder / "a.zip").write_bytes(content)
    return ZipSource.at(str(folder / "a.zip"), limits=limits or Limits())


def read_all(source: HistorySource) -> dict[str, bytes]:
    (point,) = source.restore_points()
    found = {}
    for entry in source.walk(point.id):
        if entry.type is EntryType.FILE:
            with source.open(point.id, entry.path) as file:
                found[entry.path] = file.read()
    return found


def code_of_reading(source: HistorySource) -> str:
    with pytest.raises(SourceError) as caught:
        read_all(source)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    return caught.value.code


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b", "a\0b"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    content = zipped({name.replace("\0", "N"): b"x"})
    if "\0" in name:
        content = content.replace(b"aNb", b"a\0b")
    assert code_of_reading(zip_with(tmp_path, content)) == "source.hostile_path"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    content = zipped({"a": b"x", "b": b"y"})
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("a", b"other")
    assert code_of_reading(zip_with(tmp_path, out.getvalue())) == "source.hostile_path"


def test_a_file_that_is_also_a_directory_is_refused(tmp_path: Path) -> None:
    assert code_of_reading(zip_with(tmp_path, zipped({"a": b"x", "a/b": b"y"}))) == "source.hostile_path"


def test_a_link_is_listed_and_never_followed(tmp_path: Path) -> None:
    source = zip_with(tmp_path, zipped({"link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777))
    (point,) = source.restore_points()
    assert [(entry.type, entry.link_target) for entry in source.walk(point.id)] == [(EntryType.LINK, "/etc/passwd")]
    with pytest.raises(SourceError) as caught:
        source.open(point.id, "/link")
    assert caught.value.code == "source.not_a_file"


def test_a_link_with_an_endless_target_is_refused(tmp_path: Path) -> None:
    content = zipped({"link": bytes(100_000)}, mode=stat.S_IFLNK | 0o777)
    assert code_of_reading(zip_with(tmp_path, content)) == "source.limit_exceeded"


def test_a_bomb_is_stopped_before_a_byte_is_unpacked(tmp_path: Path) -> None:
    limits = Limits(archive_ratio_from_bytes=1_000_000)
    assert (
        code_of_reading(zip_with(tmp_path, zipped({"z": bytes(40_000_000)}), limits=limits)) == "source.limit_exceeded"
    )
    assert code_of_reading(zip_with(tmp_path, zipped({"z": NOISE}), limits=Limits(archive_bytes=10))) == (
        "source.limit_exceeded"
    )


def test_members_that_overlap_are_summed_up(tmp_path: Path) -> None:
    """Ten names for one deflated kernel: each is modest, together they are a bomb (Fifield 2019)."""
    content = bytearray(zipped({"0": bytes(3_000_000)}))
    directory, end = content.rfind(b"PK\x01\x02"), content.rfind(b"PK\x05\x06")
    record = bytes(content[directory:end])
    many = b"".join(record[:46] + str(i).encode() + record[47:] for i in range(10))
    tail = bytearray(content[end:])
    struct.pack_into("<HHL", tail, 8, 10, 10, len(many))
    limits = Limits(archive_ratio_from_bytes=20_000_000)
    source = zip_with(tmp_path, bytes(content[:directory]) + many + bytes(tail), limits=limits)
    assert code_of_reading(source) == "source.limit_exceeded"


def test_a_directory_of_too_many_entries_is_stopped(tmp_path: Path) -> None:
    many = zipped({str(number): b"" for number in range(200)})
    assert code_of_reading(zip_with(tmp_path, many, limits=Limits(archive_entries=100))) == "source.limit_exceeded"
    assert code_of_reading(zip_with(tmp_path, many, limits=Limits(metadata_bytes=100))) == "source.limit_exceeded"


def test_a_member_that_unpacks_to_more_than_it_says_is_damage(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": bytes(100_000)}))
    place = content.rfind(b"PK\x01\x02")
    struct.pack_into("<L", content, place + 24, 10)
    assert code_of_reading(zip_with(tmp_path, bytes(content))) == "source.archive_damaged"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_flipped_bit_in_content_is_found(tmp_path: Path, method: int) -> None:
    content = bytearray(zipped({"a": NOISE}, method=method))
    content[25_000] ^= 1
    source = zip_with(tmp_path, bytes(content))
    assert code_of_reading(source) == "source.archive_damaged"
    assert [(fault.path, fault.code) for fault in source.verify(RestorePointId("a.zip"))] == [
        ("/a", "source.archive_damaged")
    ]


def test_a_cut_archive_is_one_clear_error(tmp_path: Path) -> None:
    content = zipped({"a": NOISE, "b": NOISE})
    for cut in (len(content) // 2, len(content) - 5):
        assert code_of_reading(zip_with(tmp_path, content[:cut])) == "source.archive_truncated"


def test_noise_is_no_archive(tmp_path: Path) -> None:
    assert code_of_reading(zip_with(tmp_path, NOISE)) == "source.not_a_repository"


def test_an_encrypted_member_is_refused_by_name(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"x", "b": b"y"}))
    content[6] |= 1
    content[content.find(b"PK\x01\x02") + 8] |= 1
    assert code_of_reading(zip_with(tmp_path, bytes(content))) == "source.encrypted"


def test_an_unknown_compression_is_refused_by_name(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"x"}))
    struct.pack_into("<H", content, 8, 97)
    struct.pack_into("<H", content, content.find(b"PK\x01\x02") + 10, 97)
    assert code_of_reading(zip_with(tmp_path, bytes(content))) == "source.unsupported_format"


def test_a_dos_name_keeps_its_bytes(tmp_path: Path) -> None:
    content = zipped({"N\u00c4ME": b"x"}).replace("N\u00c4ME".encode(), b"N\x8eMEx"[:5])
    flags = bytearray(content)
    flags[7] &= ~8
    flags[content.find(b"PK\x01\x02") + 9] &= ~8
    assert list(read_all(zip_with(tmp_path, bytes(flags)))) == ["/N\udc8eMEx"]


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 12_000), value=st.integers(0, 255), cut=st.integers(0, 12_000))
def test_no_mutation_of_a_zip_gives_anything_but_entries_or_a_named_error(
    tmp_path: Path, position: int, value: int, cut: int
) -> None:
    content = bytearray(zipped({"a": b"x" * 600, "b" * 120: b"y", "ü": b"z"}))
    content[position % len(content)] = value
    with contextlib.suppress(SourceError):
        read_all(zip_with(tmp_path, bytes(content[: cut if cut % 3 == 0 else None])))


def number(value: int) -> bytes:
    """A 7z number in its longest form."""
    return b"\xff" + value.to_bytes(8, "little")


def seven(name: str = "a", content: bytes = b"hello", *, size: int | None = None, attributes: int = 0) -> bytes:
    """A 7z archive of one stored member, written by hand."""
    names = name.encode("utf-16-le") + b"\0\0"
    folder = b"\x01\x01\x00"
    header = b"\x01\x04\x06" + number(0) + number(1) + b"\x09" + number(len(content)) + b"\x00"
    header += b"\x07\x0b" + number(1) + b"\x00" + folder + b"\x0c" + number(len(content) if size is None else size)
    header += b"\x0a\x01" + struct.pack("<L", zlib.crc32(content)) + b"\x00\x00"
    header += b"\x05" + number(1) + b"\x11" + number(1 + len(names)) + b"\x00" + names
    header += b"\x15" + number(6) + b"\x01\x00" + struct.pack("<L", attributes) + b"\x00\x00"
    return started(content, header)


def started(content: bytes, header: bytes) -> bytes:
    start = struct.pack("<QQL", len(content), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<L", zlib.crc32(start)) + start + content + header


def seven_with(folder: Path, content: bytes, *, limits: Limits | None = None) -> SevenZipSource:
    (folder / "a.7z").write_bytes(content)
    return SevenZipSource.at(str(folder / "a.7z"), limits=limits or Limits())


def test_a_7z_archive_written_by_hand_is_read(tmp_path: Path) -> None:
    assert read_all(seven_with(tmp_path, seven())) == {"/a": b"hello"}


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b"])
def test_a_name_in_a_7z_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    assert code_of_reading(seven_with(tmp_path, seven(name))) == "source.hostile_path"


def test_a_link_in_a_7z_is_listed_and_never_followed(tmp_path: Path) -> None:
    source = seven_with(tmp_path, seven(content=b"/etc/passwd", attributes=0x8000 | (stat.S_IFLNK | 0o777) << 16))
    (point,) = source.restore_points()
    assert [(entry.type, entry.link_target) for entry in source.walk(point.id)] == [(EntryType.LINK, "/etc/passwd")]


@pytest.mark.parametrize(("claimed", "code"), [(4, "source.archive_damaged"), (6, "source.archive_truncated")])
def test_a_7z_folder_of_another_size_than_it_says_is_found(tmp_path: Path, claimed: int, code: str) -> None:
    assert code_of_reading(seven_with(tmp_path, seven(size=claimed))) == code


def test_a_7z_bomb_is_stopped_before_a_byte_is_unpacked(tmp_path: Path) -> None:
    assert code_of_reading(seven_with(tmp_path, seven(size=1 << 50))) == "source.limit_exceeded"
    limits = Limits(archive_ratio_from_bytes=1000)
    assert code_of_reading(seven_with(tmp_path, seven(size=1 << 20), limits=limits)) == "source.limit_exceeded"


def test_a_7z_header_that_claims_gigabytes_is_stopped(tmp_path: Path) -> None:
    content = bytearray(seven())
    struct.pack_into("<Q", content, 20, 1 << 40)
    struct.pack_into("<L", content, 8, zlib.crc32(bytes(content[12:32])))
    assert code_of_reading(seven_with(tmp_path, bytes(content))) == "source.limit_exceeded"


def test_a_7z_of_too_many_entries_is_stopped(tmp_path: Path) -> None:
    source = seven_with(tmp_path, seven(), limits=Limits(archive_entries=0))
    assert code_of_reading(source) == "source.limit_exceeded"


def test_a_7z_method_that_asks_for_too_much_memory_is_refused(tmp_path: Path) -> None:
    content = seven()
    header = content[37:].replace(b"\x01\x01\x00\x0c", b"\x01\x21\x21\x01\x1e\x0c", 1)
    source = seven_with(tmp_path, started(b"hello", header), limits=Limits(dictionary_bytes=1 << 20))
    assert code_of_reading(source) == "source.limit_exceeded"


@pytest.mark.parametrize(
    ("method", "code"),
    [(b"\x04\x06\xf1\x07\x01", "source.encrypted"), (b"\x03\x03\x04\x01", "source.unsupported_format")],
)
def test_a_7z_method_that_is_not_known_is_refused_by_name(tmp_path: Path, method: bytes, code: str) -> None:
    header = seven()[37:].replace(b"\x01\x01\x00\x0c", b"\x01" + method + b"\x0c", 1)
    assert code_of_reading(seven_with(tmp_path, started(b"hello", header))) == code


def test_a_flipped_bit_in_a_7z_member_is_found(tmp_path: Path) -> None:
    content = bytearray(seven())
    content[33] ^= 1
    assert code_of_reading(seven_with(tmp_path, bytes(content))) == "source.archive_damaged"


def test_a_cut_7z_is_one_clear_error(tmp_path: Path) -> None:
    for cut in (20, 40, 100):
        assert code_of_reading(seven_with(tmp_path, seven()[:cut])) == "source.archive_truncated"
    assert code_of_reading(seven_with(tmp_path, NOISE)) == "source.not_a_repository"


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_no_mutation_of_a_7z_header_gives_anything_but_entries_or_a_named_error(
    tmp_path: Path, position: int, value: int
) -> None:
    header = bytearray(seven()[37:])
    header[position % len(header)] = value
    with contextlib.suppress(SourceError):
        read_all(seven_with(tmp_path, started(b"hello", bytes(header))))


@given(value=st.integers(0, (1 << 64) - 1))
def test_every_7z_number_is_read_as_it_was_written(value: int) -> None:
    octets = Octets(number(value), name="x", limits=Limits())
    assert octets.number() == value


def test_members_of_a_solid_7z_are_read_in_any_order(tmp_path: Path) -> None:
    program = shutil.which("7z") or shutil.which("7zz")
    if program is None:
        pytest.skip("the 7z command makes these archives and is not installed")
    files = {f"f{i}": NOISE[i * 100 : i * 1000] for i in range(40)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    subprocess.run([program, "a", "-ms=on", "b.7z", *files], check=True, cwd=tmp_path, capture_output=True)
    source = SevenZipSource.at(str(tmp_path / "b.7z"))
    order = [*files, *reversed(files), *random.Random(2).sample(list(files), 40)]
    for name in order:
        with source.open(RestorePointId("b.7z"), f"/{name}") as file:
            assert file.read() == files[name]
    with (
        source.open(RestorePointId("b.7z"), "/f3") as one,
        source.open(RestorePointId("b.7z"), "/f5") as other,
    ):
        assert (other.read(10), one.read(10), other.read(), one.read()) == (
            files["f5"][:10],
            files["f3"][:10],
            files["f5"][10:],
            files["f3"][10:],
        )
