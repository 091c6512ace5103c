"""Sparse members: holes are zeros, in every form, and no map makes more of a file than is there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asepsis.errors import AsepsisError
from asepsis.errors.source import SourceError
from asepsis.sources.limits import Limits
from asepsis.sources.tar.source import TarSource

Pairs = Sequence[tuple[int, int]]
FORMS = ("old", "0.0", "0.1", "1.0")


def block(text: bytes) -> bytes:
    return text + bytes(-len(text) % 512)


def header(name: bytes, flag: bytes, size: int, special: dict[int, bytes] | None = None) -> bytes:
    made = bytearray(512)
    fields = {0: name, 100: b"0000644\0", 108: b"0000000\0", 116: b"0000000\0", 124: b"%011o\0" % size}
    fields |= {136: b"07346545000\0", 148: b" " * 8, 156: flag, **(special or {})}
    for at, text in fields.items():
        made[at : at + len(text)] = text
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def member(form: str, pairs: Pairs, *, size: int | str, content: bytes, count: int | None = None) -> bytes:
    """A sparse member as GNU tar writes it; nothing is checked, so that it may say anything."""
    if form == "old":
        return old_member(pairs, size=int(size), content=content)
    before, listed = b"", [("GNU.sparse.size", str(size)), ("GNU.sparse.numblocks", str(len(pairs)))]
    if form == "0.0":
        for start, length in pairs:
            listed += [("GNU.sparse.offset", str(start)), ("GNU.sparse.numbytes", str(length))]
    elif form == "0.1":
        listed += [("GNU.sparse.map", ",".join(f"{start},{length}" for start, length in pairs))]
    else:
        listed = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", str(size))]
        numbers = [len(pairs) if count is None else count, *(number for pair in pairs for number in pair)]
        before = block("".join(f"{number}\n" for number in numbers).encode())
    records = b"".join(record(key, value) for key, value in [*listed, ("GNU.sparse.name", "holes")])
    pax = header(b"PaxHeaders/holes", b"x", len(records)) + block(records)
    return pax + header(b"GNUSparseFile.0/holes", b"0", len(before + content)) + before + block(content)


def old_member(pairs: Pairs, *, size: int, content: bytes) -> bytes:
    entries = [b"%011o\0%011o\0" % pair for pair in pairs]
    blocks = [entries[at : at + 21] for at in range(4, len(entries), 21)]
    special = {257: b"ustar  \0", 386: b"".join(entries[:4]), 482: bytes([len(blocks) > 0]), 483: b"%011o\0" % size}
    more = b"".join(
        b"".join(part).ljust(504, b"\0") + bytes([number < len(blocks)]) + bytes(7)
        for number, part in enumerate(blocks, start=1)
    )
    return header(b"holes", b"S", len(content), special) + more + block(content)


def archive(*members: bytes) -> bytes:
    after = io.BytesIO()
    with tarfile.open(fileobj=after, mode="w") as out:
        info = tarfile.TarInfo("next")
        info.size = 1
        out.addfile(info, io.BytesIO(b"y"))
    return b"".join(members) + after.getvalue()


def source_of(folder: Path, content: bytes, limits: Limits | None = None) -> TarSource:
    path = folder / "a.tar"
    path.write_bytes(content)
    return TarSource.at(str(path), limits=limits or Limits())


def read(source: TarSource) -> dict[str, bytes]:
    (point,) = source.restore_points()
    found = {}
    for entry in source.walk(point.id):
        with source.open(point.id, entry.path) as file:
            found[entry.path] = file.read()
        assert entry.size == len(found[entry.path])
        assert entry.content_id == hashlib.sha256(found[entry.path]).hexdigest()
    return found


def code_of(source: TarSource) -> str:
    with pytest.raises(AsepsisError) as caught:
        read(source)
    return caught.value.code


pieces = st.lists(st.tuples(st.integers(0, 1500), st.binary(max_size=1500)), max_size=30)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(FORMS), made=pieces, tail=st.integers(0, 3000))
def test_holes_are_zeros_and_pieces_lie_where_the_map_says(
    tmp_path: Path, form: str, made: list[tuple[int, bytes]], tail: int
) -> None:
    """Also as the standard library reads it, which knows all four forms."""
    whole, stored, pairs = bytearray(), bytearray(), []
    for gap, content in made:
        whole += bytes(gap)
        if content or form != "old":
            pairs.append((len(whole), len(content)))
        whole += content
        stored += content
    whole += bytes(tail)
    packed = archive(member(form, [*pairs, (len(whole), 0)], size=len(whole), content=bytes(stored)))
    assert read(source_of(tmp_path, packed)) == {"/holes": bytes(whole), "/next": b"y"}
    with tarfile.open(fileobj=io.BytesIO(packed)) as peer:
        file = peer.extractfile("holes")
        assert file is not None
        assert file.read() == whole


@pytest.mark.parametrize("form", FORMS)
def test_a_sparse_file_can_be_read_anywhere(tmp_path: Path, form: str) -> None:
    content = member(form, [(1000, 5), (3000, 5), (9000, 0)], size=9000, content=b"aaaaabbbbb")
    source = source_of(tmp_path, archive(content))
    (point,) = source.restore_points()
    whole = bytes(1000) + b"aaaaa" + bytes(1995) + b"bbbbb" + bytes(5995)
    with source.open(point.id, "/holes") as file:
        for start in (4000, 2999, 998, 0, 1004, 8999, 3003):
            file.seek(start)
            assert file.read(6) == whole[start : start + 6]


HOSTILE: dict[str, tuple[Pairs, int, bytes]] = {
    "overlapping": ([(0, 10), (5, 10)], 100, bytes(20)),
    "backwards": ([(50, 10), (0, 10)], 100, bytes(20)),
    "beyond the file": ([(95, 10)], 100, bytes(10)),
    "more than stored": ([(0, 20)], 100, bytes(10)),
    "less than stored": ([(0, 5)], 100, bytes(10)),
    "empty piece beyond the file": ([(0, 10), (101, 0)], 100, bytes(10)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", HOSTILE)
def test_a_map_that_contradicts_itself_is_damage(tmp_path: Path, form: str, case: str) -> None:
    pairs, size, content = HOSTILE[case]
    if form == "old" and case.startswith("empty"):
        pairs = [*pairs[:-1], (101, 1)]
    packed = archive(member(form, pairs, size=size, content=content))
    assert code_of(source_of(tmp_path, packed)) == "source.archive_damaged"


@pytest.mark.parametrize("size", ["9" * 5000, "-1", "", "1e3", "\u0661"])
@pytest.mark.parametrize("form", FORMS[1:])
def test_a_size_that_is_no_number_is_damage(tmp_path: Path, form: str, size: str) -> None:
    packed = archive(member(form, [], size=size, content=b""))
    assert code_of(source_of(tmp_path, packed)) == "source.archive_damaged"


def test_the_size_of_any_member_is_a_number_of_a_few_digits(tmp_path: Path) -> None:
    records = record("size", "9" * 5000)
    packed = archive(header(b"PaxHeaders/x", b"x", len(records)) + block(records) + header(b"x", b"0", 0))
    assert code_of(source_of(tmp_path, packed)) == "source.archive_damaged"


@pytest.mark.parametrize("count", [3, 10**30])
def test_a_map_that_promises_more_pieces_than_it_has_is_damage(tmp_path: Path, count: int) -> None:
    packed = archive(member("1.0", [(0, 5)], size=100, content=b"aaaaa", count=count))
    assert code_of(source_of(tmp_path, packed)) == "source.archive_damaged"


@pytest.mark.parametrize("form", ["old", "1.0"])
def test_a_map_without_end_is_stopped(tmp_path: Path, form: str) -> None:
    pairs = [(at, 1) for at in range(0, 4000, 2)]
    packed = archive(member(form, pairs, size=4000, content=bytes(len(pairs))))
    source = source_of(tmp_path, packed, Limits(archive_map_bytes=5000))
    assert code_of(source) == "source.limit_exceeded"


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_of_nothing_but_holes_is_stopped_as_a_bomb(tmp_path: Path, form: str) -> None:
    one = member(form, [], size=600_000, content=b"")
    limits = Limits(archive_ratio_from_bytes=1_000_000, archive_ratio=20)
    assert len(read(source_of(tmp_path, archive(one), limits))["/holes"]) == 600_000
    assert code_of(source_of(tmp_path, archive(one, one), limits)) == "source.limit_exceeded"


def test_a_form_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    packed = archive(member("1.0", [], size=5, content=b"")).replace(b"sparse.minor=0", b"sparse.minor=7")
    assert code_of(source_of(tmp_path, packed)) == "source.unsupported_format"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(FORMS), position=st.integers(0, 2600), value=st.integers(0, 255))
def test_no_mutated_map_gives_anything_but_entries_or_a_named_error(
    tmp_path: Path, form: str, position: int, value: int
) -> None:
    content = bytearray(archive(member(form, [(10, 5), (600, 5)], size=700, content=b"aaaaabbbbb")))
    content[position] = value
    if form == "old":
        content[148:156] = b" " * 8
        content[148:156] = b"%06o\0 " % sum(content[:512])
    with contextlib.suppress(SourceError):
        read(source_of(tmp_path, bytes(content)))
