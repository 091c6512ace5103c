"""Public keys of Ed25519 that bind nobody: the points of small order on edwards25519 (RFC 8032, section 5.1)."""

from __future__ import annotations

from typing import Final

_KEY_LENGTH: Final = 32
_PRIME: Final = 2**255 - 19
_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_HEIGHTS: Final = frozenset({0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8})
"""The y-coordinates of the eight points of small order on edwards25519 (RFC 8032)."""


def is_small_order(public_key: bytes) -> bool:
    """Whether a public key is a point of small order (1, 2, 4 or 8), in whichever encoding of it.

    Under such a key a signature can verify over many payloads, so it would bind its holder to nothing (Chalkias,
    Garillot and Nikolaenko, Taming the many EdDSAs, 2020). The sign bit is left out of the comparison, and so both
    points of one height are found.
    """
    if len(public_key) != _KEY_LENGTH:
        return False
    height = int.from_bytes(public_key, "little") & ~(1 << 255)
    return height % _PRIME in _SMALL_HEIGHTS
