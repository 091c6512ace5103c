"""Launch endorsements: a vendor's signed statement that a launch measurement is of its own firmware.

Microsoft signs the measurement of the utility VM under its confidential containers as a COSE_Sign1 whose issuer is
a did:x509: the SHA-256 of the root certificate and a purpose that the leaf must carry.
Sources: draft-ietf-rats "did:x509" method (github.com/microsoft/did-x509); Azure/azure-cleanroom samples/reports.

The statement outlives its leaf certificate, which is renewed every year, and the vendor's time stamp is not checked
here; so the leaf must have begun, and may have ended. Roll-back is prevented by the security version number, which
is part of the measurement that a contract names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asepsis.attest.certificates import Certificate, read_certificate
from asepsis.attest.chains import verify_chain
from asepsis.attest.cose import ALGORITHM, CHAIN, SCHEMES, Sign1, read_sign1
from asepsis.attest.pem import MOST
from asepsis.attest.signatures import Scheme, verify_signature
from asepsis.domain.attestation import EvidenceKind
from asepsis.errors.attest import CertificateOutOfTime, EvidenceMalformed, RootNotTrusted

_CRITICAL: Final = 2
_RSA: Final = frozenset({Scheme.RSA_PKCS1_SHA256, Scheme.RSA_PKCS1_SHA384, Scheme.RSA_PKCS1_SHA512})
_EC: Final = frozenset({Scheme.ECDSA_P384_SHA384})
_MEASUREMENT: Final = "x-ms-sevsnpvm-launchmeasurement"
_SVN: Final = "x-ms-sevsnpvm-guestsvn"
_HIGHEST_SVN: Final = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchEndorsement:
    """Who says which measurement is genuine, and its security version number."""

    issuer: str
    feed: str
    svn: int
    measurement: bytes


def verify_launch(statement: bytes, *, issuers: Mapping[str, str], at: datetime) -> LaunchEndorsement:
    """Verify a launch endorsement.

    Args:
        statement: the COSE_Sign1.
        issuers: the did:x509 of each issuer that counts, and its feed.
        at: the time of the judgement.

    Raises:
        EvidenceMalformed: it does not follow its format.
        RootNotTrusted: issuer and feed are not listed, or the chain is not the issuer's.
        ChainInvalid, CertificateOutOfTime, EvidenceSignatureInvalid: it is not genuine.
    """
    message = read_sign1(statement)
    issuer, feed = message.header.get("iss"), message.header.get("feed")
    if not isinstance(issuer, str) or not isinstance(feed, str) or issuers.get(issuer) != feed:
        raise RootNotTrusted(kind="launch endorsements")
    chain = _chain(message)
    _check_issuer(issuer, chain)
    verify_chain(chain, roots={chain[-1].key_digest: issuer}, schemes=_RSA | _EC, kind=EvidenceKind.SEV_SNP)
    if any(at < certificate.not_before for certificate in chain):
        raise CertificateOutOfTime
    algorithm = message.header.get(ALGORITHM)
    scheme = SCHEMES.get(algorithm) if isinstance(algorithm, int) else None
    if scheme is None or _CRITICAL in message.header:
        raise EvidenceMalformed(part="the header of the launch endorsement")
    verify_signature(chain[0].public_key, scheme=scheme, signature=message.signature, data=message.signed())
    measurement, svn = _payload(message.payload)
    return LaunchEndorsement(issuer=issuer, feed=feed, svn=svn, measurement=measurement)


def _chain(message: Sign1) -> tuple[Certificate, ...]:
    encoded = message.header.get(CHAIN)
    if not isinstance(encoded, list) or not 1 < len(encoded) <= MOST:
        raise EvidenceMalformed(part="the chain of the launch endorsement")
    if not all(isinstance(item, bytes) for item in encoded):
        raise EvidenceMalformed(part="the chain of the launch endorsement")
    return tuple(read_certificate(item) for item in encoded)


def _check_issuer(issuer: str, chain: tuple[Certificate, ...]) -> None:
    """The issuer's own text says which root it means and which purpose the leaf must carry."""
    fingerprint = base64.urlsafe_b64encode(hashlib.sha256(chain[-1].raw).digest()).rstrip(b"=").decode("ascii")
    prefix = f"did:x509:0:sha256:{fingerprint}::eku:"
    if not issuer.startswith(prefix) or issuer.removeprefix(prefix) not in chain[0].purposes:
        raise RootNotTrusted(kind="launch endorsements")


def _payload(payload: bytes) -> tuple[bytes, int]:
    part = "the payload of the launch endorsement"
    try:
        values = json.loads(payload)
        measurement, svn = bytes.fromhex(values[_MEASUREMENT]), int(values[_SVN])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EvidenceMalformed(part=part) from None
    if not 0 <= svn < _HIGHEST_SVN:
        raise EvidenceMalformed(part=part)
    return measurement, svn
