"""What a granted data key is bound to: the HPKE info of one grant (DESIGN §5)."""

from __future__ import annotations

from asepsis.domain.attestation import Grant
from asepsis.domain.documents import encode_bytes
from asepsis.sealing.canonical import canonical


def grant_info(grant: Grant) -> bytes:
    """The context under which the keys of a grant are sealed: owner, run, contract, job, evidence and nonce."""
    return canonical(
        {
            "format": "asepsis/grant/1",
            "owner": grant.owner,
            "run": grant.run,
            "contract": grant.contract,
            "job": grant.job,
            "evidence": grant.evidence,
            "nonce": encode_bytes(grant.nonce),
        }
    )
