"""Amendments: a new version of a contract that goes on with its memory of releases, its quotas and its budgets.

All parties sign what widens, and one owner what only narrows (see ``narrowing``), so an amendment may change what it
likes, but for what the memory rests on: who owns the data (its key needs a share of each), how persons are
recognised, and how counts are rounded.
"""

from __future__ import annotations

from asepsis.domain.contract import Amendment, Contract
from asepsis.domain.names import Digest
from asepsis.errors.contract import AmendmentRefused


def check_amendment(new: Contract, *, before: Contract, digest: Digest, lineage: Digest) -> None:
    """Check a version against the one before it, of which the caller knows the digest and the lineage.

    Raises:
        AmendmentRefused: it names another version, or changes what the memory of releases rests on.
    """
    if new.amends != Amendment(contract=digest, lineage=lineage):
        raise AmendmentRefused(contract=new.name, problem="it names another version, or another beginning")
    if {owner.id for owner in new.owners} != {owner.id for owner in before.owners}:
        raise AmendmentRefused(contract=new.name, problem="the owners must stay the same")
    if new.profile != before.profile:
        raise AmendmentRefused(contract=new.name, problem="the disclosure profile must stay the same")
    if not _units(new) <= _units(before):
        raise AmendmentRefused(contract=new.name, problem="the columns that tell persons apart must stay the same")


def _units(contract: Contract) -> frozenset[str]:
    """The columns by which persons are recognised, and by which the memory names them."""
    return frozenset(table.unit.name for table in contract.catalogue.tables if table.unit is not None)
