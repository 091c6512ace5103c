"""A TPM's attestation key as the TPM describes it (TPMT_PUBLIC): only a restricted key of the TPM itself counts.

A key without these attributes would sign anything that its host hands it. Source: TCG, Trusted Platform Module
Library, part 2 "Structures", sections 8.3 (TPMA_OBJECT) and 12.2.4 (TPMT_PUBLIC).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from asepsis.attest.octets import Octets
from asepsis.errors.attest import EndorsementMismatch, EvidenceMalformed

SHA256: Final = 0x000B
SHA384: Final = 0x000C
SHA512: Final = 0x000D
RSASSA: Final = 0x0014
RSAPSS: Final = 0x0016
ECDSA: Final = 0x0018

_RSA: Final = 0x0001
_ECC: Final = 0x0023
_NULL: Final = 0x0010
_CURVES: Final = {0x0003: ec.SECP256R1, 0x0004: ec.SECP384R1}
_DIGESTS: Final = {SHA256: hashlib.sha256, SHA384: hashlib.sha384, SHA512: hashlib.sha512}
_ATTRIBUTES: Final = {
    "fixedTPM": 1 << 1,
    "fixedParent": 1 << 4,
    "sensitiveDataOrigin": 1 << 5,
    "restricted": 1 << 16,
    "sign": 1 << 18,
}
_DECRYPT: Final = 1 << 17
_LONGEST: Final = 1024
_DEFAULT_EXPONENT: Final = 65537


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationKey:
    """An attestation key: its name in the TPM (hex), and its public key in SubjectPublicKeyInfo form."""

    name: str
    public_key: bytes


def read_key(raw: bytes) -> AttestationKey:
    """Read a TPMT_PUBLIC.

    Raises:
        EvidenceMalformed: it is none of an RSA key or a key on P-256 or P-384.
        EndorsementMismatch: the key is not restricted to signing what its TPM made.
    """
    cursor = Octets(raw, part="the attestation key", order="big")
    kind, name_algorithm, attributes = cursor.number(2), cursor.number(2), cursor.number(4)
    cursor.sized(2, limit=_LONGEST)
    cursor.require(name_algorithm in _DIGESTS and kind in {_RSA, _ECC} and cursor.number(2) == _NULL)
    if cursor.number(2) != _NULL:
        cursor.take(2)
    public_key = _rsa(cursor) if kind == _RSA else _ecc(cursor)
    cursor.close()
    if attributes & _DECRYPT or any(not attributes & bit for bit in _ATTRIBUTES.values()):
        raise EndorsementMismatch(part="the attestation key is not restricted to its TPM")
    name = name_algorithm.to_bytes(2, "big") + _DIGESTS[name_algorithm](raw).digest()
    return AttestationKey(name=name.hex(), public_key=public_key)


def _rsa(cursor: Octets) -> bytes:
    cursor.take(2)
    exponent = cursor.number(4) or _DEFAULT_EXPONENT
    modulus = int.from_bytes(cursor.sized(2, limit=_LONGEST), "big")
    try:
        return _encode(rsa.RSAPublicNumbers(exponent, modulus).public_key())
    except ValueError:
        raise EvidenceMalformed(part="the attestation key") from None


def _ecc(cursor: Octets) -> bytes:
    curve = _CURVES.get(cursor.number(2))
    if curve is None or cursor.number(2) != _NULL:
        raise cursor.malformed()
    x, y = (int.from_bytes(cursor.sized(2, limit=_LONGEST), "big") for _ in range(2))
    try:
        return _encode(ec.EllipticCurvePublicNumbers(x, y, curve()).public_key())
    except ValueError:
        raise EvidenceMalformed(part="the attestation key") from None


def _encode(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
