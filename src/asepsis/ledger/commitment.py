"""Salted commitments: a personal field in the ledger that can be proved later and erased for ever.

The ledger keeps HMAC-SHA-256 of the value under a random 32-byte salt; value and salt live outside of it.
Whoever is shown both can check them; once the salt is erased, even a value of few possibilities, such as a
name, cannot be found by trying.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from asepsis.errors.ledger import CommitmentRefused

SALT_LENGTH: Final = 32

_DOMAIN: Final = b"asepsis/commitment/1\x00"


def new_salt() -> bytes:
    """A fresh salt; every field of every entry needs its own."""
    return secrets.token_bytes(SALT_LENGTH)


def commit(salt: bytes, value: str) -> str:
    """The commitment to a value, in lower-case hex; raises `CommitmentRefused` for a salt of another length."""
    if len(salt) != SALT_LENGTH:
        raise CommitmentRefused
    return hmac.new(salt, _DOMAIN + value.encode(), hashlib.sha256).hexdigest()


def verify_commitment(commitment: str, *, salt: bytes, value: str) -> None:
    """Check that salt and value open a commitment; raises `CommitmentRefused`."""
    if not hmac.compare_digest(commit(salt, value).encode(), commitment.encode()):
        raise CommitmentRefused
