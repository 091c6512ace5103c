"""Errors of the databases. The text of a driver is never passed on: it quotes statements and their values."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class StoreUnavailable(AsepsisError):
    """The database did not do what it was asked: busy, full, damaged or not ours."""

    kind = Kind.UNAVAILABLE
    code = "store.unavailable"
    message = "The database {path} is not available."
    hint = "Check free space, permissions and other running programs, then run the same command again."


class StoreUnsafe(AsepsisError):
    """The database file is open to other users."""

    kind = Kind.DENIED
    code = "store.unsafe"
    message = "The database {path} is open to other users of this machine."
    hint = "Make the file 0600 and owned by you."


class LedgerDamaged(AsepsisError):
    """The ledger tables do not hold what they must: somebody edited them past the triggers."""

    kind = Kind.UNTRUSTED
    code = "store.ledger_damaged"
    message = "The ledger in the database is damaged at entry {index}."
    hint = "Stop; compare with the witnesses' checkpoints and an exported ledger before anything else."
