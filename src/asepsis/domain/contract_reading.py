"""Reading a contract: ``room.yaml`` through a closed schema, with every name in it checked against the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from asepsis.domain.catalogue import Catalogue, read_table
from asepsis.domain.continuity import Agreed, ContinuityTerms, check_continuity, read_continuity
from asepsis.domain.contract import SCHEMA_VERSION, Amendment, Contract
from asepsis.domain.datasets import Holding, read_dataset
from asepsis.domain.documents import Fields
from asepsis.domain.link_terms import LinkTerms, read_link_terms
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.parties import Party, Role, read_party
from asepsis.domain.privacy import Privacy, read_privacy
from asepsis.domain.quotas import Quotas, read_quotas
from asepsis.domain.templates import read_template

HIGHEST_LEVEL: Final = 2
MOST_RETENTION_DAYS: Final = 36_500
_HEX_256: Final = re.compile(r"[0-9a-f]{64}")
_OWNERS_ONLY: Final[Mapping[str, Callable[[Contract], frozenset[PartyId]]]] = {
    "datasets": lambda contract: frozenset(dataset.owner for dataset in contract.datasets),
    "disclosure.automatic_release": lambda contract: contract.automatic_release,
    "linkage.duplicate_free": lambda contract: contract.linkage.duplicate_free,
}


def read_contract(document: object) -> Contract:
    """Read a contract through its closed schema. Raises DocumentMalformed."""
    fields = Fields(document, document="contract")
    if fields.integer("version") != SCHEMA_VERSION:
        raise fields.malformed("version", f"version {SCHEMA_VERSION} is needed")
    with fields.mapping("valid") as valid:
        valid_from, valid_until = valid.time("from"), valid.time("until")
        if valid_until <= valid_from:
            raise valid.malformed("until", "the end must be after the beginning")
    with fields.mapping("analyses") as analyses:
        queries, referrals = analyses.flag("queries"), analyses.flag("referrals")
        methods = analyses.texts("methods", default=())
        templates = analyses.each("templates", read_template) if analyses.has("templates") else ()
    with fields.mapping("disclosure") as disclosure:
        profile = disclosure.text("profile")
        automatic = frozenset(PartyId(name) for name in disclosure.texts("automatic_release", default=()))
        beside = frozenset(_digest(name, disclosure, "beside") for name in disclosure.texts("beside", default=()))
        quotas = _read_quotas(disclosure)
    with fields.mapping("runtime") as runtime:
        level, measurements = runtime.integer("level"), runtime.texts("measurements")
        if level > HIGHEST_LEVEL:
            raise runtime.malformed("level", "the level is 0, 1 or 2")
    with fields.mapping("ledger") as ledger:
        origin = ledger.text("origin")
    catalogue = Catalogue(tables=fields.each("tables", read_table))
    contract = Contract(
        name=fields.name("name"),
        title=fields.text("title"),
        purpose=fields.text("purpose"),
        legal_basis=fields.text("legal_basis"),
        valid_from=valid_from,
        valid_until=valid_until,
        retention_days=_read_retention(fields),
        parties=fields.each("parties", read_party),
        datasets=fields.each("datasets", read_dataset),
        catalogue=catalogue,
        queries=queries,
        methods=methods,
        referrals=referrals,
        profile=profile,
        budgets=_read_budgets(fields),
        automatic_release=automatic,
        level=level,
        measurements=measurements,
        ledger_origin=origin,
        amends=_read_amends(fields),
        beside=beside,
        quotas=quotas,
        privacy=_read_privacy(fields, catalogue),
        linkage=_read_linkage(fields),
        continuity=_read_continuity(fields),
        purposes=_read_purposes(fields),
        templates=templates,
    )
    fields.close()
    _check_references(contract, fields)
    if contract.continuity is not None:
        check_continuity(contract.continuity, _agreed(contract), fields)
    return contract


def _read_retention(fields: Fields) -> int:
    days = fields.integer("retention_days", least=1)
    if days > MOST_RETENTION_DAYS:
        raise fields.malformed("retention_days", f"at most {MOST_RETENTION_DAYS} days are allowed")
    return days


def _read_amends(fields: Fields) -> Amendment | None:
    if not fields.has("amends"):
        return None
    with fields.mapping("amends") as amends:
        return Amendment(
            contract=_digest(amends.text("contract"), amends, "contract"),
            lineage=_digest(amends.text("lineage"), amends, "lineage"),
        )


def _read_privacy(fields: Fields, catalogue: Catalogue) -> Privacy | None:
    if not fields.has("dp"):
        return None
    with fields.mapping("dp") as clause:
        return read_privacy(clause, catalogue)


def _read_linkage(fields: Fields) -> LinkTerms:
    if not fields.has("linkage"):
        return LinkTerms()
    with fields.mapping("linkage") as clause:
        return read_link_terms(clause)


def _read_continuity(fields: Fields) -> ContinuityTerms | None:
    if not fields.has("continuity"):
        return None
    with fields.mapping("continuity") as clause:
        return read_continuity(clause)


def _read_purposes(fields: Fields) -> dict[str, str]:
    if not fields.has("purposes"):
        return {}
    with fields.mapping("purposes") as purposes:
        found = {name: purposes.text(name) for name in purposes.names()}
    if not found:
        raise fields.malformed("purposes", "one purpose at least is needed, or no such clause")
    return found


def _read_quotas(disclosure: Fields) -> Quotas:
    if not disclosure.has("quotas"):
        return Quotas()
    with disclosure.mapping("quotas") as quotas:
        return read_quotas(quotas)


def _digest(text: str, fields: Fields, key: str) -> Digest:
    if _HEX_256.fullmatch(text) is None:
        raise fields.malformed(key, "the digest of a contract is needed: 64 hexadecimal digits")
    return Digest(text)


def _read_budgets(fields: Fields) -> dict[PartyId, int]:
    with fields.mapping("budgets") as budgets:
        return {PartyId(name): budgets.integer(name) for name in budgets.names()}


def _check_references(contract: Contract, fields: Fields) -> None:
    """Every name that the contract uses is a party of it, in the right role."""
    owners = {party.id for party in contract.owners}
    if not owners:
        raise fields.malformed("parties", "at least one owner is needed")
    if len(contract.with_role(Role.HOST)) != 1:
        raise fields.malformed("parties", "exactly one host is needed; its key signs the ledger")
    if set(contract.budgets) != owners:
        raise fields.malformed("budgets", "every owner, and nobody else, sets a budget")
    if contract.privacy is not None:
        _check_noise(contract, fields)
    _check_holdings(contract, fields)
    for clause, names in _OWNERS_ONLY.items():
        if names(contract) - owners:
            raise fields.malformed(clause, "only owners stand here")
    for party in contract.parties:
        _check_keys(party, owners, fields)


def _check_noise(contract: Contract, fields: Fields) -> None:
    """What noise does not cover is not there."""
    if contract.methods:
        raise fields.malformed("analyses.methods", "methods have no noise; under the clause 'dp' there are none")
    if contract.linkage.stricter:
        raise fields.malformed(
            "linkage.stricter", "under the clause 'dp' the bounds of a person are of one kind of links"
        )


def _agreed(contract: Contract) -> Agreed:
    return Agreed(
        researchers={party.id for party in contract.with_role(Role.RESEARCHER)},
        queries=contract.queries,
        methods=contract.methods,
        referrals=contract.referrals,
        teams={party.id for party in contract.with_role(Role.CLINICIAN)},
        purposes=contract.purposes,
    )


def _check_holdings(contract: Contract, fields: Fields) -> None:
    """Identifiers and tokens never stand in one contract: in mode ``keyed`` no identifier enters the room.

    What an owner has of one kind is one dataset, for its persons are told apart by one ``person_id`` there.
    """
    held = Counter((dataset.owner, dataset.holds) for dataset in contract.datasets)
    for (owner, holding), many in sorted(held.items()):
        if many > 1:
            raise fields.malformed("datasets", f"{owner} has more than one dataset that holds {holding.value}")
    is_keyed = contract.linkage.mode is LinkMode.KEYED
    unwanted = Holding.IDENTITY if is_keyed else Holding.TOKENS
    if any(dataset.holds is unwanted for dataset in contract.datasets):
        mode = contract.linkage.mode.value
        raise fields.malformed("datasets", f"in linkage mode {mode} no dataset holds {unwanted.value}")
    if contract.referrals and contract.linkage.mode is LinkMode.IMPORT_CLK:
        raise fields.malformed("analyses.referrals", "links by imported filters are too unsure to refer patients by")
    with_tokens = [dataset.owner for dataset in contract.datasets if dataset.holds is Holding.TOKENS]
    if is_keyed and sorted(with_tokens) != sorted(owner.id for owner in contract.owners):
        raise fields.malformed("datasets", "in linkage mode keyed every owner has one dataset that holds tokens")


def _check_keys(party: Party, owners: set[PartyId], fields: Fields) -> None:
    receives = party.roles & {Role.OWNER, Role.CLINICIAN}
    if receives and party.sealing_key is None:
        raise fields.malformed(f"parties.{party.id}.sealing_key", "owners and clinical teams need one")
    if Role.CLINICIAN in party.roles and party.team_of not in owners:
        raise fields.malformed(f"parties.{party.id}.team_of", "the hospital of a clinical team must be an owner")
