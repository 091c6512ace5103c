"""The answer of TPM2_Quote as it stands on the wire: TPM2B_ATTEST, then TPMT_SIGNATURE.

Source: TCG, Trusted Platform Module Library, part 2 "Structures", sections 10.12 (attestation) and 11.3 (signatures).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.attest.octets import Octets
from asepsis.attest.signatures import Scheme, ecdsa_signature
from asepsis.attest.tpm.key import ECDSA, RSAPSS, RSASSA, SHA256, SHA384, SHA512

MAGIC: Final = b"\xffTCG"

_PART: Final = "the TPM quote"
_QUOTE: Final = 0x8018
_LONGEST: Final = 1024
_MOST_SELECTIONS: Final = 4
_BANKS: Final[Mapping[int, str]] = {SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"}
_SCHEMES: Final[Mapping[tuple[int, int], Scheme]] = {
    (RSASSA, SHA256): Scheme.RSA_PKCS1_SHA256,
    (RSASSA, SHA384): Scheme.RSA_PKCS1_SHA384,
    (RSASSA, SHA512): Scheme.RSA_PKCS1_SHA512,
    (RSAPSS, SHA256): Scheme.RSA_PSS_SHA256,
    (RSAPSS, SHA384): Scheme.RSA_PSS_SHA384,
    (RSAPSS, SHA512): Scheme.RSA_PSS_SHA512,
    (ECDSA, SHA256): Scheme.ECDSA_P256_SHA256,
    (ECDSA, SHA384): Scheme.ECDSA_P384_SHA384,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmQuote:
    """A quote: what was signed, and the fields that are judged. SHA-1 banks are not read."""

    signed: bytes
    scheme: Scheme
    signature: bytes
    extra_data: bytes
    selection: Mapping[str, tuple[int, ...]]
    pcr_digest: bytes
    resets: int
    restarts: int
    firmware: int


def read_quote(raw: bytes) -> TpmQuote:
    """Read a quote. Raises EvidenceMalformed."""
    outer = Octets(raw, part=_PART, order="big")
    signed = outer.sized(2, limit=_LONGEST)
    scheme, signature = _signature(outer)
    outer.close()
    cursor = Octets(signed, part=_PART, order="big")
    cursor.require(cursor.take(4) == MAGIC and cursor.number(2) == _QUOTE)
    cursor.sized(2, limit=_LONGEST)
    extra_data = cursor.sized(2, limit=_LONGEST)
    cursor.take(8)
    resets, restarts = cursor.number(4), cursor.number(4)
    cursor.require(cursor.number(1) in {0, 1})
    firmware = cursor.number(8)
    selection = _selection(cursor)
    pcr_digest = cursor.sized(2, limit=64)
    cursor.close()
    return TpmQuote(
        signed=signed,
        scheme=scheme,
        signature=signature,
        extra_data=extra_data,
        selection=selection,
        pcr_digest=pcr_digest,
        resets=resets,
        restarts=restarts,
        firmware=firmware,
    )


def _signature(cursor: Octets) -> tuple[Scheme, bytes]:
    scheme = _SCHEMES.get((cursor.number(2), cursor.number(2)))
    if scheme is None:
        raise cursor.malformed()
    if scheme in {Scheme.ECDSA_P256_SHA256, Scheme.ECDSA_P384_SHA384}:
        return scheme, ecdsa_signature(cursor.sized(2, limit=64), cursor.sized(2, limit=64))
    return scheme, cursor.sized(2, limit=_LONGEST)


def _selection(cursor: Octets) -> dict[str, tuple[int, ...]]:
    count = cursor.number(4)
    cursor.require(1 <= count <= _MOST_SELECTIONS)
    selection: dict[str, tuple[int, ...]] = {}
    for _ in range(count):
        bank = _BANKS.get(cursor.number(2))
        chosen = int.from_bytes(cursor.sized(1, limit=4), "little")
        if bank is None or bank in selection or not chosen:
            raise cursor.malformed()
        selection[bank] = tuple(index for index in range(chosen.bit_length()) if chosen >> index & 1)
    return selection
