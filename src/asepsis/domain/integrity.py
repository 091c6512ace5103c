"""What is known about the integrity of stored objects and of the restore points that hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import RestorePoint, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleHit:
    """A rule by its name that matched an object's content, and what that makes of the object."""

    rule: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFault:
    """A stored object that is missing or not what was backed up; ``code`` is that of the error on reading it.

    ``object`` names the object in the tool's own words (a pack, an index, a member); ``path`` is the entry
    that needs it, ``None`` when the object serves the whole source.
    """

    object: str
    code: str
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """What one reading of an object's content shows, whatever its name.

    ``format`` is a name from ``asepsis.integrity.formats`` (``unknown`` when none fits), ``faults`` are reason
    codes of its structure, ``is_random`` says that the bytes are spread like noise, ``note_words`` how many
    different phrases of ransom notes occur. ``noise_blocks`` counts blocks of noise up to 64, in formats whose sound
    content is not noise; ``head_entropy`` is that of the beginning of texts and unknown formats, in bits per byte.
    ``is_checked``: the
    format's own structure was followed to the end of the object, or, of plain text, all characters were. ``hits`` are
    the rules that matched.
    """

    format: str
    size: int
    is_random: bool = False
    faults: tuple[str, ...] = ()
    note_words: int = 0
    noise_blocks: int = 0
    head_entropy: float = 0.0
    is_checked: bool = False
    hits: tuple[RuleHit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVerdict:
    """The verdict on one path of one restore point, with the stable codes of the reasons that led to it."""

    path: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """The rules that matched its content, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something that only a whole restore point shows, such as a mass rename; ``count`` is of paths."""

    code: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePointVerdict:
    """The verdict on one restore point: its objects that are not clean, counts of all, and its signals."""

    point: RestorePoint
    verdict: Verdict
    counts: Mapping[Verdict, int] = field(default_factory=dict)
    objects: tuple[ObjectVerdict, ...] = ()
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """The best of several restore points: where to take each file from.

    ``added`` are files that no clean point has: they come from points that are not clean. ``never_clean`` are paths
    since
    the last clean point of which there is no clean version. ``folders`` tells for each folder (its path ends with a
    slash) the newest point in which all files below it are clean; a table in partitions is a folder, a table in one
    file is a file.
    """

    files: Mapping[str, RestorePointId] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    never_clean: tuple[str, ...] = ()
    folders: Mapping[str, RestorePointId] = field(default_factory=dict)

    @property
    def points(self) -> Mapping[RestorePointId, int]:
        """How many files come from each restore point."""
        return Counter(self.files.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryVerdict:
    """All restore points of a source, oldest first, and the newest clean one among them.

    ``objects_read`` counts the different objects whose content was looked at: each once.
    """

    points: tuple[RestorePointVerdict, ...]
    last_clean: RestorePointId | None
    objects_read: int
    bytes_read: int
