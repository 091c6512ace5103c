"""The ciphertext store on a local file system: one folder per snapshot, moved into place when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from asepsis.domain.names import Digest, RunId, SnapshotId
from asepsis.sealing.memory import MEMORY_FILE


@dataclass(frozen=True, slots=True)
class LocalSnapshotFiles:
    """Sealed files below one root. Nothing in it is readable without the owners' keys."""

    root: Path

    def incoming(self, snapshot: SnapshotId) -> Path:
        """An empty folder for a snapshot that is being made; leftovers of a killed run are removed."""
        folder = self._incoming(snapshot)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def publish(self, snapshot: SnapshotId) -> None:
        """Move the incoming folder to its place; files and folders are on disk before it returns."""
        incoming, target = self._incoming(snapshot), self.folder(snapshot)
        for path in incoming.iterdir():
            _flush(path)
        _flush(incoming)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        incoming.rename(target)
        _flush(target.parent)

    def folder(self, snapshot: SnapshotId) -> Path:
        """Where the sealed files of a published snapshot lie."""
        return self.root / "snapshots" / snapshot

    def erase(self, snapshot: SnapshotId) -> None:
        """Remove the sealed files of a snapshot, durably; doing it again changes nothing."""
        folder = self.folder(snapshot)
        if folder.exists():
            shutil.rmtree(folder)
            _flush(folder.parent)

    def forget(self, prefix: str, *, keep: Collection[SnapshotId]) -> None:
        """Remove folders of snapshots with that prefix that were never published."""
        for parent in (self.root / "incoming", self.root / "snapshots"):
            for folder in parent.glob(f"{prefix}*"):
                if folder.name not in keep:
                    shutil.rmtree(folder, ignore_errors=True)

    def output(self, run: RunId) -> Path:
        """An empty folder for what one attempt of a run writes; leftovers of a killed attempt are removed."""
        folder = self.packages(run)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def packages(self, run: RunId) -> Path:
        """The folder with what a run wrote: sealed packages, or a sealed link map."""
        return self.root / "packages" / run

    def keep_memory(self, run: RunId, *, lineage: Digest, number: int) -> Path:
        """Move the sealed memory that a run wrote to its place; it is on disk before this returns.

        The bytes are copied, so that no process that once could write the run's output can change them later.
        """
        written, folder = self.packages(run) / MEMORY_FILE, self.memory(run, lineage=lineage, number=number)
        incoming = self.root / "incoming" / folder.name
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        incoming.mkdir(parents=True, mode=0o700)
        shutil.copyfile(written, incoming / MEMORY_FILE, follow_symlinks=False)
        _flush(incoming / MEMORY_FILE)
        _flush(incoming)
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        incoming.rename(folder)
        _flush(folder.parent)
        written.unlink()
        return folder / MEMORY_FILE

    def memory(self, run: RunId, *, lineage: Digest, number: int) -> Path:
        """The folder of the sealed memory that a run left."""
        return self.root / "memories" / lineage / f"{number}-{run}"

    def forget_memories(self, lineage: Digest, *, before: int) -> None:
        """Remove the sealed memories of earlier versions, and what was never kept beside them."""
        for folder in (self.root / "memories" / lineage).glob("*-*"):
            number = folder.name.partition("-")[0]
            if number.isdecimal() and int(number) < before:
                shutil.rmtree(folder, ignore_errors=True)

    def adopt(self, run: RunId, *, snapshot: SnapshotId) -> None:
        """Move what a run wrote to the place of a snapshot, durably."""
        incoming = self._incoming(snapshot)
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.packages(run).rename(incoming)
        self.publish(snapshot)

    def _incoming(self, snapshot: SnapshotId) -> Path:
        return self.root / "incoming" / snapshot


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
