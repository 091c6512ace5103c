"""A thousand bits flipped at random, in everything that a backup or the room keeps: each is found by reading the data.

The long test prints how many of which were found. Packs, indexes and segments are verified by their source, pages and
compressed streams by what the format says of itself, sealed snapshots by their container.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.errors import AsepsisError
from asepsis.errors.sealing import ContainerForged
from asepsis.integrity.observation import observe
from asepsis.ports import Source
from asepsis.sealing.container import generate_data_key, seal, unseal
from asepsis.sources.borg.source import BorgSource
from asepsis.sources.restic.source import ResticSource
from encryption_patterns import csv_of, png_of, rows

Found = Callable[[bytes], bool]
REPOSITORY = Path(__file__).parents[2] / "examples" / "two_hospitals" / "northgate" / "restic-repository"


def flipped(content: bytes, dice: random.Random) -> bytes:
    """The same but for one bit."""
    at = dice.randrange(len(content))
    return content[:at] + bytes((content[at] ^ 1 << dice.randrange(8),)) + content[at + 1 :]


def is_damaged(content: bytes) -> bool:
    """Whether the format says so."""
    return bool(observe(io.BytesIO(content), size=len(content)).faults)


def parquet_pages() -> tuple[bytes, list[range]]:
    """A table as the room writes it, and where its pages lie; no checksum covers what stands before a page."""
    out = io.BytesIO()
    a, b, c, d = zip(*rows(random.Random(1)), strict=True)
    table = pa.table({"id": a, "name": b, "day": c, "value": d})
    pq.write_table(table, out, compression="zstd", write_page_checksum=True, use_dictionary=False)
    group = pq.read_metadata(io.BytesIO(out.getvalue())).row_group(0)
    chunks = [group.column(column) for column in range(4)]
    pages = [range(c.data_page_offset + 120, c.data_page_offset + c.total_compressed_size) for c in chunks]
    return out.getvalue(), pages


def of_formats(dice: random.Random) -> Iterator[tuple[str, bytes, bytes, Found]]:
    """Kinds of content in which every bit is covered by a checksum: what stays as it is before it, and the rest."""
    text = csv_of(dice)
    for name, content, free in (
        ("gzip stream", gzip.compress(text, mtime=0), 10),  # times and hints in its header are not covered
        ("xz stream", lzma.compress(text, check=lzma.CHECK_CRC64), 6),
        ("bzip2 stream", bz2.compress(text), 4),
        ("png chunks", png_of(dice), 8),
    ):
        yield name, content[:free], content[free:], is_damaged


def sealed_snapshot() -> tuple[bytes, Found]:
    """A sealed file of several chunks."""
    key, out = generate_data_key(), io.BytesIO()
    seal(io.BytesIO(os.urandom(50_000)), out, key=key, context=b"here")

    def is_refused(content: bytes) -> bool:
        try:
            unseal(io.BytesIO(content), io.BytesIO(), key=key, context=b"here")
        except ContainerForged:
            return True
        return False

    return out.getvalue(), is_refused


def files_of(repository: Path, folder: str) -> list[Path]:
    return sorted(path for path in (repository / folder).rglob("*") if path.is_file() and path.stat().st_size)


def in_file(path: Path, dice: random.Random, is_found: Callable[[], bool]) -> bool:
    """Flip a bit of a file, look, and put it right again."""
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(flipped(whole, dice))
    try:
        return is_found()
    finally:
        path.write_bytes(whole)


def verifies(opened: Callable[[], Source]) -> bool:
    """Whether everything that every restore point needs is there and whole."""
    try:
        source = opened()
        points = source.restore_points()
        return not any(point.fault or list(source.verify(point.id)) for point in points)
    except AsepsisError:
        return False


def counted(dice: random.Random, runs: int) -> Iterator[tuple[str, int, int]]:
    """Formats, pages and sealed files: how many bits were flipped, and how many of them were found."""
    for name, kept, covered, is_found in of_formats(dice):
        yield name, runs, sum(is_found(kept + flipped(covered, dice)) for _ in range(runs))
    content, pages = parquet_pages()
    places = [dice.choice(pages) for _ in range(runs)]
    damaged = (content[: p.start] + flipped(content[p.start : p.stop], dice) + content[p.stop :] for p in places)
    yield "parquet pages", runs, sum(map(is_damaged, damaged))
    container, is_refused = sealed_snapshot()
    yield "sealed snapshot", runs, sum(is_refused(flipped(container, dice)) for _ in range(runs))


def test_every_bit_flipped_in_streams_pages_and_sealed_files_is_found() -> None:
    for name, flips, found in counted(random.Random(1), 15):
        assert (name, found) == (name, flips)


def test_a_bit_flipped_in_a_pack_is_found(tmp_path: Path) -> None:
    dice = random.Random(2)
    copy = Path(shutil.copytree(REPOSITORY, tmp_path / "copy"))
    path = dice.choice(files_of(copy, "data"))
    assert in_file(path, dice, lambda: not verifies(lambda: restic(copy, "northgate-demo")))
    assert verifies(lambda: restic(copy, "northgate-demo"))


def restic(repository: Path, password: str) -> ResticSource:
    return ResticSource.unlock(str(repository), password=password)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A restic and a borg repository with a few files each, so that a thousand verifications take minutes."""
    root = tmp_path_factory.mktemp("small")
    (root / "d").mkdir()
    for number in range(6):
        (root / "d" / f"{number}.csv").write_bytes(csv_of(random.Random(number))[:20_000])
    environment = {
        **os.environ,
        "RESTIC_PASSWORD": "pw",
        "BORG_PASSPHRASE": "pw",
        "BORG_BASE_DIR": str(root / "base"),
    }
    for command in (
        ["restic", "-q", "--no-cache", "-r", str(root / "restic"), "init"],
        ["restic", "-q", "--no-cache", "-r", str(root / "restic"), "backup", "d"],
        ["borg", "init", "-e", "repokey", str(root / "borg")],
        ["borg", "create", "--timestamp", "2013-01-01T00:00:00", f"{root / 'borg'}::first", "d"],
    ):
        subprocess.run(command, check=True, env=environment, cwd=root, capture_output=True)
    return {"restic": root / "restic", "borg": root / "borg"}


@pytest.mark.long
@pytest.mark.skipif(not (shutil.which("restic") and shutil.which("borg")), reason="restic and borg make the backups")
def test_a_thousand_of_a_thousand_flipped_bits_are_found(
    small: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(3)
    table = list(counted(dice, 130))
    for folder, flips in (("data", 120), ("index", 40), ("snapshots", 40)):
        paths = files_of(small["restic"], folder)
        found = sum(
            in_file(dice.choice(paths), dice, lambda: not verifies(lambda: restic(small["restic"], "pw")))
            for _ in range(flips)
        )
        table.append((f"restic {folder}", flips, found))
    # Small segments hold commits and lists of archives that newer ones replaced: nothing that a restore point needs.
    segments = [path for path in files_of(small["borg"], "data") if path.stat().st_size > 10_000]
    found = sum(
        in_file(dice.choice(segments), dice, lambda: not verifies(lambda: borg(small["borg"]))) for _ in range(20)
    )
    table.append(("borg segments", 20, found))
    with capsys.disabled():
        lines = [f"{name:16} {number:5} of {flips:5}" for name, flips, number in table]
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert sum(flips for _, flips, _ in table) == 1000
    assert [name for name, flips, number in table if number != flips] == []


def borg(repository: Path) -> BorgSource:
    return BorgSource.unlock(str(repository), passphrase="pw")
