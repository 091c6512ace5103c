"""Entries keep to their closed schema, and no value or personal field fits into them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.ledger import FACTS, PERSONAL, Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors.ledger import CommitmentRefused, EntryMalformed
from asepsis.ledger.commitment import commit, new_salt, verify_commitment
from asepsis.ledger.entry import entry_bytes, entry_hash, parse_entry
from asepsis.ledger.tree import leaf_hash

ENTRY = LedgerEntry(
    at=datetime(2026, 11, 21, 20, 0, 0, 1, tzinfo=UTC),
    actor=PartyId("northgate"),
    act=Act.GRANT_GIVEN,
    subject="run-1",
    facts={"contract": "a" * 64, "count": 3},
    commitments={"person": "b" * 64},
)


def test_an_entry_is_hashed_in_one_canonical_form() -> None:
    data = entry_bytes(ENTRY)
    assert data == (
        b'{"act":"grant.given","actor":"northgate","at":"2026-11-21T20:00:00.000001Z","commitments":{"person":"'
        + b"b" * 64
        + b'"},"facts":{"contract":"'
        + b"a" * 64
        + b'","count":3},"format":"asepsis/entry/1","subject":"run-1"}'
    )
    assert parse_entry(data) == ENTRY
    assert entry_hash(ENTRY) == leaf_hash(data)


@given(
    st.sampled_from(Act),
    st.dictionaries(
        st.sampled_from(sorted(FACTS)),
        st.integers(-(2**53) + 1, 2**53 - 1) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@/+=-]{0,50}", fullmatch=True),
    ),
    st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_every_entry_reads_back(act: Act, facts: dict[str, str | int], at: datetime) -> None:
    entry = replace(ENTRY, act=act, facts=facts, at=at)
    assert parse_entry(entry_bytes(entry)) == entry
    assert entry_bytes(entry) == rfc8785.dumps(entry.to_document())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "x"},
        {"Jane Doe": 1},
        {"code": "Jane Doe"},
        {"code": ""},
        {"code": "-x"},
        {"code": "x" * 201},
        {"code": "x\n"},
        {"code": "é"},
        {"count": True},
        {"count": 1.5},
        {"count": None},
        {"count": 2**53},
        {"count": [1]},
    ],
)
def test_no_free_text_unknown_name_or_other_type_fits_into_the_facts(facts: Any) -> None:
    with pytest.raises(EntryMalformed) as refusal:
        replace(ENTRY, facts=facts)
    assert "Jane" not in str(refusal.value)


@pytest.mark.parametrize("commitments", [{"person": "Jane"}, {"person": "B" * 64}, {"name": "b" * 64}, {"person": 1}])
def test_a_personal_field_enters_only_as_a_commitment(commitments: Any) -> None:
    with pytest.raises(EntryMalformed) as refusal:
        replace(ENTRY, commitments=commitments)
    assert "Jane" not in str(refusal.value)


def test_the_mappings_of_an_entry_cannot_be_changed_afterwards() -> None:
    facts: dict[str, str | int] = {"count": 1}
    entry = replace(ENTRY, facts=facts)
    facts["count"] = 2
    assert entry.facts == {"count": 1}
    with pytest.raises(TypeError):
        entry.facts["count"] = 2  # type: ignore[index]


@pytest.mark.parametrize("at", [ENTRY.at.replace(tzinfo=None), ENTRY.at.astimezone(timezone(timedelta(hours=2)))])
def test_the_time_of_an_entry_is_universal(at: datetime) -> None:
    with pytest.raises(EntryMalformed):
        replace(ENTRY, at=at)


CHANGES: list[tuple[str, Any]] = [
    ("format", "asepsis/entry/2"),
    ("at", "2026-11-21T20:00:00Z"),
    ("at", "2026-11-21T20:00:00.1Z"),
    ("at", "2026-11-21T20:00:00.000001+00:00"),
    ("at", "2026-11-21T22:00:00.000001+02:00"),
    ("at", "2026-11-21T20:00:00.000001"),
    ("at", "2026-11-21 20:00:00.000001Z"),
    ("at", "2026-02-30T20:00:00.000001Z"),
    ("at", 5),
    ("actor", ""),
    ("actor", None),
    ("act", "grant.stolen"),
    ("act", 1),
    ("act", []),
    ("subject", "two words"),
    ("facts", []),
    ("commitments", None),
    ("extra", 1),
]


@pytest.mark.parametrize(("key", "value"), CHANGES)
def test_another_type_form_or_key_is_refused(key: str, value: Any) -> None:
    with pytest.raises(EntryMalformed):
        LedgerEntry.from_document({**ENTRY.to_document(), key: value})


@pytest.mark.parametrize("key", sorted(ENTRY.to_document()))
def test_a_missing_key_is_refused(key: str) -> None:
    document = ENTRY.to_document()
    del document[key]
    with pytest.raises(EntryMalformed):
        LedgerEntry.from_document(document)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, entry_bytes(ENTRY) + b" "])
def test_bytes_that_are_no_canonical_entry_are_refused(data: bytes) -> None:
    with pytest.raises(EntryMalformed):
        parse_entry(data)


def test_a_repeated_key_or_another_order_is_refused() -> None:
    data = entry_bytes(ENTRY)
    for other in (
        data.replace(b'"count":3', b'"count":3,"count":3'),
        data.replace(b'"count":3', b'"count":3.0'),
        data.replace(b'"actor":"northgate",', b"").replace(b'"subject"', b'"actor":"northgate","subject"'),
        data.decode().encode("utf-16"),
    ):
        with pytest.raises(EntryMalformed):
            parse_entry(other)


def test_every_act_says_what_it_means_in_one_line() -> None:
    for act in Act:
        assert act.meaning.endswith(".")
        assert "\n" not in act.meaning
        assert Act(act.value) is act
    assert len({act.meaning for act in Act}) == len(Act)
    assert all(name.isidentifier() for name in FACTS | PERSONAL)


def test_a_commitment_opens_with_its_value_and_salt_only() -> None:
    salt = new_salt()
    commitment = commit(salt, "Dr A. Example")
    verify_commitment(commitment, salt=salt, value="Dr A. Example")
    for wrong_salt, value, stated in (
        (new_salt(), "Dr A. Example", commitment),
        (salt, "Dr B. Example", commitment),
        (salt, "Dr A. Example", commitment[:-1]),
        (salt, "Dr A. Example", "é"),
        (b"", "Dr A. Example", commitment),
    ):
        with pytest.raises(CommitmentRefused) as refusal:
            verify_commitment(stated, salt=wrong_salt, value=value)
        assert "Example" not in str(refusal.value)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_salt_of_another_length_hides_nothing_for_sure_and_is_refused(length: int) -> None:
    with pytest.raises(CommitmentRefused):
        commit(bytes(length), "Dr A. Example")


def test_the_same_value_never_gives_the_same_commitment_twice() -> None:
    assert commit(new_salt(), "Dr A. Example") != commit(new_salt(), "Dr A. Example")
