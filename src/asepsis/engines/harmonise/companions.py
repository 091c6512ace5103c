"""What companion files say about the others: copybooks must describe the mapping's layouts, manifests count records."""

# ruff: noqa: S608 - the SQL is written here from checked names; no data enters it

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import duckdb

from asepsis.engines.harmonise.guard import guarded
from asepsis.engines.harmonise.land import Landed
from asepsis.errors.harmonise import LayoutDiffers
from asepsis.harmonise.entries import FileEntry, Reader
from asepsis.harmonise.extraction import landed_table
from asepsis.harmonise.readers.companion import exported_counts, layout_of


def heed(
    connection: duckdb.DuckDBPyConnection, entries: MappingOf[str, FileEntry], landed: Sequence[Landed]
) -> list[Landed]:
    """The landed files with what manifests declare about them.

    A manifest itself declares how many files there are of those that it lists.

    Raises:
        LayoutDiffers: a copybook of the source describes other fields than the mapping's.
    """
    found = list(landed)
    for item in landed:
        entry = entries[item.entry]
        text = _content(connection, item) if entry.is_companion else None
        if text is None:
            continue
        if entry.reader is Reader.COPYBOOK and layout_of(text, entry.encoding) != entry.layout:
            raise LayoutDiffers(file=item.path, entry=entry.name)
        if entry.reader is Reader.FHIR_MANIFEST:
            found = _declared(found, item, exported_counts(text) or {})
    return found


def _content(connection: duckdb.DuckDBPyConnection, item: Landed) -> bytes | None:
    """The companion, if it was understood."""
    with guarded("land"):
        own = f"SELECT raw FROM {landed_table(item.entry)} WHERE file_id = {item.file_id} AND kind = 'context'"
        row = connection.execute(own).fetchone()
    return None if row is None else row[0]


def _declared(landed: Sequence[Landed], manifest: Landed, counts: MappingOf[str, int | None]) -> list[Landed]:
    """Files of the manifest's own folder are meant, compressed or not."""
    folder = PurePosixPath(manifest.path).parent
    present, found = set(), []
    for item in landed:
        path = PurePosixPath(item.path)
        name = path.name if path.name in counts else path.name.removesuffix(".gz")
        if path.parent == folder and name in counts:
            present.add(name)
            found.append(replace(item, declared=counts[name]))
        else:
            found.append(item)
    own = replace(manifest, declared=len(counts), counted=len(present))
    return [own if item.file_id == manifest.file_id else item for item in found]
