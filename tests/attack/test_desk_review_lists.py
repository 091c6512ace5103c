"""Attacks on review lists at a desk: several drawings, and lists that no granted linkage made for this owner."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import NORTH, SOUTH, ZERO, Runtime, World

from asepsis.domain.access import require_allowed
from asepsis.domain.analysis import AnalysisKind, Job
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.documents import Document
from asepsis.domain.finding import Assessment
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.review_list import ARGUMENT, ReviewList
from asepsis.domain.statistic import Statistic
from asepsis.errors.contract import ContractForbids
from asepsis.errors.desk import AnalysisNotAllowed, LinkageUnknown, RequestMalformed
from asepsis.errors.linkage import ListMissing, ListsDrawn
from asepsis.errors.sealing import EnvelopeRefused
from asepsis.sealing.agreement import contract_digest, lineage_of
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.review_list import review_info, write_list
from asepsis.sealing.signing import Purpose, sign

REVIEWED: Mapping[str, Any] = {"linkage": {"mode": "sealed", "review": 20}}
PERSONS = (7, 9)


def drawing(world: World, run: str = "link-1", **arguments: Any) -> Job:
    """A linkage that draws lists."""
    job = world.job(AnalysisKind.LINKAGE, run=run)
    return replace(job, analysis=replace(job.analysis, arguments=arguments or {ARGUMENT: True}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, **REVIEWED)


class Drawn:
    """A linkage whose lists were granted, and its honest statistic."""

    def __init__(self, world: World) -> None:
        self.world, self.runtime, self.job = world, Runtime(), drawing(world)
        world.desks[NORTH].grant(world.request(job=self.job, runtime=self.runtime))

    def sealed(self, owner: PartyId, *, job: Job | None = None, to: PartyId | None = None) -> bytes:
        info = review_info(self.world.digest, job=digest((job or self.job).to_document()), owner=owner)
        return seal_to(self.world.keys[to or owner].public().sealing, write_list(PERSONS), info=info)

    def statistic(self, *, job: Job | None = None, **lists: bytes) -> Document:
        job = job or self.job
        found = lists or {NORTH: self.sealed(NORTH), SOUTH: self.sealed(SOUTH)}
        return Statistic(
            run=job.run,
            contract=self.world.digest,
            job=digest(job.to_document()),
            plan=Digest(ZERO),
            assessment=Assessment(profile="strict-10", findings=()),
            reviews=tuple(ReviewList(owner=PartyId(owner), sealed=sealed) for owner, sealed in found.items()),
        ).to_document()

    def opened(self, statistic: Document, *, runtime: Runtime | None = None) -> tuple[int, ...]:
        key = (runtime or self.runtime).signing.private
        signature = sign(key, purpose=Purpose.STATISTIC, payload=canonical(statistic))
        return self.world.desks[NORTH].open_list(statistic, signature=signature)


@pytest.fixture
def drawn(world: World) -> Drawn:
    return Drawn(world)


def test_lists_are_drawn_by_one_job_and_by_no_other_that_asks_for_them(world: World) -> None:
    desk, job = world.desks[NORTH], drawing(world)
    desk.grant(world.request(job=job))
    desk.grant(world.request(job=job))  # the same one, which was interrupted: it draws the same persons
    for other in (drawing(world, "link-2"), replace(job, inputs=job.inputs[:1])):
        with pytest.raises(ListsDrawn):
            desk.grant(world.request(job=other))
        assert world.entries()[-1].facts == {"code": ListsDrawn.code}
    assert not world.desk(NORTH).grant(world.request(job=world.job(AnalysisKind.LINKAGE, run="link-3"))).memory


def test_lists_are_drawn_once_under_all_versions_of_a_contract(world: World) -> None:
    world.desks[NORTH].grant(world.request(job=drawing(world)))
    amends = {"contract": world.digest, "lineage": lineage_of(world.contract, digest=world.digest)}
    world.document = {**world.document, "amends": amends, "title": "The next version"}
    world.contract = read_contract(world.document)
    world.digest = contract_digest(world.contract)
    world.signatures = world.sign_all()
    with pytest.raises(ListsDrawn):
        world.desks[NORTH].grant(world.request(job=drawing(world, "link-2")))


@pytest.mark.parametrize("arguments", [{ARGUMENT: False}, {ARGUMENT: 2}, {ARGUMENT: True, "epoch": 1}])
def test_a_linkage_draws_lists_and_states_nothing_beside(world: World, arguments: dict[str, Any]) -> None:
    with pytest.raises(AnalysisNotAllowed):
        world.desks[NORTH].grant(world.request(job=drawing(world, **arguments)))


def test_where_nobody_agreed_on_reviews_no_desk_and_no_runtime_draws_lists(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(AnalysisNotAllowed):
        world.desks[NORTH].grant(world.request(job=drawing(world)))
    with pytest.raises(ContractForbids):
        require_allowed(drawing(world).analysis, world.contract)


def test_an_owner_opens_its_list_and_its_ledger_says_so(drawn: Drawn) -> None:
    assert drawn.opened(drawn.statistic()) == PERSONS
    entry = drawn.world.entries()[-1]
    assert (entry.act.value, entry.subject, entry.facts) == (
        "link.list_opened",
        "link-1",
        {"contract": drawn.world.digest},
    )


def test_a_list_that_another_key_than_the_granted_runtimes_signed_is_refused(drawn: Drawn) -> None:
    with pytest.raises(LinkageUnknown):
        drawn.opened(drawn.statistic(), runtime=Runtime())


def test_a_statistic_that_was_changed_after_signing_is_refused(drawn: Drawn) -> None:
    statistic = drawn.statistic()
    signature = sign(drawn.runtime.signing.private, purpose=Purpose.STATISTIC, payload=canonical(statistic))
    with pytest.raises(LinkageUnknown):
        drawn.world.desks[NORTH].open_list({**statistic, "plan": "1" * 64}, signature=signature)
    with pytest.raises(RequestMalformed):
        drawn.world.desks[NORTH].open_list({**statistic, "more": 1}, signature=signature)


def test_a_list_of_another_job_or_of_no_linkage_is_refused(drawn: Drawn) -> None:
    with pytest.raises(LinkageUnknown):
        drawn.opened(drawn.statistic(job=replace(drawn.job, inputs=drawn.job.inputs[:1])))
    query, runtime = drawn.world.job(run="query-1"), Runtime()
    drawn.world.desks[NORTH].grant(drawn.world.request(job=query, runtime=runtime))
    with pytest.raises(LinkageUnknown):
        drawn.opened(drawn.statistic(job=query), runtime=runtime)


def test_a_list_of_another_owner_or_from_another_linkage_does_not_open(drawn: Drawn) -> None:
    with pytest.raises(ListMissing):
        drawn.opened(drawn.statistic(riverside=drawn.sealed(SOUTH)))
    other = drawing(drawn.world, "link-2")
    for moved in (drawn.sealed(SOUTH), drawn.sealed(SOUTH, to=NORTH), drawn.sealed(NORTH, job=other)):
        with pytest.raises(EnvelopeRefused):
            drawn.opened(drawn.statistic(northgate=moved))
