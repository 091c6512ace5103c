"""What differs between two restore points: by content id where both sides know it, else by size and time.

No data is read. A rename is an entry that vanished while its content came up under another path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from asepsis.domain.source import Change, ChangeKind, Entry, EntryType


def diff(older: Iterable[Entry], newer: Iterable[Entry]) -> list[Change]:
    """All changes from ``older`` to ``newer``, ordered by path.

    A copy beside its original is an addition; a rename with a change of content is a removal and an addition.
    """
    before = {entry.path: entry for entry in older}
    after = {entry.path: entry for entry in newer}
    gone = [before[path] for path in before.keys() - after.keys()]
    come = [after[path] for path in after.keys() - before.keys()]
    renamed = _renames(gone, come)
    moved_from = set(renamed.values())
    changes = [
        *(Change(kind=ChangeKind.RENAMED, path=path, was=was) for path, was in renamed.items()),
        *(Change(kind=ChangeKind.ADDED, path=entry.path) for entry in come if entry.path not in renamed),
        *(Change(kind=ChangeKind.REMOVED, path=entry.path) for entry in gone if entry.path not in moved_from),
        *(
            Change(kind=ChangeKind.MODIFIED, path=path)
            for path in before.keys() & after.keys()
            if is_changed(before[path], after[path])
        ),
    ]
    return sorted(changes, key=lambda change: (change.path, change.kind))


def is_changed(older: Entry, newer: Entry) -> bool:
    """Whether two entries of one path differ in type, content or the target of a link.

    The times of directories follow from their files and say nothing.
    """
    if older.type is not newer.type or older.link_target != newer.link_target:
        return True
    if older.type is not EntryType.FILE:
        return False
    if older.content_id is not None and newer.content_id is not None:
        return older.content_id != newer.content_id
    return (older.size, older.modified_at) != (newer.size, newer.modified_at)


def _renames(gone: list[Entry], come: list[Entry]) -> dict[str, str]:
    """New path to old path. Where several files share their content, a kept file name decides, then order."""
    candidates: defaultdict[str, list[str]] = defaultdict(list)
    for entry in sorted(gone, key=lambda entry: entry.path):
        if _has_content(entry):
            candidates[entry.content_id or ""].append(entry.path)
    renamed = {}
    for entry in sorted(come, key=lambda entry: entry.path):
        paths = candidates.get(entry.content_id or "") if _has_content(entry) else None
        if paths:
            same_name = (path for path in paths if _name(path) == _name(entry.path))
            was = next(same_name, paths[0])
            paths.remove(was)
            renamed[entry.path] = was
    return renamed


def _has_content(entry: Entry) -> bool:
    """Empty files are all equal; calling them renamed would mean nothing."""
    return entry.type is EntryType.FILE and entry.content_id is not None and entry.size > 0


def _name(path: str) -> str:
    return path.rpartition("/")[2]
