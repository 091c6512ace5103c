"""How much a source may unpack to; a backup comes from outside and may be a decompression bomb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds in bytes and counts; the defaults fit hospital backups with room to spare.

    ``archive_ratio`` (unpacked to stored) counts only once ``archive_ratio_from_bytes`` have been unpacked:
    small archives of zeros are ordinary and harmless.
    """

    metadata_bytes: int = 256 * MIB
    blob_bytes: int = 256 * MIB
    key_derivation_bytes: int = GIB
    dictionary_bytes: int = GIB
    depth: int = 256
    name_bytes: int = 4096
    entries: int = 20_000_000
    archive_bytes: int = 2048 * GIB
    archive_entries: int = 5_000_000
    archive_ratio: int = 250
    archive_ratio_from_bytes: int = GIB
    archive_header_bytes: int = MIB
    archive_map_bytes: int = 16 * MIB


DEFAULT: Final = Limits()
