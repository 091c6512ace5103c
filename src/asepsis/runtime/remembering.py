"""The memory of releases inside the runtime: opened from its sealed file, and sealed again as the next version.

No answer leaves before the new version is written and every owner's desk has given its receipt for it, so that an
answer that anybody saw is in the memory that the next run starts from.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

from asepsis.disclosure.memory import Memory
from asepsis.disclosure.memory_bytes import from_bytes, to_bytes
from asepsis.domain.memory import EMPTY, MemoryStep, MemoryUse, MemoryVersion
from asepsis.domain.names import PartyId
from asepsis.domain.statistic import Statistic
from asepsis.errors.runtime import MemoryNotKept, OrderRefused, SealedFileMissing
from asepsis.errors.sealing import SignatureInvalid
from asepsis.runtime.order import MemoryFolder, Order
from asepsis.runtime.vault import Vault
from asepsis.sealing.container import seal, unseal
from asepsis.sealing.memory import (
    MEMORY_FILE,
    blur_key,
    memory_context,
    memory_id,
    memory_key,
    receipt_payload,
)
from asepsis.sealing.package import pad, unpad
from asepsis.sealing.signing import Purpose, verify


def open_memory(order: Order, vault: Vault) -> Memory:
    """The memory that the order starts from.

    Raises:
        RootMismatch: it is not the version that the owners' desks know.
        ContainerForged, MemoryMalformedError: it does not open, or is none.
        SealedFileMissing: it is not there.
        GrantNotTrusted: an owner's share of its key is missing.
    """
    place = _place(order)
    dek = _data_key(order, vault)
    if place.version == EMPTY:
        return Memory(key=blur_key(dek))
    target = io.BytesIO()
    number = place.version.number
    try:
        sealed = (place.folder / MEMORY_FILE).open("rb")
    except OSError:
        raise SealedFileMissing(file=MEMORY_FILE) from None
    context = memory_context(order.agreement.lineage, number=number)
    with sealed:
        unseal(sealed, target, key=memory_key(dek, number=number), context=context, root=place.version.root)
    return from_bytes(unpad(target.getvalue()))


def keep_memory(order: Order, vault: Vault, *, before: Memory, after: Memory) -> MemoryUse:
    """Seal what is new into the order's output; the versions before and after."""
    known = _place(order).version
    if after is before:
        return MemoryUse(before=known, after=known)
    number = known.number + 1
    with (order.output / MEMORY_FILE).open("wb") as target:
        receipt = seal(
            io.BytesIO(pad(to_bytes(after))),
            target,
            key=memory_key(_data_key(order, vault), number=number),
            context=memory_context(order.agreement.lineage, number=number),
        )
    version = MemoryVersion(number=number, root=receipt.root, size=receipt.sealed_length)
    return MemoryUse(before=known, after=version)


def step_of(order: Order, statistic: Statistic) -> MemoryStep | None:
    """The step that has to be kept before this statistic may leave; none, if nothing new is remembered."""
    use = statistic.memory
    if use is None or use.before == use.after:
        return None
    return MemoryStep(
        run=statistic.run, contract=statistic.contract, lineage=order.agreement.lineage, job=statistic.job, use=use
    )


def require_receipts(order: Order, step: MemoryStep, *, receipts: Mapping[PartyId, bytes]) -> None:
    """Raise MemoryNotKept unless every owner's desk has signed that it knows the new version."""
    payload = receipt_payload(step)
    for owner in order.contract.owners:
        signature = receipts.get(owner.id, b"")
        try:
            verify(owner.signing_key, purpose=Purpose.RECEIPT, payload=payload, signature=signature)
        except SignatureInvalid:
            raise MemoryNotKept(owner=owner.id) from None


def _place(order: Order) -> MemoryFolder:
    if order.memory is None:
        raise OrderRefused(what="the memory of releases")
    return order.memory


def _data_key(order: Order, vault: Vault) -> bytes:
    owners = [owner.id for owner in order.contract.owners]
    return vault.shared_key(memory_id(order.agreement.lineage), owners=owners)
