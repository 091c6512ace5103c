from __future__ import annotations

import contextlib
import lzma
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.source import EntryType
from asepsis.errors.source import SourceError
from asepsis.sources.image.source import ImageSource
from asepsis.sources.limits import Limits

for module in ("pytsk3", "pyqcow", "pyvmdk", "pyvhdi"):
    pytest.importorskip(module, reason="the extra image is not installed")
SAMPLES = Path("/usr/share/forensics-samples")


def code_of_walking(path: Path, *, limits: Limits | None = None) -> str:
    source = ImageSource.at(str(path), limits=limits or Limits())
    with pytest.raises(SourceError) as caught:
        list(source.walk(source.restore_points()[0].id))
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    return caught.value.code


@pytest.mark.parametrize("system", ["ext4", "ntfs", "vfat"])
def test_a_partitioned_image_of_the_forensics_samples_is_read(system: str, tmp_path: Path) -> None:
    packed = SAMPLES / f"fs.{system}.xz"
    if not packed.exists():
        pytest.skip(f"the Debian package forensics-samples-{system} is not installed")
    image = tmp_path / "2020-01-02.raw"
    image.write_bytes(lzma.decompress(packed.read_bytes()))
    source = ImageSource.at(str(image))
    (point,) = source.restore_points()
    entries = [entry for entry in source.walk(point.id) if entry.type is EntryType.FILE]
    assert all(entry.path.startswith("/volume-001/") for entry in entries)
    read = 0
    for entry in entries:
        with source.open(point.id, entry.path) as file:
            content = file.read()
        assert len(content) == entry.size
        read += len(content)
    assert read > 1000
    assert list(source.verify(point.id)) == []


def test_an_image_with_a_backing_file_is_refused_by_name(tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img makes these images and is not installed")
    (tmp_path / "base.raw").write_bytes(bytes(1 << 20))
    image = tmp_path / "top.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(tmp_path / "base.raw"), str(image)]
    subprocess.run(command, check=True)
    assert code_of_walking_one(image) == "source.unsupported_format"


def test_a_vmdk_that_names_other_files_is_refused_by_name(tmp_path: Path) -> None:
    image = tmp_path / "disk.vmdk"
    image.write_bytes(
        b'# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 100 FLAT "/etc/passwd" 0\n' + bytes(2000)
    )
    assert code_of_walking_one(image) == "source.unsupported_format"


def test_a_container_that_ends_too_early_is_called_damaged(tmp_path: Path) -> None:
    """The Sleuth Kit wraps the failure of the library below it into an error of another class."""
    if shutil.which("qemu-img") is None or shutil.which("mkfs.ext4") is None:
        pytest.skip("qemu-img and mkfs.ext4 make this image and are not installed")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(bytes(range(256)) * 4096)
    disk, whole, cut = tmp_path / "d.raw", tmp_path / "d.vmdk", tmp_path / "cut.vmdk"
    subprocess.run(["mkfs.ext4", "-q", "-d", str(tmp_path / "tree"), str(disk), "8M"], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", str(disk), str(whole)], check=True)
    source = ImageSource.at(str(whole))
    assert list(source.verify(source.restore_points()[0].id)) == []
    content, codes = whole.read_bytes(), set()
    for end in range(1 << 17, len(content) - (1 << 16), 1 << 16):
        cut.write_bytes(content[:end])
        source = ImageSource.at(str(cut))
        try:
            codes |= {fault.code for fault in source.verify(source.restore_points()[0].id)}
        except SourceError as error:
            codes.add(error.code)
    assert codes == {"source.archive_damaged"}


def test_an_image_that_ends_before_a_partition_begins_is_called_damaged(tmp_path: Path) -> None:
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 makes this image and is not installed")
    volume = tmp_path / "volume"
    subprocess.run(["mkfs.ext4", "-q", str(volume), "4M"], check=True)
    start, length = 2048, volume.stat().st_size // 512
    first, third = (struct.pack("<B3xB3xII", 0, 0x83, begin, length) for begin in (start, start + length))
    table = first + bytes(16) + third + bytes(16)
    content = bytes(446) + table + b"\x55\xaa" + bytes(512 * (start - 1)) + volume.read_bytes()
    whole, cut = tmp_path / "2020-01-02-whole.raw", tmp_path / "2020-01-02-cut.raw"
    whole.write_bytes(content + volume.read_bytes())
    cut.write_bytes(content)
    source = ImageSource.at(str(whole))
    found = {entry.path.split("/")[1] for entry in source.walk(source.restore_points()[0].id)}
    assert found == {"volume-001", "volume-002"}
    assert code_of_walking(cut) == "source.archive_damaged"


def test_noise_is_no_disk(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"noise " * 10_000)
    assert code_of_walking_one(tmp_path / "x.raw") == "source.not_a_repository"


def code_of_walking_one(path: Path) -> str:
    """A lone image without a date in its name is read to be dated: the date goes into the name here."""
    dated = path.with_name(f"2020-01-02-{path.name}")
    path.rename(dated)
    return code_of_walking(dated)


@settings(max_examples=25, deadline=None)
@given(head=st.sampled_from([b"QFI\xfb", b"KDMV", b"vhdxfile"]), rest=st.binary(max_size=600))
def test_a_container_of_noise_gives_a_named_error(tmp_path: Path, head: bytes, rest: bytes) -> None:
    image = tmp_path / "2020-01-02.raw"
    image.write_bytes(head + struct.pack(">I", 2) + bytes(8) + rest + b"parentCID=ffffffff" + bytes(4096))
    source = ImageSource.at(str(image))
    with contextlib.suppress(SourceError):
        list(source.walk(source.restore_points()[0].id))
