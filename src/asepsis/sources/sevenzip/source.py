"""7z archives as a source: one archive is one restore point, a folder of archives is their history."""

from __future__ import annotations

from typing import ClassVar

from asepsis.domain.source import Capability
from asepsis.sources.history import HistorySource
from asepsis.sources.sevenzip.archive import SevenZipArchive


class SevenZipSource(HistorySource):
    """LZMA, LZMA2, Deflate, BZip2, Zstandard and plain storage; other methods are listed and refused by name."""

    kind = "7z"
    abilities: ClassVar = frozenset({Capability.HISTORY, Capability.CHECKSUMS, Capability.OLD_TIMES, Capability.LINKS})
    tool: ClassVar = "7z"
    suffixes: ClassVar = (".7z",)
    container: ClassVar = SevenZipArchive
