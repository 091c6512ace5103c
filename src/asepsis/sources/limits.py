"""How much a source may unpack to; a backup comes from outside and may be a decompression bomb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds in bytes and counts; the defaults fit hospital backups with room to spare."""

    metadata_bytes: int = 256 * MIB
    blob_bytes: int = 256 * MIB
    key_derivation_bytes: int = GIB
    depth: int = 256
    name_bytes: int = 4096
    entries: int = 20_000_000
    archive_bytes: int = 2048 * GIB
    archive_ratio: int = 1200
    archive_headers_bytes: int = MIB


DEFAULT: Final = Limits()
