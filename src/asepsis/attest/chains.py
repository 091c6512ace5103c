"""Chains of certificates, leaf first, that end at a pinned root (RFC 5280 section 6, without its optional parts).

A root is pinned by the SHA-256 of its public key. Which schemes, roots and lengths count is the caller's; names,
signatures, constraints and times are checked here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from asepsis.attest.certificates import BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, KEY_USAGE, Certificate
from asepsis.attest.signatures import Scheme, verify_signature
from asepsis.domain.attestation import EvidenceKind
from asepsis.errors.attest import CertificateOutOfTime, ChainInvalid, EvidenceSignatureInvalid, RootNotTrusted

_UNDERSTOOD: Final = frozenset({BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE})


def verify_chain(
    chain: Sequence[Certificate], *, roots: Mapping[str, str], schemes: Collection[Scheme], kind: EvidenceKind
) -> str:
    """Check a chain up to its pinned root and return the name under which that is pinned; the caller checks times.

    Raises:
        RootNotTrusted: the last certificate's key is not among the roots.
        ChainInvalid: a certificate was not issued by the next one, or its key is not for this use.
    """
    root = roots.get(chain[-1].key_digest)
    if root is None:
        raise RootNotTrusted(kind=kind.value)
    for position, (issued, issuer) in enumerate(pairwise((*chain, chain[-1]))):
        _check_link(issued, issuer, below=min(position, len(chain) - 2), schemes=schemes)
    if not chain[0].may_sign or chain[0].path_length is not None:
        raise ChainInvalid(part="the leaf is none that may sign evidence")
    return root


def require_time(chain: Sequence[Certificate], at: datetime) -> None:
    """Raise CertificateOutOfTime unless every certificate is valid at that time."""
    if not all(certificate.not_before <= at <= certificate.not_after for certificate in chain):
        raise CertificateOutOfTime


def _check_link(issued: Certificate, issuer: Certificate, *, below: int, schemes: Collection[Scheme]) -> None:
    if issued.issuer != issuer.subject:
        raise ChainInvalid(part="an issuer's name")
    if issued.scheme not in schemes:
        raise ChainInvalid(part="a signature algorithm")
    if issued.critical - _UNDERSTOOD:
        raise ChainInvalid(part="a critical extension")
    if not issuer.may_issue or (issuer.path_length or 0) < below:
        raise ChainInvalid(part="an issuer that may not issue")
    try:
        verify_signature(issuer.public_key, scheme=issued.scheme, signature=issued.signature, data=issued.signed)
    except EvidenceSignatureInvalid:
        raise ChainInvalid(part="a signature") from None
