"""Vocabularies: load a download, map codes to concepts, and see what a newer one changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asepsis.engines.vocabulary import load as vocabularies
from asepsis.engines.vocabulary.files import read_code_maps, read_counts, read_gems, unmapped_beside, write_map
from asepsis.engines.vocabulary.store import open_vocabulary
from asepsis.errors.vocabulary import CodesMalformed
from asepsis.harmonise.vocabulary.code_map import Merge
from asepsis.harmonise.vocabulary.delta import Delta, deltas
from asepsis.harmonise.vocabulary.matching import MapReport, Via, map_codes, report_of


def load_vocabulary(download: Path, out: Path, *, progress: Callable[[str, int], None]) -> vocabularies.Loaded:
    """Load a vocabulary download. Raises the errors of vocabularies."""
    return vocabularies.load_vocabulary(download, out, progress=progress)


@dataclass(frozen=True, kw_only=True)
class VocabularyRequest:
    """Which codes are to be mapped, with which vocabulary, in which ways."""

    codes: Path
    vocabulary: Path
    source: str
    ways: tuple[str, ...]
    gem: Path | None
    columns: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class VocabularyAnswer:
    """What became of the codes, and where it is written."""

    report: MapReport
    merge: Merge
    version: str
    unmapped: Path
    empty: int
    unusable: int


def map_to_concepts(request: VocabularyRequest, out: Path) -> VocabularyAnswer:
    """Map codes and merge them into a code map. Raises the errors of vocabularies."""
    unknown = [way for way in request.ways if way not in set(Via)]
    if unknown or (Via.GEM in request.ways and request.gem is None):
        problem = "a way is maps_to or gem" if unknown else "the way gem needs a GEM file"
        raise CodesMalformed(file="--via", place="the command line", problem=problem)
    counted = read_counts(request.codes, columns=request.columns, ignored=request.ignored)
    gems = None if request.gem is None else read_gems(request.gem)
    ways = [Via(way) for way in request.ways]
    with open_vocabulary(request.vocabulary) as concepts:
        mapped = map_codes(counted.codes, vocabulary=request.source, ways=ways, concepts=concepts, gems=gems)
        version = str(concepts.manifest.get("version", ""))
    return VocabularyAnswer(
        report=report_of(mapped),
        merge=write_map(out, mapped),
        version=version,
        unmapped=unmapped_beside(out),
        empty=counted.empty,
        unusable=counted.unusable,
    )


def vocabulary_delta(old: Path, new: Path, maps: Sequence[Path]) -> tuple[Delta, ...]:
    """What a new vocabulary changes in code maps. Raises VocabularyMissing or CodesMalformed."""
    listed = read_code_maps(maps)
    with open_vocabulary(old) as before, open_vocabulary(new) as after:
        return deltas(listed, old=before, new=after)
