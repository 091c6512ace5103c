"""Tokens of identifiers: made at the owner for one linkage, from the identifiers that stayed at home.

What reaches the room is a sealed snapshot of keyed tokens in random order. The link key is made at the owner's own desk
and forgotten with this act; the plain identifiers are in this process's memory alone.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Dataset, Holding
from asepsis.domain.epoch import LinkEpoch
from asepsis.domain.names import PartyId
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.snapshot import Manifest
from asepsis.errors.linkage import EpochUnknown, IdentifiersNotAtHome
from asepsis.linkage.key import LinkKey
from asepsis.ports import OwnDesk
from asepsis.sealing.epochs import tokens_origin
from asepsis.sealing.manifest import manifest_digest
from asepsis.services.contracts import Contracts
from asepsis.services.epochs import Epochs
from asepsis.services.identities import HomeIdentities
from asepsis.services.publishing import Plain, Publishing


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenised:
    """The files of a token table by name, and how many records it has."""

    files: Mapping[str, bytes]
    records: int


class Tokenise(Protocol):
    """Makes the token table of one identity table."""

    def __call__(self, identities: bytes, *, owner: PartyId, key: LinkKey, dummies: int) -> Tokenised:
        """The tokens in random order, with ``dummies`` records of nobody for every hundred."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenising:
    """One owner's tokens."""

    publishing: Publishing
    identities: HomeIdentities
    desk: OwnDesk
    contracts: Contracts
    epochs: Epochs
    tokenise: Tokenise

    @property
    def owner(self) -> PartyId:
        """Whose tokens."""
        return self.publishing.owner

    def give(self) -> PublishedSnapshot:
        """Make the tokens for the open epoch and publish them, sealed; done before, they are only reported again.

        Raises:
            ContractNotSignedHere: the owner did not sign the contract in force at this desk.
            EpochUnknown, EpochReplayed: no epoch is open in which the owner could do that.
            LinkShareMissing, LinkShareRefused, EnvelopeRefused: a share of the link key is not what it should be.
            IdentifiersNotAtHome: the identifiers of the newest contribution are not kept here.
        """
        agreement = self.contracts.in_force()
        contract = self.desk.signed(agreement.digest)
        epoch = self.epochs.newest(agreement.digest)
        if epoch is None or epoch.is_over or not epoch.shares:
            raise EpochUnknown(owner=self.owner)
        given = self.epochs.tokens(epoch).get(self.owner)
        return given or self._give(contract, epoch)

    def _give(self, contract: Contract, epoch: LinkEpoch) -> PublishedSnapshot:
        dataset = next(one for one in contract.datasets_of(self.owner) if one.holds is Holding.TOKENS)
        clinical, identities = self._newest(dataset)
        plain = self._open(clinical, identities)
        key = self.desk.link_key(epoch.name, shares=epoch.shares_for(self.owner))
        made = self.tokenise(plain, owner=self.owner, key=key, dummies=contract.linkage.dummies)
        published = {item.manifest.snapshot for item in self.publishing.state.snapshots()}
        self.publishing.files.forget(f"{dataset.name}-", keep=published)  # what a killed command left
        origin = tokens_origin(epoch.name, identities=manifest_digest(identities))
        draft = self.publishing.draft(dataset.name, label=identities.label, origin=origin)
        sealed = self.publishing.seal(
            draft,
            {name: Plain(opens=partial(io.BytesIO, data), rows=made.records) for name, data in made.files.items()},
            folder=self.publishing.files.incoming(draft.manifest.snapshot),
            keep=lambda signed, dek: self.desk.keep_tokens(signed, dek=dek),
            contribution=clinical.contribution,
        )
        self.publishing.publish([sealed])
        return sealed

    def _newest(self, dataset: Dataset) -> tuple[PublishedSnapshot, Manifest]:
        """The owner's newest clinical snapshot, and the identifiers of its persons."""
        name = dataset.name.removesuffix(Holding.TOKENS.value) + Holding.CLINICAL.value
        erased = self.publishing.state.erased()
        found = [
            item
            for item in self.publishing.state.snapshots()
            if (item.manifest.owner, item.manifest.dataset) == (self.owner, name)
            and item.manifest.snapshot not in erased
        ]
        identities = self.identities.find(found[-1].contribution) if found else None
        if identities is None:
            raise IdentifiersNotAtHome(dataset=name, owner=self.owner)
        return found[-1], identities

    def _open(self, clinical: PublishedSnapshot, identities: Manifest) -> bytes:
        try:
            return self.identities.open(clinical.contribution, identities, desk=self.desk)
        except OSError:
            raise IdentifiersNotAtHome(dataset=clinical.manifest.dataset, owner=self.owner) from None
