"""The owner's key is split into recovery shares, or comes back from them: what the desk checks and records.

The desk never sees a share. It records that shares were made, and it takes a key back only if that key opens what the
desk keeps; both are in its own ledger before anything is written elsewhere.
"""

from __future__ import annotations

from asepsis.domain.ledger import Act
from asepsis.errors.sealing import KeyUnwrapRefused
from asepsis.services.keydesk.consent import kept_key
from asepsis.services.keydesk.office import Office


def record_shares(office: Office, *, shares: int, needed: int) -> None:
    """Record that the owner's key is about to be split."""
    with office.acting() as records:
        office.write(records, Act.KEY_SPLIT, subject=office.owner, count=shares, size=needed)


def take_back(office: Office, *, shares: int) -> None:
    """Check that the key of this office opens every snapshot that the desk keeps, and record that it came back.

    Raises:
        KeyUnwrapRefused: it is another key; that is recorded too.
    """
    with office.acting() as records:
        try:
            for kept in records.kept_snapshots():
                kept_key(office, dataset=kept.dataset, snapshot=kept.snapshot, wrapped=kept.wrapped)
        except KeyUnwrapRefused as error:
            refusal = error
            office.write(records, Act.KEY_REFUSED, subject=office.owner, code=error.code)
        else:
            office.write(records, Act.KEY_RECOVERED, subject=office.owner, count=shares)
            return
    raise refusal
