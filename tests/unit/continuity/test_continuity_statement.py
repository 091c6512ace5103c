"""The statement of a pack reads as it was written; tables and page carry their stamps, and nothing else than text."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.continuity_age import Measured, Stamp
from asepsis.domain.continuity_pack import (
    Choice,
    Coverage,
    Metrics,
    OpenFinding,
    Outcome,
    Pack,
    PackedInput,
    PackedOutput,
)
from asepsis.domain.continuity_reading import read_pack
from asepsis.domain.names import Digest, PartyId, RestorePointId, SnapshotId
from asepsis.domain.release import CellAction, Released
from asepsis.domain.source import Verdict
from asepsis.errors.contract import DocumentMalformed
from asepsis.services.continuity_files import table_csv
from asepsis.services.continuity_metrics import worst
from asepsis.services.continuity_page import pack_page

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ZERO = Digest("0" * 64)
SPANS = st.none() | st.timedeltas(timedelta(0), timedelta(days=9_000)).map(lambda one: timedelta(seconds=one.seconds))


def measured(actual: timedelta | None = timedelta(minutes=5)) -> Measured:
    return Measured(actual=actual, objective=timedelta(minutes=15))


def released(*rows: tuple[object, ...]) -> Released:
    actions = tuple((CellAction.SHOWN,) * 2 for _ in rows)
    return Released(columns=("what", "persons"), rows=rows, actions=actions, notes=("a <note>",))  # type: ignore[arg-type]


def pack(*, title: str = "Beds", age: timedelta | None = timedelta(hours=2), drill: bool = False) -> Pack:
    stamp = Stamp(as_of=None if age is None else NOON - age, at=NOON, most=timedelta(days=1))
    output = PackedOutput(
        name="beds",
        title=title,
        responsible="Head of nursing",
        digest=ZERO,
        outcome=Outcome.RELEASED,
        stamp=stamp,
        rpo=measured(age),
        rto=measured(),
    )
    item = PackedInput(
        owner=PartyId("ward"),
        dataset="ward-omop-clinical",
        snapshot=SnapshotId("s"),
        manifest=ZERO,
        restore_point=RestorePointId("point"),
        taken_at=stamp.as_of,
        choice=Choice.LAST_CLEAN,
        verdict=Verdict.CLEAN,
        findings=(OpenFinding(code="signal.mass_rewrite", count=5),),
    )
    coverage = Coverage(
        datasets=1, datasets_judged=1, restore_points=2, restore_points_judged=2, objects=9, objects_read=9, outputs=1,
        outputs_answered=1, size=1_000, size_read=999, size_checked=500,
    )  # fmt: skip
    metrics = Metrics(
        rpo=output.rpo, rto=output.rto, to_verdict=None, to_pack=timedelta(seconds=9), coverage=coverage, drill_age=None
    )
    return Pack(
        id="pack-1",
        number=1,
        contract=ZERO,
        lead=PartyId("lead"),
        drill=drill,
        declared_at=NOON - timedelta(minutes=9),
        at=NOON,
        signed_at=NOON,
        inputs=(item,),
        outputs=(output,),
        metrics=metrics,
        not_checked=("rows",),
        files={"index.html": (1, ZERO)},
    )


@given(age=SPANS, drill=st.booleans(), title=st.text(min_size=1))
def test_a_statement_reads_as_it_was_written(*, age: timedelta | None, drill: bool, title: str) -> None:
    written = pack(title=title, age=age, drill=drill)
    assert read_pack(written.to_document()) == written


@pytest.mark.parametrize("key", ["open_findings", "at", "metrics"])
def test_a_statement_that_contradicts_itself_is_refused(key: str) -> None:
    document = pack().to_document()
    document[key] = {"open_findings": 0, "at": "2026-06-01T12:00:00+00:00", "metrics": {}}[key]
    with pytest.raises(DocumentMalformed):
        read_pack(document)


def test_a_stamp_that_does_not_follow_from_its_instant_is_refused() -> None:
    document = pack(age=timedelta(days=3)).to_document()
    document["outputs"][0]["stamp"]["freshness"] = "fresh"  # type: ignore[index]
    with pytest.raises(DocumentMalformed):
        read_pack(document)


def test_every_row_of_a_table_carries_what_it_is_as_of() -> None:
    stamp = pack(age=timedelta(days=3)).outputs[0].stamp
    text = table_csv(released(("=1+1", 25), ("b", None)), stamp, findings=2).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["data_as_of"] for row in rows] == ["2026-05-29T12:00:00Z"] * 2
    assert [(row["what"], row["persons"], row["freshness"]) for row in rows] == [
        ("'=1+1", "25", "stale"),
        ("b", "", "stale"),
    ]
    assert {row["open_findings"] for row in rows} == {"2"}


def test_the_page_is_text_alone_and_says_in_red_what_is_too_old() -> None:
    page = pack_page(pack(title="<script>x</script>", age=timedelta(days=3)), {"beds": released(("<b>", 25))}).decode()
    assert "<script" not in page
    assert "<b>" not in page
    assert '<p class="stamp late">DATA AS OF 2026-05-29 12:00 UTC (3 d old, at most 1 d allowed: TOO OLD)' in page
    assert "1 open finding." in page
    assert 'class="stamp late"' not in pack_page(pack(), {}).decode()


def test_the_page_of_a_drill_says_so_first() -> None:
    assert "DRILL: production was not down" in pack_page(pack(drill=True), {}).decode()


def test_the_worst_output_stands_for_all() -> None:
    near, far, missed = (measured(timedelta(minutes=minutes)) for minutes in (14, 1, 16))
    unknown = measured(None)
    assert worst([near, far]) == near
    assert worst([near, missed]) == missed
    assert worst([missed, unknown, near]) == unknown
