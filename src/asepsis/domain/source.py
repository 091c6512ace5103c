"""What a backup looks like from outside: restore points, entries and the differences between them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from asepsis.domain.names import RestorePointId


class Capability(StrEnum):
    """What a source can do, or what its format can hold; one that does not say so cannot."""

    HISTORY = "history"  # may hold more than one restore point
    CONTENT_IDS = "content_ids"  # equal bytes are known as equal without reading them
    SEEK = "seek"  # reading from the middle of a file does not read what lies before
    FAST_DIFF = "fast_diff"  # comparing two restore points costs what differs, not what they hold
    CHECKSUMS = "checksums"  # verifying compares every byte with what was kept when it was backed up
    TABLES = "tables"  # entries are tables of a database
    LINKS = "links"  # symbolic links
    HARD_LINKS = "hard_links"  # one file under several names, kept once
    OLD_TIMES = "old_times"  # times before 1970
    SPECIAL_FILES = "special_files"  # pipes and devices, listed only


class EntryType(StrEnum):
    """What an entry of a restore point is; only files have content."""

    FILE = "file"
    DIRECTORY = "dir"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """One snapshot inside a backup tool. ``tree`` identifies its whole content where the tool can say.

    ``fault`` is an error code when the record of the restore point itself cannot be trusted; such a point is
    listed (nothing vanishes silently) but not readable, and ``taken_at`` is then only the storage's word.
    """

    id: RestorePointId
    taken_at: datetime
    label: str = ""
    tree: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, directory or link of one restore point.

    ``content_id`` is equal for equal bytes within one source (a hash, or the list of hashes that a backup
    tool keeps) and ``None`` where knowing it would mean reading the file.
    """

    path: str
    type: EntryType
    size: int
    modified_at: datetime | None = None
    content_id: str | None = None
    link_target: str | None = None


class ChangeKind(StrEnum):
    """How an entry differs between two restore points; a rename keeps its content."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between an older and a newer restore point; ``was`` is the old path of a rename."""

    kind: ChangeKind
    path: str
    was: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something about a source that is no fault and that its keeper may want to know, such as a lock left behind."""

    code: str
    object: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTable:
    """A table that was written out: its path in the restore point, the file below the target, rows and columns."""

    path: str
    file: str
    rows: int
    columns: int


class Verdict(StrEnum):
    """What is known about the integrity of an object or a restore point."""

    CLEAN = "clean"
    SUSPECT = "suspect"
    COMPROMISED = "compromised"
    UNKNOWN = "unknown"
