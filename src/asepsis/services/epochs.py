"""Epochs in the room: the mailbox through which the owners' desks agree on a link key that the room never has.

Commitments are kept before any share is shown; a share passes only sealed from owner to owner. When a linkage is over,
every desk destroys its share and the key of its tokens, the ledger records that, and the tokens' ciphertext goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from asepsis.domain.epoch import EpochName, LinkEpoch, ShowRequest
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.room import PublishedSnapshot
from asepsis.errors.linkage import EpochReplayed, EpochUnknown
from asepsis.ports import Clock, Desk, RoomState
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.epochs import epoch_of, verify_commitments
from asepsis.services.audit import Audit
from asepsis.services.erasures import Erasures


@dataclass(frozen=True, slots=True)
class Epochs:
    """Begins, carries and ends epochs."""

    state: RoomState
    desks: Mapping[PartyId, Desk]
    erasures: Erasures
    audit: Audit
    clock: Clock

    def newest(self, contract: Digest) -> LinkEpoch | None:
        """The newest epoch under a contract."""
        return next((one for one in reversed(self.state.epochs()) if one.name.contract == contract), None)

    def agreed(self, agreement: Agreement, *, data: Digest) -> LinkEpoch:
        """The open epoch for these data, in which every owner has committed and shown its share; begun if need be.

        Whatever is open for other data, or under another version of the contract, is over with that.

        Raises:
            EpochReplayed, EpochUnknown: a desk knows of a later epoch, or no more of this one; it is over then, and
                the next attempt begins another.
            LinkCommitmentRefused, or whatever a desk refuses with.
        """
        epoch = self.newest(agreement.digest)
        for one in self.state.epochs():
            if not one.is_over and (one != epoch or one.data != data):
                self.close(one)
        if epoch is None or epoch.is_over or epoch.data != data:
            epoch = self._begin(agreement, data=data, number=1 if epoch is None else epoch.name.number + 1)
        try:
            epoch = epoch if epoch.commitments else self._commit(epoch, agreement)
            return epoch if epoch.shares else self._show(epoch, agreement)
        except (EpochReplayed, EpochUnknown):
            self.close(epoch)
            raise

    def tokens(self, epoch: LinkEpoch) -> dict[PartyId, PublishedSnapshot]:
        """The tokens that owners gave for an epoch."""
        return {item.manifest.owner: item for item in self.state.snapshots() if epoch_of(item.manifest) == epoch.name}

    def close(self, epoch: LinkEpoch) -> None:
        """Have every desk destroy what the epoch was made of, and record it; closing again changes nothing."""
        for desk in self.desks.values():
            with suppress(EpochUnknown):  # it was never asked to commit
                self.erasures.record(desk.close(epoch.name))
        if not epoch.is_over:
            self._put(replace(epoch, shares={}, is_over=True), was=epoch)

    def _begin(self, agreement: Agreement, *, data: Digest, number: int) -> LinkEpoch:
        epoch = LinkEpoch(name=EpochName(contract=agreement.digest, number=number), data=data)
        facts = {"contract": agreement.digest}
        begun = LedgerEntry(
            at=self.clock(), actor=self.audit.host, act=Act.LINK_EPOCH_BEGUN, subject=epoch.name.id, facts=facts
        )
        with self.state.acting(begun) as tables:
            tables.put_epoch(epoch, was=None)
        return epoch

    def _commit(self, epoch: LinkEpoch, agreement: Agreement) -> LinkEpoch:
        owners = [owner.id for owner in agreement.contract.owners]
        commitments = {owner: self.desks[owner].commit(epoch.name) for owner in owners}
        verify_commitments(commitments, epoch=epoch.name, contract=agreement.contract)
        return self._put(replace(epoch, commitments=commitments), was=epoch)

    def _show(self, epoch: LinkEpoch, agreement: Agreement) -> LinkEpoch:
        request = ShowRequest(epoch=epoch.name, commitments=epoch.commitments)
        shares = {owner.id: self.desks[owner.id].show(request) for owner in agreement.contract.owners}
        return self._put(replace(epoch, shares=shares), was=epoch)

    def _put(self, epoch: LinkEpoch, *, was: LinkEpoch) -> LinkEpoch:
        """The mailbox changes without an entry: the desks' own ledgers have those acts."""
        with self.state.noting() as tables:
            tables.put_epoch(epoch, was=was)
        return epoch
