"""A person's identifiers, sealed under a key of that person alone.

The keys lie with the clinical rows, and the sealed identifiers with their owner, so that neither says who somebody is.
Who is given the key of a person, and has the sealed identifiers, opens those of this person and of nobody else.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from asepsis.domain.names import PartyId
from asepsis.errors.sealing import EnvelopeRefused

KEY_BYTES: Final = 32
_NONCE: Final = bytes(12)
"""A key seals one record, so that no nonce is ever used twice (NIST SP 800-38D, 8.2)."""
_BLOCK: Final = 512


def seal_record(record: bytes, *, key: bytes, owner: PartyId, person: int) -> bytes:
    """Seal the JSON document of one person under a fresh key; the length says next to nothing (AES-256-GCM)."""
    padded = record.ljust(-(-len(record) // _BLOCK) * _BLOCK)  # white space after a JSON document means nothing
    return AESGCM(key).encrypt(_NONCE, padded, _context(owner, person))


def open_record(sealed: bytes, *, key: bytes, owner: PartyId, person: int) -> bytes:
    """The JSON document of one person. Raises EnvelopeRefused for another key, person or owner, or a damaged record."""
    try:
        return AESGCM(key).decrypt(_NONCE, sealed, _context(owner, person))
    except (InvalidTag, ValueError):
        raise EnvelopeRefused from None


def _context(owner: PartyId, person: int) -> bytes:
    return f"asepsis/person-record/1\0{owner}\0{person}".encode()  # neither has a zero byte
