"""Epochs: one linkage by keyed tokens, for which the owners agree on a key that lives no longer than it does.

Every owner's desk draws a share of the key and commits to it; shares are shown, sealed from owner to owner, only when
all have committed. The room carries commitments and sealed shares, and can make neither a key nor a token of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId

ARGUMENT: Final = "epoch"
"""Under which name a linkage by tokens states its epoch."""
COMMITMENT_LENGTH: Final = 32
SIGNATURE_LENGTH: Final = 64
_NO_RUN: Final = RunId("")
_NOBODY: Final[Mapping[PartyId, Mapping[PartyId, bytes]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochName:
    """Which epoch: the contract and a number that grows."""

    contract: Digest
    number: int

    @property
    def id(self) -> str:
        """The epoch in one word."""
        return f"epoch-{self.contract[:16]}-{self.number}"

    def to_document(self) -> Document:
        """The document form; :func:`read_epoch_name` reads it."""
        return {"contract": self.contract, "number": self.number}


def read_epoch_name(value: object) -> EpochName:
    """Read the name of an epoch. Raises DocumentMalformed."""
    fields = Fields(value, document="epoch")
    name = EpochName(contract=Digest(fields.text("contract")), number=fields.integer("number", least=1))
    fields.close()
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """What an owner's desk bound itself to before any share was shown, and its signature over that."""

    value: bytes
    signature: bytes

    def to_document(self) -> Document:
        """The document form."""
        return {"value": encode_bytes(self.value), "signature": encode_bytes(self.signature)}


Commitments = Mapping[PartyId, Commitment]
SealedShares = Mapping[PartyId, bytes]
"""Shares of the link key, each sealed to one owner: by sender or by receiver."""


def commitments_document(commitments: Commitments) -> Document:
    """The document form; :func:`read_commitments` reads it."""
    return {owner: one.to_document() for owner, one in sorted(commitments.items())}


def read_commitments(value: object) -> dict[PartyId, Commitment]:
    """Read the commitments of several owners. Raises DocumentMalformed."""
    fields = Fields(value, document="commitments")
    found = {}
    for name in fields.names():
        with fields.mapping(name) as one:
            found[PartyId(name)] = Commitment(
                value=one.octets("value", length=COMMITMENT_LENGTH),
                signature=one.octets("signature", length=SIGNATURE_LENGTH),
            )
    fields.close()
    return found


def shares_document(shares: SealedShares) -> Document:
    """The document form; :func:`read_shares` reads it."""
    return {owner: encode_bytes(sealed) for owner, sealed in sorted(shares.items())}


def read_shares(value: object) -> dict[PartyId, bytes]:
    """Read sealed shares. Raises DocumentMalformed."""
    fields = Fields(value, document="shares")
    found = {PartyId(name): fields.octets(name) for name in fields.names()}
    fields.close()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEpoch:
    """An epoch as the room knows it: the mailbox of the owners' desks.

    ``data`` is the digest of the clinical snapshots whose persons are to be linked. ``shares`` are by sender, then by
    receiver; they are forgotten when the epoch is over.
    """

    name: EpochName
    data: Digest
    commitments: Commitments = field(default_factory=dict)
    shares: Mapping[PartyId, SealedShares] = field(default_factory=lambda: _NOBODY)
    is_over: bool = False

    def shares_for(self, owner: PartyId) -> dict[PartyId, bytes]:
        """The shares that the other owners sealed to this one, by sender."""
        return {sender: sealed[owner] for sender, sealed in self.shares.items() if owner in sealed}

    def to_document(self) -> Document:
        """The document form; :func:`read_epoch` reads it."""
        return {
            "name": self.name.to_document(),
            "data": self.data,
            "commitments": commitments_document(self.commitments),
            "shares": {sender: shares_document(sealed) for sender, sealed in sorted(self.shares.items())},
            "is_over": self.is_over,
        }


def read_epoch(value: object) -> LinkEpoch:
    """Read what the room keeps of an epoch. Raises DocumentMalformed."""
    fields = Fields(value, document="epoch")
    senders = Fields(fields.anything("shares"), document="epoch", place="shares")
    epoch = LinkEpoch(
        name=read_epoch_name(fields.anything("name")),
        data=Digest(fields.text("data")),
        commitments=read_commitments(fields.anything("commitments")),
        shares={PartyId(name): read_shares(senders.anything(name)) for name in senders.names()},
        is_over=fields.flag("is_over"),
    )
    fields.close()
    return epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEpoch:
    """An epoch as one owner's desk knows it.

    ``wrapped`` is the owner's share under the owner's key; nothing is left of it when the epoch is over. ``agreed`` are
    the commitments that the desk showed its share under. ``tokens`` names the owner's snapshots, of which the
    newest counts, and ``run`` the one run that its key was granted to; both are empty before.
    """

    name: EpochName
    commitment: bytes
    wrapped: bytes
    agreed: Commitments = field(default_factory=dict)
    tokens: tuple[SnapshotId, ...] = ()
    run: RunId = _NO_RUN

    @property
    def is_over(self) -> bool:
        """Whether share and tokens were destroyed."""
        return not self.wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowRequest:
    """The room asks a desk to show its share: the epoch, and what all owners committed to."""

    epoch: EpochName
    commitments: Commitments

    def to_document(self) -> Document:
        """The document form, as it travels to a desk; :func:`read_show_request` reads it."""
        return {"epoch": self.epoch.to_document(), "commitments": commitments_document(self.commitments)}


def read_show_request(value: object) -> ShowRequest:
    """Read a request to show a share. Raises DocumentMalformed."""
    fields = Fields(value, document="request")
    request = ShowRequest(
        epoch=read_epoch_name(fields.anything("epoch")), commitments=read_commitments(fields.anything("commitments"))
    )
    fields.close()
    return request
