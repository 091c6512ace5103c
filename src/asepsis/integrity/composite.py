"""The best of several restore points: for each file its newest clean version, for each folder its newest clean state.

What one point lost another still has. A file belongs to the composite as it was in the newest point in which it is
clean,
unless a clean point after that lacks it: then it was deleted in earnest. Points that are not clean delete nothing.
Damage that was undone, several incidents and missing points need no rule of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from asepsis.domain.integrity import Composite, HistoryVerdict, RestorePointVerdict
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Verdict
from asepsis.integrity.last_clean import FEWEST, MASS

Paths = Mapping[RestorePointId, Iterable[str]]
"""The paths of the files of each restore point."""


def best_composite(history: HistoryVerdict, paths: Paths, *, before: datetime | None = None) -> Composite:
    """Choose from a history, given oldest first; ``before`` leaves out points taken then or later."""
    files: dict[str, RestorePointId] = {}
    damaged: set[str] = set()
    clean: set[str] = set()
    folders = _Folders()
    for verdict in history.points:
        if before is not None and verdict.point.taken_at >= before:
            continue
        unclean = {item.path for item in verdict.objects}
        here = list(paths.get(verdict.point.id, ()))
        if verdict.verdict is Verdict.CLEAN:
            files, damaged, clean = {}, set(), set(here)
        files |= {path: verdict.point.id for path in here if path not in unclean}
        damaged |= unclean.intersection(here)
        folders.see(verdict, here, unclean)
    return Composite(
        files=files,
        added=tuple(sorted(files.keys() - clean)),
        never_clean=tuple(sorted(damaged - files.keys())),
        folders=folders.clean,
    )


class _Folders:
    """The newest clean state of every folder."""

    def __init__(self) -> None:
        self.clean: dict[str, RestorePointId] = {}
        self._sizes: dict[str, int] = {}

    def see(self, verdict: RestorePointVerdict, paths: Iterable[str], unclean: set[str]) -> None:
        """A folder that lost most of its files at once is not clean, whatever is left in it."""
        sizes: Counter[str] = Counter()
        damaged: set[str] = set()
        for path in paths:
            for folder in _folders(path):
                sizes[folder] += 1
                if path in unclean:
                    damaged.add(folder)
        for folder, size in sizes.items():
            was = self._sizes.get(folder, 0)
            lost_most = size < was * MASS and was - size >= FEWEST
            if folder not in damaged and (verdict.verdict is Verdict.CLEAN or not lost_most):
                self.clean[folder] = verdict.point.id
                self._sizes[folder] = size


def _folders(path: str) -> Iterator[str]:
    at = path.find("/", 1)
    while at >= 0:
        yield path[: at + 1]
        at = path.find("/", at + 1)
