"""Evidence bundles, checked offline."""

from __future__ import annotations

from asepsis.attest.appraise import appraise
from asepsis.domain.documents import Document
from asepsis.domain.names import Digest
from asepsis.services.crate import check_crate, read_crate, write_crate
from asepsis.services.evidence import VerifiedRelease, verify_release


def verify_release_bundle(document: object, *, contract: Digest) -> VerifiedRelease:
    """Check an evidence bundle offline (see ``services.evidence``)."""
    return verify_release(document, contract=contract, appraise=appraise)


def release_crate(bundle: Document, *, contract: Digest) -> bytes:
    """A bundle as a Five Safes RO-Crate, after it verified."""
    return write_crate(bundle, verify_release_bundle(bundle, contract=contract))


def verify_release_crate(content: bytes, *, contract: Digest) -> VerifiedRelease:
    """Check a Five Safes RO-Crate offline: the bundle inside, and that the other files tell what it proves."""
    bundle = read_crate(content)
    verified = verify_release_bundle(bundle, contract=contract)
    check_crate(content, bundle, verified)
    return verified
