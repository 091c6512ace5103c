"""The contract: one text that all parties sign.

What is signed is the canonical form of :meth:`Contract.to_document`; approvals and grants name its digest, so any
edit voids them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from asepsis.domain.catalogue import Catalogue, table_document
from asepsis.domain.continuity import ContinuityTerms
from asepsis.domain.datasets import Dataset, dataset_document
from asepsis.domain.documents import Document, encode_time
from asepsis.domain.link_terms import LinkTerms
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.parties import Party, Role, party_document
from asepsis.domain.privacy import Privacy
from asepsis.domain.quotas import Quotas
from asepsis.domain.templates import Template
from asepsis.errors.contract import (
    ContractExpired,
    ContractForbids,
    ContractNotYetValid,
    RetentionOver,
    UnknownParty,
)

SCHEMA_VERSION: Final = 1


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
            "parties": {party.id: party_document(party) for party in self.parties},
            "datasets": {dataset.name: dataset_document(dataset) for dataset in self.datasets},
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
