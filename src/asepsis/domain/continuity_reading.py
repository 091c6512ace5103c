"""Reading a continuity pack's statement through its closed schema: what is read gives the same document again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from asepsis.domain.continuity_age import Measured, Stamp
from asepsis.domain.continuity_pack import (
    FORMAT,
    Choice,
    Coverage,
    Metrics,
    OpenFinding,
    Outcome,
    Pack,
    PackedInput,
    PackedOutput,
)
from asepsis.domain.documents import Fields
from asepsis.domain.names import Digest, PartyId, ReferralId, ReleaseId, RestorePointId, RunId, SnapshotId
from asepsis.domain.source import Verdict

_DOCUMENT: Final = "continuity pack"


def read_pack(value: object) -> Pack:
    """Read a statement. Raises DocumentMalformed, also for one that has more to say than can be read."""
    fields = Fields(value, document=_DOCUMENT)
    if fields.text("format") != FORMAT:
        raise fields.malformed("format", f"'{FORMAT}' is needed")
    fields.integer("open_findings")
    pack = Pack(
        id=fields.text("pack"),
        number=fields.integer("number", least=1),
        contract=Digest(fields.text("contract")),
        lead=PartyId(fields.name("lead")),
        drill=fields.flag("drill"),
        declared_at=fields.time("declared_at"),
        at=fields.time("at"),
        signed_at=fields.time("signed_at"),
        inputs=tuple(_read_input(item) for item in fields.items("inputs")),
        outputs=tuple(_read_output(item) for item in fields.items("outputs")),
        metrics=_read_metrics(fields),
        not_checked=fields.texts("not_checked"),
        files=_read_files(fields),
    )
    fields.close()
    if pack.to_document() != value:
        raise fields.malformed("top", "it does not say the same when it is read")
    return pack


def _read_input(value: object) -> PackedInput:
    fields = Fields(value, document=_DOCUMENT, place="inputs")
    found = PackedInput(
        owner=PartyId(fields.name("owner")),
        dataset=fields.text("dataset"),
        snapshot=SnapshotId(fields.text("snapshot")),
        manifest=Digest(fields.text("manifest")),
        restore_point=RestorePointId(fields.text("restore_point")),
        taken_at=_optional_time(fields, "taken_at"),
        choice=fields.choice("choice", Choice),
        verdict=fields.choice("verdict", Verdict),
        findings=tuple(_read_finding(item) for item in fields.items("findings")),
        passed_over=tuple(SnapshotId(name) for name in fields.texts("passed_over")),
    )
    fields.close()
    return found


def _read_finding(value: object) -> OpenFinding:
    fields = Fields(value, document=_DOCUMENT, place="findings")
    found = OpenFinding(code=fields.text("code"), count=fields.integer("count"))
    fields.close()
    return found


def _read_output(value: object) -> PackedOutput:
    fields = Fields(value, document=_DOCUMENT, place="outputs")
    release, referral, run = (_optional_text(fields, key) for key in ("release", "referral", "run"))
    found = PackedOutput(
        name=fields.name("name"),
        title=fields.text("title"),
        responsible=fields.text("responsible"),
        digest=Digest(fields.text("digest")),
        outcome=fields.choice("outcome", Outcome),
        stamp=_read_stamp(fields),
        rpo=_read_measured(fields, "rpo"),
        rto=_read_measured(fields, "rto"),
        code=_optional_text(fields, "code"),
        release=None if release is None else ReleaseId(release),
        referral=None if referral is None else ReferralId(referral),
        run=None if run is None else RunId(run),
        last_drill=_optional_time(fields, "last_drill"),
    )
    fields.close()
    return found


def _read_stamp(fields: Fields) -> Stamp:
    with fields.mapping("stamp") as raw:
        for key in ("age_seconds", "freshness", "says"):
            raw.anything(key)  # follows from the others, and is compared as a whole at the end
        return Stamp(
            as_of=_optional_time(raw, "as_of"),
            at=raw.time("at"),
            most=timedelta(seconds=raw.integer("max_age_seconds")),
        )


def _read_measured(fields: Fields, key: str) -> Measured:
    with fields.mapping(key) as raw:
        raw.flag("met")
        return Measured(
            actual=_optional_span(raw, "actual_seconds"), objective=timedelta(seconds=raw.integer("objective_seconds"))
        )


def _read_metrics(fields: Fields) -> Metrics:
    with fields.mapping("metrics") as raw:
        return Metrics(
            rpo=_read_measured(raw, "rpo"),
            rto=_read_measured(raw, "rto"),
            to_verdict=_optional_span(raw, "time_to_verdict_seconds"),
            to_pack=timedelta(seconds=raw.integer("time_to_pack_seconds")),
            coverage=_read_coverage(raw),
            drill_age=_optional_span(raw, "drill_age_seconds"),
        )


def _read_coverage(fields: Fields) -> Coverage:
    with fields.mapping("coverage") as raw:
        datasets, points, objects, size, checked, outputs = (
            _pair(raw, key) for key in ("datasets", "restore_points", "objects", "bytes", "bytes_checked", "outputs")
        )
    return Coverage(
        datasets_judged=datasets[0],
        datasets=datasets[1],
        restore_points_judged=points[0],
        restore_points=points[1],
        objects_read=objects[0],
        objects=objects[1],
        size_read=size[0],
        size=size[1],
        size_checked=checked[0],
        outputs_answered=outputs[0],
        outputs=outputs[1],
    )


def _pair(fields: Fields, key: str) -> tuple[int, int]:
    match fields.items(key):
        case [int() as some, int() as of]:
            return some, of
    raise fields.malformed(key, "two whole numbers are needed")


def _read_files(fields: Fields) -> dict[str, tuple[int, Digest]]:
    found = {}
    for item in fields.items("files"):
        one = Fields(item, document=_DOCUMENT, place="files")
        found[one.text("path")] = (one.integer("length"), Digest(one.text("sha256")))
        one.close()
    return found


def _optional_text(fields: Fields, key: str) -> str | None:
    return None if fields.anything(key) is None else fields.text(key)


def _optional_time(fields: Fields, key: str) -> datetime | None:
    return None if fields.anything(key) is None else fields.time(key)


def _optional_span(fields: Fields, key: str) -> timedelta | None:
    return None if fields.anything(key) is None else timedelta(seconds=fields.integer(key))
