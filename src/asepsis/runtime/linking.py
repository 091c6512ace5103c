"""The linkage job: identity snapshots in, a sealed link map and a protected quality report out."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final

from asepsis.disclosure.counts import protect_counts
from asepsis.domain.contract import Holding, Role
from asepsis.domain.names import RestorePointId, SnapshotId
from asepsis.domain.snapshot import Label, Manifest, Origin
from asepsis.domain.statistic import Links, Share, Statistic
from asepsis.engines.linkage.linking import link
from asepsis.runtime.order import Order
from asepsis.runtime.vault import Vault, seal_file
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.links import LINKS, combine, share_info

MEMORY_LIMIT: Final = 2 << 30
THREADS: Final = 2


def link_patients(order: Order, vault: Vault, *, now: datetime) -> Statistic:
    """Find the patients known to several owners; raises the linkage engine's errors."""
    identities = {
        snapshot.manifest.owner: vault.unseal(snapshot)["identity"] for snapshot in order.held(Holding.IDENTITY)
    }
    plain = vault.empty()
    report = link(identities, output=plain, randomness=secrets.token_bytes, threads=THREADS, memory_limit=MEMORY_LIMIT)
    shares = {owner: secrets.token_bytes(32) for owner in identities}
    manifest = _manifest(order, now)
    with plain.open("rb") as source, (order.output / LINKS).open("xb") as target:
        file = seal_file(
            source, target, dek=combine(shares.values()), manifest=manifest, file=(LINKS, LINKS, report.records)
        )
    sealed = Manifest(
        owner=manifest.owner,
        dataset=manifest.dataset,
        snapshot=manifest.snapshot,
        label=manifest.label,
        created_at=manifest.created_at,
        origin=manifest.origin,
        files=(file,),
    )
    table, assessment = protect_counts(report.counts(), profile=order.contract.profile)
    return Statistic(
        run=order.job.run,
        contract=order.agreement.digest,
        job=order.job_digest,
        plan=order.job_digest,
        assessment=assessment,
        table=table,
        links=Links(manifest=sealed, shares=_sealed_shares(order, sealed.snapshot, shares)),
    )


def _manifest(order: Order, now: datetime) -> Manifest:
    labels = {snapshot.manifest.label for snapshot in order.snapshots}
    return Manifest(
        owner=order.contract.with_role(Role.HOST)[0].id,
        dataset=LINKS,
        snapshot=SnapshotId(f"{LINKS}-{secrets.token_hex(8)}"),
        label=Label.REAL if Label.REAL in labels else Label.SYNTHETIC,
        created_at=now,
        origin=Origin(
            source_kind="linkage",
            restore_point=RestorePointId(order.job.run),
            mapping=order.agreement.digest,
            books=order.job_digest,
        ),
        files=(),
    )


def _sealed_shares(order: Order, snapshot: SnapshotId, shares: dict[str, bytes]) -> tuple[Share, ...]:
    """Each owner's share, sealed so that only that owner's desk can keep it."""
    sealed = []
    for owner in order.contract.owners:
        info = share_info(order.job.run, snapshot=snapshot, owner=owner.id)
        sealed.append(Share(owner=owner.id, sealed=seal_to(owner.sealing_key or b"", shares[owner.id], info=info)))
    return tuple(sealed)
