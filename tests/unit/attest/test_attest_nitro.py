"""Nitro: a good document is taken; a header, field or certificate that is not exactly as agreed is refused."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from attest_world import NITRO, NOW, NitroHost, p384

from asepsis.attest.claims import Claims
from asepsis.attest.nitro.verify import nitro_measurement, verify_nitro
from asepsis.errors.attest import (
    CertificateOutOfTime,
    ChainInvalid,
    EvidenceMalformed,
    EvidenceSignatureInvalid,
    RootNotTrusted,
)

PCRS = {index: bytes([index + 1] * 48) for index in range(3)}


def verify(document: bytes, **changes: Any) -> Claims:
    return verify_nitro(document, **{"at": NOW, "roots": NITRO.roots, **changes})


@pytest.mark.parametrize("tag", [False, True], ids=["bare", "tagged"])
def test_a_good_document_is_taken(*, tag: bool) -> None:
    claims = verify(NITRO.document(user_data=b"u" * 64, tag=tag))
    assert claims.report_data == b"u" * 64
    assert claims.measurements == {nitro_measurement(PCRS)}
    assert not claims.is_debug


def test_optional_fields_may_be_there_or_not() -> None:
    verify(NITRO.document(public_key=b"k" * 1024, nonce=b"n" * 512, user_data=b"u" * 512))
    assert verify(NITRO.document(user_data=None)).report_data == b""


def test_other_pcrs_are_another_measurement() -> None:
    for index in range(3):
        assert nitro_measurement({**PCRS, index: bytes(48)}) != nitro_measurement(PCRS)


def test_an_enclave_whose_image_was_not_measured_is_in_debug_mode() -> None:
    assert verify(NITRO.document(pcrs={index: bytes(48) for index in range(16)})).is_debug


@pytest.mark.parametrize(
    "changes",
    [
        {"module_id": None},
        {"module_id": ""},
        {"module_id": 7},
        {"digest": None},
        {"digest": "SHA256"},
        {"timestamp": None},
        {"timestamp": 0},
        {"timestamp": "now"},
        {"timestamp": 2**63},
        {"pcrs": None},
        {"pcrs": {}},
        {"pcrs": {0: bytes(48)}},
        {"pcrs": {"0": bytes(48)}},
        {"pcrs": {True: bytes(48)}},
        {"pcrs": {**PCRS, 32: bytes(48)}},
        {"pcrs": {index: bytes(48) for index in range(33)}},
        {"pcrs": {**PCRS, 0: bytes(32)}},
        {"pcrs": {**PCRS, 0: "x" * 48}},
        {"certificate": None},
        {"certificate": b""},
        {"certificate": bytes(1025)},
        {"certificate": "x"},
        {"cabundle": None},
        {"cabundle": []},
        {"cabundle": b"x"},
        {"cabundle": [b""]},
        {"cabundle": [b"x"] * 7},
        {"public_key": bytes(1025)},
        {"user_data": bytes(513)},
        {"nonce": bytes(513)},
        {"nonce": "x"},
        {"extra": 1},
    ],
    ids=range(32),
)
def test_a_field_beyond_its_limits_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EvidenceMalformed):
        verify(NITRO.document(**changes))


@pytest.mark.parametrize(
    "header", [{}, {1: -7}, {1: -36}, {1: -35, 4: b"x"}, {1: "ES384"}, {1: None}, {"1": -35}], ids=str
)
def test_a_header_other_than_es384_is_refused(header: dict[Any, Any]) -> None:
    with pytest.raises(EvidenceMalformed):
        verify(NITRO.document(header=header))


def test_an_unprotected_header_is_refused() -> None:
    with pytest.raises(EvidenceMalformed):
        verify(NITRO.document(unprotected={4: b"x"}))


def test_a_document_that_is_too_long_is_refused() -> None:
    with pytest.raises(EvidenceMalformed):
        verify(NITRO.document(extra=bytes(17_000)))


def test_a_document_signed_by_another_key_is_refused() -> None:
    leaf, _ = NitroHost(name="other").chain()
    with pytest.raises((ChainInvalid, EvidenceSignatureInvalid)):
        verify(NITRO.document(certificate=leaf))
    leaf, authorities = NITRO.chain(key=p384("another leaf"))
    with pytest.raises(EvidenceSignatureInvalid):
        verify(NITRO.document(certificate=leaf, cabundle=authorities))


def test_the_chain_has_to_end_at_the_pinned_root() -> None:
    with pytest.raises(RootNotTrusted):
        verify(NitroHost(name="other").document())
    with pytest.raises(RootNotTrusted):
        verify_nitro(NITRO.document(), at=NOW)


@pytest.mark.parametrize("minutes", [-6, 181])
def test_a_document_counts_only_while_its_leaf_lives(minutes: int) -> None:
    with pytest.raises(CertificateOutOfTime):
        verify(NITRO.document(), at=NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize("minutes", [-6, 181])
def test_a_document_has_to_be_made_while_its_leaf_lived(minutes: int) -> None:
    made = int((NOW + timedelta(minutes=minutes)).timestamp() * 1000)
    with pytest.raises(CertificateOutOfTime):
        verify(NITRO.document(timestamp=made))
