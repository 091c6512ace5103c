"""Zip archives as a source: one archive is one restore point, a folder of archives is their history."""

from __future__ import annotations

from typing import ClassVar

from asepsis.domain.source import Capability
from asepsis.sources.history import HistorySource
from asepsis.sources.zip.archive import ZipArchive


class ZipSource(HistorySource):
    """Stored, deflated, bzip2 and lzma members; an encrypted member is listed and refused by name."""

    kind = "zip"
    abilities: ClassVar = frozenset(
        {Capability.HISTORY, Capability.CHECKSUMS, Capability.OLD_TIMES, Capability.LINKS, Capability.SPECIAL_FILES}
    )
    tool: ClassVar = "zip"
    suffixes: ClassVar = (".zip",)
    container: ClassVar = ZipArchive
