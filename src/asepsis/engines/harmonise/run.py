"""One contribution from opened files to Parquet: land, stage, split, close the books.

Invariant: nothing is visible under the run's name before its books balance; a run that was killed leaves only a
``.partial`` folder, which the next start removes. Same inputs, mapping, key and run give the same bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import duckdb

from asepsis.domain.names import RunId
from asepsis.engines.harmonise import accounts
from asepsis.engines.harmonise.companions import heed
from asepsis.engines.harmonise.guard import IN_MEMORY, connect
from asepsis.engines.harmonise.kept import key_check, write_reading
from asepsis.engines.harmonise.land import HashedStream, Landed, Opener, create_landed, land
from asepsis.engines.harmonise.result import HarmonisedRun, Progress, read_result, write_result
from asepsis.engines.harmonise.split import create_code_tables, identify, settle, write_outputs
from asepsis.engines.harmonise.standing import standing_of
from asepsis.errors.harmonise import HarmoniseFailed, MappingMalformed, PersonKeyRefused, SourceFileMissing
from asepsis.harmonise.entries import FileEntry
from asepsis.harmonise.mapping import Mapping as SourceMapping
from asepsis.harmonise.staging import EntryPlan

_KEY_BYTES: Final = 32
_FORMAT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a run may use: memory as DuckDB writes it (``2GB``), threads, and where progress is reported."""

    memory: str = "1GB"
    threads: int = 2
    progress: Callable[[Progress], None] | None = field(default=None)

    def report(self, stage: str, subject: str, records: int = 0) -> None:
        """Tell how far the run is, if anyone listens."""
        if self.progress is not None:
            self.progress(Progress(stage=stage, subject=subject, records=records))


def harmonise(
    mapping: SourceMapping,
    files: Mapping[str, Opener],
    *,
    workdir: Path,
    run: str,
    person_key: bytes,
    resources: Resources | None = None,
) -> HarmonisedRun:
    """Harmonise the files of a source (path to opener) under a mapping into ``workdir/run``.

    ``person_key`` is the owner's 32-byte secret: person ids are keyed hashes of the source's patient keys, the same in
    every run of the owner and not to be guessed by anyone else.

    Raises:
        SourceFileMissing: an entry of the mapping that is not optional matches no file.
        SourceFileDamaged: a compressed file or a binary table is damaged.
        BooksDoNotBalance: a record would be lost; nothing of the run is kept.
        HarmoniseFailed: the engine failed; its text is dropped.
    """
    resources = resources or Resources()
    if len(person_key) != _KEY_BYTES:
        raise PersonKeyRefused
    chosen = choose_files(mapping, files)
    final, partial = workdir / run, workdir / f"{run}.partial"
    finished = _finished(mapping, files, chosen, final=final, run=run, person_key=person_key)
    if finished is not None:
        return finished
    make_partial(final, partial)
    work = _Work(mapping=mapping, files=files, run=run, person_key=person_key, resources=resources)
    landed = work.make(chosen, partial)
    inputs = [[item.path, item.entry, str(item.digest)] for item in landed]
    seal = seal_of(mapping, run=run, person_key=person_key, inputs=inputs)
    write_reading(partial, mapping, person_key=person_key)
    write_result(partial, seal=seal, books=work.books, row_counts=work.row_counts)
    return publish(partial, final, seal=seal)


def make_partial(final: Path, partial: Path) -> None:
    """Make the empty folder that a run works in; what a killed run left is removed."""
    for leftover in (partial, final):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)


def publish(partial: Path, final: Path, *, seal: Mapping[str, Any]) -> HarmonisedRun:
    """Make the outputs durable, then visible under their name in one step."""
    for path in sorted(partial.iterdir()):
        _sync(path)
    _sync(partial)
    partial.rename(final)
    _sync(final.parent)
    result = read_result(final, seal=seal)
    if result is None:
        raise HarmoniseFailed(stage="publish", failure="result not readable")
    return result


def seal_of(mapping: SourceMapping, *, run: str, person_key: bytes, inputs: list[list[str]]) -> dict[str, Any]:
    """What a result depends on; the key is present as a keyed hash of a constant only."""
    asked = {"texts": sorted(mapping.texts)} if mapping.texts else {}
    return {
        "format": _FORMAT,
        "run": run,
        "mapping": str(mapping.digest),
        "label": mapping.label,
        "person_key": key_check(person_key),
        "inputs": sorted(inputs),
        **asked,
    }


def choose_files(mapping: SourceMapping, files: Mapping[str, Opener]) -> list[tuple[FileEntry, str]]:
    """Which file belongs to which entry, in the order of entries and paths.

    Raises:
        SourceFileMissing: an entry that is not optional matches nothing.
        MappingMalformed: two entries match one file.
    """
    chosen: list[tuple[FileEntry, str]] = []
    for entry in mapping.entries:
        found = sorted(path for path in files if PurePosixPath(path).match(entry.pattern))
        if not found and not entry.optional:
            raise SourceFileMissing(entry=entry.name, pattern=entry.pattern)
        if {path for _, path in chosen} & set(found):
            raise MappingMalformed(file="source.yaml", key=f"files.{entry.name}", problem="two entries match one file")
        chosen += [(entry, path) for path in found]
    return chosen


@dataclass(slots=True, kw_only=True)
class _Work:
    mapping: SourceMapping
    files: Mapping[str, Opener]
    run: str
    person_key: bytes
    resources: Resources
    books: Any = None
    row_counts: dict[str, int] = field(default_factory=dict)

    def make(self, chosen: list[tuple[FileEntry, str]], folder: Path) -> list[Landed]:
        """Everything between the opened files and the Parquet files in ``folder``; the work database goes away."""
        scratch = folder / "scratch"
        connection = connect(IN_MEMORY, scratch=scratch, memory=self.resources.memory, threads=self.resources.threads)
        try:
            landed = self._fill(connection, chosen, folder)
        finally:
            connection.close()
        shutil.rmtree(scratch, ignore_errors=True)
        return landed

    def _fill(
        self, connection: duckdb.DuckDBPyConnection, chosen: list[tuple[FileEntry, str]], folder: Path
    ) -> list[Landed]:
        landed = self._land(connection, chosen, folder)
        create_code_tables(connection, self.mapping)
        for entry in self.mapping.entries:
            self.resources.report("stage", entry.name)
            plan = EntryPlan(self.mapping, entry)
            settle(connection, plan)
            if plan.defines_persons:
                identify(connection, plan, person_key=self.person_key)
        self.resources.report("split", self.mapping.dataset)
        standing = standing_of(connection, self.mapping)
        self.row_counts = write_outputs(
            connection, self.mapping, landed, standing=standing, folder=folder, run=self.run
        )
        uncovered = sorted(set(self.files) - {path for _, path in chosen})
        self.books = accounts.close(
            connection, self.mapping, landed, standing=standing, run=RunId(self.run), uncovered=uncovered
        )
        self.books.balance()
        accounts.check_written(folder, self.books, self.row_counts)
        return landed

    def _land(
        self, connection: duckdb.DuckDBPyConnection, chosen: list[tuple[FileEntry, str]], folder: Path
    ) -> list[Landed]:
        for entry in self.mapping.entries:
            create_landed(connection, entry)
        landed = []
        for file_id, (entry, path) in enumerate(chosen):
            landed.append(
                land(
                    connection,
                    entry,
                    file=(file_id, path),
                    opener=self.files[path],
                    progress=lambda done, path=path: self.resources.report("land", path, done),  # type: ignore[misc]
                    workdir=folder,
                )
            )
        return heed(connection, self.mapping.files, landed)


def _finished(
    mapping: SourceMapping,
    files: Mapping[str, Opener],
    chosen: list[tuple[FileEntry, str]],
    *,
    final: Path,
    run: str,
    person_key: bytes,
) -> HarmonisedRun | None:
    """A finished run of the same inputs: they are read and hashed again, since names prove nothing."""
    if not final.is_dir():
        return None
    digests: dict[tuple[str, str], str] = {}
    for entry, path in chosen:
        with files[path]() as stream:
            digests[path, entry.name] = str(HashedStream(stream).finish())
    inputs = [[path, entry, digest] for (path, entry), digest in digests.items()]
    return read_result(final, seal=seal_of(mapping, run=run, person_key=person_key, inputs=inputs))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
