"""The tree is that of RFC 6962: published vectors, the RFC's own recursive definitions, and every proof up to 64."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.errors.ledger import ConsistencyRefused, InclusionRefused, TreeRangeRefused
from asepsis.ledger.tree import (
    EMPTY_ROOT,
    Fold,
    MemoryNodes,
    append_nodes,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

MOST = 64
LEAVES = [leaf_hash(b"%d" % index) for index in range(MOST)]
NODES = MemoryNodes(LEAVES)

# Inputs and roots of the Certificate Transparency reference implementation (trees of 1 to 8 leaves).
CT_INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
CT_CONSISTENCY_6_8 = (
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
)


def rfc_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = largest_power_below(len(leaves))
    return node_hash(rfc_root(leaves[:split]), rfc_root(leaves[split:]))


def rfc_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    split = largest_power_below(len(leaves))
    if index < split:
        return [*rfc_path(index, leaves[:split]), rfc_root(leaves[split:])]
    return [*rfc_path(index - split, leaves[split:]), rfc_root(leaves[:split])]


def rfc_subproof(size: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if size == len(leaves):
        return [] if whole else [rfc_root(leaves)]
    split = largest_power_below(len(leaves))
    if size <= split:
        return [*rfc_subproof(size, leaves[:split], whole=whole), rfc_root(leaves[split:])]
    return [*rfc_subproof(size - split, leaves[split:], whole=False), rfc_root(leaves[:split])]


def largest_power_below(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power


ROOTS = [rfc_root(LEAVES[:size]) for size in range(MOST + 1)]


def test_the_empty_tree_has_the_root_of_the_rfc() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root(MemoryNodes(), size=0) == Fold().root() == EMPTY_ROOT
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_the_published_trees_come_out() -> None:
    nodes = MemoryNodes(leaf_hash(entry) for entry in CT_INPUTS)
    assert tuple(root(nodes, size=size + 1).hex() for size in range(8)) == CT_ROOTS
    assert tuple(part.hex() for part in consistency_proof(nodes, old_size=6, new_size=8)) == CT_CONSISTENCY_6_8


def test_every_root_and_every_proof_up_to_64_is_that_of_the_rfc_and_verifies() -> None:
    fold = Fold()
    for size in range(MOST + 1):
        assert root(NODES, size=size) == fold.root() == ROOTS[size]
        for index in range(size):
            proof = inclusion_proof(NODES, index=index, size=size)
            assert proof == rfc_path(index, LEAVES[:size])
            verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=ROOTS[size])
        for old in range(1, size + 1):
            proof = consistency_proof(NODES, old_size=old, new_size=size)
            assert proof == rfc_subproof(old, LEAVES[:size], whole=True)
            consistent(old, size, proof)
        if size < MOST:
            fold.add(LEAVES[size])


def consistent(old: int, new: int, proof: list[bytes]) -> None:
    verify_consistency(proof, old_size=old, new_size=new, old_root=ROOTS[old], new_root=ROOTS[new])


def test_an_append_writes_each_node_once_and_only_complete_ones() -> None:
    written: dict[tuple[int, int], bytes] = {}
    for index, leaf in enumerate(LEAVES):
        for new in append_nodes(index, leaf_hash=leaf, node=lambda *place: written[place]):
            assert (new.level, new.index) not in written
            assert (new.index + 1) << new.level <= index + 1
            written[new.level, new.index] = new.hash
    assert len(written) == 2 * MOST - 1


def test_no_leaf_verifies_at_another_index_or_size() -> None:
    for size in range(1, 20):
        for index in range(size):
            proof = inclusion_proof(NODES, index=index, size=size)
            for other in range(size + 2):
                if other != index:
                    with pytest.raises(InclusionRefused):
                        verify_inclusion(LEAVES[index], index=other, size=size, proof=proof, root=ROOTS[size])
            with pytest.raises(InclusionRefused):
                verify_inclusion(LEAVES[index], index=-1, size=size, proof=proof, root=ROOTS[size])
            with pytest.raises(InclusionRefused):
                verify_inclusion(LEAVES[index], index=index, size=size + 1, proof=proof, root=ROOTS[size + 1])


def test_no_proof_leads_from_or_to_another_tree() -> None:
    for new in range(1, 20):
        for old in range(1, new + 1):
            proof = consistency_proof(NODES, old_size=old, new_size=new)
            for other in range(1, new + 3):
                if other != old:
                    with pytest.raises(ConsistencyRefused):
                        verify_consistency(
                            proof, old_size=old, new_size=new, old_root=ROOTS[other], new_root=ROOTS[new]
                        )
                if other != new:
                    with pytest.raises(ConsistencyRefused):
                        verify_consistency(
                            proof, old_size=old, new_size=new, old_root=ROOTS[old], new_root=ROOTS[other]
                        )


HASHES = st.lists(st.one_of(st.sampled_from(LEAVES), st.binary(max_size=40)), max_size=70)


@given(HASHES, st.integers(-2, 2**70), st.integers(-2, 2**70))
def test_no_malformed_inclusion_proof_crashes_or_verifies(proof: list[bytes], index: int, size: int) -> None:
    with pytest.raises(InclusionRefused):
        verify_inclusion(b"\x01" * 32, index=index, size=size, proof=proof, root=b"\x02" * 32)


@given(HASHES, st.integers(-2, 2**70), st.integers(-2, 2**70))
def test_no_malformed_consistency_proof_crashes_or_verifies(proof: list[bytes], old: int, new: int) -> None:
    with pytest.raises(ConsistencyRefused):
        verify_consistency(proof, old_size=old, new_size=new, old_root=b"\x01" * 32, new_root=b"\x02" * 32)


@given(st.data())
def test_a_shortened_lengthened_or_changed_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, MOST))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size - 1))
    for proof, check in (
        (
            inclusion_proof(NODES, index=index, size=size),
            lambda proof: verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=ROOTS[size]),
        ),
        (consistency_proof(NODES, old_size=old, new_size=size), lambda proof: consistent(old, size, proof)),
    ):
        check(proof)
        place = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
        for wrong in (
            proof[:place] + proof[place + 1 :],
            [*proof[:place], proof[place], *proof[place:]],
            [*proof[:place], flipped, *proof[place + 1 :]],
            [*proof[:place], proof[place][:-1], *proof[place + 1 :]],
            [*proof, LEAVES[0]],
        ):
            with pytest.raises((InclusionRefused, ConsistencyRefused)):
                check(wrong)


def test_bytes_cannot_be_moved_between_two_children() -> None:
    longer, shorter = LEAVES[0] + LEAVES[1][:1], LEAVES[1][1:]
    with pytest.raises(InclusionRefused):
        verify_inclusion(longer, index=0, size=2, proof=[shorter], root=ROOTS[2])
    with pytest.raises(ConsistencyRefused):
        verify_consistency([shorter], old_size=1, new_size=2, old_root=longer, new_root=ROOTS[2])


def test_a_proof_cannot_climb_above_the_root_of_its_size() -> None:
    above = node_hash(LEAVES[1], LEAVES[0])
    with pytest.raises(InclusionRefused):
        verify_inclusion(LEAVES[0], index=0, size=1, proof=[LEAVES[1]], root=above)
    proof = consistency_proof(NODES, old_size=3, new_size=4)
    old, new = node_hash(LEAVES[5], ROOTS[3]), node_hash(LEAVES[5], ROOTS[4])
    with pytest.raises(ConsistencyRefused):
        verify_consistency([*proof, LEAVES[5]], old_size=3, new_size=4, old_root=old, new_root=new)


@pytest.mark.parametrize(("old", "new"), [(2, 1), (1, 0), (4, 2), (-1, 1), (-1, -1), (1, -1)])
def test_sizes_out_of_order_are_refused_even_for_one_root(old: int, new: int) -> None:
    with pytest.raises(ConsistencyRefused):
        verify_consistency([], old_size=old, new_size=new, old_root=ROOTS[2], new_root=ROOTS[2])


def test_equal_sizes_and_the_empty_tree_need_an_empty_proof_and_the_right_root() -> None:
    consistent(5, 5, [])
    consistent(0, 5, [])
    consistent(0, 0, [])
    for old, new, proof, old_root in (
        (5, 5, [LEAVES[0]], ROOTS[5]),
        (5, 5, [], ROOTS[4]),
        (0, 5, [LEAVES[0]], ROOTS[0]),
        (0, 5, [], ROOTS[1]),
        (4, 5, [], ROOTS[4]),
        (5, 6, [], ROOTS[5]),
    ):
        with pytest.raises(ConsistencyRefused):
            verify_consistency(proof, old_size=old, new_size=new, old_root=old_root, new_root=ROOTS[new])


def test_what_the_tree_does_not_have_cannot_be_asked_for() -> None:
    for ask in (
        lambda: root(NODES, size=MOST + 1),
        lambda: root(NODES, size=-1),
        lambda: inclusion_proof(NODES, index=3, size=3),
        lambda: inclusion_proof(NODES, index=-1, size=3),
        lambda: inclusion_proof(NODES, index=0, size=MOST + 1),
        lambda: consistency_proof(NODES, old_size=4, new_size=3),
        lambda: consistency_proof(NODES, old_size=1, new_size=MOST + 1),
    ):
        with pytest.raises(TreeRangeRefused):
            ask()


def test_an_independent_implementation_finds_the_same_roots() -> None:
    pymerkle = pytest.importorskip("pymerkle", reason="pymerkle is not installed")
    theirs = pymerkle.InmemoryTree(algorithm="sha256")
    for size in range(MOST):
        assert theirs.get_root(size) == ROOTS[size]
        theirs.append_entry(b"%d" % size)
    assert theirs.get_root() == ROOTS[MOST]
