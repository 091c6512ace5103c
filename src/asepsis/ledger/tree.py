"""The Merkle tree of the ledger: leaf and node hashes, growth, roots, proofs and their verification.

The tree is that of RFC 6962, section 2.1 (= RFC 9162, section 2.1): a leaf is SHA-256 of 0x00 and the entry,
a node SHA-256 of 0x01 and its two children; a tree that is no power of two splits at the largest power of
two below its size. Only complete subtrees are ever stored, as ``(level, index)``: level 0 are the leaves,
node ``index`` of level ``l`` covers the leaves from ``index * 2**l``. They never change once written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from asepsis.errors.ledger import ConsistencyRefused, InclusionRefused, TreeRangeRefused

HASH_LENGTH: Final = 32
_BLOCK_LEVEL: Final = 8
_BLOCK: Final = 1 << _BLOCK_LEVEL
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962, section 2.1)."""


class Nodes(Protocol):
    """Where the hashes of complete subtrees are kept."""

    def leaf_count(self) -> int:
        """Number of leaves."""
        ...

    def node(self, level: int, index: int) -> bytes:
        """Hash of one complete subtree."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """A subtree that became complete: to be stored, never to be changed."""

    level: int
    index: int
    hash: bytes


class MemoryNodes:
    """The nodes of a ledger that is held in memory, such as one read from an exported bundle."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._count = 0
        for leaf in leaf_hashes:
            self.append(leaf)

    def append(self, leaf: bytes) -> int:
        """Add the hash of one leaf and return its index."""
        for new in append_nodes(self._count, leaf_hash=leaf, node=self.node):
            self._nodes[new.level, new.index] = new.hash
        self._count += 1
        return self._count - 1

    def leaf_count(self) -> int:
        """Number of leaves."""
        return self._count

    def node(self, level: int, index: int) -> bytes:
        """Hash of one complete subtree."""
        return self._nodes[level, index]


def leaf_hash(entry: bytes) -> bytes:
    """Hash of an entry as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def append_nodes(size: int, *, leaf_hash: bytes, node: Callable[[int, int], bytes]) -> list[NewNode]:
    """The nodes that an append to a tree of ``size`` leaves completes, from the leaf upwards.

    ``node`` reads stored nodes, including those of appends of the same transaction.
    """
    level, index, current = 0, size, leaf_hash
    new = [NewNode(level=0, index=index, hash=current)]
    while index & 1:
        current = node_hash(node(level, index - 1), current)
        level, index = level + 1, index >> 1
        new.append(NewNode(level=level, index=index, hash=current))
    return new


class Fold:
    """The root of a growing tree in logarithmic memory, for whoever reads all entries once, in order."""

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        self._push(leaf, level=0)

    def extend(self, entries: Iterable[bytes]) -> None:
        """Add entries themselves, in order; the same as :meth:`add` of the hash of each, and quicker."""
        sha256, rest = hashlib.sha256, iter(entries)
        while leaves := [sha256(b"\x00" + entry).digest() for entry in islice(rest, _BLOCK - self.size % _BLOCK)]:
            if len(leaves) == _BLOCK:
                self._push(_whole(leaves), level=_BLOCK_LEVEL)
            else:
                for leaf in leaves:
                    self.add(leaf)

    def _push(self, subtree: bytes, *, level: int) -> None:
        """Add a complete subtree; the leaves so far are a multiple of its own."""
        self.size += 1 << level
        while self._complete and self._complete[-1][0] == level:
            subtree = node_hash(self._complete.pop()[1], subtree)
            level += 1
        self._complete.append((level, subtree))

    def root(self) -> bytes:
        """Root over the leaves so far."""
        if not self._complete:
            return EMPTY_ROOT
        current = self._complete[-1][1]
        for _, left in reversed(self._complete[:-1]):
            current = node_hash(left, current)
        return current


def _whole(row: list[bytes]) -> bytes:
    """The root over a whole block, level by level."""
    sha256 = hashlib.sha256
    while len(row) > 1:
        pairs = iter(row)
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return row[0]


def root(nodes: Nodes, *, size: int) -> bytes:
    """Root of the tree of the first ``size`` leaves; raises `TreeRangeRefused`."""
    _in_range(0 <= size <= nodes.leaf_count(), index=size, size=nodes.leaf_count())
    return _subtree(nodes, 0, size)


def inclusion_proof(nodes: Nodes, *, index: int, size: int) -> list[bytes]:
    """Hashes from the leaf's sibling up to the root's child (RFC 6962, section 2.1.1).

    Raises:
        TreeRangeRefused: the tree has not ``size`` leaves, or no leaf ``index`` at that size.
    """
    _in_range(0 <= index < size <= nodes.leaf_count(), index=index, size=size)
    low, high, proof = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(_subtree(nodes, middle, high))
            high = middle
        else:
            proof.append(_subtree(nodes, low, middle))
            low = middle
    return proof[::-1]


def consistency_proof(nodes: Nodes, *, old_size: int, new_size: int) -> list[bytes]:
    """Hashes that show that the tree of ``new_size`` extends that of ``old_size`` (RFC 6962, section 2.1.2).

    Raises:
        TreeRangeRefused: the sizes are not in order or beyond the tree.
    """
    _in_range(0 <= old_size <= new_size <= nodes.leaf_count(), index=old_size, size=new_size)
    if old_size in {0, new_size}:
        return []
    low, high, proof = 0, new_size, []
    while high > old_size:
        middle = low + _split(high - low)
        if old_size <= middle:
            proof.append(_subtree(nodes, middle, high))
            high = middle
        else:
            proof.append(_subtree(nodes, low, middle))
            low = middle
    if low > 0:  # otherwise the old root itself is the lowest hash, and the verifier has it
        proof.append(_subtree(nodes, low, high))
    return proof[::-1]


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf hash is at an index of the tree with this size and root (RFC 9162, section 2.1.3.2).

    Raises:
        InclusionRefused: it is not, or the proof is malformed.
    """
    if not 0 <= index < size or not _hashes(leaf, root, *proof):
        raise InclusionRefused
    position, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise InclusionRefused
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            position, last = _skip(position, last)
        else:
            current = node_hash(current, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or current != root:
        raise InclusionRefused


def verify_consistency(
    proof: Sequence[bytes],
    *,
    old_size: int,
    new_size: int,
    old_root: bytes,
    new_root: bytes,
) -> None:
    """Check that one tree extends another (RFC 9162, section 2.1.4.2).

    Every tree extends the empty one; then, and for equal sizes, the proof must be empty.

    Raises:
        ConsistencyRefused: it does not, or the proof is malformed.
    """
    refusal = ConsistencyRefused(old_size=old_size, new_size=new_size)
    if not 0 <= old_size <= new_size or not _hashes(old_root, new_root, *proof):
        raise refusal
    if old_size in {0, new_size}:
        if proof or old_root != (EMPTY_ROOT if old_size == 0 else new_root):
            raise refusal
        return
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path or _climb(path, old_size - 1, new_size - 1) != (old_root, new_root):
        raise refusal


def _climb(path: list[bytes], position: int, last: int) -> tuple[bytes, bytes] | None:
    """Old and new root that a consistency path leads to, or nothing if it is too long or too short."""
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            position, last = _skip(position, last)
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    return (old, new) if last == 0 else None


def _skip(position: int, last: int) -> tuple[int, int]:
    """Go up as long as the node is a left child: such levels have no sibling at the right edge."""
    while position and not position & 1:
        position, last = position >> 1, last >> 1
    return position, last


def _subtree(nodes: Nodes, low: int, high: int) -> bytes:
    """MTH of the leaves from ``low`` to ``high``, where ``low`` starts a complete subtree of that size."""
    if low == high:
        return EMPTY_ROOT
    parts = []
    while low < high:
        level = (high - low).bit_length() - 1
        parts.append(nodes.node(level, low >> level))
        low += 1 << level
    current = parts.pop()
    while parts:
        current = node_hash(parts.pop(), current)
    return current


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def _hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_LENGTH for value in values)


def _in_range(holds: bool, *, index: int, size: int) -> None:  # noqa: FBT001
    if not holds:
        raise TreeRangeRefused(index=index, size=size)
