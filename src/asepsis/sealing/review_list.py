"""Review lists on their way to one owner: bound to their linkage, and of a size that does not tell how long they are.

Which persons are drawn follows from a secret of the run: from the data keys of all owners and the job, so that the same
job always draws the same persons, and no owner, who knows its own keys only, can tell beforehand whom.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from asepsis.domain.documents import Fields
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.sealing import DocumentNotCanonical, EnvelopeRefused
from asepsis.sealing.canonical import canonical, parse_canonical

_SMALLEST: Final = 1 << 10


def review_info(contract: Digest, *, job: Digest, owner: PartyId) -> bytes:
    """The HPKE info that binds a list to its contract, linkage and owner."""
    return canonical({"format": "asepsis/review-list/1", "contract": contract, "job": job, "owner": owner})


def draw_secret(keys: Iterable[bytes], *, job: Digest) -> bytes:
    """What decides who is drawn; 32 bytes."""
    info = canonical({"format": "asepsis/review-draw/1", "job": job})
    return hmac.digest(b"".join(sorted(keys)), info, sha256)


def write_list(persons: Iterable[int]) -> bytes:
    """The list, filled up with spaces to a power of two of at least 1 KiB."""
    content = canonical({"persons": [str(person) for person in persons]})
    size = _SMALLEST
    while size < len(content):
        size *= 2
    return content.ljust(size, b" ")


def read_list(padded: bytes) -> tuple[int, ...]:
    """The persons of a list. Raises EnvelopeRefused for anything else."""
    try:
        fields = Fields(parse_canonical(padded.rstrip(b" ")), document="review list")
        persons = tuple(int(person) for person in fields.texts("persons"))
        fields.close()
    except (DocumentMalformed, DocumentNotCanonical, ValueError):
        raise EnvelopeRefused from None
    return persons
