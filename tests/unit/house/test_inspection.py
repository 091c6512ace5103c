"""A search of the host's files finds identifiers, and takes no piece of a digest for one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from asepsis.cli.story.inspection import held, search

NUMBERS = [f"{10_000_000 + number}".encode() for number in range(40)]
NEEDLES = [*NUMBERS, b"HOLLOWAY", "HOLLOWAY".encode("cp037"), "10000007".encode("utf-16-le")]


@pytest.mark.parametrize(
    "content",
    [b'{"mrn": "10000007"}', b"a,10000007,b", b"10000007", b"\x0110000007\x02", b"(HOLLOWAY)", *NEEDLES[-2:]],
)
def test_a_single_identifier_is_found(content: bytes) -> None:
    assert len(held(NEEDLES, content)) == 1


def test_rows_with_nothing_between_their_values_are_found() -> None:
    assert len(held(NEEDLES, b"ff10000007HOLLOWAYADA10000008")) == 3


@pytest.mark.parametrize(
    "content", [b"1f10000007ab", b"x+HOLLOWAY/y", b"release-a10000007", b"10000007", b"a HOLLOWAYS"]
)
def test_a_piece_of_a_digest_or_a_signature_is_none(content: bytes) -> None:
    """The control is the fourth: what stands alone is one."""
    assert bool(held(NEEDLES, content)) == (content == b"10000007")


def test_no_digest_of_a_thousand_is_taken_for_an_identifier() -> None:
    """Without the rule these digests, the same in every run, hold some."""
    needles = [f"{number:04}".encode() for number in range(40)]
    digests = [hashlib.sha256(b"%d" % number).hexdigest().encode() for number in range(1000)]
    assert sum(any(needle in digest for needle in needles) for digest in digests) > 20
    assert not any(held(needles, digest) for digest in digests)


def test_every_file_of_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(b"nothing")
    (tmp_path / "deep" / "b").write_bytes(b"mrn 10000007")
    assert search(tmp_path, set(NEEDLES)) == (2, 1)
