"""Chains: each rule of a path to a pinned root refuses when it alone is broken."""

from __future__ import annotations

import itertools
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, str(Path(__file__).parent))

from attest_world import AFTER, BEFORE, NOW, Issue, p256, p384, pin, rsa_key

from asepsis.attest.certificates import BASIC_CONSTRAINTS, Certificate, parse_certificate
from asepsis.attest.chains import require_time, verify_chain
from asepsis.attest.pem import read_certificates
from asepsis.attest.roots import AMD_ROOTS, INTEL_ROOTS, NITRO_ROOTS
from asepsis.attest.signatures import Scheme, verify_signature
from asepsis.domain.attestation import EvidenceKind
from asepsis.errors.attest import (
    CertificateOutOfTime,
    ChainInvalid,
    EvidenceMalformed,
    EvidenceSignatureInvalid,
    RootNotTrusted,
)

ROOT, CA, LEAF = p384("chain-root"), p384("chain-ca"), p384("chain-leaf")
ROOTS = {pin(ROOT): "ours"}
SCHEMES = {Scheme.ECDSA_P384_SHA384}


def chain(**changes: Any) -> list[Certificate]:
    """Leaf, authority, root; ``leaf``, ``ca`` and ``root`` alter one of them."""
    parts = {
        "leaf": {"subject": "leaf", "issuer": "ca", "key": LEAF, "signer": CA},
        "ca": {
            "subject": "ca",
            "issuer": "root",
            "key": CA,
            "signer": ROOT,
            "is_authority": True,
            "path_length": 0,
        },
        "root": {"subject": "root", "issuer": "root", "key": ROOT, "signer": ROOT, "is_authority": True},
    }
    return [parse_certificate(Issue(**{**parts[part], **changes.get(part, {})}).der()) for part in parts]


def verify(certificates: list[Certificate], **changes: Any) -> str:
    return verify_chain(certificates, **{"roots": ROOTS, "schemes": SCHEMES, "kind": EvidenceKind.NITRO, **changes})


def test_a_chain_to_a_pinned_root_is_valid_and_names_it() -> None:
    assert verify(chain()) == "ours"


def test_a_root_that_is_not_pinned_is_refused() -> None:
    for roots in ({}, {pin(CA): "ours"}):
        with pytest.raises(RootNotTrusted):
            verify(chain(), roots=roots)


def test_a_root_of_the_pinned_name_with_another_key_is_refused() -> None:
    other = p384("chain-other")
    with pytest.raises(RootNotTrusted):
        verify(chain(root={"key": other, "signer": other}, ca={"signer": other}))


@pytest.mark.parametrize(
    "changes",
    [
        {"leaf": {"issuer": "other"}},
        {"ca": {"issuer": "other"}},
        {"root": {"issuer": "other"}},
        {"leaf": {"signer": ROOT}},
        {"ca": {"signer": LEAF}},
        {"root": {"signer": LEAF}},
        {"ca": {"is_authority": False}},
        {"root": {"is_authority": False}},
        {"ca": {"usage": False}},
        {"leaf": {"is_authority": True}},
        {"leaf": {"is_authority": True, "usage": False}},
        {"leaf": {"usage": False, "extensions": {"2.5.29.15": b"\x03\x02\x05\x20"}}},
        {"root": {"path_length": 0}},
        {"leaf": {"digest": hashes.SHA256()}},
        {"leaf": {"extensions": {"1.2.3.4": b"\x05\x00"}, "critical": ("1.2.3.4",)}},
        {"ca": {"extensions": {"2.5.29.30": b"\x30\x00"}, "critical": ("2.5.29.30",)}},
    ],
    ids=map(str, itertools.count()),
)
def test_a_chain_with_one_broken_link_is_refused(changes: dict[str, Any]) -> None:
    # The library cannot sign with P-384 and SHA-256 under a scheme that we know, so that one is malformed already.
    with pytest.raises((ChainInvalid, EvidenceMalformed)):
        verify(chain(**changes))


def test_a_scheme_of_another_vendor_is_refused() -> None:
    with pytest.raises(ChainInvalid):
        verify(chain(), schemes={Scheme.RSA_PSS_SHA384})


def test_a_leaf_that_says_nothing_about_its_use_may_sign() -> None:
    assert verify(chain(leaf={"usage": False, "extensions": {"1.2.3.4": b"\x05\x00"}})) == "ours"


def test_an_extension_that_is_not_critical_does_not_matter() -> None:
    assert verify(chain(leaf={"extensions": {"1.2.3.4": b"\x05\x00"}})) == "ours"


def test_a_missing_link_is_refused() -> None:
    leaf, _, root = chain()
    with pytest.raises(ChainInvalid):
        verify([leaf, root])


def test_a_root_alone_is_no_chain_for_evidence() -> None:
    with pytest.raises(ChainInvalid):
        verify(chain()[2:])


@pytest.mark.parametrize("part", ["leaf", "ca", "root"])
def test_every_certificate_has_to_be_valid_at_the_time(part: str) -> None:
    require_time(chain(), NOW)
    for changes in (
        {"not_before": NOW + timedelta(seconds=1)},
        {"not_after": NOW - timedelta(seconds=1)},
    ):
        with pytest.raises(CertificateOutOfTime):
            require_time(chain(**{part: changes}), NOW)


def test_the_ends_of_the_time_belong_to_it() -> None:
    require_time(chain(), BEFORE)
    require_time(chain(), AFTER)


def test_a_key_is_not_used_under_another_scheme() -> None:
    data = b"data"
    for key in (p256("scheme"), rsa_key("scheme")):
        encoded = Issue(subject="a", issuer="a", key=key, signer=ROOT).sign().public_key()
        spki = encoded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(EvidenceSignatureInvalid):
            verify_signature(spki, scheme=Scheme.ECDSA_P384_SHA384, signature=b"\x30\x00", data=data)


def test_a_short_rsa_key_is_refused() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signature = key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(EvidenceSignatureInvalid):
        verify_signature(spki, scheme=Scheme.RSA_PKCS1_SHA256, signature=signature, data=b"data")


def test_a_key_that_cannot_be_read_is_malformed() -> None:
    with pytest.raises(EvidenceMalformed):
        verify_signature(b"\x30\x00", scheme=Scheme.ECDSA_P384_SHA384, signature=b"", data=b"")


def test_an_authority_flag_that_is_not_der_is_refused() -> None:
    loose = chain(ca={"is_authority": False, "extensions": {BASIC_CONSTRAINTS: b"\x30\x03\x01\x01\x01"}})[1]
    with pytest.raises(EvidenceMalformed):
        _ = loose.path_length


def test_the_vendors_roots_are_pinned(shared_data: Path) -> None:
    folder = shared_data / "data" / "attestation"
    for product in ("milan", "genoa", "turin"):
        (root,) = read_certificates((folder / f"snp/virtee_builtin_{product}_ark.pem").read_bytes())
        assert AMD_ROOTS[root.key_digest] == product.title()
    (root,) = read_certificates((folder / "tdx/intel_sgx_root_ca.pem").read_bytes())
    assert root.key_digest in INTEL_ROOTS
    (root,) = read_certificates((folder / "nitro/aws_nitro_root_g1.pem").read_bytes())
    assert root.key_digest in NITRO_ROOTS
    assert sha256(root.raw).hexdigest() == "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
