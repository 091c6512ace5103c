"""Where statements of several parties leave a contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.contract_state import ContractStatus
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.statements import Statement, StatementKind, read_statement, standing
from asepsis.errors.contract import DocumentMalformed

START = datetime(2026, 1, 1, tzinfo=UTC)


def statement(kind: StatementKind, party: str = "northgate", at: int = 0) -> Statement:
    return Statement(kind=kind, contract=Digest("c"), party=PartyId(party), at=START + timedelta(seconds=at))


statements = st.lists(
    st.builds(statement, st.sampled_from(StatementKind), st.sampled_from(["north", "south"]), st.integers(0, 4))
)


@given(known=statements, data=st.data())
def test_neither_order_nor_repetition_changes_where_a_contract_stands(
    known: list[Statement], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(known + known))
    assert standing(shuffled) is standing(known)


@given(known=statements)
def test_an_end_is_final(known: list[Statement]) -> None:
    assert standing([*known, statement(StatementKind.END)]) is ContractStatus.ENDED


@given(known=statements)
def test_what_others_say_never_lifts_a_suspension(known: list[Statement]) -> None:
    mine = statement(StatementKind.SUSPEND, "third", 2)
    assert standing([*known, mine]) is not ContractStatus.IN_FORCE


def test_without_statements_a_contract_is_in_force() -> None:
    assert standing([]) is ContractStatus.IN_FORCE


def test_the_later_word_of_a_party_counts_and_a_tie_stops() -> None:
    suspend, resume = statement(StatementKind.SUSPEND, at=1), statement(StatementKind.RESUME, at=2)
    assert standing([resume, suspend]) is ContractStatus.IN_FORCE
    assert standing([suspend, statement(StatementKind.RESUME, at=1)]) is ContractStatus.SUSPENDED
    assert standing([statement(StatementKind.RESUME, at=1), suspend]) is ContractStatus.SUSPENDED


@given(known=statements)
def test_a_statement_is_read_back_as_it_was(known: list[Statement]) -> None:
    assert [read_statement(one.to_document()) for one in known] == known


def test_unknown_keys_in_a_statement_are_refused() -> None:
    with pytest.raises(DocumentMalformed):
        read_statement({**statement(StatementKind.END).to_document(), "note": "x"})
