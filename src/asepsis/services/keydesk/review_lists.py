"""Review lists at a desk: they are drawn with its keys once, and the owner's own list is opened here.

Two lists of one owner would tell more than both alone: who stays on them while records change was drawn by chance, who
goes was there for a reason. So every desk grants the drawing to one job, under all versions of a contract together.
"""

from __future__ import annotations

from asepsis.domain.analysis import AnalysisKind, Job
from asepsis.domain.documents import Document
from asepsis.domain.keydesk import GrantedRun
from asepsis.domain.ledger import Act
from asepsis.domain.names import Digest
from asepsis.domain.review_list import draws_lists
from asepsis.domain.statistic import Statistic, read_statistic
from asepsis.errors.desk import LinkageUnknown
from asepsis.errors.linkage import ListMissing, ListsDrawn
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.review_list import read_list, review_info
from asepsis.services.keydesk.linkmap import is_signed_by
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def claim_lists(office: Office, records: DeskRecords, job: Job, *, lineage: Digest) -> None:
    """From now on this job, if it draws review lists, is the only one of its lineage that does. Raises ListsDrawn."""
    if not draws_lists(job.analysis):
        return
    own = digest(job.to_document())
    if records.drawing(lineage, job=own) != own:
        raise ListsDrawn(owner=office.owner)


def open_list(office: Office, statistic: Document, *, signature: bytes) -> tuple[int, ...]:
    """The persons on the owner's own list; the act is written down first.

    Raises:
        LinkageUnknown: no runtime of a linkage that this desk granted signed the statistic.
        ListMissing: it has no list for this owner.
        EnvelopeRefused: the list was not sealed to this owner in that linkage.
    """
    payload = office.read("statistic", lambda: canonical(statistic))
    known = office.read("statistic", lambda: read_statistic(statistic))
    sealed = next((one.sealed for one in known.reviews if one.owner == office.owner), None)
    with office.acting() as records:
        granted = _granted(office, records, known, payload=payload, signature=signature)
        if sealed is None:
            raise ListMissing(owner=office.owner)
        office.write(records, Act.LINK_LIST_OPENED, subject=granted.run, contract=granted.contract)
    info = review_info(granted.contract, job=granted.job, owner=office.owner)
    return read_list(office.keys.open_sealed(sealed, info=info))


def _granted(office: Office, records: DeskRecords, known: Statistic, *, payload: bytes, signature: bytes) -> GrantedRun:
    for granted in records.grants(known.run):
        is_its = (granted.kind, granted.contract, granted.job) == (AnalysisKind.LINKAGE, known.contract, known.job)
        if is_its and is_signed_by(granted, payload, signature):
            return granted
    raise LinkageUnknown(owner=office.owner)
