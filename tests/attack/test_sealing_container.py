"""Whoever holds the storage changes sealed files: flips, cuts, reorders, appends, exchanges."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.names import PartyId, SnapshotId
from asepsis.errors.sealing import ContainerForged
from asepsis.sealing.container import CHUNK, HEADER, TAG, generate_data_key, seal, unseal
from asepsis.sealing.context import file_context
from asepsis.sealing.keys import file_key

FULL = CHUNK + TAG
KEY = generate_data_key()
CONTEXT = b"here"
PLAINTEXT = b"".join(index.to_bytes(4) for index in range((5 * CHUNK) // 4)) + b"tail"


def sealed(plaintext: bytes, *, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    target = io.BytesIO()
    seal(io.BytesIO(plaintext), target, key=key, context=context)
    return target.getvalue()


CONTAINER = sealed(PLAINTEXT)
SHORT = sealed(b"one short chunk")


def refused(container: bytes, *, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    """Whatever came out before the refusal."""
    target = io.BytesIO()
    with pytest.raises(ContainerForged):
        unseal(io.BytesIO(container), target, key=key, context=context)
    return target.getvalue()


def test_any_single_flipped_bit_of_a_short_file_is_refused_and_nothing_comes_out() -> None:
    for position in range(len(SHORT) * 8):
        damaged = bytearray(SHORT)
        damaged[position // 8] ^= 1 << position % 8
        assert refused(bytes(damaged)) == b""


@given(st.integers(0, len(CONTAINER) * 8 - 1))
def test_any_flipped_bit_of_a_long_file_is_refused_and_only_true_bytes_come_out(position: int) -> None:
    damaged = bytearray(CONTAINER)
    damaged[position // 8] ^= 1 << position % 8
    assert PLAINTEXT.startswith(refused(bytes(damaged)))


def test_a_file_that_is_cut_at_any_chunk_boundary_or_beside_it_is_refused() -> None:
    for chunk in range(6):
        boundary = HEADER + chunk * FULL
        for cut in {boundary - 1, boundary, boundary + 1, boundary + TAG - 1, boundary + TAG, boundary + TAG + 1}:
            assert PLAINTEXT.startswith(refused(CONTAINER[:cut]))


@given(st.integers(0, len(SHORT) - 1))
def test_a_short_file_that_is_cut_anywhere_is_refused(cut: int) -> None:
    assert refused(SHORT[:cut]) == b""


def test_a_file_of_whole_chunks_does_not_open_without_its_empty_last_chunk() -> None:
    whole = sealed(bytes(2 * CHUNK))
    assert len(whole) == HEADER + 2 * FULL + TAG
    refused(whole[:-TAG])


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (0, 4)])
def test_swapped_chunks_are_refused(one: int, other: int) -> None:
    chunks = [CONTAINER[HEADER + index * FULL :][:FULL] for index in range(6)]
    chunks[one], chunks[other] = chunks[other], chunks[one]
    refused(CONTAINER[:HEADER] + b"".join(chunks))


def test_a_repeated_dropped_or_appended_chunk_is_refused() -> None:
    body = CONTAINER[HEADER:]
    refused(CONTAINER[:HEADER] + body[:FULL] + body)
    refused(CONTAINER[:HEADER] + body[FULL:])
    refused(CONTAINER + body[-20:])
    refused(CONTAINER + b"\x00")


def test_chunks_of_two_files_of_one_key_cannot_be_mixed() -> None:
    other = sealed(PLAINTEXT[::-1])
    refused(CONTAINER[: HEADER + FULL] + other[HEADER + FULL :])
    refused(other[:HEADER] + CONTAINER[HEADER:])


def test_another_key_is_refused_like_any_other_damage() -> None:
    assert refused(CONTAINER, key=generate_data_key()) == b""


HERE = {
    "owner": PartyId("northgate"),
    "dataset": "emr",
    "snapshot": SnapshotId("s1"),
    "file_id": "f1",
    "table": "person",
}


@pytest.mark.parametrize("changed", [*HERE])
def test_a_file_in_the_place_of_another_is_refused_even_under_one_key(changed: str) -> None:
    home = file_context(HERE["owner"], **{name: HERE[name] for name in HERE if name != "owner"})
    there = {**HERE, changed: "other"}
    elsewhere = file_context(there["owner"], **{name: there[name] for name in there if name != "owner"})
    container = sealed(b"rows", context=home)
    assert refused(container, context=elsewhere) == b""


def test_fields_of_a_context_cannot_flow_into_one_another() -> None:
    one = file_context(PartyId("a"), dataset='b","file":"c', snapshot=SnapshotId("s"), file_id="d", table="t")
    two = file_context(PartyId("a"), dataset="b", snapshot=SnapshotId("s"), file_id='c","x":"d', table="t")
    assert one != two


def test_every_file_of_a_snapshot_has_its_own_key() -> None:
    dek = generate_data_key()
    assert len({file_key(dek, name) for name in ("a", "b", "ab", "")}) == 4
    refused(sealed(b"rows", key=file_key(dek, "a")), key=file_key(dek, "b"))
