"""Epochs at a desk: the owner's share of a link key is drawn, bound, shown to the other owners, and destroyed.

The desk commits before it sees anybody's share, shows its own under one set of commitments and never under another,
and knows the tokens that were made with the key. Their data key goes to one run of one epoch; when that is over, the
desk destroys it together with the share, and no number comes again.
"""

from __future__ import annotations

from dataclasses import replace

from asepsis.domain.analysis import Job, SnapshotInput
from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Holding
from asepsis.domain.epoch import ARGUMENT, Commitment, EpochName, KeptEpoch, SealedShares, ShowRequest
from asepsis.domain.erasure import Clause, Erasure, KeyKind
from asepsis.domain.ledger import Act
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.desk import InputRefused, SnapshotNotOurs
from asepsis.errors.linkage import EpochReplayed, EpochsNotKeyed, EpochUnknown, LinkCommitmentRefused
from asepsis.linkage.key import SHARE_LENGTH, LinkKey, commitment, derive
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.epochs import (
    commitment_payload,
    epoch_of,
    epoch_share_binding,
    shown_info,
    verify_commitments,
)
from asepsis.sealing.erasure import SignedErasure
from asepsis.sealing.manifest import SignedManifest, verify_manifest
from asepsis.sealing.signing import Purpose
from asepsis.services.keydesk.consent import register, signed_contract
from asepsis.services.keydesk.erasure import carry_out, destroyed_key, destroyed_share, intend
from asepsis.services.keydesk.going import require_going_on
from asepsis.services.keydesk.holds import require_nothing_held
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def commit(office: Office, epoch: EpochName) -> Commitment:
    """Draw the owner's share for an epoch and commit to it; asked again while it is open, the same answer.

    An earlier epoch of the contract that is still open is over with that.

    Raises:
        ContractNotSignedHere, EpochsNotKeyed: there are no epochs under that contract.
        DeskStopped, ContractExpired, ContractNotInForce, ContractSuperseded: nothing goes on under it.
        EpochReplayed: the number is not greater than every earlier one.
    """
    for earlier in _open_before(office, epoch):
        close(office, earlier)
    with office.acting() as records:
        _going_on(office, records, epoch.contract)
        known = _known(records, epoch)
        newest = max((one.name.number for one in _of(records, epoch.contract)), default=0)
        if newest > epoch.number or (known is not None and known.is_over):
            raise EpochReplayed(number=epoch.number, owner=office.owner)
        kept = known or _drawn(office, records, epoch)
    payload = commitment_payload(epoch, owner=office.owner, value=kept.commitment)
    return Commitment(value=kept.commitment, signature=office.keys.sign(Purpose.LINK_COMMITMENT, payload))


def show(office: Office, request: ShowRequest) -> SealedShares:
    """Show the owner's share to every other owner, sealed, now that all have committed; by receiver.

    Raises:
        EpochUnknown, EpochReplayed: the desk did not commit to this epoch, or it is over.
        LinkCommitmentRefused: a commitment is missing, not its owner's, or another one than the desk saw before.
    """
    with office.acting() as records:
        contract = _going_on(office, records, request.epoch.contract)
        kept = _open_epoch(office, records, request.epoch)
        verify_commitments(request.commitments, epoch=request.epoch, contract=contract)
        if request.commitments[office.owner].value != kept.commitment:
            raise LinkCommitmentRefused(owner=office.owner)
        if not kept.agreed:
            records.put_epoch(replace(kept, agreed=request.commitments))
            office.write(records, Act.LINK_SHARE_SHOWN, subject=request.epoch.id, contract=request.epoch.contract)
        _require_same(kept, request)
        share = _own_share(office, kept)
    return {
        owner.id: seal_to(owner.sealing_key or b"", share, info=_info(request, sender=office.owner, to=owner.id))
        for owner in contract.owners
        if owner.id != office.owner
    }


def link_key(office: Office, epoch: EpochName, *, shares: SealedShares) -> LinkKey:
    """The link key, for the owner's own use at home: from the own share and those that were sealed to this owner.

    Raises:
        EpochUnknown, EpochReplayed: the desk has not shown its share in this epoch, or it is over.
        LinkShareMissing, LinkShareRefused: a share is not there, or not the one that its owner committed to.
        EnvelopeRefused: a share was sealed to somebody else, or for another place.
    """
    with office.acting() as records:
        kept = _open_epoch(office, records, epoch)
        if not kept.agreed:
            raise EpochUnknown(owner=office.owner)
        office.write(records, Act.LINK_KEY_MADE, subject=epoch.id, contract=epoch.contract)
    shown = ShowRequest(epoch=epoch, commitments=kept.agreed)
    opened = {
        sender: office.keys.open_sealed(sealed, info=_info(shown, sender=sender, to=office.owner))
        for sender, sealed in shares.items()
    }
    return derive(
        {**opened, office.owner: _own_share(office, kept)},
        commitments={owner: one.value for owner, one in kept.agreed.items()},
        contract=epoch.contract,
        epoch=epoch.number,
    )


def keep_tokens(office: Office, signed: SignedManifest, *, dek: bytes) -> None:
    """Take the data key of the owner's tokens into keeping, for the one run of their epoch.

    Of tokens that were made twice, as after a kill, the newest ones count; all of them go with the epoch.

    Raises:
        SnapshotNotOurs: they are no tokens of this owner.
        EpochUnknown, EpochReplayed: they are for no open epoch, or a run has read its tokens already.
        SignatureInvalid, SnapshotConflict, KeyDestroyed: the desk does not take the key, as of any snapshot.
    """
    manifest = verify_manifest(signed, office.keys.public().signing)
    epoch = epoch_of(manifest)
    if epoch is None:
        raise SnapshotNotOurs(owner=office.owner)
    with office.acting() as records:
        kept = _open_epoch(office, records, epoch)
        if kept.run and manifest.snapshot not in kept.tokens:
            raise EpochReplayed(number=epoch.number, owner=office.owner)
        if manifest.snapshot not in kept.tokens:
            records.put_epoch(replace(kept, tokens=(*kept.tokens, manifest.snapshot)))
    register(office, signed, dek=dek)


def check_tokens(office: Office, records: DeskRecords, item: SnapshotInput, *, job: Job) -> None:
    """Raise InputRefused unless these tokens are those of the open epoch that the job states, and of no other run."""
    for kept in _of(records, job.contract):
        is_same = kept.tokens[-1:] == (item.snapshot,) and job.analysis.arguments == {ARGUMENT: kept.name.number}
        if is_same and not kept.is_over and kept.run in {"", job.run}:
            return
    raise InputRefused(owner=office.owner, problem="the tokens are not for this run of an open epoch")


def bind_tokens(records: DeskRecords, job: Job, *, contract: Contract, owner: PartyId) -> None:
    """From now on the tokens that the job reads are for its run alone."""
    tokens = {dataset.name for dataset in contract.datasets_of(owner) if dataset.holds is Holding.TOKENS}
    read = {item.snapshot for item in job.inputs if item.dataset in tokens}
    for kept in _of(records, job.contract):
        if read.intersection(kept.tokens):
            records.put_epoch(replace(kept, run=job.run))


def close(office: Office, epoch: EpochName) -> tuple[SignedErasure, ...]:
    """An epoch is over: its share and the key of its tokens are destroyed; returns all such erasures of the contract.

    Closing again changes nothing. Raises ContractNotSignedHere, EpochUnknown, or KeysHeld.
    """
    with office.acting() as records:
        agreement = Agreement(contract=signed_contract(office, records, epoch.contract), digest=epoch.contract)
        kept = _known(records, epoch)
        if kept is None:
            raise EpochUnknown(owner=office.owner)
        if not kept.is_over:
            require_nothing_held(office, records)
            _intend_end(office, records, kept, lineage=agreement.lineage)
    done = carry_out(office, agreement.lineage)
    return tuple(one for one in done if one.erasure.clause is Clause.EPOCH and one.erasure.contract == epoch.contract)


def _intend_end(office: Office, records: DeskRecords, kept: KeptEpoch, *, lineage: Digest) -> None:
    made = [one for name in kept.tokens if (one := records.snapshot(name)) is not None and not one.is_destroyed]
    keys = [destroyed_share(office, kept.name)] + [
        destroyed_key(office, KeyKind.SNAPSHOT, one.snapshot, dataset=one.dataset, manifest=one.manifest)
        for one in made
    ]
    at = office.now()
    leases = max((one.lease_until for one in records.grants(kept.run)), default=at) if kept.run else at
    intend(
        office,
        records,
        Erasure(
            owner=office.owner,
            contract=kept.name.contract,
            lineage=lineage,
            clause=Clause.EPOCH,
            at=at,
            leases_until=max(at, leases),
            keys=tuple(keys),
        ),
    )
    records.put_epoch(replace(kept, wrapped=b""))


def _open_before(office: Office, epoch: EpochName) -> list[EpochName]:
    """Epochs of the contract's lineage before this one that are still open."""
    with office.state.reading() as records:
        contract = signed_contract(office, records, epoch.contract)
        lineage = Agreement(contract=contract, digest=epoch.contract).lineage
        known = [one for version in records.versions(lineage) for one in _of(records, version)]
    return [
        one.name
        for one in known
        if not one.is_over and (one.name.contract != epoch.contract or one.name.number < epoch.number)
    ]


def _drawn(office: Office, records: DeskRecords, epoch: EpochName) -> KeptEpoch:
    share = office.randomness(SHARE_LENGTH)
    kept = KeptEpoch(
        name=epoch,
        commitment=commitment(share, owner=office.owner, contract=epoch.contract, epoch=epoch.number),
        wrapped=office.keys.wrap(share, binding=epoch_share_binding(office.owner, epoch=epoch)),
    )
    records.put_epoch(kept)
    office.write(
        records,
        Act.LINK_SHARE_COMMITTED,
        subject=epoch.id,
        contract=epoch.contract,
        digest=kept.commitment.hex(),
    )
    return kept


def _going_on(office: Office, records: DeskRecords, digest: Digest) -> Contract:
    contract = signed_contract(office, records, digest)
    if contract.linkage.mode is not LinkMode.KEYED:
        raise EpochsNotKeyed(contract=contract.name)
    require_going_on(office, records, Agreement(contract=contract, digest=digest), at=office.now())
    return contract


def _open_epoch(office: Office, records: DeskRecords, epoch: EpochName) -> KeptEpoch:
    kept = _known(records, epoch)
    if kept is None:
        raise EpochUnknown(owner=office.owner)
    if kept.is_over:
        raise EpochReplayed(number=epoch.number, owner=office.owner)
    return kept


def _require_same(kept: KeptEpoch, request: ShowRequest) -> None:
    for owner, agreed in sorted(kept.agreed.items()):
        if request.commitments[owner].value != agreed.value:
            raise LinkCommitmentRefused(owner=owner)


def _own_share(office: Office, kept: KeptEpoch) -> bytes:
    return office.keys.unwrap(kept.wrapped, binding=epoch_share_binding(office.owner, epoch=kept.name))


def _info(request: ShowRequest, *, sender: PartyId, to: PartyId) -> bytes:
    return shown_info(request.epoch, sender=sender, receiver=to, commitments=request.commitments)


def _of(records: DeskRecords, contract: Digest) -> list[KeptEpoch]:
    return [one for one in records.epochs() if one.name.contract == contract]


def _known(records: DeskRecords, epoch: EpochName) -> KeptEpoch | None:
    return next((one for one in _of(records, epoch.contract) if one.name == epoch), None)
