"""Review lists: drawn where the scores are, and sealed so that each owner can open its own alone."""

from __future__ import annotations

from collections.abc import Mapping

from asepsis.domain.datasets import Holding
from asepsis.domain.names import PartyId
from asepsis.domain.review_list import ReviewList, ReviewPool
from asepsis.linkage.review_draw import draw
from asepsis.runtime.order import Order
from asepsis.runtime.vault import Vault
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.review_list import review_info, write_list


def review_lists(order: Order, vault: Vault, pools: Mapping[PartyId, ReviewPool]) -> tuple[ReviewList, ...]:
    """One list for every owner, drawn from its pool; none without pools."""
    if not pools:
        return ()
    secret = vault.secret_of(order.held(Holding.IDENTITY), job=order.job_digest)
    lists = []
    for owner in order.contract.owners:
        drawn = write_list(draw(pools[owner.id], about=order.contract.linkage.review, secret=secret))
        info = review_info(order.agreement.digest, job=order.job_digest, owner=owner.id)
        lists.append(ReviewList(owner=owner.id, sealed=seal_to(owner.sealing_key or b"", drawn, info=info)))
    return tuple(lists)
