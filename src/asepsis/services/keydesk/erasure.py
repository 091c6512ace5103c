"""Erasure at a desk: which keys may not be kept any longer, and their end.

In three steps, each durable before the next: the intent with its whole list, after which nothing of it is granted; the
secrets, without which no copy of a wrapped key opens; the entries and the owner's signature. A desk that was killed in
between goes on where it stopped, and says the same again when it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from asepsis.domain.contract import Contract
from asepsis.domain.contract_state import ContractStatus
from asepsis.domain.datasets import Holding
from asepsis.domain.epoch import EpochName
from asepsis.domain.erasure import Clause, DestroyedKey, Erasure, KeyKind, SparedKey
from asepsis.domain.keydesk import KeptLinks, KeptSnapshot
from asepsis.domain.ledger import Act
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import Digest, SnapshotId
from asepsis.domain.statements import standing
from asepsis.errors.contract import DocumentMalformed, UnknownParty
from asepsis.errors.desk import RequestMalformed
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import digest
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.epochs import SHARE, epoch_share_id
from asepsis.sealing.erasure import SignedErasure, erasure_payload
from asepsis.sealing.links import LINKS
from asepsis.sealing.memory import MEMORY, memory_id
from asepsis.sealing.signing import Purpose
from asepsis.sealing.statement import read_statements
from asepsis.services.keydesk.consent import signed_contract
from asepsis.services.keydesk.holds import require_nothing_held
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A lineage as this desk knows it: its newest version, and whether it is over."""

    lineage: Digest
    newest: Digest
    contract: Contract
    datasets: frozenset[str]
    over: Clause | None


def erase(office: Office, contract: Digest, *, statements: Sequence[object] = ()) -> tuple[SignedErasure, ...]:
    """Destroy the keys of what may not be kept any longer under a contract; doing it again destroys what is due since.

    ``statements`` are the parties' signed statements about the contract, of which the desk may not have heard.
    Returns every erasure of the contract's lineage so far, oldest first.

    Raises:
        ContractNotSignedHere: the owner did not sign that contract here.
        KeysHeld: an incident of the owner holds all keys.
        RequestMalformed, StatementNotTrusted: a statement is not what it should be.
        KeysUnwritable: a secret cannot be destroyed; the intent stays, and asking again goes on.
    """
    with office.acting() as records:
        agreement = Agreement(contract=signed_contract(office, records, contract), digest=contract)
        _hear(office, records, agreement, statements)
    with office.acting() as records:
        require_nothing_held(office, records)
        _intend_what_is_due(office, records, agreement)
    return carry_out(office, agreement.lineage)


def carry_out(office: Office, lineage: Digest) -> tuple[SignedErasure, ...]:
    """Destroy what is intended under a lineage; returns every erasure of it so far, oldest first.

    Raises KeysUnwritable: a secret cannot be destroyed; the intent stays.
    """
    with office.state.reading() as records:
        open_ones = records.erasures(lineage, done=False)
    for erasure in open_ones:
        with office.state.reading() as records:
            require_nothing_held(office, records)
        for key in erasure.keys:
            office.keys.destroy(binding=_binding(office, key))
        with office.acting() as records:
            _conclude(office, records, erasure)
    with office.state.reading() as records:
        done = records.erasures(lineage, done=True)
    return tuple(_signed(office, erasure) for erasure in done)


def intend(office: Office, records: DeskRecords, erasure: Erasure) -> None:
    """Write down what is about to be destroyed; from then on nothing of it is granted."""
    records.add_erasure(erasure)
    office.write(
        records,
        Act.ERASURE_INTENDED,
        subject=digest(erasure.to_document()),
        contract=erasure.contract,
        count=len(erasure.keys),
    )


def destroyed_key(office: Office, kind: KeyKind, name: str, *, dataset: str, manifest: str = "") -> DestroyedKey:
    """A key that is about to be destroyed, with the digest of its secret."""
    bare = DestroyedKey(kind=kind, id=name, dataset=dataset, manifest=manifest, secret="")
    secret = office.keys.erasable(binding=_binding(office, bare))
    return DestroyedKey(kind=kind, id=name, dataset=dataset, manifest=manifest, secret=secret or "")


def destroyed_share(office: Office, epoch: EpochName) -> DestroyedKey:
    """The owner's share of the link key of an epoch, about to be destroyed."""
    return destroyed_key(office, KeyKind.SHARE, epoch_share_id(epoch), dataset=SHARE)


def _hear(office: Office, records: DeskRecords, agreement: Agreement, statements: Sequence[object]) -> None:
    try:
        heard = read_statements(statements, agreement)
    except (DocumentMalformed, UnknownParty):
        raise RequestMalformed(part="statement", owner=office.owner) from None
    for statement in heard:
        records.add_statement(statement)


def _intend_what_is_due(office: Office, records: DeskRecords, agreement: Agreement) -> None:
    at = office.now()
    line = _line(office, records, agreement.lineage, at=at)
    snapshots, spared = _due_snapshots(office, records, line, at=at)
    links = _due_links(office, records, line, gone={kept.snapshot for kept in snapshots}, at=at)
    keys = [
        *(_of_snapshot(office, kept) for kept in snapshots),
        *(_of_links(office, kept) for kept in links),
        *_of_memory(office, records, line),
        *_of_epochs(office, records, line),
    ]
    if not keys:
        return
    last_lease = records.last_lease(records.versions(line.lineage))
    erasure = Erasure(
        owner=office.owner,
        contract=agreement.digest,
        lineage=line.lineage,
        clause=line.over or Clause.RETENTION,
        at=at,
        leases_until=max(at, last_lease or at),
        keys=tuple(keys),
        spared=tuple(spared),
    )
    intend(office, records, erasure)


def _conclude(office: Office, records: DeskRecords, erasure: Erasure) -> None:
    name = digest(erasure.to_document())
    if not records.conclude_erasure(erasure):
        return  # another process went through the same list
    for key in erasure.keys:
        office.write(records, Act.KEY_SHREDDED, subject=key.id, contract=erasure.contract, digest=name)
    office.write(records, Act.CONTRACT_ERASED, subject=name, contract=erasure.contract, count=len(erasure.keys))


def _signed(office: Office, erasure: Erasure) -> SignedErasure:
    return SignedErasure(erasure=erasure, signature=office.keys.sign(Purpose.ERASURE, erasure_payload(erasure)))


def _line(office: Office, records: DeskRecords, lineage: Digest, *, at: datetime) -> _Line:
    versions = records.versions(lineage)
    contracts = [signed_contract(office, records, version) for version in versions]
    newest, contract = versions[-1], contracts[-1]
    over = None
    if standing(records.statements(newest)) is ContractStatus.ENDED:
        over = Clause.ENDED
    elif at >= contract.valid_until:
        over = Clause.EXPIRED
    datasets = {dataset.name for version in contracts for dataset in version.datasets_of(office.owner)}
    return _Line(lineage=lineage, newest=newest, contract=contract, datasets=frozenset(datasets), over=over)


def _due_snapshots(
    office: Office, records: DeskRecords, line: _Line, *, at: datetime
) -> tuple[list[KeptSnapshot], list[SparedKey]]:
    others = [_line(office, records, lineage, at=at) for lineage in records.lineages() if lineage != line.lineage]
    due, spared = [], []
    for kept in records.kept_snapshots():
        if kept.is_destroyed or kept.dataset not in line.datasets:
            continue
        if line.over is None and line.contract.is_retained(kept.sealed_at, at):
            continue
        other = next((one for one in others if _may_use(one, kept, at)), None)
        if other is None:
            due.append(kept)
        else:
            spared.append(SparedKey(id=kept.snapshot, contract=other.newest))
    return due, spared


def _may_use(line: _Line, kept: KeptSnapshot, at: datetime) -> bool:
    return line.over is None and kept.dataset in line.datasets and line.contract.is_retained(kept.sealed_at, at)


def _due_links(
    office: Office, records: DeskRecords, line: _Line, *, gone: set[SnapshotId], at: datetime
) -> Iterator[KeptLinks]:
    """Link maps that are too old, or older than every set of identifiers that this owner still keeps.

    Identifiers that stay at the owner's home are of the clinical snapshot that came with them.
    """
    holds = Holding.CLINICAL if line.contract.linkage.mode is LinkMode.KEYED else Holding.IDENTITY
    identities = {dataset.name for dataset in line.contract.datasets_of(office.owner) if dataset.holds is holds}
    living = [
        kept.sealed_at
        for kept in records.kept_snapshots()
        if kept.dataset in identities and not kept.is_destroyed and kept.snapshot not in gone
    ]
    versions = records.versions(line.lineage)
    for kept in records.kept_links():
        if kept.is_destroyed or kept.contract not in versions:
            continue
        is_left = not any(sealed <= kept.sealed_at for sealed in living)
        if line.over is not None or is_left or not line.contract.is_retained(kept.sealed_at, at):
            yield kept


def _of_snapshot(office: Office, kept: KeptSnapshot) -> DestroyedKey:
    return destroyed_key(office, KeyKind.SNAPSHOT, kept.snapshot, dataset=kept.dataset, manifest=kept.manifest)


def _of_links(office: Office, kept: KeptLinks) -> DestroyedKey:
    return destroyed_key(office, KeyKind.LINKS, kept.snapshot, dataset=LINKS, manifest=kept.manifest)


def _of_memory(office: Office, records: DeskRecords, line: _Line) -> Iterable[DestroyedKey]:
    """The memory goes with its lineage alone: until then it protects the persons of what was erased, too."""
    kept = records.memory(line.lineage)
    if line.over is None or kept is None or kept.is_destroyed:
        return ()
    return (destroyed_key(office, KeyKind.MEMORY, memory_id(line.lineage), dataset=MEMORY),)


def _of_epochs(office: Office, records: DeskRecords, line: _Line) -> Iterator[DestroyedKey]:
    """Shares of link keys go with their epoch, and at the latest with the lineage."""
    versions = records.versions(line.lineage) if line.over is not None else []
    for kept in records.epochs():
        if kept.name.contract in versions and not kept.is_over:
            records.put_epoch(replace(kept, wrapped=b""))
            yield destroyed_share(office, kept.name)


def _binding(office: Office, key: DestroyedKey) -> bytes:
    return snapshot_binding(office.owner, dataset=key.dataset, snapshot=SnapshotId(key.id))
