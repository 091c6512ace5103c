"""Evidence bundles, checked offline."""

from __future__ import annotations

from asepsis.attest.appraise import appraise
from asepsis.domain.names import Digest
from asepsis.services.evidence import VerifiedRelease, verify_release


def verify_release_bundle(document: object, *, contract: Digest) -> VerifiedRelease:
    """Check an evidence bundle offline (see ``services.evidence``)."""
    return verify_release(document, contract=contract, appraise=appraise)
