"""The contract of the story: two hospitals, a genomics laboratory, two clinical teams and the host."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from asepsis.bootstrap.room import HOST, Room
from asepsis.bootstrap.runtimes import runtime_measurement
from asepsis.domain.documents import Document, encode_bytes, encode_time
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import PartyId
from asepsis.methods.kaplan_meier import NAME as KAPLAN_MEIER
from asepsis.services.drafting import DEFAULT_MODE, HOLDINGS
from asepsis.yaml_files import to_yaml

NORTHGATE: Final = PartyId("northgate")
RIVERSIDE: Final = PartyId("riverside")
LABORATORY: Final = PartyId("genomics-lab")
TEAMS: Final = {PartyId("northgate-clinic"): NORTHGATE, PartyId("riverside-clinic"): RIVERSIDE}

_NAMES: Final = {
    NORTHGATE: "Northgate Hospital",
    RIVERSIDE: "Riverside Hospital",
    LABORATORY: "Genomics Laboratory",
    PartyId("northgate-clinic"): "Metabolic clinic of Northgate Hospital",
    PartyId("riverside-clinic"): "Metabolic clinic of Riverside Hospital",
    HOST: "Host of the room",
}
_CODED: Final = {"type": "integer", "uses": ["compare", "group"]}
_DATED: Final = {"type": "date", "uses": ["date"]}
_PERSON: Final = {"type": "integer", "uses": ["unit"]}
TABLES: Final[Document] = {
    "person": {
        "one_per_person": True,
        "columns": {
            "person_id": _PERSON,
            "gender_concept_id": _CODED,
            "year_of_birth": {"type": "integer", "uses": ["compare", "group"], "bin_width": 10},
        },
    },
    "condition_occurrence": {
        "columns": {"person_id": _PERSON, "condition_concept_id": _CODED, "condition_start_date": _DATED}
    },
    "death": {"one_per_person": True, "columns": {"person_id": _PERSON, "death_date": _DATED}},
    "observation_period": {
        "columns": {
            "person_id": _PERSON,
            "observation_period_start_date": _DATED,
            "observation_period_end_date": _DATED,
        }
    },
}


def enrol_everybody(room: Room) -> None:
    """Every party makes its own keys in its own home."""
    for party in (NORTHGATE, RIVERSIDE):
        room.enrol(party, owner=True)
    for party in (LABORATORY, *TEAMS):
        room.enrol(party, owner=False)


def write_contract(room: Room, path: Path, *, now: datetime, linkage: LinkMode = DEFAULT_MODE) -> Document:
    """Write ``room.yaml`` with everybody's public keys and the measurement of the runtime that is installed here."""
    document: Document = {
        "version": 1,
        "name": "rare-disease-registry",
        "title": "Outcomes of people with rare and common diseases at two hospitals",
        "purpose": "Count people with Gaucher disease and describe survival after common diagnoses",
        "legal_basis": "Synthetic data: none needed (GDPR recital 26)",
        "valid": {"from": encode_time(now - timedelta(minutes=5)), "until": encode_time(now + timedelta(days=365))},
        "retention_days": 365,
        "parties": {party: _party(room, party) for party in _NAMES},
        "datasets": {
            f"{owner}-omop-{holds}": {"owner": owner, "label": "synthetic", "holds": holds.value}
            for owner in (NORTHGATE, RIVERSIDE)
            for holds in HOLDINGS[linkage]
        },
        "tables": TABLES,
        "analyses": {"queries": True, "methods": [KAPLAN_MEIER], "referrals": True},
        "disclosure": {"profile": "strict-10", "automatic_release": [NORTHGATE, RIVERSIDE]},
        "budgets": {NORTHGATE: 50, RIVERSIDE: 50},
        "runtime": {"level": 0, "measurements": [runtime_measurement()]},
        "ledger": {"origin": room.origin},
        "linkage": {"mode": linkage.value},
    }
    path.write_text(to_yaml(document), encoding="utf-8")
    return document


def _party(room: Room, party: PartyId) -> Document:
    public = room.keys(party).public()
    roles = {HOST: ["host"], LABORATORY: ["researcher"], NORTHGATE: ["owner"], RIVERSIDE: ["owner"]}
    document: Document = {
        "name": _NAMES[party],
        "roles": roles.get(party, ["clinician"]),
        "signing_key": encode_bytes(public.signing),
        "sealing_key": encode_bytes(public.sealing),
    }
    if party in TEAMS:
        document["team_of"] = TEAMS[party]
    return document
