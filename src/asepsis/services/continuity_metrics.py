"""The numbers of one recovery, and what a reader of a pack must not take for checked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from asepsis.domain.continuity_age import Measured, oldest
from asepsis.domain.continuity_pack import ANSWERED, Coverage, Metrics, PackedInput, PackedOutput
from asepsis.domain.contract import Contract
from asepsis.domain.source import Verdict
from asepsis.services.continuity_choice import Occasion


def metrics(
    inputs: tuple[PackedInput, ...], outputs: tuple[PackedOutput, ...], occasion: Occasion, *, signed_at: datetime
) -> Metrics:
    """What became of the objectives, how long it took, and how much of what could be checked was."""
    scans = [judged.scan for judged in occasion.judged.values()]
    points = [verdict for scan in scans for verdict in scan.history.points]
    last = oldest(output.last_drill for output in outputs)
    judged_at = max((judged.at for judged in occasion.judged.values()), default=None)
    return Metrics(
        rpo=worst(output.rpo for output in outputs),
        rto=worst(output.rto for output in outputs),
        to_verdict=None if judged_at is None else judged_at + occasion.ahead - occasion.declared_at,
        to_pack=signed_at + occasion.ahead - occasion.declared_at,
        coverage=Coverage(
            datasets=len(inputs),
            datasets_judged=sum(item.verdict is not Verdict.UNKNOWN for item in inputs),
            restore_points=len(points),
            restore_points_judged=sum(point.verdict is not Verdict.UNKNOWN for point in points),
            objects=sum(scan.objects for scan in scans),
            objects_read=sum(scan.history.objects_read for scan in scans),
            size=sum(scan.size for scan in scans),
            size_read=sum(scan.size_read for scan in scans),
            size_checked=sum(scan.size_checked for scan in scans),
            outputs=len(outputs),
            outputs_answered=sum(output.outcome in ANSWERED for output in outputs),
        ),
        drill_age=None if last is None else signed_at - last,
    )


def not_checked(
    contract: Contract, inputs: tuple[PackedInput, ...], outputs: tuple[PackedOutput, ...]
) -> tuple[str, ...]:
    """What a reader of the pack must not take for checked."""
    unjudged = sorted({item.owner for item in inputs if item.verdict is Verdict.UNKNOWN})
    said = [
        f"{owner}: no restore point was judged; its newest sealed snapshots were used as they are" for owner in unjudged
    ]
    said.append("rows: snapshots were not compared record by record; 'asepsis recover compare' does that")
    said += [
        f"{output.name}: not answered ({output.outcome.value})" for output in outputs if output.outcome not in ANSWERED
    ]
    if contract.level == 0:
        said.append("the runtime ran at level 0, which is NON-CONFIDENTIAL")
    return tuple(said)


def worst(measured: Iterable[Measured]) -> Measured:
    """The measure that stands for several: unknown before missed, and missed before nearest to the objective."""
    return max(measured, key=lambda one: (one.actual is None, not one.met, _share(one)))


def _share(one: Measured) -> float:
    return 0.0 if one.actual is None else one.actual / one.objective
