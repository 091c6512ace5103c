"""Mapping folders: read, check, try, describe, draft from another tool, and run as the pipeline of a contribution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asepsis.engines.harmonise.checking import MappingRemark, check_mapping, mapping_docs
from asepsis.engines.harmonise.kept import KeptRun
from asepsis.engines.harmonise.load import load_mapping
from asepsis.engines.harmonise.rerun import rerun
from asepsis.engines.harmonise.result import HarmonisedRun
from asepsis.engines.harmonise.run import Resources, harmonise
from asepsis.engines.harmonise.trial import Trial, run_mapping_tests
from asepsis.engines.harmonise.unmapped import Unknown, unknown_of
from asepsis.engines.importing.folder import read_document, read_headers, write_folder
from asepsis.engines.vocabulary.files import write_counts
from asepsis.harmonise.account import page_of
from asepsis.harmonise.importing.carrot import draft_from_carrot
from asepsis.harmonise.importing.declared import Declared
from asepsis.harmonise.importing.rabbit import draft_from_rabbit
from asepsis.harmonise.mapping import Mapping as SourceMapping
from asepsis.keys.files import FileKeys
from asepsis.services.contribute import Harmonise, Opener, Progress
from asepsis.services.rerun import Judge


def mapping_of(folder: Path) -> SourceMapping:
    """Read and check a mapping folder. Raises MappingMissing, MappingMalformed or ExpressionRefused."""
    return load_mapping(folder)


def mapping_remarks(folder: Path) -> tuple[MappingRemark, ...]:
    """What is wrong with a mapping folder, or what it may lack."""
    return check_mapping(folder)


def mapping_unknown(folder: Path, *, files: Path | None, out: Path | None) -> Unknown:
    """Which of these files, if any, and which codes in them the mapping does not know; ``out`` gets lists of the codes.

    Raises what reading a mapping and harmonising raise.
    """
    found = Unknown() if files is None else unknown_of(load_mapping(folder), files)
    for one in found.codes if out is not None else ():
        write_counts((out or folder) / f"{one.table}.{one.column}.csv", one.codes)
    return found


def mapping_trials(folder: Path) -> tuple[Trial, ...]:
    """Run the tests of a mapping folder. Raises MappingMissing, MappingMalformed or ExpressionRefused."""
    return run_mapping_tests(folder)


def mapping_page(folder: Path, *, as_html: bool) -> str:
    """A mapping as a page for people. Raises MappingMissing, MappingMalformed or ExpressionRefused."""
    text = mapping_docs(folder)
    return page_of(text) if as_html else text


def import_carrot(rules: Path, out: Path, *, declared: Declared, files: Path | None) -> tuple[str, ...]:
    """Make a mapping folder from rules of Carrot; returns what is left to decide. Raises the errors of imports."""
    headers = {} if files is None else read_headers(files, declared=declared)
    draft = draft_from_carrot(read_document(rules), file=rules.name, declared=declared, headers=headers)
    write_folder(draft, out, tool="Carrot")
    return tuple(draft.decisions)


def import_rabbit(document: Path, out: Path, *, declared: Declared) -> tuple[str, ...]:
    """Make a mapping folder from Rabbit-in-a-Hat; returns what is left to decide. Raises the errors of imports."""
    draft = draft_from_rabbit(read_document(document), file=document.name, declared=declared)
    write_folder(draft, out, tool="Rabbit-in-a-Hat")
    return tuple(draft.decisions)


def harmoniser(mapping: SourceMapping, keys: FileKeys) -> Harmonise:
    """The pipeline for one mapping under one owner's person key."""

    def run(
        files: Mapping[str, Opener], *, run: str, texts: frozenset[str], workdir: Path, progress: Progress
    ) -> HarmonisedRun:
        resources = Resources(progress=lambda step: progress(step.stage, step.subject, step.records))
        asked, person_key = mapping.asked(texts), keys.person_key()
        return harmonise(asked, files, workdir=workdir, run=run, person_key=person_key, resources=resources)

    return run


def rejudge(mapping: SourceMapping, keys: FileKeys) -> Judge:
    """The pipeline that judges quarantined records again, for one mapping under one owner's person key."""

    def run(
        folder: Path,
        tables: Mapping[str, Path],
        *,
        run: str,
        texts: frozenset[str],
        workdir: Path,
        progress: Progress,
    ) -> HarmonisedRun:
        resources = Resources(progress=lambda step: progress(step.stage, step.subject, step.records))
        kept, asked, person_key = KeptRun(folder=folder, tables=tables), mapping.asked(texts), keys.person_key()
        return rerun(asked, kept, workdir=workdir, run=run, person_key=person_key, resources=resources)

    return run
