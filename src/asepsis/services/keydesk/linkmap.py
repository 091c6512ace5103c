"""Link maps: a linkage run deposits one share of the map's key per owner, and every owner endorses the map.

The key is the XOR of all shares, so that a map opens only where every owner grants. The desk believes the
runtime's statistic only if a runtime signed it that this desk itself granted a linkage to, and within its lease.
"""

from __future__ import annotations

from datetime import datetime

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.keydesk import GrantedRun, KeptLinks, ShareDeposit
from asepsis.domain.ledger import Act
from asepsis.domain.snapshot import Label, Manifest
from asepsis.domain.statistic import Links, Statistic, read_statistic
from asepsis.errors import AsepsisError
from asepsis.errors.desk import LinkageUnknown, LinksRefused
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.keys import KEY_LENGTH
from asepsis.sealing.links import LINKS, share_info
from asepsis.sealing.manifest import manifest_digest
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.keydesk.consent import signed_contract
from asepsis.services.keydesk.going import require_going_on
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def deposit_share(office: Office, deposit: ShareDeposit) -> bytes:
    """Keep the owner's share of a new link map's key, and return the owner's endorsement of the map.

    Raises:
        LinkageUnknown: it is not signed by the runtime of a linkage that this desk granted, or comes too late.
        LinksRefused: the map or the share is not what a linkage may produce.
        EnvelopeRefused: the share was not sealed to this owner for this run and snapshot.
        DeskStopped, ContractNotInForce, ContractExpired: everything was stopped meanwhile.
    """
    with office.acting() as records:
        try:
            return _deposit(office, records, deposit)
        except AsepsisError as error:
            refusal = error
        office.write(records, Act.LINK_REFUSED, subject="deposit", code=refusal.code)
    raise refusal


def _deposit(office: Office, records: DeskRecords, deposit: ShareDeposit) -> bytes:
    at = office.now()
    payload = office.read("statistic", lambda: canonical(deposit.statistic))
    granted = _granted(office, records, deposit, payload=payload, at=at)
    contract = signed_contract(office, records, granted.contract)
    require_going_on(office, records, Agreement(contract=contract, digest=granted.contract), at=at)
    statistic = office.read("statistic", lambda: read_statistic(deposit.statistic))
    links = _links(office, statistic, granted)
    known = records.links(links.manifest.snapshot)
    if known is not None:
        return _again(office, known, links.manifest)
    kept = _keep(office, links, granted, sealed=deposit.sealed)
    records.add_links(kept)
    office.write(
        records, Act.LINK_MADE, subject=kept.snapshot, contract=kept.contract, manifest=kept.manifest, run=granted.run
    )
    return kept.endorsement


def _granted(
    office: Office, records: DeskRecords, deposit: ShareDeposit, *, payload: bytes, at: datetime
) -> GrantedRun:
    for granted in records.grants(deposit.run):
        if granted.kind is not AnalysisKind.LINKAGE or at >= granted.lease_until:
            continue
        if granted.contract == deposit.contract and is_signed_by(granted, payload, deposit.signature):
            return granted
    raise LinkageUnknown(owner=office.owner)


def is_signed_by(granted: GrantedRun, payload: bytes, signature: bytes) -> bool:
    """Whether the runtime of a grant signed this statistic."""
    try:
        verify(granted.signing_key, purpose=Purpose.STATISTIC, payload=payload, signature=signature)
    except SignatureInvalid:
        return False
    return True


def _links(office: Office, statistic: Statistic, granted: GrantedRun) -> Links:
    links = statistic.links
    bound = (statistic.run, statistic.contract, statistic.job)
    if bound != (granted.run, granted.contract, granted.job) or links is None:
        raise LinksRefused(owner=office.owner, problem="the statistic is not the one of the granted job")
    if links.manifest.dataset != LINKS:
        raise LinksRefused(owner=office.owner, problem="the manifest is not one of a link map")
    if granted.label is Label.REAL and links.manifest.label is not Label.REAL:
        raise LinksRefused(owner=office.owner, problem="it labels real data as synthetic")
    return links


def _keep(office: Office, links: Links, granted: GrantedRun, *, sealed: bytes) -> KeptLinks:
    manifest = links.manifest
    if sealed not in {share.sealed for share in links.shares if share.owner == office.owner}:
        raise LinksRefused(owner=office.owner, problem="the runtime did not make this share for this owner")
    info = share_info(granted.run, snapshot=manifest.snapshot, owner=office.owner)
    share = office.keys.open_sealed(sealed, info=info)
    if len(share) != KEY_LENGTH:
        raise LinksRefused(owner=office.owner, problem="the share has not the length of a key")
    binding = snapshot_binding(office.owner, dataset=LINKS, snapshot=manifest.snapshot)
    return KeptLinks(
        snapshot=manifest.snapshot,
        contract=granted.contract,
        manifest=manifest_digest(manifest),
        label=manifest.label,
        sealed_at=min(manifest.created_at, office.now()),
        wrapped=office.keys.wrap(share, binding=binding),
        endorsement=office.keys.sign(Purpose.MANIFEST, canonical(manifest.to_document())),
    )


def _again(office: Office, known: KeptLinks, manifest: Manifest) -> bytes:
    if known.manifest != manifest_digest(manifest):
        raise LinksRefused(owner=office.owner, problem="another link map was endorsed under this name")
    return known.endorsement
