"""Signature schemes of evidence: a closed list, each tied to one kind of key; a key never chooses its scheme.

Sources: RFC 8017 (RSA), FIPS 186-5 (ECDSA), RFC 9053 (names in COSE).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from asepsis.errors.attest import EvidenceMalformed, EvidenceSignatureInvalid

_SHORTEST_RSA: Final = 2048
_KEPT_KEYS: Final = 64


class Scheme(StrEnum):
    """How something was signed."""

    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    ECDSA_P384_SHA384 = "ecdsa-p384-sha384"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    RSA_PKCS1_SHA256 = "rsa-pkcs1-sha256"
    RSA_PKCS1_SHA384 = "rsa-pkcs1-sha384"
    RSA_PKCS1_SHA512 = "rsa-pkcs1-sha512"


@dataclass(frozen=True, slots=True)
class _Rule:
    digest: hashes.HashAlgorithm
    curve: str | None = None
    is_pss: bool = False


_RULES: Final[Mapping[Scheme, _Rule]] = {
    Scheme.ECDSA_P256_SHA256: _Rule(hashes.SHA256(), curve="secp256r1"),
    Scheme.ECDSA_P384_SHA384: _Rule(hashes.SHA384(), curve="secp384r1"),
    Scheme.RSA_PSS_SHA256: _Rule(hashes.SHA256(), is_pss=True),
    Scheme.RSA_PSS_SHA384: _Rule(hashes.SHA384(), is_pss=True),
    Scheme.RSA_PSS_SHA512: _Rule(hashes.SHA512(), is_pss=True),
    Scheme.RSA_PKCS1_SHA256: _Rule(hashes.SHA256()),
    Scheme.RSA_PKCS1_SHA384: _Rule(hashes.SHA384()),
    Scheme.RSA_PKCS1_SHA512: _Rule(hashes.SHA512()),
}


def verify_signature(public_key: bytes, *, scheme: Scheme, signature: bytes, data: bytes) -> None:
    """Check a signature under a key in SubjectPublicKeyInfo form; an ECDSA signature is in DER.

    Raises:
        EvidenceMalformed: the key cannot be read.
        EvidenceSignatureInvalid: the signature does not verify, or the key is not one of that scheme.
    """
    key, rule = _load(public_key), _RULES[scheme]
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == rule.curve:
            key.verify(signature, data, ec.ECDSA(rule.digest))
        elif isinstance(key, rsa.RSAPublicKey) and rule.curve is None and key.key_size >= _SHORTEST_RSA:
            key.verify(signature, data, _padding(rule), rule.digest)
        else:
            raise EvidenceSignatureInvalid
    except (InvalidSignature, ValueError):
        raise EvidenceSignatureInvalid from None


def ecdsa_signature(r: bytes, s: bytes) -> bytes:
    """The DER form of an ECDSA signature whose numbers are given in big-endian bytes."""
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def _padding(rule: _Rule) -> padding.AsymmetricPadding:
    if not rule.is_pss:
        return padding.PKCS1v15()
    return padding.PSS(mgf=padding.MGF1(rule.digest), salt_length=rule.digest.digest_size)


@lru_cache(maxsize=_KEPT_KEYS)
def _load(public_key: bytes) -> object:
    try:
        return load_der_public_key(public_key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise EvidenceMalformed(part="a public key") from None
