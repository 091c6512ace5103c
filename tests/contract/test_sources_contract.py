"""One suite over all source adapters: the same tree, backed up in every way that Asepsis reads."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import random
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest
import zstandard

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Capability, Entry, EntryType
from asepsis.errors import AsepsisError
from asepsis.ports import Source
from asepsis.sources.registry import open_source

BIG = random.Random(7).randbytes(3_000_000)
LONG_NAME = "l" * 200
OLD = -86_400 * 365 * 3  # 1967: before the beginning of UNIX time
MANY_LEVELS = 60
FILES: dict[bytes, bytes] = {
    b"empty": b"",
    b"sparse.dat": bytes(1_500_000) + b"end",
    b"one of two": b"one file with two names",
    b"setuid": b"#!/bin/sh\n",
    b"old.txt": b"from 1967\n",
    "caf\u00e9.txt".encode(): b"composed (NFC)",
    "cafe\u0301.txt".encode(): b"decomposed (NFD)",
    b"n" * 255: b"the longest name",
    b"/".join(b"%d" % level for level in range(MANY_LEVELS)) + b"/bottom": b"sixty levels down",
    b"zeros": bytes(70_000),
    b"plain.txt": b"one line\n",
    b"plain": b"sorts before plain.txt and after nothing",
    b"plain-dir/inside": b"sorts between",
    b"with spaces/and more.csv": b"a;b\n1;2\n",
    "übersicht/Ärzte 患者.txt".encode(): "ß".encode(),
    b"deep/" + b"/".join(LONG_NAME.encode() for _ in range(4)) + b"/file": b"deep down",
    b"big.bin": BIG,
    b"not-utf8-\xff\xe4.dat": b"legacy name",
    b'quote"back\\slash\nline': b"odd name",
}
LINKS = {b"loop/again": b"..", b"outside": b"/etc/passwd", b"itself": b"itself", b"there": b"back", b"back": b"there"}
TWICE, HARD_LINK = b"one of two", b"two of two"
EMPTY_DIRECTORY = b"nothing in it/nothing either"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree") / "root"
    for name, content in FILES.items():
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_with_holes(path, content) if name == b"sparse.dat" else path.write_bytes(content)
        when = OLD if name == b"old.txt" else 1_000_000_000
        os.utime(path, (when, when))
    (root / "setuid").chmod(0o4755)
    os.link(root / "one of two", root / os.fsdecode(HARD_LINK))
    (root / os.fsdecode(EMPTY_DIRECTORY)).mkdir(parents=True)
    for name, target in LINKS.items():
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.fsdecode(target))
    os.mkfifo(root / "pipe")
    with contextlib.suppress(PermissionError):  # only root makes devices, and not in every container
        os.mknod(root / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    return root


def write_with_holes(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.truncate(len(content))
        end = len(content.rstrip(b"\0")) - len(content.strip(b"\0"))
        file.seek(end)
        file.write(content[end:])


def a_restic_source(version: str) -> Callable[[Path, Path], Source]:
    def make(tree: Path, scratch: Path) -> Source:
        if shutil.which("restic") is None:
            pytest.skip("the restic command makes these repositories and is not installed")
        repository = scratch / "repository"
        environment = {**os.environ, "RESTIC_PASSWORD": "pw", "RESTIC_REPOSITORY": str(repository)}
        run = ["restic", "--quiet", "--no-cache"]
        subprocess.run([*run, "init", "--repository-version", version], check=True, env=environment)
        subprocess.run([*run, "backup", "."], check=True, env=environment, cwd=tree)
        return open_source(f"restic:{repository}", secret=lambda: "pw")

    return make


def a_tar_source(suffix: str, mode: str, format_: int) -> Callable[[Path, Path], Source]:
    def make(tree: Path, scratch: Path) -> Source:
        archive = scratch / f"backup-2001-09-09{suffix}"
        plain = io.BytesIO()
        quickly = {"preset": 0} if mode == "xz" else {}
        with tarfile.open(fileobj=plain, mode=f"w:{mode}", format=format_, **quickly) as out:
            out.add(tree, arcname=".")
        content = plain.getvalue()
        archive.write_bytes(zstandard.compress(content) if suffix.endswith("zst") else content)
        return open_source(f"tar:{archive}")

    return make


def a_sparse_tar_source(*options: str) -> Callable[[Path, Path], Source]:
    """GNU tar leaves the holes of files out, in its old form or one of the three of pax."""

    def make(tree: Path, scratch: Path) -> Source:
        if (program := shutil.which("tar")) is None or b"GNU" not in subprocess.check_output([program, "--version"]):
            pytest.skip("GNU tar is not installed")
        archive = scratch / "backup-2001-09-09.tar"
        subprocess.run([program, "-cSf", archive, "--hole-detection=raw", *options, "."], check=True, cwd=tree)
        return open_source(f"tar:{archive}")

    return make


class BytesName(zipfile.ZipInfo):
    """A member whose name is written as the bytes it is made of, as archivers on UNIX do."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  the library's name
        return os.fsencode(self.filename), 0


def a_zip_source(method: int) -> Callable[[Path, Path], Source]:
    def make(tree: Path, scratch: Path) -> Source:
        archive = scratch / "backup-2001-09-09.zip"
        with zipfile.ZipFile(archive, "w", method) as out:
            for path in sorted(tree.rglob("*")):
                status = path.lstat()
                info = BytesName(str(path.relative_to(tree)) + ("/" if stat.S_ISDIR(status.st_mode) else ""))
                info.compress_type = method
                info.create_system, info.external_attr = 3, status.st_mode << 16
                info.extra = struct.pack("<HHBl", 0x5455, 5, 1, int(status.st_mtime))
                out.writestr(info, zipped_content(path, status.st_mode))
        return open_source(f"zip:{archive}")

    return make


def zipped_content(path: Path, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.fsencode(path.readlink())
    return path.read_bytes() if stat.S_ISREG(mode) else b""


def a_7z_source(*options: str) -> Callable[[Path, Path], Source]:
    def make(tree: Path, scratch: Path) -> Source:
        program = shutil.which("7z") or shutil.which("7zz")
        if program is None:
            pytest.skip("the 7z command makes these archives and is not installed")
        copy, archive = scratch / "copy", scratch / "backup-2001-09-09.7z"
        shutil.copytree(tree, copy, symlinks=True, ignore=lambda *_: {"pipe", "device"})
        subprocess.run([program, "a", "-snl", *options, str(archive), "."], check=True, cwd=copy, capture_output=True)
        return open_source(f"7z:{archive}")

    return make


def a_borg_source(tree: Path, scratch: Path) -> Source:
    if shutil.which("borg") is None:
        pytest.skip("the borg command makes and reads these repositories and is not installed")
    repository = scratch / "repository"
    environment = {**os.environ, "BORG_PASSPHRASE": "pw", "BORG_BASE_DIR": str(scratch / "base")}
    subprocess.run(["borg", "init", "-e", "repokey", str(repository)], check=True, env=environment, capture_output=True)
    subprocess.run(["borg", "create", f"{repository}::one", "."], check=True, env=environment, cwd=tree)
    return open_source(f"borg:{repository}", secret=lambda: "pw")


def an_image_source(format_: str) -> Callable[[Path, Path], Source]:
    def make(tree: Path, scratch: Path) -> Source:
        for module in ("pytsk3", "pyqcow", "pyvmdk", "pyvhdi"):
            pytest.importorskip(module, reason="the extra image is not installed")
        mkfs = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if mkfs is None or (format_ != "raw" and shutil.which("qemu-img") is None):
            pytest.skip("mkfs.ext4 and qemu-img make these images and are not installed")
        raw, image = scratch / "disk.img", scratch / f"backup-2001-09-09.{format_}"
        subprocess.run([mkfs, "-q", "-d", str(tree), str(raw), "24M"], check=True, capture_output=True)
        subprocess.run(
            ["qemu-img", "convert", "-O", format_, str(raw), str(image)], check=True
        ) if format_ != "raw" else (shutil.copy(raw, image))
        return open_source(f"image:{image}")

    return make


def a_directory_source(tree: Path, scratch: Path) -> Source:
    return open_source(f"dir:{tree}")


MAKERS: dict[str, Callable[[Path, Path], Source]] = {
    "restic-1": a_restic_source("1"),
    "restic-2": a_restic_source("2"),
    "tar": a_tar_source(".tar", "", tarfile.PAX_FORMAT),
    "tar-gnu-gz": a_tar_source(".tar.gz", "gz", tarfile.GNU_FORMAT),
    "tar-xz": a_tar_source(".tar.xz", "xz", tarfile.PAX_FORMAT),
    "tar-zst": a_tar_source(".tar.zst", "", tarfile.GNU_FORMAT),
    "tar-sparse-old": a_sparse_tar_source("--format=gnu"),
    **{
        f"tar-sparse-{n}": a_sparse_tar_source("--format=posix", f"--sparse-version={n}") for n in ("0.0", "0.1", "1.0")
    },
    "zip": a_zip_source(zipfile.ZIP_DEFLATED),
    "zip-bzip2": a_zip_source(zipfile.ZIP_BZIP2),
    "zip-lzma": a_zip_source(zipfile.ZIP_LZMA),
    "7z": a_7z_source("-mx1"),
    "7z-lzma1": a_7z_source("-m0=LZMA", "-mx1", "-ms=off"),
    "7z-deflate": a_7z_source("-m0=Deflate", "-mx1"),
    "7z-bzip2": a_7z_source("-m0=BZip2", "-mx1"),
    "7z-copy": a_7z_source("-m0=Copy", "-mhc=off"),
    "borg": a_borg_source,
    **{f"image-{name}": an_image_source(name) for name in ("raw", "qcow2", "vmdk", "vhdx")},
    "dir": a_directory_source,
}

# Other packings of formats that are tested in every run, and Borg, which starts a program for every file.
SLOW = {
    "borg",
    "tar-sparse-0.0",
    "tar-sparse-0.1",
    "tar-xz",
    "zip-bzip2",
    "zip-lzma",
    *(name for name in MAKERS if name.startswith(("7z-", "image-"))),
}
SLOW -= {"image-raw"}


@pytest.fixture(scope="module")
def made() -> dict[str, Source]:
    """Backups already made: tests run in random order, and making them is slow."""
    return {}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.long if name in SLOW else ()) for name in MAKERS])
def source(
    request: pytest.FixtureRequest, made: dict[str, Source], tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Source:
    if request.param not in made:
        made[request.param] = MAKERS[request.param](tree, tmp_path_factory.mktemp("scratch"))
    return made[request.param]


@pytest.fixture
def point(source: Source) -> RestorePointId:
    return source.restore_points()[-1].id


@pytest.fixture
def entries(source: Source, point: RestorePointId) -> dict[str, Entry]:
    return {entry.path: entry for entry in source.walk(point)}


def path_of(name: bytes) -> str:
    return "/" + name.decode("utf-8", "surrogateescape")


def test_a_restore_point_has_an_aware_time(source: Source) -> None:
    (point,) = source.restore_points()
    assert point.taken_at.utcoffset() is not None
    assert point.fault is None


def test_every_file_is_listed_with_its_size_and_time(source: Source, entries: dict[str, Entry]) -> None:
    found = {path: entry.size for path, entry in entries.items() if entry.type is EntryType.FILE}
    assert found == {path_of(name): len(content) for name, content in (FILES | {HARD_LINK: FILES[TWICE]}).items()}
    times = {path: int(e.modified_at.timestamp()) for path, e in entries.items() if path in found and e.modified_at}
    old = times.pop("/old.txt")
    assert old == (OLD if Capability.OLD_TIMES in source.capabilities() else 0)
    assert times == {path: 1_000_000_000 for path in found if path != "/old.txt"}


def test_entries_come_ordered_by_path_and_once(source: Source, point: RestorePointId) -> None:
    paths = [entry.path for entry in source.walk(point)]
    assert paths == sorted(set(paths))


def test_every_directory_on_the_way_is_listed(entries: dict[str, Entry]) -> None:
    for path in entries:
        parent = path.rpartition("/")[0]
        assert not parent or entries[parent].type is EntryType.DIRECTORY


def test_links_are_listed_and_never_followed(source: Source, point: RestorePointId, entries: dict[str, Entry]) -> None:
    for name, target in LINKS.items():
        entry = entries[path_of(name)]
        assert entry.type is EntryType.LINK
        assert entry.link_target == target.decode()
        with pytest.raises(AsepsisError, match="not a regular file"):
            source.open(point, entry.path)
    with pytest.raises(AsepsisError) as caught:
        source.open(point, "/loop/again/plain.txt")
    assert caught.value.code == "source.path_missing"


def test_pipes_and_devices_are_listed_and_never_opened(
    source: Source, point: RestorePointId, entries: dict[str, Entry]
) -> None:
    found = {path: entries[path].type for path in ("/pipe", "/device") if path in entries}
    assert set(found.values()) == ({EntryType.OTHER} if Capability.SPECIAL_FILES in source.capabilities() else set())
    for path in found:
        with pytest.raises(AsepsisError) as caught:
            source.open(point, path)
        assert caught.value.code == "source.not_a_file"


def test_empty_directories_are_listed(entries: dict[str, Entry]) -> None:
    assert entries[path_of(EMPTY_DIRECTORY)].type is EntryType.DIRECTORY


def test_every_name_of_a_file_has_its_content(source: Source, point: RestorePointId, entries: dict[str, Entry]) -> None:
    """Where the format knows hard links, both names are one content; otherwise they are two equal files."""
    for name in (TWICE, HARD_LINK):
        with source.open(point, path_of(name)) as file:
            assert file.read() == FILES[TWICE]
    assert entries[path_of(TWICE)].content_id == entries[path_of(HARD_LINK)].content_id


@pytest.mark.parametrize("name", FILES, ids=lambda name: ascii(name[:20]))
def test_the_bytes_of_every_file_are_the_ones_that_were_backed_up(
    source: Source, point: RestorePointId, name: bytes
) -> None:
    with source.open(point, path_of(name)) as file:
        assert file.read() == FILES[name]


def test_a_file_can_be_read_anywhere(source: Source, point: RestorePointId) -> None:
    generator = random.Random(3)
    with source.open(point, "/big.bin") as file:
        assert file.seekable()
        for _ in range(12):
            start = generator.randrange(len(BIG) + 10)
            file.seek(start)
            assert file.read(5000) == BIG[start : start + 5000]
        assert file.seek(-10, os.SEEK_END) == len(BIG) - 10
        assert file.read() == BIG[-10:]
        assert file.read(1) == b""


def test_a_file_cannot_be_written(source: Source, point: RestorePointId) -> None:
    with source.open(point, "/plain.txt") as file:
        assert not file.writable()
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")


def test_equal_bytes_have_equal_content_ids(source: Source, entries: dict[str, Entry]) -> None:
    ids = {path: entry.content_id for path, entry in entries.items() if entry.type is EntryType.FILE}
    del ids[path_of(HARD_LINK)]
    known = [value for value in ids.values() if value is not None]
    assert len(set(known)) == len(known)
    assert len(known) == (len(FILES) if Capability.CONTENT_IDS in source.capabilities() else 0)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/no such file", "source.path_missing"),
        ("/plain.txt/below", "source.path_missing"),
        ("/../../etc/passwd", "source.path_missing"),
        ("/deep", "source.not_a_file"),
        ("/", "source.not_a_file"),
    ],
)
def test_what_is_no_file_is_refused_by_name(source: Source, point: RestorePointId, path: str, code: str) -> None:
    with pytest.raises(AsepsisError) as caught:
        source.open(point, path)
    assert caught.value.code == code


def test_an_unknown_restore_point_is_refused(source: Source) -> None:
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId("../nowhere")))
    assert caught.value.code == "source.restore_point_missing"


def test_an_untouched_source_verifies(source: Source, point: RestorePointId) -> None:
    assert list(source.verify(point)) == []


def test_a_restore_point_does_not_differ_from_itself(source: Source, point: RestorePointId) -> None:
    assert source.diff(point, point) == []


def test_verifying_tells_how_much_it_has_read(source: Source, point: RestorePointId) -> None:
    counts: list[int] = []
    assert list(source.verify(point, reading=counts.append)) == []
    assert counts == sorted(counts)
    assert counts[-1] >= len(BIG)


def test_a_restore_point_is_a_file_system_that_cannot_be_written(
    source: Source, point: RestorePointId, entries: dict[str, Entry]
) -> None:
    fs = source.fs(point)
    assert set(fs.find("/", withdirs=True)) - {"/"} == set(entries)
    assert fs.cat_file("/with spaces/and more.csv") == b"a;b\n1;2\n"
    assert pandas_like(fs.open("/with spaces/and more.csv", "r")) == [["a", "b"], ["1", "2"]]
    assert fs.isdir("/deep")
    assert not fs.exists("/deep/nothing")
    assert fs.info("/old.txt")["size"] == len(FILES[b"old.txt"])
    assert fs.modified("/plain.txt").timestamp() == 1_000_000_000
    for write in (
        lambda: fs.open("/new", "wb"),
        lambda: fs.pipe("/new", b"x"),
        lambda: fs.rm("/plain.txt"),
        lambda: fs.mv("/plain.txt", "/x"),
        lambda: fs.mkdir("/new"),
        lambda: fs.touch("/new"),
    ):
        with pytest.raises(OSError, match="Read-only"):
            write()


def pandas_like(file: TextIO) -> list[list[str]]:
    with file:
        return list(csv.reader(file, delimiter=";"))


def test_reading_changes_nothing(source: Source, point: RestorePointId) -> None:
    root = Path(source.uri.partition(":")[2])
    before = state_of(root)
    for entry in source.walk(point):
        if entry.type is EntryType.FILE:
            with source.open(point, entry.path) as file:
                file.read()
    list(source.verify(point))
    source.diff(point, point)
    source.fs(point).find("/")
    assert state_of(root) == before


def state_of(root: Path) -> dict[str, tuple[int, int, str]]:
    """Content and times; the time of a status change tells a time that was set back, too."""
    paths = sorted(root.rglob("*")) if root.is_dir() else [root]
    return {
        str(path): (
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in [root, *paths]
    }
