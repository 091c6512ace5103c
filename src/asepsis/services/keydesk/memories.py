"""The memory of releases at a desk: the newest version that it knows, and its owner's share of the key.

A desk grants a run only from the newest version it knows, and learns the next one from the runtime of such a run,
before that runtime lets its answer out. So no two runs can start from the same version and both be answered, and
a room that goes back to an older version gets no key. Telling the same step again changes nothing.
"""

from __future__ import annotations

from asepsis.domain.access import REMEMBERED
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.keydesk import GrantedRun, KeptMemory, MemoryDeposit
from asepsis.domain.ledger import Act
from asepsis.domain.memory import EMPTY, MemoryStep, read_memory_step, read_memory_version
from asepsis.domain.names import Digest
from asepsis.errors import AsepsisError
from asepsis.errors.desk import MemoryBehind, MemoryRefused, MemoryRolledBack, RequestMalformed
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical
from asepsis.sealing.keys import KEY_LENGTH
from asepsis.sealing.memory import receipt_payload, share_binding
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.keydesk.consent import require_named, require_not_destroyed, signed_contract
from asepsis.services.keydesk.going import require_going_on
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def memory_for(
    office: Office, records: DeskRecords, named: object, *, agreement: Agreement, kind: AnalysisKind
) -> KeptMemory | None:
    """The memory that a run of this kind starts from, if the request names the newest one; none for other kinds.

    Raises:
        RequestMalformed: a version is missing, malformed, or named for a kind that has none.
        MemoryLeftBehind: another memory over this owner's data exists, which the contracts do not name.
        MemoryRolledBack, MemoryBehind: it is not the newest version that this desk knows.
    """
    if kind not in REMEMBERED:
        if named is not None:
            raise RequestMalformed(part="memory", owner=office.owner)
        return None
    version = office.read("memory", lambda: read_memory_version(named))
    require_named(office, records, agreement.contract, lineage=agreement.lineage)
    kept = records.memory(agreement.lineage) or _begin(office, records, agreement.lineage)
    if version.number > kept.version.number:
        raise MemoryBehind(owner=office.owner, version=version.number)
    if version != kept.version:
        raise MemoryRolledBack(owner=office.owner, version=version.number)
    return kept


def own_share(office: Office, kept: KeptMemory) -> bytes:
    """This owner's share of the memory's key. Raises KeyUnwrapRefused or KeyDestroyed."""
    require_not_destroyed(kept.wrapped)
    return office.keys.unwrap(kept.wrapped, binding=share_binding(office.owner, lineage=kept.lineage))


def require_same(office: Office, records: DeskRecords, kept: KeptMemory | None) -> None:
    """Raise MemoryRolledBack if another run has left a newer version since."""
    if kept is not None and records.memory(kept.lineage) != kept:
        raise MemoryRolledBack(owner=office.owner, version=kept.version.number)


def remember(office: Office, deposit: MemoryDeposit) -> bytes:
    """Know a new version from now on; returns the owner's receipt, without which the runtime gives no answer.

    Raises:
        MemoryRefused: it was not signed by the runtime of a run that this desk granted from the version before.
        MemoryRolledBack, MemoryBehind: it does not follow the newest version that this desk knows.
        DeskStopped, ContractNotInForce, ContractExpired: everything was stopped meanwhile.
    """
    with office.acting() as records:
        try:
            return _remember(office, records, deposit)
        except AsepsisError as error:
            refusal = error
        office.write(records, Act.MEMORY_REFUSED, subject="deposit", code=refusal.code)
    raise refusal


def _begin(office: Office, records: DeskRecords, lineage: Digest) -> KeptMemory:
    """Draw the owner's share for a lineage whose memory is still empty."""
    share = office.randomness(KEY_LENGTH)
    wrapped = office.keys.wrap(share, binding=share_binding(office.owner, lineage=lineage))
    kept = KeptMemory(lineage=lineage, version=EMPTY, wrapped=wrapped)
    records.put_memory(kept)
    return kept


def _remember(office: Office, records: DeskRecords, deposit: MemoryDeposit) -> bytes:
    step = office.read("memory", lambda: read_memory_step(deposit.step))
    _granted(office, records, step, signature=deposit.signature)
    contract = signed_contract(office, records, step.contract)
    agreement = Agreement(contract=contract, digest=step.contract)
    require_going_on(office, records, agreement, at=office.now())
    kept = records.memory(agreement.lineage)
    if kept is None or step.lineage != agreement.lineage:
        raise MemoryRefused(owner=office.owner, problem="no run under this contract was granted here")
    if kept.version != step.use.after:
        _go_on(office, records, kept, step)
    return office.keys.sign(Purpose.RECEIPT, receipt_payload(step))


def _granted(office: Office, records: DeskRecords, step: MemoryStep, *, signature: bytes) -> GrantedRun:
    payload = canonical(step.to_document())
    for granted in records.grants(step.run):
        bound = (granted.contract, granted.job)
        if granted.kind in REMEMBERED and bound == (step.contract, step.job) and _signed(granted, payload, signature):
            return granted
    raise MemoryRefused(owner=office.owner, problem="no runtime that was granted the run has signed it")


def _signed(granted: GrantedRun, payload: bytes, signature: bytes) -> bool:
    try:
        verify(granted.signing_key, purpose=Purpose.MEMORY, payload=payload, signature=signature)
    except SignatureInvalid:
        return False
    return True


def _go_on(office: Office, records: DeskRecords, kept: KeptMemory, step: MemoryStep) -> None:
    before, after = step.use.before, step.use.after
    if before.number > kept.version.number:
        raise MemoryBehind(owner=office.owner, version=before.number)
    if before != kept.version:
        raise MemoryRolledBack(owner=office.owner, version=before.number)
    records.put_memory(KeptMemory(lineage=kept.lineage, version=after, wrapped=kept.wrapped))
    office.write(
        records,
        Act.MEMORY_KEPT,
        subject=step.run,
        contract=step.contract,
        version=after.number,
        digest=after.root,
        size=after.size,
    )
