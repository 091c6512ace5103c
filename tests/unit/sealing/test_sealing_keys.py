"""Signatures with purposes, wrapped keys and envelopes open for exactly one key in exactly one context."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.names import PartyId, SnapshotId
from asepsis.errors.sealing import EnvelopeRefused, KeyMalformed, KeyUnwrapRefused, SignatureInvalid
from asepsis.sealing.container import generate_data_key
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.envelope import open_sealed, seal_to
from asepsis.sealing.keys import file_key, unwrap, wrap
from asepsis.sealing.signing import (
    Purpose,
    generate_sealing_key,
    generate_signing_key,
    public_signing_key,
    sign,
    verify,
)

SIGNER = generate_signing_key()
READER = generate_sealing_key()
KEK = generate_data_key()
DEK = generate_data_key()
SIGNATURE = sign(SIGNER.private, purpose=Purpose.CONTRACT, payload=b"payload")
WRAPPED = wrap(KEK, DEK, binding=b"snapshot")
ENVELOPE = seal_to(READER.public, b"a data key", info=b"run 1")


def flipped(data: bytes, position: int) -> bytes:
    damaged = bytearray(data)
    damaged[position // 8] ^= 1 << position % 8
    return bytes(damaged)


def test_a_signature_verifies_and_the_public_key_follows_from_the_private_one() -> None:
    verify(SIGNER.public, purpose=Purpose.CONTRACT, payload=b"payload", signature=SIGNATURE)
    assert public_signing_key(SIGNER.private) == SIGNER.public


@given(st.binary(max_size=100))
def test_any_payload_can_be_signed(payload: bytes) -> None:
    signature = sign(SIGNER.private, purpose=Purpose.JOB, payload=payload)
    verify(SIGNER.public, purpose=Purpose.JOB, payload=payload, signature=signature)


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.CONTRACT])
def test_a_signature_for_one_purpose_is_none_for_another(purpose: Purpose) -> None:
    with pytest.raises(SignatureInvalid, match=purpose.value):
        verify(SIGNER.public, purpose=purpose, payload=b"payload", signature=SIGNATURE)


def test_a_changed_payload_signature_or_signer_is_refused() -> None:
    for position in range(len(SIGNATURE) * 8):
        with pytest.raises(SignatureInvalid):
            verify(SIGNER.public, purpose=Purpose.CONTRACT, payload=b"payload", signature=flipped(SIGNATURE, position))
    for payload, signature, key in (
        (b"payloae", SIGNATURE, SIGNER),
        (b"payload", SIGNATURE[:-1], SIGNER),
        (b"payload", b"", SIGNER),
        (b"payload", SIGNATURE, generate_signing_key()),
    ):
        with pytest.raises(SignatureInvalid):
            verify(key.public, purpose=Purpose.CONTRACT, payload=payload, signature=signature)


def test_a_private_key_never_shows_in_a_repr() -> None:
    assert SIGNER.private.hex() not in repr(SIGNER)
    assert repr(SIGNER.private) not in repr(SIGNER)


def test_a_wrapped_key_opens_only_with_its_owner_key_and_binding() -> None:
    assert unwrap(KEK, WRAPPED, binding=b"snapshot") == DEK
    assert wrap(KEK, DEK, binding=b"snapshot") != WRAPPED
    for kek, binding in ((generate_data_key(), b"snapshot"), (KEK, b"snapshou"), (KEK, b"")):
        with pytest.raises(KeyUnwrapRefused):
            unwrap(kek, WRAPPED, binding=binding)


def test_a_damaged_wrapped_key_is_refused() -> None:
    for position in range(len(WRAPPED) * 8):
        with pytest.raises(KeyUnwrapRefused):
            unwrap(KEK, flipped(WRAPPED, position), binding=b"snapshot")
    for length in (0, 12, len(WRAPPED) - 1):
        with pytest.raises(KeyUnwrapRefused):
            unwrap(KEK, WRAPPED[:length], binding=b"snapshot")
    with pytest.raises(KeyUnwrapRefused):
        unwrap(KEK, WRAPPED + b"\x00", binding=b"snapshot")


def test_the_binding_of_a_wrapped_key_names_owner_dataset_and_snapshot() -> None:
    bindings = {
        snapshot_binding(PartyId(owner), dataset=dataset, snapshot=SnapshotId(snapshot))
        for owner in ("a", "b")
        for dataset in ("c", "d")
        for snapshot in ("e", "f")
    }
    assert len(bindings) == 8


def test_an_envelope_opens_only_for_its_reader_in_its_context() -> None:
    assert open_sealed(READER.private, ENVELOPE, info=b"run 1") == b"a data key"
    for private, info in ((generate_sealing_key().private, b"run 1"), (READER.private, b"run 2")):
        with pytest.raises(EnvelopeRefused):
            open_sealed(private, ENVELOPE, info=info)


def test_a_damaged_or_cut_envelope_is_refused() -> None:
    for position in range(len(ENVELOPE) * 8):
        if position // 8 == 31 and position % 8 == 7:
            continue  # X25519 ignores the top bit of a public key (RFC 7748, section 5); covered below
        with pytest.raises(EnvelopeRefused):
            open_sealed(READER.private, flipped(ENVELOPE, position), info=b"run 1")
    for length in range(len(ENVELOPE)):
        with pytest.raises(EnvelopeRefused):
            open_sealed(READER.private, ENVELOPE[:length], info=b"run 1")


def test_even_the_ignored_bit_of_the_encapsulated_key_is_bound() -> None:
    with pytest.raises(EnvelopeRefused):  # the encapsulated key's bytes enter the KEM context (RFC 9180, 4.1)
        open_sealed(READER.private, flipped(ENVELOPE, 31 * 8 + 7), info=b"run 1")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_keys_of_another_length_are_refused(length: int) -> None:
    bad = bytes(length)
    with pytest.raises(KeyMalformed):
        sign(bad, purpose=Purpose.JOB, payload=b"")
    with pytest.raises(KeyMalformed):
        verify(bad, purpose=Purpose.JOB, payload=b"", signature=SIGNATURE)
    with pytest.raises(KeyMalformed):
        seal_to(bad, b"", info=b"")
    with pytest.raises(KeyMalformed):
        open_sealed(bad, ENVELOPE, info=b"")
    with pytest.raises(KeyMalformed):
        wrap(bad, DEK, binding=b"")
    with pytest.raises(KeyMalformed):
        wrap(KEK, bad, binding=b"")
    with pytest.raises(KeyMalformed):
        unwrap(bad, WRAPPED, binding=b"")
    with pytest.raises(KeyMalformed):
        file_key(bad, "f")


def test_a_reader_key_of_small_order_is_refused() -> None:
    with pytest.raises(KeyMalformed):
        seal_to(bytes(32), b"secret", info=b"")
    assert len(X25519PrivateKey.generate().public_key().public_bytes_raw()) == 32
