"""The link key, best-first clustering, merges and splits, and estimates."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.names import Digest, PartyId
from asepsis.errors.linkage import LinkShareMissing, LinkShareRefused
from asepsis.linkage import quality
from asepsis.linkage.best_first import ALONE, Edges, acceptable, cluster_pairs
from asepsis.linkage.history import compare_maps, stable_links
from asepsis.linkage.key import LinkKey, commitment, derive

OWNERS = [PartyId("northgate"), PartyId("riverside"), PartyId("southmead")]
CONTRACT = Digest("ab" * 32)


def shares() -> dict[PartyId, bytes]:
    return {owner: bytes([number, *range(31)]) for number, owner in enumerate(OWNERS, start=1)}


def committed(given_shares: dict[PartyId, bytes], epoch: int = 1) -> dict[PartyId, bytes]:
    return {
        owner: commitment(share, owner=owner, contract=CONTRACT, epoch=epoch) for owner, share in given_shares.items()
    }


def make(epoch: int = 1, contract: Digest = CONTRACT) -> LinkKey:
    promises = {owner: commitment(s, owner=owner, contract=contract, epoch=epoch) for owner, s in shares().items()}
    return derive(shares(), commitments=promises, contract=contract, epoch=epoch)


def test_every_owner_derives_the_same_key_whatever_the_order() -> None:
    turned = dict(reversed(shares().items()))
    other = derive(turned, commitments=committed(turned), contract=CONTRACT, epoch=1)
    assert other.secret == make().secret
    assert other.check_value() == make().check_value()


def test_epoch_contract_and_owners_change_the_key() -> None:
    two = {owner: share for owner, share in shares().items() if owner != "southmead"}
    keys = {
        make().secret,
        make(epoch=2).secret,
        make(contract=Digest("cd" * 32)).secret,
        derive(two, commitments=committed(two), contract=CONTRACT, epoch=1).secret,
    }
    assert len(keys) == 4


@pytest.mark.parametrize("change", ["altered", "copied", "other_epoch"])
def test_a_share_that_was_not_committed_to_is_refused(change: str) -> None:
    shown, promised = shares(), committed(shares(), epoch=2 if change == "other_epoch" else 1)
    if change == "altered":
        shown[OWNERS[0]] = bytes([9, *range(31)])
    if change == "copied":
        shown[OWNERS[0]] = shown[OWNERS[1]]
        promised = committed(shown)
    with pytest.raises(LinkShareRefused):
        derive(shown, commitments=promised, contract=CONTRACT, epoch=1)


@pytest.mark.parametrize("side", ["share", "commitment"])
def test_a_missing_share_or_commitment_is_refused(side: str) -> None:
    shown, promised = shares(), committed(shares())
    (shown if side == "share" else promised).pop(OWNERS[2])
    with pytest.raises(LinkShareMissing):
        derive(shown, commitments=promised, contract=CONTRACT, epoch=1)


@pytest.mark.parametrize("share", [b"", bytes(32), b"\xff" * 32, bytes(31)])
def test_a_malformed_share_cannot_be_committed_to(share: bytes) -> None:
    with pytest.raises(LinkShareRefused):
        commitment(share, owner=OWNERS[0], contract=CONTRACT, epoch=1)


def test_the_secret_is_in_no_repr() -> None:
    assert make().secret.hex() not in repr(make())
    assert repr(make().secret) not in repr(make())


def partition(edges: list[Any], owners: list[int], **options: Any) -> set[frozenset[int]]:
    free = frozenset(options.get("free", owners))
    is_free = np.array([owner in free for owner in owners])
    found = acceptable(Edges.of(edges), owners=np.array(owners, np.int32), is_free=is_free, threshold=0.0)
    done = cluster_pairs(found.edges, owners=owners, free=free, weights=options.get("weights", {}))
    whole = done.clusters(nodes=len(owners)).tolist()
    return {frozenset(node for node, own in enumerate(whole) if own == name) for name in whole if name != ALONE}


def test_the_best_pair_comes_first_and_an_owner_gives_one_record() -> None:
    assert partition([(0, 2, 5.0), (1, 2, 9.0)], [0, 0, 1]) == {frozenset({1, 2})}


def test_a_tie_is_left_open_unless_the_rival_has_a_better_partner() -> None:
    assert partition([(0, 2, 9.0), (1, 2, 9.5)], [0, 0, 1]) == set()
    assert partition([(0, 2, 9.0), (1, 2, 9.5), (1, 3, 20.0)], [0, 0, 1, 1]) == {frozenset({0, 2}), frozenset({1, 3})}


def test_a_chain_is_not_followed_over_a_contradiction() -> None:
    edges = [(0, 1, 9.0), (1, 2, 8.0)]
    assert partition(edges, [0, 1, 2]) == {frozenset({0, 1, 2})}
    assert partition(edges, [0, 1, 2], weights={(0, 2): -4.0}) == {frozenset({0, 1})}
    all_known = {(0, 1): 9.0, (1, 2): 8.0, (0, 2): -8.5}
    assert partition(edges, [0, 1, 2], weights=all_known) == {frozenset({0, 1})}


def test_a_contradiction_is_outweighed_by_what_the_other_pairs_say() -> None:
    weights = {(0, 1): 9.0, (1, 2): 8.0, (0, 2): -7.5}
    assert partition([(0, 1, 9.0), (1, 2, 8.0)], [0, 1, 2], weights=weights) == {frozenset({0, 1, 2})}


def test_an_owner_with_duplicates_may_give_several_records() -> None:
    assert partition([(0, 2, 9.0), (1, 2, 8.5)], [0, 0, 1], free={1}) == {frozenset({0, 1, 2})}


def test_a_pair_below_the_threshold_counts_only_without_rivals() -> None:
    assert partition([(0, 1, -1.0)], [0, 1]) == {frozenset({0, 1})}
    assert partition([(0, 1, -1.0), (0, 2, -2.0)], [0, 1, 1]) == set()
    assert partition([(0, 1, -1.0)], [0, 1], free=set()) == set()
    assert partition([(0, 1, -2.0)], [0, 1]) == set()


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.floats(-5, 30)), max_size=25), st.randoms())
def test_clusters_never_break_a_rule_and_ignore_the_order(edges: list[Any], dice: Any) -> None:
    unique = {(min(a, b), max(a, b)): w for a, b, w in edges if a != b}
    given_edges = [(a, b, w) for (a, b), w in unique.items()]
    owners = [0, 0, 0, 1, 1, 1, 2, 2]
    found = partition(given_edges, owners, free={0, 1}, weights=unique)
    for members in found:
        for free in (0, 1):
            assert sum(owners[node] == free for node in members) <= 1
        inside = [unique.get(pair, 0.0) for pair in itertools.combinations(sorted(members), 2)]
        assert min(inside) >= -3 or sum(max(0.0, bits) for bits in inside) >= -min(inside)
    dice.shuffle(given_edges)
    assert partition(given_edges, owners, free={0, 1}, weights=unique) == found


def test_identifiers_stay_and_merges_and_splits_are_told() -> None:
    old = {"a1": 10, "b1": 10, "a2": 20, "b2": 30, "a3": 40}
    clusters = {"a1": 0, "b1": 1, "a2": 2, "b2": 2, "a4": 3}
    fresh = itertools.count(90)
    new = stable_links(old, clusters, fresh=lambda: next(fresh))
    assert new["a1"] == 10
    assert new["a2"] == new["b2"] == 20
    assert new["b1"] not in old.values()
    history = compare_maps(old, new)
    assert [(merge.link, merge.before) for merge in history.merges] == [(20, (20, 30))]
    assert [split.link for split in history.splits] == [10]
    assert (history.added, history.removed) == (1, 1)


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 9)), st.dictionaries(st.integers(0, 30), st.integers(0, 9)))
def test_stable_links_keep_the_partition(old: dict[int, int], clusters: dict[int, int]) -> None:
    fresh = itertools.count(0)
    new = stable_links(old, clusters, fresh=lambda: next(fresh))
    together = {(a, b) for a in clusters for b in clusters if clusters[a] == clusters[b]}
    assert together == {(a, b) for a in new for b in new if new[a] == new[b]}
    assert stable_links(new, clusters, fresh=lambda: next(fresh)) == new


def test_estimates_follow_their_formulas() -> None:
    assert quality.expected_precision(np.array([1.0, 0.5])) == 0.75
    assert quality.expected_precision(np.array([])) is None
    assert quality.blocking_recall({1: 10.0, 2: 44.0, 5: 946.0}) == pytest.approx(1000 / 1001)
    assert quality.posteriors(np.array([0.0, 5000.0, -5000.0])).tolist() == [0.5, 1.0, pytest.approx(0.0)]
    assert quality.bits(quality.posteriors(np.array([3.0]))[0]) == pytest.approx(3.0)
    bands = quality.calibration(np.array([0.6, 0.95, 0.97, 1.0]), np.array([-1, 1, 0, 1], dtype=np.int8))
    assert [(band.lowest, band.links, band.judged, band.agreeing) for band in bands] == [
        (0.5, 1, 0, 0),
        (0.9, 2, 2, 1),
        (1.0, 1, 1, 1),
    ]
