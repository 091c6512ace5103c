"""Recovery shares: a key split so that any two of three shares make it whole, and one share says nothing.

Shamir's scheme (A. Shamir, How to share a secret, 1979) byte by byte over GF(256) with the polynomial of AES. The key's
own check value (SHA-256 over the key under a tag) travels with each share, so that wrong or mixed shares are refused
instead of making another key. Owners hold the shares; the room never sees one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Final

from asepsis.errors.keys import SharesRefused
from asepsis.ports import Randomness

_TAG: Final = b"asepsis/recovery/1\x00"
_LARGEST: Final = 255
_REDUCTION: Final = 0x11B


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryShare:
    """One share: its number (the place where the polynomial was taken), its bytes, and the key's check value."""

    number: int
    needed: int
    share: bytes = field(repr=False)
    check: bytes


def split(secret: bytes, *, shares: int, needed: int, randomness: Randomness) -> tuple[RecoveryShare, ...]:
    """Split a secret so that any ``needed`` of ``shares`` make it whole. Raises SharesRefused for other numbers."""
    if not secret or not 1 < needed <= shares <= _LARGEST:
        raise SharesRefused
    coefficients = [secret, *(randomness(len(secret)) for _ in range(needed - 1))]
    check = _check(secret)
    return tuple(
        RecoveryShare(number=number, needed=needed, share=_value_at(number, coefficients), check=check)
        for number in range(1, shares + 1)
    )


def restore(shares: Sequence[RecoveryShare]) -> bytes:
    """The secret behind enough shares.

    Raises:
        SharesRefused: there are too few, one is given twice, or they do not belong together.
    """
    numbers = {share.number for share in shares}
    kinds = {(share.needed, share.check, len(share.share)) for share in shares}
    if len(kinds) != 1 or len(numbers) != len(shares) or not all(0 < one <= _LARGEST for one in numbers):
        raise SharesRefused
    ((needed, check, _length),) = kinds
    for chosen in combinations(shares, needed):
        secret = _at_zero(chosen)
        if not hmac.compare_digest(_check(secret), check):
            raise SharesRefused
        return secret
    raise SharesRefused


def _check(secret: bytes) -> bytes:
    return hashlib.sha256(_TAG + secret).digest()


def _value_at(place: int, coefficients: Sequence[bytes]) -> bytes:
    """Horner's rule, byte by byte."""
    value = bytes(len(coefficients[0]))
    for coefficient in reversed(coefficients):
        value = _sum(value.translate(_table(place)), coefficient)
    return value


def _at_zero(shares: Sequence[RecoveryShare]) -> bytes:
    """Lagrange's interpolation at zero, byte by byte."""
    secret = bytes(len(shares[0].share))
    for share in shares:
        weight = 1
        for other in shares:
            if other.number != share.number:
                weight = _times(weight, _times(other.number, _inverse(other.number ^ share.number)))
        secret = _sum(secret, share.share.translate(_table(weight)))
    return secret


def _sum(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ two for one, two in zip(left, right, strict=True))


@cache
def _table(factor: int) -> bytes:
    """The products of every byte with one factor, which is public."""
    return bytes(_times(byte, factor) for byte in range(256))


def _times(left: int, right: int) -> int:
    """The product in GF(256), in eight steps whatever the values are."""
    product = 0
    for _ in range(8):
        product ^= left * (right & 1)
        right >>= 1
        left <<= 1
        left ^= _REDUCTION * (left >> 8)
    return product


@cache
def _inverse(value: int) -> int:
    """The inverse in GF(256): the 254th power (Fermat)."""
    result = 1
    for _ in range(254):
        result = _times(result, value)
    return result
