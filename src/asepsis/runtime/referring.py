"""The referral job: the cohort is found in the room, its rows are sealed to each hospital's own clinical team."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from asepsis.domain.continuity import ESSENTIALS
from asepsis.domain.continuity_age import oldest
from asepsis.domain.datasets import Holding
from asepsis.domain.finding import Assessment, Finding, Severity
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.sealed import Sealed
from asepsis.domain.statistic import Package, Statistic
from asepsis.engines.referral.essentials import essential_lists
from asepsis.engines.referral.rows import essential_rows, patient_rows
from asepsis.errors.contract import ContractForbids
from asepsis.runtime.data import RoomData, open_room
from asepsis.runtime.order import Order
from asepsis.runtime.vault import Vault
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.package import package_info, pad
from asepsis.sql.planner import plan_cohort

_DELIVERED = Finding(
    code="referral.delivered",
    severity=Severity.PASS,
    reason="Rows were sealed to the clinical team of each hospital; nobody else can open them.",
)


def refer(order: Order, vault: Vault) -> Statistic:
    """Seal one package per hospital with a clinical team. Raises ContractForbids for what cannot be planned."""
    contract = order.contract
    planned = plan_cohort(order.job.analysis.body, contract.catalogue)
    if planned.cohort is None:
        raise ContractForbids(contract=contract.name, what="this cohort")
    with open_room(order, vault) as data:
        people = data.room.people(planned.cohort)
        packages = tuple(
            _package(order, owner.id, people=people, data=data, vault=vault)
            for owner in contract.owners
            if contract.clinical_team(owner.id) is not None
        )
    return Statistic(
        run=order.job.run,
        contract=order.agreement.digest,
        job=order.job_digest,
        plan=Digest(planned.cohort.digest),
        assessment=Assessment(profile=contract.profile, findings=(_DELIVERED,)),
        packages=packages,
    )


def _rows(order: Order, owner: PartyId, *, people: Sealed[pa.Table], files: Mapping[str, Path]) -> Sealed[bytes]:
    """All rows of a hospital's own patients, or only the lists of the clause ``continuity``."""
    if ESSENTIALS not in order.job.analysis.arguments:
        return patient_rows(people, owner=owner, tables=files)
    terms = order.contract.continuity
    essentials = None if terms is None else terms.essentials
    if terms is None or essentials is None or order.job.analysis != essentials.analysis(terms.lead):
        raise ContractForbids(contract=order.contract.name, what="these essentials")
    clinical = [item.manifest for item in order.held(Holding.CLINICAL) if item.manifest.owner == owner]
    as_of = oldest(manifest.origin.taken_at for manifest in clinical)
    if as_of is None:
        raise ContractForbids(contract=order.contract.name, what=f"essentials of {owner}, which are of unknown age")
    lists = essential_lists(essentials.lists, as_of=as_of)
    return essential_rows(people, lists, owner=owner, as_of=as_of, files=files)


def _package(
    order: Order,
    owner: PartyId,
    *,
    people: Sealed[pa.Table],
    data: RoomData,
    vault: Vault,
) -> Package:
    team = order.contract.clinical_team(owner)
    if team is None or team.sealing_key is None:
        raise ContractForbids(contract=order.contract.name, what=f"a referral at {owner}")
    known = next((item for item in order.held(Holding.IDENTITY) if item.manifest.owner == owner), None)
    # Where identifiers stay at home, the clinical tables have keys that open them there.
    identity = {} if known is None else vault.unseal(known)
    rows = _rows(order, owner, people=people, files={**identity, **data.tables_of(owner)})
    info = package_info(order.agreement.digest, job=order.job_digest, owner=owner, team=team.id)
    sealed = seal_to(team.sealing_key, pad(rows.unseal()), info=info)
    name = f"{owner}.sealed"
    (order.output / name).write_bytes(sealed)
    return Package(
        owner=owner,
        team=team.id,
        file=name,
        length=len(sealed),
        digest=Digest(hashlib.sha256(sealed).hexdigest()),
    )
