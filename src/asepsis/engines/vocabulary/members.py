"""The files of a vocabulary download, in a folder or in a ZIP, plain or gzip: found by name whatever its case."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from asepsis.errors.vocabulary import VocabularyMalformed, VocabularyMissing

_ENDINGS: Final = (".csv.gz", ".csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file: its table's name (lower case), its own name, and how to open it."""

    stem: str
    name: str
    open: Callable[[], IO[bytes]]


@contextmanager
def members_of(place: Path) -> Iterator[dict[str, Member]]:
    """The CSV files of a folder or a ZIP by the name of their table.

    Raises:
        VocabularyMissing: the place cannot be read.
        VocabularyMalformed: it is not a ZIP, or two files have one name.
    """
    if place.is_dir():
        yield _by_stem(place, [(path.name, _opener(path)) for path in sorted(place.iterdir()) if path.is_file()])
        return
    if not place.is_file():
        raise VocabularyMissing(file="folder or ZIP", path=str(place))
    try:
        archive = zipfile.ZipFile(place)
    except (OSError, zipfile.BadZipFile):
        raise VocabularyMalformed(file=place.name, problem="it is not a ZIP file") from None
    with archive:
        names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
        yield _by_stem(place, [(name, _inner(archive, name)) for name in names])


def _by_stem(place: Path, found: list[tuple[str, Callable[[], IO[bytes]]]]) -> dict[str, Member]:
    members: dict[str, Member] = {}
    for name, opener in found:
        own = name.rpartition("/")[2]
        ending = next((ending for ending in _ENDINGS if own.lower().endswith(ending)), None)
        if ending is None:
            continue
        stem = own[: -len(ending)].lower()
        if stem in members:
            raise VocabularyMalformed(file=stem, problem=f"{place.name} has two files of this name")
        members[stem] = Member(stem=stem, name=own, open=opener)
    return members


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    def start() -> IO[bytes]:
        is_packed = path.name.lower().endswith(".gz")
        return cast("IO[bytes]", gzip.open(path, "rb")) if is_packed else path.open("rb")

    return start


def _inner(archive: zipfile.ZipFile, name: str) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(name)
