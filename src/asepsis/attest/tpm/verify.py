"""Verification of a TPM quote by its attestation key. Level 1: the host is still trusted with memory.

Nothing pins the makers of TPMs. The name of the attestation key is part of the measurement instead: a contract names
one machine in one state, and the parties satisfy themselves whose key it is when they sign. What the runtime binds is
the SHA-256 of REPORT_DATA, because the field holds 64 bytes in few TPMs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from asepsis.attest.claims import Claims, measurement_of
from asepsis.attest.signatures import verify_signature
from asepsis.attest.tpm.key import read_key
from asepsis.attest.tpm.quote import read_quote
from asepsis.domain.attestation import EvidenceKind
from asepsis.domain.names import Digest

PRODUCT: Final = "TPM 2.0"

_KIND: Final = EvidenceKind.TPM2


def verify_tpm(quote: bytes, key: bytes) -> Claims:
    """Verify a quote and say what it claims; policies judge the claims.

    Args:
        quote: TPM2B_ATTEST and TPMT_SIGNATURE, one after the other.
        key: the attestation key, TPMT_PUBLIC.

    Raises:
        EvidenceRefused: one of its subclasses says why.
    """
    parsed, signer = read_quote(quote), read_key(key)
    verify_signature(signer.public_key, scheme=parsed.scheme, signature=parsed.signature, data=parsed.signed)
    named = tpm_measurement(key=signer.name, selection=parsed.selection, pcr_digest=parsed.pcr_digest)
    selection = " ".join(f"{bank}:{','.join(map(str, chosen))}" for bank, chosen in parsed.selection.items())
    return Claims(
        kind=_KIND,
        product=PRODUCT,
        algorithm=parsed.scheme,
        report_data=parsed.extra_data,
        measurements=frozenset({named}),
        parts={
            "attestation_key": signer.name,
            "pcrs": selection,
            "pcr_digest": parsed.pcr_digest.hex(),
            "resets": str(parsed.resets),
            "restarts": str(parsed.restarts),
            "firmware": f"{parsed.firmware:#018x}",
        },
        report_digest=Digest(hashlib.sha256(parsed.signed).hexdigest()),
    )


def tpm_measurement(*, key: str, selection: Mapping[str, tuple[int, ...]], pcr_digest: bytes) -> Digest:
    """The digest that names one machine in one state: its attestation key, the PCRs and their digest."""
    pcrs = [f"{bank}:{index}" for bank, chosen in selection.items() for index in chosen]
    return measurement_of(_KIND, key=key, pcrs=pcrs, pcr_digest=pcr_digest.hex())
