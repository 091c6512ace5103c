"""The header at the end of a pack: which blobs lie in it. Read when no index knows a blob, as after a lost index.

Source: restic design document, "Pack Format" (https://restic.readthedocs.io/en/stable/100_references.html).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from asepsis.errors.source import ObjectDamagedError
from asepsis.sources.restic.crypto import OVERHEAD
from asepsis.sources.restic.index import Place

LENGTH_BYTES: Final = 4
_PLAIN: Final = struct.Struct("<BI32s")
_COMPRESSED: Final = struct.Struct("<BII32s")
_PLAIN_KINDS: Final = frozenset({0, 1})
_COMPRESSED_KINDS: Final = frozenset({2, 3})


def places(header: bytes, *, pack: str) -> Iterator[tuple[str, Place]]:
    """Every blob of a pack and its place, from the authenticated header.

    Raises:
        ObjectDamagedError: it is not what restic writes.
    """
    position, offset = 0, 0
    while position < len(header):
        shape = _shape(header[position], pack=pack)
        if position + shape.size > len(header):
            raise ObjectDamagedError(name=f"pack {pack}")
        _, length, *size, blob = shape.unpack_from(header, position)
        if length < OVERHEAD:
            raise ObjectDamagedError(name=f"pack {pack}")
        yield (
            blob.hex(),
            Place(
                pack=pack,
                offset=offset,
                length=length,
                size=size[0] if size else length - OVERHEAD,
                compressed=bool(size),
            ),
        )
        position += shape.size
        offset += length


def _shape(kind: int, *, pack: str) -> struct.Struct:
    if kind in _PLAIN_KINDS:
        return _PLAIN
    if kind in _COMPRESSED_KINDS:
        return _COMPRESSED
    raise ObjectDamagedError(name=f"pack {pack}")
