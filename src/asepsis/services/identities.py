"""Identifiers that stay at home: sealed like a snapshot, in the owner's own folder, and never in the room.

Their data key is at the owner's desk like that of any snapshot, and goes when the owner has it destroyed.
"""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asepsis.domain.names import Digest
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.snapshot import Manifest
from asepsis.errors.sealing import DocumentNotCanonical
from asepsis.ports import OwnDesk
from asepsis.sealing.canonical import parse_canonical
from asepsis.sealing.container import unseal
from asepsis.sealing.context import manifest_context
from asepsis.sealing.keys import file_key

IDENTITY: Final = "identity"
"""The one table of an identity snapshot."""
REGISTER: Final = "register.parquet"
"""The identifiers once more, each person's under a key that lies with the clinical rows: for referrals."""
_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class HomeIdentities:
    """The identity snapshots in one owner's home, one for each contribution."""

    home: Path

    def incoming(self, contribution: Digest) -> Path:
        """An empty folder for the identity snapshot of a contribution; what was there is removed."""
        folder = self.folder(contribution)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def keep(self, sealed: PublishedSnapshot) -> None:
        """Say what was sealed; without that the folder counts for nothing."""
        folder = self.folder(sealed.contribution)
        draft = folder / f"{_MANIFEST}.partial"
        draft.write_bytes(sealed.document)
        draft.rename(folder / _MANIFEST)

    def find(self, contribution: Digest) -> Manifest | None:
        """The manifest of the identity snapshot of a contribution, if it is here."""
        try:
            return Manifest.from_document(parse_canonical((self.folder(contribution) / _MANIFEST).read_bytes()))
        except (OSError, DocumentNotCanonical):
            return None

    def folder(self, contribution: Digest) -> Path:
        """Where the sealed files lie."""
        return self.home / "identities" / contribution[:16]

    def register(self, contribution: Digest) -> Path:
        """The register of a contribution, which may be given to the clinical team of this hospital."""
        return self.folder(contribution) / REGISTER

    def open(self, contribution: Digest, manifest: Manifest, *, desk: OwnDesk) -> bytes:
        """The identity table (Parquet), in memory alone.

        Raises SnapshotNotOurs, KeyDestroyed, ManifestMalformed, ContainerForged or RootMismatch.
        """
        key = desk.own_key(manifest)
        file = next(file for file in manifest.files if file.table == IDENTITY)
        plain = io.BytesIO()
        with (self.folder(contribution) / file.id).open("rb") as sealed:
            context = manifest_context(manifest, file=file)
            unseal(sealed, plain, key=file_key(key, file.id), context=context, root=file.root)
        return plain.getvalue()
