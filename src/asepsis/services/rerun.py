"""A rerun: what a contribution left in quarantine is judged under a corrected mapping and published as new snapshots.

It runs at the owner and needs no backup. The earlier snapshots are opened with the owner's own keys, in the owner's
home, and their plain tables are removed when it ends, also by the next start after a kill.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from asepsis.domain.datasets import NAME_KEYS
from asepsis.domain.names import Digest
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.snapshot import Manifest, Origin, SealedFile
from asepsis.errors.harmonise import KeptRunDamaged
from asepsis.errors.room import ContributionUnknown
from asepsis.sealing.canonical import digest
from asepsis.sealing.container import unseal
from asepsis.sealing.context import manifest_context
from asepsis.sealing.keys import file_key
from asepsis.services.access import Access
from asepsis.services.contribute import (
    Contribute,
    Contribution,
    Harmonised,
    HarmonisedWork,
    MappedSource,
    Progress,
    require_own,
    under,
)

_SHORTEST: Final = 8


class Judge(Protocol):
    """Judges the quarantined records of an earlier run under a mapping; refuses if the books do not balance."""

    def __call__(
        self,
        folder: Path,
        tables: Mapping[str, Path],
        *,
        run: str,
        texts: frozenset[str],
        workdir: Path,
        progress: Progress,
    ) -> Harmonised:
        """The new run: rows of the earlier one as they were, and those that are accepted now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """The reruns of one owner's contributions."""

    contributions: Contribute

    def rerun(
        self, name: str, *, mapping: MappedSource, judge: Judge, progress: Progress = lambda *_: None
    ) -> Contribution:
        """Judge what the contribution ``name`` left in quarantine again; done before, it is only reported again.

        Raises ContributionUnknown, ForeignMapping, KeptRunDamaged, RerunNeedsBackup, BooksDoNotBalance, or the errors
        of the desk; nothing is then visible.
        """
        work = self.contributions
        require_own(Access(work.state, work.clock, work.audit.host), work.owner, mapping)
        earlier = self._find(name)
        plain = digest({"owner": work.owner, "rerun": earlier[0].contribution, "mapping": mapping.digest})
        contribution = under(plain, work.asked(mapping), at_home=self._at_home(earlier))
        opened = work.home / "work" / f"{contribution[:16]}.earlier"
        shutil.rmtree(opened, ignore_errors=True)
        known = work.known(contribution)
        if known is not None:
            return known
        try:
            return self._judge(earlier, contribution, opened, mapping=mapping, judge=judge, progress=progress)
        finally:
            shutil.rmtree(opened, ignore_errors=True)

    def _judge(
        self,
        earlier: Sequence[PublishedSnapshot],
        contribution: Digest,
        opened: Path,
        *,
        mapping: MappedSource,
        judge: Judge,
        progress: Progress,
    ) -> Contribution:
        work, was = self.contributions, earlier[0].manifest.origin
        folder = work.home / "contributions" / earlier[0].contribution[:16]
        _check_books(folder, was)
        tables = self._open(earlier, opened, progress)
        texts, workdir = work.asked(mapping), work.home / "work"
        run = judge(folder, tables, run=contribution[:16], texts=texts, workdir=workdir, progress=progress)
        origin = Origin(
            source_kind=was.source_kind,
            restore_point=was.restore_point,
            mapping=mapping.digest,
            books=digest(run.books.as_dict()),
            free_text=tuple(sorted(texts)),
            taken_at=was.taken_at,
        )
        facts = {"run": earlier[0].contribution[:16]}
        return work.finish(
            HarmonisedWork(
                run=run,
                origin=origin,
                contribution=contribution,
                progress=progress,
                at_home=self._at_home(earlier),
                facts=facts,
            ),
            mapping,
        )

    def _at_home(self, earlier: Sequence[PublishedSnapshot]) -> bool:
        """Whether identifiers stay at home: those that stayed there never enter the room by a rerun.

        Where nobody says anything, they are where those of the earlier contribution are.
        """
        work = self.contributions
        return work.keeps_identifiers(otherwise=False) or work.identities.find(earlier[0].contribution) is not None

    def _find(self, name: str) -> list[PublishedSnapshot]:
        """The snapshots of a contribution, by the beginning of its digest."""
        owner = self.contributions.owner
        found = [
            item
            for item in self.contributions.state.snapshots()
            if item.manifest.owner == owner and item.contribution.startswith(name)
        ]
        if len(name) < _SHORTEST or len({item.contribution for item in found}) != 1:
            raise ContributionUnknown(party=owner, run=name)
        return found

    def _open(self, earlier: Sequence[PublishedSnapshot], folder: Path, progress: Progress) -> dict[str, Path]:
        """The tables of the earlier snapshots, each checked against the manifest that the desk keeps."""
        folder.mkdir(parents=True, mode=0o700)
        work, run = self.contributions, earlier[0].contribution
        places = [(item.manifest, work.files.folder(item.manifest.snapshot)) for item in earlier]
        at_home = work.identities.find(run)
        if at_home is not None:
            places.append((at_home, work.identities.folder(run)))
        tables = {}
        for manifest, sealed in places:
            key = work.desk.own_key(manifest)
            for file in manifest.files:
                if file.table == NAME_KEYS:
                    continue  # the new snapshot has keys of its own
                progress("open", file.table, file.rows)
                target = tables[file.table] = folder / f"{file.table}.parquet"
                try:
                    _unseal(sealed / file.id, target, file=file, manifest=manifest, key=key)
                except OSError:
                    raise KeptRunDamaged(run=run[:16], what=f"{file.id} cannot be opened") from None
        return tables


def _unseal(sealed: Path, target: Path, *, file: SealedFile, manifest: Manifest, key: bytes) -> None:
    context = manifest_context(manifest, file=file)
    with sealed.open("rb") as source, target.open("xb") as plain:
        unseal(source, plain, key=file_key(key, file.id), context=context, root=file.root)


def _check_books(folder: Path, origin: Origin) -> None:
    """The books that are kept are those whose digest the owner signed.

    Raises:
        KeptRunDamaged: they are not there, or others.
    """
    try:
        known = digest(json.loads((folder / "books.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise KeptRunDamaged(run=folder.name, what="books.json is missing or malformed") from None
    if known != origin.books:
        raise KeptRunDamaged(run=folder.name, what="books.json is not the one that was signed")
