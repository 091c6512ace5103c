"""Verification of a Nitro attestation document: chain to AWS's root, times, signature, PCRs.

The leaf lives about three hours; the document's own time must lie within it. An enclave in debug mode has a PCR0
of zeros. What the runtime binds stands in ``user_data``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from asepsis.attest.certificates import read_certificate
from asepsis.attest.chains import require_time, verify_chain
from asepsis.attest.claims import Claims, measurement_of
from asepsis.attest.nitro.document import NitroDocument, read_document
from asepsis.attest.roots import NITRO_ROOTS
from asepsis.attest.signatures import Scheme, ecdsa_signature, verify_signature
from asepsis.domain.attestation import EvidenceKind
from asepsis.domain.names import Digest
from asepsis.errors.attest import EvidenceMalformed

PRODUCT: Final = "AWS Nitro Enclaves"
IMAGE_PCRS: Final = (0, 1, 2)
"""The image file, the kernel with its boot files, and the application (AWS, "Cryptographic attestation")."""

_KIND: Final = EvidenceKind.NITRO
_SCHEME: Final = Scheme.ECDSA_P384_SHA384


def verify_nitro(document: bytes, *, at: datetime, roots: Mapping[str, str] = NITRO_ROOTS) -> Claims:
    """Verify a document and say what it claims; policies judge the claims.

    Args:
        document: the COSE_Sign1 that the security module gave.
        at: the time of the judgement.
        roots: the pinned root keys.

    Raises:
        EvidenceRefused: one of its subclasses says why.
    """
    parsed = read_document(document)
    chain = [read_certificate(parsed.certificate), *map(read_certificate, reversed(parsed.authorities))]
    verify_chain(chain, roots=roots, schemes={_SCHEME}, kind=_KIND)
    require_time(chain, at)
    require_time(chain[:1], _made_at(parsed))
    message = parsed.message
    half = len(message.signature) // 2
    verify_signature(
        chain[0].public_key,
        scheme=_SCHEME,
        signature=ecdsa_signature(message.signature[:half], message.signature[half:]),
        data=message.signed(),
    )
    if any(index not in parsed.pcrs for index in IMAGE_PCRS):
        raise EvidenceMalformed(part="the PCRs of the Nitro document")
    return _claims(parsed)


def nitro_measurement(pcrs: Mapping[int, bytes]) -> Digest:
    """The digest that names an enclave's image: its PCRs 0, 1 and 2."""
    return measurement_of(_KIND, pcrs=[pcrs[index].hex() for index in IMAGE_PCRS])


def _made_at(document: NitroDocument) -> datetime:
    try:
        return datetime.fromtimestamp(document.timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise EvidenceMalformed(part="the time of the Nitro document") from None


def _claims(document: NitroDocument) -> Claims:
    shown = {f"pcr{index}": digest.hex() for index, digest in sorted(document.pcrs.items()) if any(digest)}
    return Claims(
        kind=_KIND,
        product=PRODUCT,
        algorithm=_SCHEME,
        report_data=document.user_data,
        measurements=frozenset({nitro_measurement(document.pcrs)}),
        parts={"module_id": document.module_id, **shown},
        report_digest=Digest(hashlib.sha256(document.message.payload).hexdigest()),
        is_debug=not any(document.pcrs[0]),
    )
