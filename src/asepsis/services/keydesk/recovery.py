"""The owner's key is split into recovery shares, comes back from them, or gives way to a new one: checks and records.

The desk never sees a share. It records that shares were made, and it takes a key back only if that key opens what the
desk keeps; both are in its own ledger before anything is written elsewhere. A new key takes the place of the old one
in one transaction over everything that is kept, or over nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from asepsis.domain.ledger import Act
from asepsis.errors.sealing import KeyUnwrapRefused
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.epochs import epoch_share_binding
from asepsis.sealing.links import LINKS
from asepsis.sealing.memory import share_binding
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


class Wraps(Protocol):
    """A key under which data keys are wrapped and opened again."""

    def wrap(self, dek: bytes, *, binding: bytes) -> bytes:
        """Wrap a data key. Raises KeyMalformed or KekUnavailable."""
        ...

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises KeyUnwrapRefused or KekUnavailable."""
        ...


def record_shares(office: Office, *, shares: int, needed: int) -> None:
    """Record that the owner's key is about to be split."""
    with office.acting() as records:
        office.write(records, Act.KEY_SPLIT, subject=office.owner, count=shares, size=needed)


def take_back(office: Office, *, shares: int) -> None:
    """Check that the key of this office opens everything that the desk keeps, and record that it came back.

    Recovery shares bring back the owner's key and no erasable secret: what was erased stays erased.

    Raises:
        KeyUnwrapRefused: it is another key; that is recorded too.
        KeyDestroyed: the erasable secrets are not in the desk's folder.
    """
    with office.acting() as records:
        try:
            for wrapped, binding in _kept(office, records):
                office.keys.unwrap(wrapped, binding=binding)
        except KeyUnwrapRefused as error:
            refusal = error
            office.write(records, Act.KEY_REFUSED, subject=office.owner, code=error.code)
        else:
            office.write(records, Act.KEY_RECOVERED, subject=office.owner, count=shares)
            return
    raise refusal


def opens_everything(office: Office, key: Wraps) -> bool:
    """Whether a key opens everything that the desk keeps; true where it keeps nothing."""
    with office.state.reading() as records:
        try:
            for wrapped, binding in _kept(office, records):
                key.unwrap(wrapped, binding=binding)
        except KeyUnwrapRefused:
            return False
    return True


def rewrap(office: Office, *, to: Wraps) -> int:
    """Wrap everything that the desk keeps under another key of the owner, at once; returns how many keys there are.

    Raises:
        KeyUnwrapRefused, KekUnavailable: one of the two keys cannot be used; nothing was changed.
    """
    with office.acting() as records:
        kept = list(_kept(office, records))
        for wrapped, binding in kept:
            key = office.keys.unwrap(wrapped, binding=binding)
            records.rewrap(wrapped, again=to.wrap(key, binding=binding))
        office.write(records, Act.KEY_REWRAPPED, subject=office.owner, count=len(kept))
    return len(kept)


def _kept(office: Office, records: DeskRecords) -> Iterator[tuple[bytes, bytes]]:
    """Every wrapped key with the place that it is bound to; destroyed ones are nothing any more."""
    for snapshot in (one for one in records.kept_snapshots() if not one.is_destroyed):
        yield (
            snapshot.wrapped,
            snapshot_binding(office.owner, dataset=snapshot.dataset, snapshot=snapshot.snapshot),
        )
    for links in (one for one in records.kept_links() if not one.is_destroyed):
        yield links.wrapped, snapshot_binding(office.owner, dataset=LINKS, snapshot=links.snapshot)
    for memory in (one for one in records.memories() if not one.is_destroyed):
        yield memory.wrapped, share_binding(office.owner, lineage=memory.lineage)
    for epoch in (one for one in records.epochs() if not one.is_over):
        yield epoch.wrapped, epoch_share_binding(office.owner, epoch=epoch.name)
