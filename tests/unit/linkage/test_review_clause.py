"""The term ``review`` of the clause ``linkage``: what it may say, and which linkages may draw lists by it."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.documents import Fields
from asepsis.domain.finding import Assessment
from asepsis.domain.link_terms import MOST_REVIEWED, LinkTerms, read_link_terms
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import Digest, PartyId, RunId
from asepsis.domain.narrowing import _linkage
from asepsis.domain.review_list import ReviewList
from asepsis.domain.statistic import Statistic, read_statistic
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.sealing import EnvelopeRefused
from asepsis.sealing.review_list import draw_secret, read_list, review_info, write_list

JOB, OTHER = Digest("1" * 64), Digest("2" * 64)


def terms(**clause: Any) -> LinkTerms:
    fields = Fields(clause, document="contract", place="linkage")
    found = read_link_terms(fields)
    fields.close()
    return found


def test_no_review_is_the_default_and_stays_out_of_what_is_signed() -> None:
    assert "review" not in LinkTerms().to_document()
    written = LinkTerms(review=MOST_REVIEWED)
    assert terms(**written.to_document()) == written


@pytest.mark.parametrize("mode", [mode for mode in LinkMode if mode is not LinkMode.SEALED])
def test_lists_are_for_mode_sealed_alone(mode: LinkMode) -> None:
    with pytest.raises(DocumentMalformed, match="in mode sealed alone"):
        terms(mode=mode.value, review=1)
    assert terms(mode=mode.value, review=0).review == 0


@pytest.mark.parametrize("review", [-1, MOST_REVIEWED + 1, 0.5, True, "20"])
def test_what_is_no_number_of_persons_is_refused(review: object) -> None:
    with pytest.raises(DocumentMalformed):
        terms(mode="sealed", review=review)


def test_one_owner_may_have_less_reviewed_and_never_more() -> None:
    twenty = LinkTerms(review=20)
    assert _linkage(LinkTerms(), twenty)
    assert _linkage(LinkTerms(review=10), twenty)
    assert not _linkage(LinkTerms(review=21), twenty)
    assert not _linkage(twenty, LinkTerms())
    assert not _linkage(LinkTerms(review=10, percent=90), twenty)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=70))
def test_a_list_comes_back_as_it_was_and_its_length_says_little(persons: list[int]) -> None:
    written = write_list(persons)
    assert read_list(written) == tuple(persons)
    assert len(written) >= 1024
    assert len(written).bit_count() == 1


@pytest.mark.parametrize("content", [b"", b"{}", b'{"persons":[1]}', b'{"persons":["x"]}', b'{"more":1,"persons":[]}'])
def test_what_is_no_list_is_refused(content: bytes) -> None:
    with pytest.raises(EnvelopeRefused):
        read_list(content.ljust(1024, b" "))


def test_who_is_drawn_hangs_on_every_owners_key_and_on_the_job() -> None:
    """Guard: a job that runs again draws nobody else, and no owner can tell beforehand whom."""
    keys = [secrets.token_bytes(32) for _ in range(2)]
    secret = draw_secret(keys, job=JOB)
    assert secret == draw_secret(reversed(keys), job=JOB)
    assert len({secret, draw_secret(keys, job=OTHER), draw_secret([keys[0], bytes(32)], job=JOB)}) == 3


def test_a_list_is_bound_to_contract_linkage_and_owner() -> None:
    north, south = PartyId("northgate"), PartyId("riverside")
    infos = {
        review_info(contract, job=job, owner=owner)
        for contract in (JOB, OTHER)
        for job in (JOB, OTHER)
        for owner in (north, south)
    }
    assert len(infos) == 8


def test_a_statistic_carries_lists_and_says_nothing_of_them_where_there_are_none() -> None:
    bare = Statistic(
        run=RunId("run-1"), contract=JOB, job=JOB, plan=JOB, assessment=Assessment(profile="strict-10", findings=())
    )
    assert "reviews" not in bare.to_document()
    lists = (ReviewList(owner=PartyId("northgate"), sealed=b"a"), ReviewList(owner=PartyId("riverside"), sealed=b"b"))
    full = Statistic(run=bare.run, contract=JOB, job=JOB, plan=JOB, assessment=bare.assessment, reviews=lists)
    assert read_statistic(full.to_document()) == full
