"""The vault: unsealed files in anonymous memory (``memfd_create``), which no path names and no crash leaves behind."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from asepsis.domain.names import Digest, PartyId, SnapshotId
from asepsis.domain.snapshot import Manifest, SealedFile
from asepsis.errors.runtime import GrantNotTrusted, SealedFileMissing
from asepsis.runtime.order import SnapshotFolder
from asepsis.sealing.container import unseal
from asepsis.sealing.context import manifest_context
from asepsis.sealing.keys import file_key
from asepsis.sealing.links import combine
from asepsis.sealing.manifest import check_files
from asepsis.sealing.review_list import draw_secret


class Vault:
    """Unseals snapshots for the life of one run; a context manager that forgets everything at its end."""

    def __init__(self, keys: Mapping[SnapshotId, Sequence[bytes]]) -> None:
        self._keys = keys
        self._memory = ExitStack()

    def __enter__(self) -> Self:
        """Open the vault."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget everything."""
        self._memory.close()

    def empty(self) -> Path:
        """A new, empty file in anonymous memory."""
        descriptor = os.memfd_create("vault", os.MFD_CLOEXEC)
        self._memory.callback(os.close, descriptor)
        return Path(f"/proc/self/fd/{descriptor}")

    def unseal(self, snapshot: SnapshotFolder) -> dict[str, Path]:
        """Check every root, then unseal every file; returns table -> file in memory.

        Raises:
            RootMismatch: a sealed file is not the one that its owner signed.
            ContainerForged: it does not open at its place.
            SealedFileMissing: it is not there, or cannot be read.
            GrantNotTrusted: no key for the snapshot was granted.
        """
        manifest = snapshot.manifest
        check_files(manifest, lambda file_id: _open_sealed(snapshot, file_id))
        dek = self._data_key(manifest)
        return {file.table: self._unseal_file(snapshot, file, dek) for file in manifest.files}

    def shared_key(self, name: SnapshotId, *, owners: Sequence[PartyId]) -> bytes:
        """A key of which every owner granted exactly one share. Raises GrantNotTrusted where one is missing."""
        shares = self._keys.get(name, ())
        if len(shares) != len(owners):
            raise GrantNotTrusted(owner=", ".join(owners), what="a share of a key is missing")
        return combine(shares)

    def secret_of(self, snapshots: Iterable[SnapshotFolder], *, job: Digest) -> bytes:
        """What only one who has the keys of all these snapshots can know, for one job. Raises GrantNotTrusted."""
        return draw_secret((self._data_key(snapshot.manifest) for snapshot in snapshots), job=job)

    def _data_key(self, manifest: Manifest) -> bytes:
        granted = self._keys.get(manifest.snapshot)
        if not granted:
            raise GrantNotTrusted(owner=manifest.owner, what="it brings no key for a snapshot of the job")
        return combine(granted)

    def _unseal_file(self, snapshot: SnapshotFolder, file: SealedFile, dek: bytes) -> Path:
        target = self.empty()
        context = manifest_context(snapshot.manifest, file=file)
        with _open_sealed(snapshot, file.id) as sealed, target.open("wb") as plain:
            unseal(sealed, plain, key=file_key(dek, file.id), context=context, root=file.root)
        return target


def _open_sealed(snapshot: SnapshotFolder, file_id: str) -> BinaryIO:
    try:
        return (snapshot.folder / file_id).open("rb")
    except OSError:
        raise SealedFileMissing(file=file_id) from None
