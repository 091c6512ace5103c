"""The contract: one text that all parties sign, and the rules for when it is in force.

``room.yaml`` is read into :class:`Contract` through a closed schema. What is signed is the canonical form of
:meth:`Contract.to_document`; approvals and grants name its digest, so any edit voids them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from asepsis.domain.catalogue import Catalogue, read_table, table_document
from asepsis.domain.continuity import Agreed, ContinuityTerms, check_continuity, read_continuity
from asepsis.domain.documents import Document, Fields, encode_bytes, encode_time
from asepsis.domain.link_terms import LinkTerms, read_link_terms
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.privacy import Privacy, read_privacy
from asepsis.domain.quotas import Quotas, read_quotas
from asepsis.domain.snapshot import Label
from asepsis.domain.templates import Template, read_template
from asepsis.errors.contract import (
    ContractExpired,
    ContractForbids,
    ContractNotInForce,
    ContractNotYetValid,
    RetentionOver,
    TransitionRefused,
    UnknownParty,
)

SCHEMA_VERSION: Final = 1
KEY_LENGTH: Final = 32
TEXT_COLUMN: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}")
"""A column of a table, as a clause names it."""
HIGHEST_LEVEL: Final = 2
MOST_RETENTION_DAYS: Final = 36_500
_HEX_256: Final = re.compile(r"[0-9a-f]{64}")


class Role(StrEnum):
    """What a party is in a collaboration (DESIGN §1)."""

    OWNER = "owner"
    RESEARCHER = "researcher"
    CHECKER = "checker"
    CLINICIAN = "clinician"
    AUDITOR = "auditor"
    HOST = "host"


class Holding(StrEnum):
    """What a dataset holds; identifiers and clinical data never travel together."""

    CLINICAL = "clinical"
    IDENTITY = "identity"
    TOKENS = "tokens"
    """Keyed tokens in place of identifiers, for one linkage."""


class ContractStatus(StrEnum):
    """The life of a contract."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    IN_FORCE = "in force"
    SUSPENDED = "suspended"
    ENDED = "ended"


TRANSITIONS: Final[Mapping[ContractStatus, frozenset[ContractStatus]]] = {
    ContractStatus.DRAFT: frozenset({ContractStatus.PROPOSED}),
    ContractStatus.PROPOSED: frozenset({ContractStatus.IN_FORCE, ContractStatus.ENDED}),
    ContractStatus.IN_FORCE: frozenset({ContractStatus.SUSPENDED, ContractStatus.ENDED}),
    ContractStatus.SUSPENDED: frozenset({ContractStatus.IN_FORCE, ContractStatus.ENDED}),
    ContractStatus.ENDED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A hospital, a researcher, a clinical team or the host, with its public keys.

    ``signing_key`` is Ed25519 (RFC 8032), ``sealing_key`` X25519 (RFC 7748); both raw, 32 bytes.
    ``team_of`` names the hospital that a clinical team belongs to.
    """

    id: PartyId
    name: str
    roles: frozenset[Role]
    signing_key: bytes
    sealing_key: bytes | None = None
    team_of: PartyId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset that an owner brings into the room; ``free_text`` are the columns with text that it may hold."""

    name: str
    owner: PartyId
    label: Label
    holds: Holding
    free_text: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """Which version a contract takes the place of, and the first version of that line; both by digest."""

    contract: Digest
    lineage: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What the parties agree on. Budgets count runs that an owner's key desk grants.

    ``amends`` makes it a new version of a contract: memory of releases, quotas and budgets go on. ``beside`` names
    the lineages of other contracts over the owners' data whose memories are not compared with this one.
    ``privacy`` makes queries differentially private; ``linkage`` says how patients of several owners are found.
    ``continuity`` names the analyses that may run when production is down. Where there are ``purposes``, by name, every
    query and method states one of them. ``templates`` are queries that may be asked even where others may not.
    """

    name: str
    title: str
    purpose: str
    legal_basis: str
    valid_from: datetime
    valid_until: datetime
    retention_days: int
    parties: tuple[Party, ...]
    datasets: tuple[Dataset, ...]
    catalogue: Catalogue
    queries: bool
    methods: tuple[str, ...]
    referrals: bool
    profile: str
    budgets: Mapping[PartyId, int]
    automatic_release: frozenset[PartyId]
    level: int
    measurements: tuple[str, ...]
    ledger_origin: str
    amends: Amendment | None = None
    beside: frozenset[Digest] = frozenset()
    quotas: Quotas = field(default_factory=Quotas)
    privacy: Privacy | None = None
    linkage: LinkTerms = field(default_factory=LinkTerms)
    continuity: ContinuityTerms | None = None
    purposes: Mapping[str, str] = field(default_factory=dict)
    templates: tuple[Template, ...] = ()

    def template(self, name: str) -> Template:
        """The template of that name. Raises ContractForbids."""
        for template in self.templates:
            if template.name == name:
                return template
        raise ContractForbids(contract=self.name, what="a template of that name")

    def party(self, party: PartyId) -> Party:
        """The party of that name. Raises UnknownParty."""
        for candidate in self.parties:
            if candidate.id == party:
                return candidate
        raise UnknownParty(party=party)

    def with_role(self, role: Role) -> tuple[Party, ...]:
        """All parties that hold the role."""
        return tuple(party for party in self.parties if role in party.roles)

    @property
    def owners(self) -> tuple[Party, ...]:
        """The owners, in the order of their names."""
        return self.with_role(Role.OWNER)

    def datasets_of(self, owner: PartyId) -> tuple[Dataset, ...]:
        """The datasets that one owner brings."""
        return tuple(dataset for dataset in self.datasets if dataset.owner == owner)

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name. Raises ContractForbids."""
        for dataset in self.datasets:
            if dataset.name == name:
                return dataset
        raise ContractForbids(contract=self.name, what=f"the dataset '{name}'")

    def clinical_team(self, hospital: PartyId) -> Party | None:
        """The clinical team that may receive patient-level rows of that hospital's own patients."""
        teams = self.with_role(Role.CLINICIAN)
        return next((team for team in teams if team.team_of == hospital), None)

    def require_role(self, party: PartyId, role: Role, *, what: str) -> None:
        """Raise ContractForbids unless the party holds the role."""
        if role not in self.party(party).roles:
            raise ContractForbids(contract=self.name, what=f"{party} {what}")

    def require_time(self, now: datetime) -> None:
        """Raise ContractNotYetValid or ContractExpired outside the agreed time."""
        if now < self.valid_from:
            raise ContractNotYetValid(contract=self.name, since=encode_time(self.valid_from))
        if now >= self.valid_until:
            raise ContractExpired(contract=self.name, until=encode_time(self.valid_until))

    def is_retained(self, sealed_at: datetime, now: datetime) -> bool:
        """Whether data that were sealed then may still be used now."""
        return now < sealed_at + timedelta(days=self.retention_days)

    def require_retained(self, dataset: str, *, sealed_at: datetime, now: datetime) -> None:
        """Raise RetentionOver for data that were sealed longer ago than the contract keeps them."""
        if not self.is_retained(sealed_at, now):
            raise RetentionOver(contract=self.name, days=self.retention_days, dataset=dataset)

    def to_document(self) -> Document:
        """The document whose canonical form (RFC 8785) the parties sign; a clause at its default is left out."""
        document: Document = {
            "version": SCHEMA_VERSION,
            "name": self.name,
            "title": self.title,
            "purpose": self.purpose,
            "legal_basis": self.legal_basis,
            "valid": {"from": encode_time(self.valid_from), "until": encode_time(self.valid_until)},
            "retention_days": self.retention_days,
            "parties": {party.id: _party_document(party) for party in self.parties},
            "datasets": {dataset.name: _dataset_document(dataset) for dataset in self.datasets},
            "tables": {table.name: table_document(table) for table in self.catalogue.tables},
            "analyses": self._analyses_document(),
            "disclosure": self._disclosure_document(),
            "budgets": dict(self.budgets),
            "runtime": {"level": self.level, "measurements": list(self.measurements)},
            "ledger": {"origin": self.ledger_origin},
        }
        if self.privacy is not None:
            document["dp"] = self.privacy.to_document()
        if self.linkage != LinkTerms():
            document["linkage"] = self.linkage.to_document()
        if self.continuity is not None:
            document["continuity"] = self.continuity.to_document()
        if self.purposes:
            document["purposes"] = dict(self.purposes)
        if self.amends is not None:
            document["amends"] = {"contract": self.amends.contract, "lineage": self.amends.lineage}
        return document

    def _analyses_document(self) -> Document:
        document: Document = {"queries": self.queries, "methods": list(self.methods), "referrals": self.referrals}
        if self.templates:
            document["templates"] = {template.name: template.to_document() for template in self.templates}
        return document

    def _disclosure_document(self) -> Document:
        document: Document = {"profile": self.profile, "automatic_release": sorted(self.automatic_release)}
        if self.beside:
            document["beside"] = sorted(self.beside)
        if self.quotas != Quotas():
            document["quotas"] = self.quotas.to_document()
        return document


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
        parties=fields.each("parties", _read_party),
        datasets=fields.each("datasets", _read_dataset),
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


def _read_party(name: str, fields: Fields) -> Party:
    roles = fields.texts("roles")
    if not roles or not set(roles) <= set(Role):
        raise fields.malformed("roles", "one or more of " + ", ".join(Role) + " are needed")
    return Party(
        id=PartyId(name),
        name=fields.text("name"),
        roles=frozenset(Role(role) for role in roles),
        signing_key=fields.octets("signing_key", length=KEY_LENGTH),
        sealing_key=fields.octets("sealing_key", length=KEY_LENGTH) if fields.has("sealing_key") else None,
        team_of=PartyId(fields.name("team_of")) if fields.has("team_of") else None,
    )


def _party_document(party: Party) -> Document:
    document: Document = {
        "name": party.name,
        "roles": sorted(role.value for role in party.roles),
        "signing_key": encode_bytes(party.signing_key),
    }
    if party.sealing_key is not None:
        document["sealing_key"] = encode_bytes(party.sealing_key)
    if party.team_of is not None:
        document["team_of"] = party.team_of
    return document


def _read_dataset(name: str, fields: Fields) -> Dataset:
    dataset = Dataset(
        name=name,
        owner=PartyId(fields.name("owner")),
        label=fields.choice("label", Label),
        holds=fields.choice("holds", Holding),
        free_text=frozenset(fields.texts("free_text", default=())),
    )
    if not all(map(TEXT_COLUMN.fullmatch, dataset.free_text)):
        raise fields.malformed("free_text", "columns are named like note.note_text")
    if dataset.free_text and dataset.holds is not Holding.CLINICAL:
        raise fields.malformed("free_text", "only a clinical dataset holds free text")
    return dataset


def _dataset_document(dataset: Dataset) -> Document:
    document: Document = {"owner": dataset.owner, "label": dataset.label.value, "holds": dataset.holds.value}
    return document | ({"free_text": sorted(dataset.free_text)} if dataset.free_text else {})


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


_OWNERS_ONLY: Final[Mapping[str, Callable[[Contract], frozenset[PartyId]]]] = {
    "datasets": lambda contract: frozenset(dataset.owner for dataset in contract.datasets),
    "disclosure.automatic_release": lambda contract: contract.automatic_release,
    "linkage.duplicate_free": lambda contract: contract.linkage.duplicate_free,
}


def _check_keys(party: Party, owners: set[PartyId], fields: Fields) -> None:
    receives = party.roles & {Role.OWNER, Role.CLINICIAN}
    if receives and party.sealing_key is None:
        raise fields.malformed(f"parties.{party.id}.sealing_key", "owners and clinical teams need one")
    if Role.CLINICIAN in party.roles and party.team_of not in owners:
        raise fields.malformed(f"parties.{party.id}.team_of", "the hospital of a clinical team must be an owner")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractState:
    """Where a contract stands: who signed, and whether somebody stopped it.

    ``narrows`` says that it only narrows the version before: then it waits for the owners' desks alone.
    """

    contract: Contract
    digest: Digest
    signed_by: frozenset[PartyId]
    status: ContractStatus
    narrows: bool = False

    @property
    def waiting_for(self) -> tuple[PartyId, ...]:
        """The parties whose signature is still missing."""
        if self.status is not ContractStatus.PROPOSED:
            return ()
        desks = _without(self.contract.owners, self.signed_by) if self.narrows else ()
        return desks or _without(self.contract.parties, self.signed_by)

    def require_in_force(self, now: datetime) -> None:
        """Raise unless everybody signed, nobody stopped it, and the time is right."""
        if self.status is not ContractStatus.IN_FORCE:
            raise ContractNotInForce(contract=self.contract.name, status=self.status.value)
        self.contract.require_time(now)


def _without(parties: tuple[Party, ...], signed_by: frozenset[PartyId]) -> tuple[PartyId, ...]:
    return tuple(party.id for party in parties if party.id not in signed_by)


def move(status: ContractStatus, to: ContractStatus) -> ContractStatus:
    """The new status, if the transition table has that move. Raises TransitionRefused."""
    if to not in TRANSITIONS[status]:
        raise TransitionRefused(subject="contract", current=status.value, wanted=to.value)
    return to
