"""The estate: what has been seen of a source over time, each different object once, so that verdicts are queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from asepsis.domain.integrity import Composite, HistoryVerdict, ObjectFacts
from asepsis.domain.names import RestorePointId

NOT_READ: Final = "estate.not_read"
"""The reason of an object that a verdict from the index alone does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedObject:
    """What one whole reading of an object gave: its facts or the code of an error, its digest and its entropy.

    ``entropy`` is Shannon's, in bits per byte (0 to 8); a hint only.
    """

    key: str
    size: int
    facts: ObjectFacts | None
    fault: str | None = None
    blake3: str | None = None
    entropy: float | None = None
    checks: str = ""
    """The version of the checks that gave the facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules for content: the digest of the files they came from, what runs them, and how many there are.

    ``skipped`` rules could not be compiled and are not looked for.
    """

    digest: str
    engine: str
    rules: int
    skipped: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedPoint:
    """A restore point as it was when it was first seen; ``entries`` is the digest of its list of entries."""

    id: RestorePointId
    taken_at: datetime
    first_seen: datetime
    entries: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """How a source's restore points differ from those that were seen before.

    ``vanished`` were there and are not. ``rewritten`` have another list of entries than when they were first seen.
    ``back_dated`` came up later than a scan and claim to be older than what that scan had seen.
    """

    vanished: tuple[RestorePointId, ...] = ()
    rewritten: tuple[RestorePointId, ...] = ()
    back_dated: tuple[RestorePointId, ...] = ()

    @property
    def is_as_expected(self) -> bool:
        """Whether nothing has to be explained."""
        return not (self.vanished or self.rewritten or self.back_dated)


@dataclass(frozen=True, slots=True, kw_only=True)
class EstateScan:
    """One scan: the verdicts on the whole history, and what was new."""

    history: HistoryVerdict
    inventory: Inventory
    objects: int
    """Different objects of all restore points."""
    new_objects: int
    """Those of them that were read now."""
    new_bytes: int
    digests: Mapping[str, str] = field(default_factory=dict)
    """BLAKE3 of the objects that are not clean, by path of the newest restore point that holds them."""
    roots: Mapping[RestorePointId, str] = field(default_factory=dict)
    """The digest of each restore point's list of entries with their contents, as it is now."""
    size: int = 0
    """Bytes of the different objects."""
    size_read: int = 0
    """Those of objects that were read to their end, now or before."""
    size_checked: int = 0
    """Those of objects whose own format was followed to its end."""
    unread: int = 0
    """Objects of which nothing is known: they cannot be read, or were not to be read now."""
    unparsed: int = 0
    """Objects of a format that nothing parses: only their names and their bytes were looked at."""
    composite: Composite = field(default_factory=Composite)
    """Where to take each file from, if several restore points are put together."""
    rules: RuleSet | None = None
    """The rules that were held against the objects, now or before."""
    unhunted: int = 0
    """Objects that these rules were never held against; all of them where there are no rules."""
    names: str = ""
    """Where the known names of extensions and notes are from."""


Points = Mapping[RestorePointId, IndexedPoint]


def compare_inventory(known: Points, now: Points) -> Inventory:
    """Compare restore points by id with those of earlier scans."""
    horizon = max((point.taken_at for point in known.values()), default=None)
    fresh = [point for id_, point in now.items() if id_ not in known]
    return Inventory(
        vanished=tuple(sorted(point.id for id_, point in known.items() if id_ not in now)),
        rewritten=tuple(sorted(p.id for id_, p in now.items() if id_ in known and known[id_].entries != p.entries)),
        back_dated=tuple(sorted(point.id for point in fresh if horizon is not None and point.taken_at < horizon)),
    )
