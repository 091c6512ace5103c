"""Tar archives as a source: one archive is one restore point, a folder of archives is their history."""

from __future__ import annotations

from typing import ClassVar, Final

from asepsis.domain.source import Capability
from asepsis.sources.history import HistorySource
from asepsis.sources.tar.archive import Archive

SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst")


class TarSource(HistorySource):
    """Plain, gzip, xz and zstd archives; the first walk reads a whole archive, see ``Archive``."""

    kind = "tar"
    abilities: ClassVar = frozenset(
        {
            Capability.HISTORY,
            Capability.CONTENT_IDS,
            Capability.OLD_TIMES,
            Capability.LINKS,
            Capability.HARD_LINKS,
            Capability.SPECIAL_FILES,
        }
    )
    tool: ClassVar = "tar"
    suffixes: ClassVar = SUFFIXES
    container: ClassVar = Archive
