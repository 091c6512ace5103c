"""The parties of a contract: who they are, what they are in it, and their public keys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.names import PartyId

KEY_LENGTH: Final = 32


class Role(StrEnum):
    """What a party is in a collaboration (DESIGN §1)."""

    OWNER = "owner"
    RESEARCHER = "researcher"
    CHECKER = "checker"
    CLINICIAN = "clinician"
    AUDITOR = "auditor"
    HOST = "host"


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


def read_party(name: str, fields: Fields) -> Party:
    """Read one party of a contract. Raises DocumentMalformed."""
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


def party_document(party: Party) -> Document:
    """The party as the contract's document holds it; its name is the key."""
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
