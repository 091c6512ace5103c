"""What kind of act an entry tells of, read off the verb of its name, for the record formats of other systems.

Acts are named ``subject.verb``; a verb that is not known here is an act that was carried out.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from asepsis.domain.ledger import Act


class Operation(StrEnum):
    """What was done to the subject; the letters are those of FHIR's audit-event-action."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


_OPERATIONS: Final = {
    "enrolled": Operation.CREATE,
    "proposed": Operation.CREATE,
    "published": Operation.CREATE,
    "submitted": Operation.CREATE,
    "requested": Operation.CREATE,
    "made": Operation.CREATE,
    "kept": Operation.CREATE,
    "issued": Operation.CREATE,
    "opened": Operation.READ,
    "given": Operation.READ,
    "released": Operation.READ,
    "collected": Operation.READ,
    "exported": Operation.READ,
    "scanned": Operation.READ,
    "compared": Operation.READ,
    "declared": Operation.CREATE,
    "appointed": Operation.CREATE,
    "signed": Operation.UPDATE,
    "amended": Operation.UPDATE,
    "suspended": Operation.UPDATE,
    "resumed": Operation.UPDATE,
    "in_force": Operation.UPDATE,
    "charged": Operation.UPDATE,
    "shredded": Operation.DELETE,
    "erased": Operation.DELETE,
    "withdrawn": Operation.DELETE,
    "ended": Operation.DELETE,
    "revoked": Operation.DELETE,
}
_FAILURES: Final = frozenset({"refused", "denied", "failed"})
ALARMS: Final = frozenset({Act.EVIDENCE_REFUSED, Act.WITNESS_REFUSED, Act.CLOCK_REFUSED, Act.MEMORY_REFUSED})
"""Refusals that tell of somebody who does not run the program or the record that the parties agreed on."""


def operation(act: Act) -> Operation:
    """What the act did."""
    return _OPERATIONS.get(_verb(act), Operation.EXECUTE)


def failed(act: Act) -> bool:
    """Whether the entry tells that something was refused or did not succeed."""
    return _verb(act) in _FAILURES


def _verb(act: Act) -> str:
    return act.value.partition(".")[2]
