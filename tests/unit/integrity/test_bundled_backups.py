"""The two hospitals' backups that come with the product tell the story that the demo promises."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from asepsis.domain.integrity import HistoryVerdict, ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, Verdict
from asepsis.integrity.last_clean import Listing, assess_history
from asepsis.integrity.observation import observe
from asepsis.ports import Source
from asepsis.sources.registry import open_source

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "two_hospitals"
SHARED = Path(os.environ.get("ASEPSIS_SHARED", ROOT / ".." / "shared")) / "data" / "two_hospitals"


@pytest.fixture(scope="module")
def northgate() -> Source:
    return open_source(f"restic:{EXAMPLES / 'northgate' / 'restic-repository'}", secret=lambda: "northgate-demo")


@pytest.fixture(scope="module")
def riverside() -> Source:
    return open_source(f"tar:{EXAMPLES / 'riverside'}")


def assessed(source: Source) -> HistoryVerdict:
    def look(point: RestorePointId, entry: Entry) -> ObjectFacts:
        with source.open(point, entry.path) as file:
            return observe(file, size=entry.size)

    listings = (Listing(point=point, entries=source.walk(point.id)) for point in source.restore_points())
    return assess_history(listings, look)


def test_the_last_clean_point_of_northgate_is_that_of_january_2013(northgate: Source) -> None:
    history = assessed(northgate)
    days = {f"{verdict.point.taken_at:%Y-%m-%d}": verdict.verdict for verdict in history.points}
    assert days == {
        "1998-12-31": Verdict.CLEAN,
        "2005-12-31": Verdict.CLEAN,
        "2012-12-31": Verdict.CLEAN,
        "2013-01-31": Verdict.CLEAN,
        "2013-02-02": Verdict.COMPROMISED,
    }
    assert history.last_clean == history.points[3].point.id
    assert history.points[4].counts == {Verdict.COMPROMISED: 9}


def test_both_exports_of_riverside_are_clean(riverside: Source) -> None:
    history = assessed(riverside)
    assert [verdict.verdict for verdict in history.points] == [Verdict.CLEAN, Verdict.CLEAN]


def test_every_bundled_restore_point_verifies(northgate: Source, riverside: Source) -> None:
    for source in (northgate, riverside):
        for point in source.restore_points():
            assert list(source.verify(point.id)) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared test data are not beside this repository")
def test_the_newest_good_backups_hold_the_original_files_byte_for_byte(northgate: Source, riverside: Source) -> None:
    last_clean, newest = northgate.restore_points()[3].id, riverside.restore_points()[-1].id
    for source, point, folder in (
        (northgate, last_clean, "hospital_a_legacy"),
        (riverside, newest, "hospital_b_fhir"),
    ):
        found = {}
        for entry in source.walk(point):
            if entry.type is EntryType.FILE:
                with source.open(point, entry.path) as file:
                    found[entry.path.rpartition("/")[2]] = file.read()
        assert found == {path.name: path.read_bytes() for path in (SHARED / folder).iterdir()}


def test_the_earlier_export_counts_what_it_holds(riverside: Source) -> None:
    point = riverside.restore_points()[0].id
    with riverside.open(point, "/export/manifest.json") as file:
        manifest = json.load(file)
    for output in manifest["output"]:
        with riverside.open(point, f"/export/{output['url']}") as file:
            assert len(gzip.decompress(file.read()).splitlines()) == output["count"]


def test_the_bundle_stays_small() -> None:
    sizes = [path.stat().st_size for path in EXAMPLES.rglob("*") if path.is_file()]
    assert sum(sizes) <= 12_000_000
