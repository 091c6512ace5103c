"""A refused deed is in the ledger before anybody learns of it, with the policy and without a stranger's name."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asepsis.domain.asking import Deed, Principal, PrincipalKind, Question, Subject
from asepsis.domain.ledger import Act
from asepsis.domain.names import PartyId
from asepsis.domain.parties import Role
from asepsis.errors.access import AccessDenied
from asepsis.errors.room import OwnWorkReviewed
from asepsis.services.access import Access
from asepsis.store.room_state import SqlRoomState

HOST, ADA = PartyId("room"), PartyId("ada")


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(SqlRoomState(tmp_path / "room.db"), lambda: datetime(2026, 3, 1, tzinfo=UTC), HOST)


def deciding(author: PartyId, *roles: Role) -> Question:
    principal = Principal(kind=PrincipalKind.PARTY, id=ADA, party=ADA, roles=frozenset(roles))
    subject = Subject(kind="Release", id="release-1", marks={"author": author})
    return Question(principal=principal, deed=Deed.DECIDE_RELEASE, subject=subject)


def entries(access: Access) -> list[dict[str, object]]:
    ledger = access.state.ledger()
    return [entry.to_document() for entry in ledger.entries(0, ledger.size())] if ledger.size() else []


def test_a_refusal_is_an_entry_with_the_policy_that_refused(access: Access) -> None:
    with pytest.raises(OwnWorkReviewed):
        access.require(deciding(ADA, Role.OWNER), refusals={"nobody-decides-on-own-work": OwnWorkReviewed(party=ADA)})
    (entry,) = entries(access)
    assert (entry["act"], entry["actor"], entry["subject"]) == (Act.ACCESS_DENIED, ADA, "decide-release")
    assert entry["facts"] == {
        "code": "review.own_work",
        "policy": "nobody-decides-on-own-work",
        "release": "release-1",
    }


def test_what_nothing_permits_is_an_entry_too(access: Access) -> None:
    with pytest.raises(AccessDenied):
        access.require(deciding(HOST, Role.RESEARCHER))
    (entry,) = entries(access)
    assert "nothing-permits" in json.dumps(entry)


def test_what_is_allowed_leaves_its_own_entry_and_none_here(access: Access) -> None:
    access.require(deciding(HOST, Role.CHECKER))
    assert entries(access) == []
