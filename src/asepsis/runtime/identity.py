"""Who this runtime is for one run: two ephemeral keys, the evidence bound to them, and the data keys they open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from asepsis.attest.process import make_evidence
from asepsis.domain.attestation import Binding, Evidence, Grant, read_grant
from asepsis.domain.names import Digest, PartyId, SnapshotId
from asepsis.engines.confinement import standing
from asepsis.errors.runtime import GrantNotTrusted
from asepsis.errors.sealing import EnvelopeRefused, SignatureInvalid
from asepsis.runtime.order import Order
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.envelope import open_sealed
from asepsis.sealing.grant import grant_info
from asepsis.sealing.signing import KeyPair, Purpose, generate_sealing_key, generate_signing_key, sign, verify


@dataclass(frozen=True, slots=True)
class RuntimeIdentity:
    """The ephemeral keys of one run; they die with the process."""

    sealing: KeyPair = field(default_factory=generate_sealing_key)
    signing: KeyPair = field(default_factory=generate_signing_key)

    def evidence(self, order: Order) -> dict[PartyId, Evidence]:
        """One piece of evidence per desk, bound to that desk's nonce and to this run alone."""
        return {
            owner: make_evidence(
                self._binding(order, nonce), signing_key=self.signing.private, confined=standing.is_confined()
            )
            for owner, nonce in order.nonces.items()
        }

    def sign(self, payload: bytes, *, purpose: Purpose = Purpose.STATISTIC) -> bytes:
        """Sign a statistic, or the step to a new memory of releases."""
        return sign(self.signing.private, purpose=purpose, payload=payload)

    def keys(
        self, order: Order, *, evidence: Mapping[PartyId, Evidence], grants: list[object], now: datetime
    ) -> dict[SnapshotId, list[bytes]]:
        """Open the data keys of all grants, after every owner's grant was verified.

        Returns the keys by snapshot; a link map has one share per owner. Raises GrantNotTrusted.
        """
        by_owner = {grant.owner: grant for grant in map(read_grant, grants)}
        opened: dict[SnapshotId, list[bytes]] = defaultdict(list)
        for owner in order.contract.owners:
            grant = by_owner.get(owner.id)
            if grant is None:
                raise GrantNotTrusted(owner=owner.id, what="it is missing")
            self._verify(grant, order, evidence=evidence[owner.id], key=owner.signing_key, now=now)
            info = grant_info(grant)
            for sealed in grant.keys:
                opened[sealed.snapshot].append(self._open(sealed.sealed, info, owner.id))
        return dict(opened)

    def _binding(self, order: Order, nonce: bytes) -> Binding:
        return Binding(
            nonce=nonce,
            contract=order.agreement.digest,
            job=order.job_digest,
            profile=order.contract.profile,
            checkpoint=order.checkpoint,
            sealing_key=self.sealing.public,
            signing_key=self.signing.public,
        )

    def _verify(self, grant: Grant, order: Order, *, evidence: Evidence, key: bytes, now: datetime) -> None:
        try:
            verify(key, purpose=Purpose.GRANT, payload=canonical(grant.body()), signature=grant.signature)
        except SignatureInvalid:
            raise GrantNotTrusted(owner=grant.owner, what="its signature is not the owner's") from None
        bound: tuple[Digest | bytes | str, ...] = (grant.run, grant.contract, grant.job, grant.evidence, grant.nonce)
        expected = (
            order.job.run,
            order.agreement.digest,
            order.job_digest,
            digest(evidence.to_document()),
            order.nonces[grant.owner],
        )
        if bound != expected:
            raise GrantNotTrusted(owner=grant.owner, what="it is for another run")
        if grant.memory != (None if order.memory is None else order.memory.version):
            raise GrantNotTrusted(owner=grant.owner, what="it names another memory of releases")
        if now >= grant.lease_until:
            raise GrantNotTrusted(owner=grant.owner, what="its lease is over")

    def _open(self, sealed: bytes, info: bytes, owner: PartyId) -> bytes:
        try:
            return open_sealed(self.sealing.private, sealed, info=info)
        except EnvelopeRefused:
            raise GrantNotTrusted(owner=owner, what="its keys are not sealed to this runtime") from None
