"""Trees: directories of a restore point, whose names and shapes are checked before anything follows them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from asepsis.domain.source import Entry, EntryType
from asepsis.errors.source import HostilePathError, LimitExceededError, UnsupportedFormatError
from asepsis.sources.paths import checked_name, from_bytes
from asepsis.sources.restic import documents
from asepsis.sources.restic.repository import Repository

_TYPES: Final = {"file": EntryType.FILE, "dir": EntryType.DIRECTORY, "symlink": EntryType.LINK}
_ESCAPE: Final = re.compile(
    r"""\\(?:([abfnrtv\\"'])|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([0-7]{3}))""", re.IGNORECASE
)
_LETTERS: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One entry of a tree as stored; ``content`` are the ids of a file's blobs in order."""

    name: str
    type: EntryType
    size: int
    modified_at: datetime | None
    content: tuple[str, ...] = ()
    subtree: str | None = None
    target: str | None = None

    def entry(self, path: str) -> Entry:
        """The node as an entry at ``path``; equal blob lists give equal content ids."""
        is_file = self.type is EntryType.FILE
        return Entry(
            path=path,
            type=self.type,
            size=self.size if is_file else 0,
            modified_at=self.modified_at,
            content_id=content_id(self.content) if is_file else None,
            link_target=self.target,
        )


def content_id(blobs: tuple[str, ...]) -> str:
    """SHA-256 over the list of blob ids, as hex: restic cuts equal bytes at equal places within a repository."""
    return hashlib.sha256("\n".join(blobs).encode()).hexdigest()


class Trees:
    """The trees of one repository, each read and checked once."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._limits = repository.limits
        self.nodes = lru_cache(maxsize=1024)(self._nodes)

    def walk(self, root: str) -> Iterator[tuple[str, Node]]:
        """Every node below a tree with its path, ordered by path as a string.

        Raises:
            ObjectMissingError, ObjectDamagedError: a tree cannot be read.
            HostilePathError: a name that no honest backup contains.
            LimitExceededError: nested too deeply, or more entries than the limit.
        """
        pending = [self._steps(root, "")]
        count = 0
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
                continue
            path, node, descends = step
            if descends:
                self._check_depth(len(pending))
                pending.append(self._steps(node.subtree or "", path))
                continue
            count += 1
            if count > self._limits.entries:
                raise LimitExceededError(name="the restore point", limit=self._limits.entries, unit="entries")
            yield path, node

    def differing(self, older: str, newer: str) -> tuple[list[Entry], list[Entry]]:
        """The entries below two trees that are not the same on both sides; equal trees are not entered.

        Raises:
            ObjectMissingError, ObjectDamagedError: a tree cannot be read.
            LimitExceededError: nested too deeply, or more entries than the limit.
        """
        sides: tuple[list[Entry], list[Entry]] = ([], [])
        pending: list[tuple[str, str | None, str | None]] = [("", older, newer)]
        while pending:
            path, *trees = pending.pop()
            self._check_depth(path.count("/"))
            for name, nodes in self._unlike(*trees):
                for side, node in zip(sides, nodes, strict=True):
                    if node is not None:
                        side.append(node.entry(f"{path}/{name}"))
                one, other = (node.subtree if node is not None else None for node in nodes)
                if one != other:
                    pending.append((f"{path}/{name}", one, other))
            if len(sides[0]) + len(sides[1]) > 2 * self._limits.entries:
                raise LimitExceededError(name="the restore point", limit=self._limits.entries, unit="entries")
        return sides

    def _unlike(self, older: str | None, newer: str | None) -> Iterator[tuple[str, tuple[Node | None, Node | None]]]:
        """Names of two trees of which the nodes are not equal, with both nodes."""
        before, after = ({node.name: node for node in self.nodes(tree)} if tree else {} for tree in (older, newer))
        for name in before.keys() | after.keys():
            if older != newer and before.get(name) != after.get(name):
                yield name, (before.get(name), after.get(name))

    def find(self, root: str, names: list[str]) -> Node | None:
        """The node at a path given as names, ``None`` when there is none; links are not followed."""
        node: Node | None = None
        tree: str | None = root
        for name in names:
            if tree is None:
                return None
            node = next((child for child in self.nodes(tree) if child.name == name), None)
            if node is None:
                return None
            tree = node.subtree
        return node

    def _steps(self, tree: str, path: str) -> Iterator[tuple[str, Node, bool]]:
        """Entries and descents of one tree in string order: ``a``, ``a.txt``, then what lies below ``a/``."""
        steps = []
        for node in self.nodes(tree):
            steps.append((node.name, node, False))
            if node.subtree is not None:
                steps.append((f"{node.name}/", node, True))
        steps.sort(key=lambda step: step[0])
        return ((f"{path}/{node.name}", node, descends) for _, node, descends in steps)

    def _nodes(self, tree: str) -> tuple[Node, ...]:
        name = f"tree {tree}"
        fields = documents.document(self._repository.blob(tree), name=name)
        nodes = tuple(self._node(item, name=name) for item in documents.items(fields, "nodes", name=name))
        if len({node.name for node in nodes}) != len(nodes):
            raise HostilePathError(reason="one name twice in a directory")
        return nodes

    def _node(self, fields: dict[str, Any], *, name: str) -> Node:
        stored = documents.text(fields, "type", name=name)
        kind = _TYPES.get(stored, EntryType.OTHER)
        is_directory = kind is EntryType.DIRECTORY
        return Node(
            name=checked_name(unquoted(documents.text(fields, "name", name=name), name=name), limits=self._limits),
            type=kind,
            size=documents.number(fields, "size", name=name, default=0),
            modified_at=moment(fields.get("mtime")),
            content=documents.object_ids(fields, "content", name=name) if kind is EntryType.FILE else (),
            subtree=documents.object_id(fields.get("subtree"), name=name) if is_directory else None,
            target=_target(fields, name=name) if kind is EntryType.LINK else None,
        )

    def _check_depth(self, depth: int) -> None:
        if depth > self._limits.depth:
            raise LimitExceededError(name="the restore point", limit=self._limits.depth, unit="levels")


def unquoted(stored: str, *, name: str) -> str:
    """A name as it was on disk; restic stores it as Go's ``strconv.Quote`` writes it, without the quotes.

    Bytes that are no UTF-8 come out as surrogate escapes.

    Raises:
        UnsupportedFormatError: a backslash that begins no escape.
    """
    if "\\" not in stored:
        return stored
    pieces: list[bytes] = []
    position = 0
    while position < len(stored):
        slash = stored.find("\\", position)
        end = len(stored) if slash < 0 else slash
        pieces.append(stored[position:end].encode("utf-8", "surrogatepass"))
        if slash < 0:
            break
        match = _ESCAPE.match(stored, slash)
        if match is None:
            raise UnsupportedFormatError(name=name)
        pieces.append(_unescaped(match, name=name))
        position = match.end()
    return from_bytes(b"".join(pieces))


def moment(value: Any) -> datetime | None:
    """A time as Go writes it (RFC 3339, up to nanoseconds), in UTC; ``None`` for what Python cannot hold."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _unescaped(match: re.Match[str], *, name: str) -> bytes:
    letter, byte, short, long, octal = match.groups()
    if letter:
        return bytes([_LETTERS[letter]])
    if byte or octal:
        return bytes([int(byte, 16) if byte else int(octal, 8) & 0xFF])
    try:
        return chr(int(short or long, 16)).encode("utf-8", "surrogatepass")
    except (ValueError, OverflowError):
        raise UnsupportedFormatError(name=name) from None


def _target(fields: dict[str, Any], *, name: str) -> str:
    """Where a link points; newer versions keep targets that are no UTF-8 as base64 beside the text."""
    if "linktarget_raw" in fields:
        return from_bytes(documents.octets(fields, "linktarget_raw", name=name))
    target = fields.get("linktarget", "")
    return target if isinstance(target, str) else ""
