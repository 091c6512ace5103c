"""COSE_Sign1 (RFC 9052) from outside: CBOR is walked through under limits before anything is built from it.

Refused before decoding: indefinite lengths, lengths that are not the shortest, nesting or items beyond the limits,
tags other than the few that evidence uses, simple values other than false, true and null, and trailing bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cbor2

from asepsis.attest.signatures import Scheme
from asepsis.errors.attest import EvidenceMalformed

SIGN1: Final = 18
EPOCH_TIME: Final = 1
ALGORITHM: Final = 1
CHAIN: Final = 33

SCHEMES: Final[Mapping[int, Scheme]] = {
    -35: Scheme.ECDSA_P384_SHA384,
    -37: Scheme.RSA_PSS_SHA256,
    -38: Scheme.RSA_PSS_SHA384,
    -39: Scheme.RSA_PSS_SHA512,
}
"""Algorithm identifiers of RFC 9053 and RFC 8230."""

_PART: Final = "its CBOR"
_DEEPEST: Final = 6
_MOST_ITEMS: Final = 512
_ONE_BYTE: Final = 24
_EIGHT_BYTES: Final = 27
_AFTER_TEXT: Final = b"\x80"
"""The first head of an array; a map's keys are numbers, bytes or text, which all stand before it."""

_SIMPLE: Final = frozenset({20, 21, 22})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign1:
    """A message that is signed once; the unprotected header is nobody's word and is only kept to be refused."""

    protected: bytes
    header: Mapping[object, object]
    unprotected: Mapping[object, object]
    payload: bytes
    signature: bytes

    def signed(self) -> bytes:
        """The Sig_structure (RFC 9052 section 4.4) that the signature is over."""
        return cbor2.dumps(["Signature1", self.protected, b"", self.payload])


def read_sign1(data: bytes) -> Sign1:
    """Read a COSE_Sign1, with or without its tag. Raises EvidenceMalformed."""
    value = read_cbor(data)
    if isinstance(value, cbor2.CBORTag):
        value = value.value if value.tag == SIGN1 else None
    match value:
        case [bytes(protected), Mapping() as unprotected, bytes(payload), bytes(signature)]:
            pass
        case _:
            raise EvidenceMalformed(part="it is no COSE_Sign1")
    return Sign1(
        protected=protected,
        header=read_map(protected),
        unprotected=unprotected,
        payload=payload,
        signature=signature,
    )


def read_map(data: bytes) -> dict[object, object]:
    """Read one CBOR map. Raises EvidenceMalformed."""
    value = read_cbor(data)
    if not isinstance(value, dict):
        raise EvidenceMalformed(part=_PART)
    return value


def read_cbor(data: bytes) -> object:
    """Read one CBOR item that is all of the data. Raises EvidenceMalformed."""
    _Walk(data).all()
    try:
        return cbor2.loads(data, allow_indefinite=False, allow_duplicate_keys=False, max_depth=_DEEPEST + 1)
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError):
        raise EvidenceMalformed(part=_PART) from None


class _Walk:
    """One pass over the heads of all items."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._items = 0

    def all(self) -> None:
        self._item(0)
        if self._at != len(self._data):
            raise EvidenceMalformed(part=_PART)

    def _item(self, depth: int) -> None:
        self._items += 1
        if depth > _DEEPEST or self._items > _MOST_ITEMS:
            raise EvidenceMalformed(part=_PART)
        major, value = self._head()
        match major:
            case 2 | 3:
                self._skip(value)
            case 4:
                self._members(value, depth)
            case 5:
                self._members(2 * value, depth, has_keys=True)
            case 6 if value in {SIGN1, EPOCH_TIME}:
                self._item(depth + 1)
            case 7 if value in _SIMPLE:
                pass
            case 0 | 1:
                pass
            case _:
                raise EvidenceMalformed(part=_PART)

    def _members(self, count: int, depth: int, *, has_keys: bool = False) -> None:
        if count > _MOST_ITEMS:
            raise EvidenceMalformed(part=_PART)
        for index in range(count):
            if has_keys and index % 2 == 0 and self._data[self._at : self._at + 1] >= _AFTER_TEXT:
                raise EvidenceMalformed(part=_PART)
            self._item(depth + 1)

    def _head(self) -> tuple[int, int]:
        (first,) = self._skip(1)
        major, value = divmod(first, 32)
        if value < _ONE_BYTE:
            return major, value
        if value > _EIGHT_BYTES:
            raise EvidenceMalformed(part=_PART)
        size = 1 << value - _ONE_BYTE
        number = int.from_bytes(self._skip(size), "big")
        least = _ONE_BYTE if size == 1 else 1 << 4 * size
        if number < least or major == 7:  # noqa: PLR2004 - floats and long simple values
            raise EvidenceMalformed(part=_PART)
        return major, number

    def _skip(self, length: int) -> bytes:
        if length > len(self._data) - self._at:
            raise EvidenceMalformed(part=_PART)
        self._at += length
        return self._data[self._at - length : self._at]
