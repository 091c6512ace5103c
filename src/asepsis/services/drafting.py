"""Drafting a contract: a text with careful defaults, to be read and edited before anybody signs.

A draft invents no agreement: who takes part in which role, the purpose, the legal basis and the label of the data
are stated by the one who asks for it. What is left open is set to the careful side: every output waits for a person,
budgets are small, and real data need the highest level.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from asepsis.domain.catalogue import ColumnType, table_document
from asepsis.domain.contract import SCHEMA_VERSION
from asepsis.domain.datasets import Holding
from asepsis.domain.documents import Document, encode_bytes, encode_time
from asepsis.domain.keydesk import PublicKeys
from asepsis.domain.link_terms import MODES, LinkTerms
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.parties import Role
from asepsis.domain.snapshot import Label
from asepsis.errors.drafting import RoleRefused
from asepsis.methods.registry import METHODS
from asepsis.sql.omop import omop_catalogue

PROFILE: Final = "strict-10"
BUDGET: Final = 20
"""Runs that each owner's desk grants."""
RETENTION_DAYS: Final = 365
LEVELS: Final[Mapping[Label, int]] = {Label.REAL: 2, Label.SYNTHETIC: 0}
"""The level that a draft asks for; at level 0 the host can read the memory of a run."""

HOLDINGS: Final[Mapping[LinkMode, tuple[Holding, Holding]]] = {
    mode: (Holding.CLINICAL, Holding.TOKENS if mode is LinkMode.KEYED else Holding.IDENTITY) for mode in MODES
}
"""What the two datasets of an owner hold."""
DEFAULT_MODE: Final = LinkMode.KEYED
"""What a draft says where nobody states a mode. A clause that says nothing means another (see ``LinkTerms``)."""

_COLUMNS: Final[Mapping[str, Mapping[str, ColumnType]]] = {
    "person": {
        "person_id": ColumnType.INTEGER,
        "gender_concept_id": ColumnType.INTEGER,
        "year_of_birth": ColumnType.INTEGER,
    },
    "condition_occurrence": {
        "person_id": ColumnType.INTEGER,
        "condition_concept_id": ColumnType.INTEGER,
        "condition_start_date": ColumnType.DATE,
    },
    "death": {"person_id": ColumnType.INTEGER, "death_date": ColumnType.DATE},
    "observation_period": {
        "person_id": ColumnType.INTEGER,
        "observation_period_start_date": ColumnType.DATE,
        "observation_period_end_date": ColumnType.DATE,
    },
}
"""The columns that a draft offers to analyses: few, coded, and none with free text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the one who asks for a draft states. ``teams`` names the hospital of each clinical team.

    ``automatic``: every owner lets outputs go without a person when every check passed.
    """

    name: str
    title: str
    purpose: str
    legal_basis: str
    label: Label
    valid_from: datetime
    valid_days: int
    researchers: frozenset[PartyId]
    teams: Mapping[PartyId, PartyId]
    automatic: bool = False
    linkage: LinkMode = DEFAULT_MODE


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The parties of a room with their public keys, the host among them, and the room's ledger."""

    host: PartyId
    owners: frozenset[PartyId]
    keys: Mapping[PartyId, PublicKeys]
    origin: str


def draft_contract(
    terms: Terms, enrolled: Enrolled, *, datasets: Mapping[PartyId, Collection[str]], measurement: Digest
) -> Document:
    """A contract document with every enrolled party, to be read through ``domain.contract_reading.read_contract``.

    ``datasets`` are the names without what they hold, such as ``northgate-omop``, by owner; an owner without any gets
    ``<owner>-omop``. ``measurement`` is the one of the program that may run.

    Raises:
        RoleRefused: a party has no role, is not enrolled, or is the team of somebody who owns nothing.
    """
    _check_roles(terms, enrolled)
    return {
        "version": SCHEMA_VERSION,
        "name": terms.name,
        "title": terms.title,
        "purpose": terms.purpose,
        "legal_basis": terms.legal_basis,
        "valid": {
            "from": encode_time(terms.valid_from),
            "until": encode_time(terms.valid_from + timedelta(days=terms.valid_days)),
        },
        "retention_days": RETENTION_DAYS,
        "parties": {party: _party(party, terms, enrolled) for party in sorted(enrolled.keys)},
        "datasets": {
            f"{dataset}-{holding.value}": {"owner": owner, "label": terms.label.value, "holds": holding.value}
            for owner in sorted(enrolled.owners)
            for dataset in sorted(datasets.get(owner) or (f"{owner}-omop",))
            for holding in HOLDINGS[terms.linkage]
        },
        "tables": _tables(),
        "analyses": {"queries": True, "methods": sorted(METHODS), "referrals": _refers(terms)},
        "disclosure": {"profile": PROFILE, "automatic_release": sorted(enrolled.owners) if terms.automatic else []},
        "budgets": dict.fromkeys(sorted(enrolled.owners), BUDGET),
        "runtime": {"level": LEVELS[terms.label], "measurements": [measurement]},
        "ledger": {"origin": enrolled.origin},
        "linkage": {"mode": terms.linkage.value},
    }


def linkage_in_words(mode: LinkMode, in_room: Mapping[PartyId, bool]) -> str:
    """What a draft says about linkage, and which owners have to contribute again before patients can be linked.

    ``in_room`` says of every owner that has contributed whether the identifiers of its newest persons are in the room.
    """
    at_home = LinkTerms(mode=mode).at_home
    again = ", ".join(sorted(owner for owner, is_sent in in_room.items() if is_sent is at_home))
    if at_home:
        said = f"linkage: {mode.value}; identifiers stay in their owners' homes"
        return f"{said}. Those of {again} are in the room: contribute again before `asepsis link`" if again else said
    said = f"linkage: {mode.value}; identifiers are sealed in the room, and opened in the runtime alone"
    return f"{said}. Those of {again} are at home: contribute again under this contract" if again else said


def _refers(terms: Terms) -> bool:
    return bool(terms.teams) and terms.linkage is not LinkMode.IMPORT_CLK


def _check_roles(terms: Terms, enrolled: Enrolled) -> None:
    named = terms.researchers | set(terms.teams) | set(terms.teams.values())
    for party in sorted(named - set(enrolled.keys)):
        raise RoleRefused(party=party, problem="is not enrolled in the room")
    for party in sorted(set(terms.teams.values()) - enrolled.owners):
        raise RoleRefused(party=party, problem="owns no data, so it has no clinical team")
    for party in sorted(enrolled.keys):
        if not _roles(party, terms, enrolled):
            raise RoleRefused(party=party, problem="has no role yet")


def _roles(party: PartyId, terms: Terms, enrolled: Enrolled) -> list[str]:
    held = {
        Role.HOST: party == enrolled.host,
        Role.OWNER: party in enrolled.owners,
        Role.RESEARCHER: party in terms.researchers,
        Role.CLINICIAN: party in terms.teams,
    }
    return sorted(role.value for role, holds in held.items() if holds)


def _party(party: PartyId, terms: Terms, enrolled: Enrolled) -> Document:
    keys = enrolled.keys[party]
    document: Document = {
        "name": party.replace("-", " ").capitalize(),
        "roles": _roles(party, terms, enrolled),
        "signing_key": encode_bytes(keys.signing),
        "sealing_key": encode_bytes(keys.sealing),
    }
    if party in terms.teams:
        document["team_of"] = terms.teams[party]
    return document


def _tables() -> Document:
    columns = {name: tuple(given.items()) for name, given in _COLUMNS.items()}
    return {table.name: table_document(table) for table in omop_catalogue(columns).tables}
