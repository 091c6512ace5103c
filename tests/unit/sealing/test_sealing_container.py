"""The container round-trips every length, streams, and agrees with an independent reading of its specification."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from asepsis.errors.sealing import ContainerForged, KeyMalformed, RootMismatch
from asepsis.sealing.container import (
    CHUNK,
    SealReceipt,
    check_root,
    generate_data_key,
    root_of,
    seal,
    sealed_length,
    unseal,
)

KEY = bytes(range(32))
CONTEXT = b"context"
PIECE = 16 * CHUNK
LENGTHS = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7)


def sealed(plaintext: bytes, *, key: bytes = KEY, context: bytes = CONTEXT) -> tuple[bytes, SealReceipt]:
    target = io.BytesIO()
    receipt = seal(io.BytesIO(plaintext), target, key=key, context=context)
    return target.getvalue(), receipt


def unsealed(container: bytes, *, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    target = io.BytesIO()
    length = unseal(io.BytesIO(container), target, key=key, context=context)
    assert length == len(target.getvalue())
    return target.getvalue()


def reference_unseal(container: bytes, *, key: bytes, context: bytes) -> bytes:
    """C2SP chunked-encryption written out from its text, sharing no code with the product."""
    salt, commitment, body = container[:24], container[24:56], container[56:]
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    derived = HKDFExpand(SHA512(), 32 + 12 + 32, info).derive(key)
    assert derived[44:] == commitment
    base = int.from_bytes(derived[32:44])
    chunks = [body[at : at + CHUNK + 16] for at in range(0, len(body), CHUNK + 16)]
    assert 16 <= len(chunks[-1]) < CHUNK + 16
    return b"".join(
        AESGCM(derived[:32]).decrypt((base ^ index).to_bytes(12), chunk, None) for index, chunk in enumerate(chunks)
    )


@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_round_trips_and_is_what_the_specification_says(length: int) -> None:
    plaintext = bytes(index % 251 for index in range(length))
    container, receipt = sealed(plaintext)
    assert receipt == SealReceipt(
        length=length,
        sealed_length=len(container),
        root=blake3(container).hexdigest(),
    )
    assert sealed_length(length) == len(container)
    assert unsealed(container) == plaintext
    assert reference_unseal(container, key=KEY, context=CONTEXT) == plaintext


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_any_content_and_context_round_trip(plaintext: bytes, context: bytes) -> None:
    container, _ = sealed(plaintext, context=context)
    assert unsealed(container, context=context) == plaintext


def test_two_containers_of_the_same_file_have_nothing_in_common() -> None:
    first, _ = sealed(b"x" * 1000)
    second, _ = sealed(b"x" * 1000)
    assert first[:24] != second[:24]
    assert first[56:] != second[56:]


class Dribble(io.RawIOBase):
    """A stream that gives and takes a few bytes at a time, as sockets and raw files may."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken = bytes(self.content[: min(size, 1000)])
        del self.content[: len(taken)]
        return taken

    def write(self, data: object) -> int:
        taken = bytes(data)[:777]  # type: ignore[call-overload]
        self.content += taken
        return len(taken)


def test_streams_that_give_and_take_a_little_at_a_time_lose_nothing() -> None:
    plaintext = bytes(range(256)) * 300
    container, back = Dribble(), Dribble()
    seal(Dribble(plaintext), container, key=KEY, context=CONTEXT)  # type: ignore[arg-type]
    unseal(Dribble(bytes(container.content)), back, key=KEY, context=CONTEXT)  # type: ignore[arg-type]
    assert bytes(back.content) == plaintext


def test_a_target_that_takes_nothing_stops_the_work() -> None:
    class Full(Dribble):
        def write(self, data: object) -> int:
            return 0

    with pytest.raises(BlockingIOError):
        seal(io.BytesIO(b"x"), Full(), key=KEY, context=CONTEXT)  # type: ignore[arg-type]


class Zeros(io.RawIOBase):
    """Endless zeros up to a length; a sink for what is written."""

    def __init__(self, length: int = 0) -> None:
        self.left = length

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return bytes(size)

    def write(self, data: object) -> int:
        return len(data)  # type: ignore[arg-type]


def test_memory_stays_constant_for_a_long_file() -> None:
    tracemalloc.start()
    try:
        seal(Zeros(64 << 20), Zeros(), key=KEY, context=CONTEXT)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_the_root_is_checked_alone_and_while_unsealing() -> None:
    first, receipt = sealed(b"the same")
    second, _ = sealed(b"the same")
    assert root_of(io.BytesIO(first)) == receipt.root
    check_root(io.BytesIO(first), receipt.root)
    with pytest.raises(RootMismatch, match="person"):
        check_root(io.BytesIO(second), receipt.root, name="person")
    unseal(io.BytesIO(first), io.BytesIO(), key=KEY, context=CONTEXT, root=receipt.root)
    with pytest.raises(RootMismatch):
        unseal(io.BytesIO(second), io.BytesIO(), key=KEY, context=CONTEXT, root=receipt.root)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KeyMalformed):
        seal(io.BytesIO(), io.BytesIO(), key=bytes(length), context=CONTEXT)
    with pytest.raises(KeyMalformed):
        unseal(io.BytesIO(), io.BytesIO(), key=bytes(length), context=CONTEXT)


def test_an_error_carries_nothing_of_the_cause() -> None:
    with pytest.raises(ContainerForged) as refusal:
        unsealed(b"")
    assert refusal.value.__suppress_context__
    assert len(generate_data_key()) == 32
