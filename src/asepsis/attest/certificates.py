"""X.509 certificates (RFC 5280) as evidence carries them: read strictly, by our own reader, with a second opinion.

The library that we use is asked about every certificate that it takes, and has to see the same signed bytes.
It is not asked about a certificate whose serial number is not positive: AMD's have the serial number 0, which the
library (cryptography 50) warns about and will refuse. So nothing changes on the day when it does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Final

from cryptography import x509

from asepsis.attest import der
from asepsis.attest.signatures import Scheme
from asepsis.errors.attest import EvidenceMalformed

LONGEST: Final = 8192
"""The most bytes of one certificate; real ones have less than 2 KiB."""

BASIC_CONSTRAINTS: Final = "2.5.29.19"
KEY_USAGE: Final = "2.5.29.15"
EXTENDED_KEY_USAGE: Final = "2.5.29.37"

_KEPT: Final = 64
_VERSION_3: Final = b"\x02\x01\x02"
_CONTEXT_0: Final = 0xA0
_CONTEXT_3: Final = 0xA3
_DIGITAL_SIGNATURE: Final = 0x80
_CERTIFICATE_SIGN: Final = 0x04
_CENTURY: Final = 50
_SHA384_PSS: Final = (
    "a00f300d06096086480165030402020500"  # hash: SHA-384
    "a11c301a06092a864886f70d010108300d06096086480165030402020500"  # mask: MGF1 with SHA-384
    "a203020130"  # salt: 48 bytes
)

# The whole AlgorithmIdentifier: an unknown parameter is an unknown scheme. AMD writes the default trailer field
# (RFC 4055) in some certificates and leaves it out in others.
_SCHEMES: Final[Mapping[bytes, Scheme]] = {
    bytes.fromhex("300a06082a8648ce3d040302"): Scheme.ECDSA_P256_SHA256,
    bytes.fromhex("300a06082a8648ce3d040303"): Scheme.ECDSA_P384_SHA384,
    bytes.fromhex("300d06092a864886f70d01010b0500"): Scheme.RSA_PKCS1_SHA256,
    bytes.fromhex("300d06092a864886f70d01010c0500"): Scheme.RSA_PKCS1_SHA384,
    bytes.fromhex("300d06092a864886f70d01010d0500"): Scheme.RSA_PKCS1_SHA512,
    bytes.fromhex("304106092a864886f70d01010a3034" + _SHA384_PSS): Scheme.RSA_PSS_SHA384,
    bytes.fromhex("304606092a864886f70d01010a3039" + _SHA384_PSS + "a303020101"): Scheme.RSA_PSS_SHA384,
}


@dataclass(frozen=True)
class Certificate:
    """One certificate; names and the key stay in their encoded form."""

    raw: bytes
    signed: bytes
    scheme: Scheme
    signature: bytes
    serial: int
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    public_key: bytes
    extensions: Mapping[str, bytes]
    critical: frozenset[str]

    @cached_property
    def key_digest(self) -> str:
        """Hex SHA-256 of the SubjectPublicKeyInfo: what a pin names."""
        return hashlib.sha256(self.public_key).hexdigest()

    @cached_property
    def path_length(self) -> int | None:
        """How many authorities may stand below this one; None for no authority. Raises EvidenceMalformed."""
        value = self.extensions.get(BASIC_CONSTRAINTS)
        if value is None:
            return None
        inner = der.whole(value, der.SEQUENCE).enter()
        is_authority = inner.optional(der.BOOLEAN)
        length = inner.optional(der.INTEGER)
        inner.close()
        if is_authority is None:
            return None
        if is_authority.content != b"\xff":
            raise der.malformed()
        return LONGEST if length is None else der.integer(length)

    @property
    def may_issue(self) -> bool:
        """Whether its key may sign certificates."""
        return self.path_length is not None and bool(self._usage() & _CERTIFICATE_SIGN)

    @property
    def may_sign(self) -> bool:
        """Whether its key may sign anything else; a certificate that says nothing about it may."""
        return KEY_USAGE not in self.extensions or bool(self._usage() & _DIGITAL_SIGNATURE)

    @property
    def purposes(self) -> frozenset[str]:
        """The extended key usages, as dotted object identifiers. Raises EvidenceMalformed."""
        value = self.extensions.get(EXTENDED_KEY_USAGE)
        if value is None:
            return frozenset()
        inner = der.whole(value, der.SEQUENCE).enter()
        found = set()
        while inner.has_more:
            found.add(der.object_identifier(inner.element(der.OBJECT_IDENTIFIER)))
        return frozenset(found)

    def _usage(self) -> int:
        value = self.extensions.get(KEY_USAGE)
        content = b"" if value is None else der.whole(value, der.BIT_STRING).content
        return content[1] if len(content) > 1 else 0


@lru_cache(maxsize=_KEPT)
def read_certificate(raw: bytes) -> Certificate:
    """Read one certificate in DER; the last ones read are kept, for a chain comes again. Raises EvidenceMalformed."""
    certificate = parse_certificate(raw)
    if certificate.serial > 0:
        _ask_library(certificate)
    return certificate


def parse_certificate(raw: bytes) -> Certificate:
    """The own reader alone. Raises EvidenceMalformed."""
    if len(raw) > LONGEST:
        raise EvidenceMalformed(part="a certificate is too long")
    outer = der.whole(raw, der.SEQUENCE).enter()
    signed = outer.element(der.SEQUENCE)
    algorithm = outer.element(der.SEQUENCE).raw
    signature = der.bits(outer.element(der.BIT_STRING))
    outer.close()
    body = signed.enter()
    if body.element(_CONTEXT_0).content != _VERSION_3:
        raise der.malformed()
    serial = der.integer(body.element(der.INTEGER))
    scheme = _SCHEMES.get(algorithm)
    if body.element(der.SEQUENCE).raw != algorithm or scheme is None:
        raise EvidenceMalformed(part="the signature algorithm of a certificate")
    issuer = body.element(der.SEQUENCE).raw
    not_before, not_after = _validity(body.element(der.SEQUENCE))
    subject = body.element(der.SEQUENCE).raw
    public_key = body.element(der.SEQUENCE).raw
    extensions, critical = _extensions(body.element(_CONTEXT_3))
    body.close()
    return Certificate(
        raw=raw,
        signed=signed.raw,
        scheme=scheme,
        signature=signature,
        serial=serial,
        issuer=issuer,
        subject=subject,
        not_before=not_before,
        not_after=not_after,
        public_key=public_key,
        extensions=extensions,
        critical=critical,
    )


def _validity(element: der.Element) -> tuple[datetime, datetime]:
    inner = element.enter()
    times = _time(inner.element()), _time(inner.element())
    inner.close()
    return times


def _time(element: der.Element) -> datetime:
    """RFC 5280 section 4.1.2.5: seconds and Z, two digits of the year until 2049."""
    text = element.content.decode("ascii", errors="replace")
    if element.tag == der.UTC_TIME:
        text = ("20" if text[:2].isdigit() and int(text[:2]) < _CENTURY else "19") + text
    elif element.tag != der.GENERALIZED_TIME:
        raise der.malformed()
    if len(text) != len("20260131120000Z") or not text[:-1].isdecimal() or text[-1] != "Z":
        raise der.malformed()
    year, rest = int(text[:4]), [int(text[at : at + 2]) for at in range(4, 14, 2)]
    try:
        return datetime(year, rest[0], rest[1], rest[2], rest[3], rest[4], tzinfo=UTC)
    except ValueError:
        raise der.malformed() from None


def _extensions(element: der.Element) -> tuple[dict[str, bytes], frozenset[str]]:
    values: dict[str, bytes] = {}
    critical = set()
    outer = element.enter()
    inner = outer.element(der.SEQUENCE).enter()
    outer.close()
    while inner.has_more:
        item = inner.element(der.SEQUENCE).enter()
        name = der.object_identifier(item.element(der.OBJECT_IDENTIFIER))
        flag = item.optional(der.BOOLEAN)
        value = item.element(der.OCTET_STRING).content
        item.close()
        if name in values or (flag is not None and flag.content != b"\xff"):
            raise der.malformed()
        values[name] = value
        if flag is not None:
            critical.add(name)
    return values, frozenset(critical)


def _ask_library(certificate: Certificate) -> None:
    try:
        other = x509.load_der_x509_certificate(certificate.raw)
        seen = other.tbs_certificate_bytes, other.signature, other.serial_number
    except ValueError:
        raise der.malformed() from None
    if seen != (certificate.signed, certificate.signature, certificate.serial):
        raise der.malformed()
