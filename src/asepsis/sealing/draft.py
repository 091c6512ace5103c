"""A snapshot that is being made: sealed table by table under one fresh data key, then described by its manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from asepsis.domain.snapshot import Manifest, SealedFile
from asepsis.sealing.container import seal
from asepsis.sealing.context import file_context
from asepsis.sealing.keys import file_key


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDraft:
    """The manifest so far, without files, and the data key of the snapshot (32 bytes)."""

    manifest: Manifest
    dek: bytes = field(repr=False)

    def seal(self, plain: BinaryIO, target: BinaryIO, *, table: str, rows: int) -> SealedFile:
        """Seal one table; the file id is ``<table>.sealed``."""
        file_id = file_name(table)
        context = file_context(
            self.manifest.owner,
            dataset=self.manifest.dataset,
            snapshot=self.manifest.snapshot,
            file_id=file_id,
            table=table,
        )
        receipt = seal(plain, target, key=file_key(self.dek, file_id), context=context)
        return SealedFile(
            id=file_id,
            table=table,
            rows=rows,
            length=receipt.length,
            sealed_length=receipt.sealed_length,
            root=receipt.root,
        )

    def finish(self, files: Iterable[SealedFile]) -> Manifest:
        """The manifest with its files."""
        return replace(self.manifest, files=tuple(files))


def file_name(table: str) -> str:
    """The id, and file name, of a table's sealed file."""
    return f"{table}.sealed"
