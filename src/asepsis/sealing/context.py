"""What a sealed file is bound to, besides its key: owner, dataset, snapshot, table and file id.

The context enters the key derivation of the container. A container that is put in the place of another -
of another file, another snapshot of the same dataset, another dataset, another owner - therefore does not
open, even where the same key would have been derived, and whoever holds the storage gains nothing by
exchanging files.

The digest of the manifest cannot be part of the context: the manifest contains the root of the container,
which exists only after sealing. The other direction is bound by the signature: the manifest states root and
lengths of every file under the owner's signature, and `check_files` and `unseal(root=...)` compare them. So
context and manifest together leave exactly one container that is accepted for one file of one snapshot.
"""

from __future__ import annotations

from asepsis.domain.names import PartyId, SnapshotId
from asepsis.domain.snapshot import Manifest, SealedFile
from asepsis.sealing.canonical import canonical


def file_context(owner: PartyId, *, dataset: str, snapshot: SnapshotId, file_id: str, table: str) -> bytes:
    """Canonical JSON that names the one place a sealed file belongs to; injective in its fields."""
    return canonical(
        {
            "format": "asepsis/file-context/1",
            "owner": owner,
            "dataset": dataset,
            "snapshot": snapshot,
            "file": file_id,
            "table": table,
        },
    )


def manifest_context(manifest: Manifest, *, file: SealedFile) -> bytes:
    """The context of one file of a manifest."""
    return file_context(
        manifest.owner,
        dataset=manifest.dataset,
        snapshot=manifest.snapshot,
        file_id=file.id,
        table=file.table,
    )


def snapshot_binding(owner: PartyId, *, dataset: str, snapshot: SnapshotId) -> bytes:
    """What a wrapped data key is bound to: the one snapshot that it opens."""
    return canonical(
        {"format": "asepsis/key-binding/1", "owner": owner, "dataset": dataset, "snapshot": snapshot},
    )
