"""The clause: pinned texts, limits, and what the rest of the contract must allow."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.continuity import Agreed, ContinuityTerms, approved_digest, check_continuity, read_continuity
from asepsis.domain.documents import Fields
from asepsis.domain.names import PartyId
from asepsis.errors.contract import DocumentMalformed

ROOT = Path(__file__).resolve().parents[3]
CLAUSE: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "continuity" / "northgate.yaml").read_text())["continuity"]
LEAD = PartyId("recovery-lead")
AGREED = Agreed(
    researchers={LEAD}, queries=True, methods=("kaplan_meier",), referrals=True, teams={PartyId("northgate-clinic")}
)


def read(document: Any, agreed: Agreed = AGREED) -> ContinuityTerms:
    fields = Fields({"continuity": document}, document="contract")
    with fields.mapping("continuity") as clause:
        terms = read_continuity(clause)
    check_continuity(terms, agreed, fields)
    return terms


def changed(*path: str, to: Any) -> dict[str, Any]:
    document = copy.deepcopy(CLAUSE)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return document


def test_what_is_written_is_read_the_same() -> None:
    terms = read(CLAUSE)
    assert read(terms.to_document()) == terms
    assert terms.to_document() == CLAUSE


@pytest.mark.parametrize(
    "document",
    [
        changed(
            "analyses", "patients-by-sex", "query", to="SELECT year_of_birth, count(*) AS n FROM person GROUP BY 1"
        ),
        changed("analyses", "patients-by-sex", "digest", to="0" * 64),
        changed("analyses", "survival-after-sinusitis", "arguments", "step_days", to=7),
    ],
    ids=["text", "digest", "argument"],
)
def test_a_text_that_was_changed_after_it_was_approved_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(DocumentMalformed, match="not the digest of this text"):
        read(document)


def test_kind_text_and_arguments_are_all_part_of_what_is_approved() -> None:
    digests = {
        approved_digest(AnalysisKind.QUERY, "a", {}),
        approved_digest(AnalysisKind.METHOD, "a", {}),
        approved_digest(AnalysisKind.METHOD, "a", {"b": 1}),
        approved_digest(AnalysisKind.METHOD, "a", {"b": "1"}),
        approved_digest(AnalysisKind.METHOD, "a", {"b": (1,)}),
        approved_digest(AnalysisKind.METHOD, "b", {}),
    }
    assert len(digests) == 6


@pytest.mark.parametrize(
    ("agreed", "problem"),
    [
        ({"researchers": {PartyId("other")}}, "the lead must be a researcher"),
        ({"queries": False}, "allows no queries"),
        ({"methods": ()}, "does not allow this method"),
        ({"referrals": False}, "need referrals"),
        ({"teams": ()}, "clinical team"),
    ],
)
def test_nothing_is_pre_approved_that_the_contract_does_not_allow(agreed: dict[str, Any], problem: str) -> None:
    with pytest.raises(DocumentMalformed, match=problem):
        read(CLAUSE, replace(AGREED, **agreed))


def test_where_the_contract_has_several_purposes_one_of_them_is_stated() -> None:
    several = replace(AGREED, purposes={"care", "research"})
    terms = read({**CLAUSE, "purpose": "care"}, several)
    assert {terms.asked(one).purpose for one in terms.analyses} == {"care"}
    assert read(terms.to_document(), several) == terms
    for document, agreed in (
        (CLAUSE, several),
        ({**CLAUSE, "purpose": "x"}, several),
        ({**CLAUSE, "purpose": "x"}, AGREED),
    ):
        with pytest.raises(DocumentMalformed, match="purposes"):
            read(document, agreed)


@pytest.mark.parametrize(
    "document",
    [
        changed("essentials", "lists", to={}),
        changed("essentials", "lists", to={"addresses": {}}),
        changed("essentials", "lists", to={"allergies": {}}),
        changed("essentials", "max_age_hours", to=0),
        changed("analyses", "patients-by-sex", "when_stale", to="hide"),
        changed("analyses", "patients-by-sex", "rto_minutes", to=10**9),
        {"lead": LEAD, "analyses": {}},
        {**CLAUSE, "analyses": {"essentials": CLAUSE["analyses"]["patients-by-sex"]}},
    ],
)
def test_a_clause_that_says_too_little_or_too_much_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(DocumentMalformed):
        read(document)
