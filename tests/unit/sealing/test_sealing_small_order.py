"""Public keys that bind nobody: found by the arithmetic of the curve, refused wherever a signature is checked."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from asepsis.domain.curve import is_small_order
from asepsis.errors.ledger import VerifierKeyMalformed
from asepsis.errors.sealing import KeyMalformed
from asepsis.ledger.note import VerifierKey
from asepsis.sealing.signing import Purpose, generate_signing_key, verify

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(left: Point, right: Point) -> Point:
    """Edwards addition (RFC 8032, section 5.1.4), in affine coordinates."""
    (x1, y1), (x2, y2) = left, right
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def x_of(y: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    roots = (x, x * pow(2, (P - 1) // 4, P) % P)
    return next((root for root in roots if root * root % P == square), None)


def multiples(point: Point) -> set[Point]:
    found, step = {(0, 1)}, point
    while step not in found:
        found.add(step)
        step = add(step, point)
    return found


def small_points() -> set[Point]:
    """All points of order 1, 2, 4 and 8: what the large order leaves of a point, if it is of order 8."""
    for y in range(2, 50):
        x = x_of(y)
        if x is None:
            continue
        point, power = (0, 1), (x, y)
        for bit in range(ORDER.bit_length()):
            point = add(point, power) if ORDER >> bit & 1 else point
            power = add(power, power)
        if len(multiples(point)) == 8:
            return multiples(point)
    raise AssertionError


def encodings() -> list[bytes]:
    """Every way to write the eight points, also with a height beyond the prime and with either sign."""
    heights = {y for _, y in small_points()}
    written = {y + more for y in heights for more in (0, P) if y + more < 2**255}
    return [(y | sign << 255).to_bytes(32, "little") for y in sorted(written) for sign in (0, 1)]


def test_every_encoding_of_a_point_of_small_order_is_found() -> None:
    assert len(encodings()) == 14
    assert all(is_small_order(key) for key in encodings())
    assert not is_small_order(b"short")


def test_a_key_that_somebody_made_is_none_of_them() -> None:
    assert not any(is_small_order(generate_signing_key().public) for _ in range(50))


def test_a_signature_that_nobody_made_does_not_verify() -> None:
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)
    Ed25519PublicKey.from_public_bytes(neutral).verify(forged, b"anything")  # what the library alone would accept
    with pytest.raises(KeyMalformed):
        verify(neutral, purpose=Purpose.CONTRACT, payload=b"anything", signature=forged)


def test_no_such_key_is_used_for_a_signature_or_a_note() -> None:
    for key in encodings():
        with pytest.raises(KeyMalformed):
            verify(key, purpose=Purpose.CONTRACT, payload=b"text", signature=bytes(64))
        with pytest.raises(VerifierKeyMalformed):
            VerifierKey(name="room", public_key=key)
