"""The Nitro attestation document: a closed map with the limits that AWS publishes, and nothing believed yet.

Source: aws/aws-nitro-enclaves-nsm-api, docs/attestation_process.md (3.2 "Syntactical validation").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.attest.cose import ALGORITHM, SCHEMES, Sign1, read_map, read_sign1
from asepsis.attest.signatures import Scheme
from asepsis.errors.attest import EvidenceMalformed

PCR_LENGTH: Final = 48

_LONGEST: Final = 16 * 1024
_LONGEST_CERTIFICATE: Final = 1024
_MOST_CERTIFICATES: Final = 6
_MOST_PCRS: Final = 32
_NEEDED: Final = frozenset({"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"})
_OPTIONAL: Final = {"public_key": 1024, "user_data": 512, "nonce": 512}
_SIGNATURE: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroDocument:
    """The fields of a document; ``timestamp`` is in milliseconds since 1970, ``authorities`` stand root first."""

    message: Sign1
    module_id: str
    timestamp: int
    pcrs: Mapping[int, bytes]
    certificate: bytes
    authorities: tuple[bytes, ...]
    user_data: bytes


def read_document(raw: bytes) -> NitroDocument:
    """Read a document. Raises EvidenceMalformed."""
    if len(raw) > _LONGEST:
        raise EvidenceMalformed(part="the Nitro document is too long")
    message = read_sign1(raw)
    algorithm = message.header.get(ALGORITHM)
    is_es384 = isinstance(algorithm, int) and SCHEMES.get(algorithm) is Scheme.ECDSA_P384_SHA384
    if not is_es384 or len(message.header) != 1 or message.unprotected or len(message.signature) != _SIGNATURE:
        raise EvidenceMalformed(part="the header of the Nitro document")
    fields = read_map(message.payload)
    if not set(fields) >= _NEEDED or set(fields) - _NEEDED - set(_OPTIONAL) or fields["digest"] != "SHA384":
        raise EvidenceMalformed(part="the fields of the Nitro document")
    module_id, timestamp = fields["module_id"], fields["timestamp"]
    if not isinstance(module_id, str) or not isinstance(timestamp, int) or not module_id or timestamp <= 0:
        raise EvidenceMalformed(part="the fields of the Nitro document")
    authorities = fields["cabundle"]
    if not isinstance(authorities, list) or not 1 <= len(authorities) <= _MOST_CERTIFICATES:
        raise EvidenceMalformed(part="the certificates of the Nitro document")
    optional = {name: _optional(fields.get(name), limit) for name, limit in _OPTIONAL.items()}
    return NitroDocument(
        message=message,
        module_id=module_id,
        timestamp=timestamp,
        pcrs=_pcrs(fields["pcrs"]),
        certificate=_certificate(fields["certificate"]),
        authorities=tuple(_certificate(item) for item in authorities),
        user_data=optional["user_data"],
    )


def _pcrs(value: object) -> dict[int, bytes]:
    part = "the PCRs of the Nitro document"
    if not isinstance(value, dict) or not 1 <= len(value) <= _MOST_PCRS:
        raise EvidenceMalformed(part=part)
    pcrs: dict[int, bytes] = {}
    for index, digest in value.items():
        if type(index) is not int or not 0 <= index < _MOST_PCRS:
            raise EvidenceMalformed(part=part)
        if not isinstance(digest, bytes) or len(digest) != PCR_LENGTH:
            raise EvidenceMalformed(part=part)
        pcrs[index] = digest
    return pcrs


def _certificate(value: object) -> bytes:
    if not isinstance(value, bytes) or not 1 <= len(value) <= _LONGEST_CERTIFICATE:
        raise EvidenceMalformed(part="the certificates of the Nitro document")
    return value


def _optional(value: object, limit: int) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, bytes) or len(value) > limit:
        raise EvidenceMalformed(part="the fields of the Nitro document")
    return value
