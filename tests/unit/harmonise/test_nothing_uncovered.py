"""Both hospitals are complete: the mappings read every file of every restore point that an attack has not reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from asepsis.domain.source import EntryType
from asepsis.engines.harmonise.run import choose_files
from asepsis.errors.harmonise import SourceFileMissing
from asepsis.harmonise.mapping import Mapping
from asepsis.ports import Source
from asepsis.sources.registry import open_source

EXAMPLES = Path(__file__).parents[3] / "examples" / "two_hospitals"


def uncovered(mapping: Mapping, source: Source, point: str) -> set[str]:
    files = {entry.path.lstrip("/") for entry in source.walk(point) if entry.type is EntryType.FILE}  # type: ignore[arg-type]
    assert len(files) >= 3
    chosen = choose_files(mapping, dict.fromkeys(files))  # type: ignore[arg-type]
    return files - {path for _, path in chosen}


def test_every_file_of_northgate_is_read(northgate: Mapping) -> None:
    repository = EXAMPLES / "northgate" / "restic-repository"
    source = open_source(f"restic:{repository}", secret=lambda: "northgate-demo")
    points = source.restore_points()
    assert [uncovered(northgate, source, point.id) for point in points[:-1]] == [set()] * 4
    with pytest.raises(SourceFileMissing):
        uncovered(northgate, source, points[-1].id)


def test_every_file_of_riverside_is_read(riverside: Mapping) -> None:
    source = open_source(f"tar:{EXAMPLES / 'riverside'}")
    points = source.restore_points()
    assert [uncovered(riverside, source, point.id) for point in points] == [set()] * 2
