"""Referral packages: rows sealed (HPKE) to one clinical team, of a size that does not tell how many patients."""

from __future__ import annotations

from typing import Final

from asepsis.domain.names import Digest, PartyId
from asepsis.errors.sealing import EnvelopeRefused
from asepsis.sealing.canonical import canonical

_LENGTH_BYTES: Final = 8
_SMALLEST: Final = 64 << 10


def package_info(contract: Digest, *, job: Digest, owner: PartyId, team: PartyId) -> bytes:
    """The HPKE info that binds a package to its contract, job, hospital and team."""
    return canonical({"format": "asepsis/package/1", "contract": contract, "job": job, "owner": owner, "team": team})


def pad(content: bytes) -> bytes:
    """Length, content, and zeros up to the next power of two of at least 64 KiB."""
    size = _SMALLEST
    while size < _LENGTH_BYTES + len(content):
        size *= 2
    return (len(content).to_bytes(_LENGTH_BYTES, "big") + content).ljust(size, b"\0")


def unpad(padded: bytes) -> bytes:
    """The content of a padded package. Raises EnvelopeRefused for anything else."""
    length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    content = padded[_LENGTH_BYTES : _LENGTH_BYTES + length]
    if len(content) != length or any(padded[_LENGTH_BYTES + length :]):
        raise EnvelopeRefused
    return content
