"""How packs, drills and readiness look on the command line: one line for each output, then the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asepsis.cli.report import table
from asepsis.domain.continuity_age import span
from asepsis.domain.continuity_pack import share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asepsis.domain.continuity_age import Measured
    from asepsis.domain.continuity_pack import Metrics, Pack, PackedInput, PackedOutput


def pack_text(pack: Pack) -> str:
    """Every output with its age and objectives, the snapshots, and the metrics of the whole."""
    title = ["DRILL: production was not down"] if pack.drill else []
    said = sorted({one.stamp.says.partition(" (")[0] for one in pack.outputs})
    outputs = table(
        ["analysis", "outcome", "age", "data", "RPO", "RTO", "last drill"], [_output(one) for one in pack.outputs]
    )
    inputs = table(
        ["dataset", "restore point", "taken at (UTC)", "chosen as", "verdict", "open findings"],
        [_input(one) for one in pack.inputs],
    )
    return "\n".join([*title, *said, "", outputs, "", inputs, "", metrics_text(pack.metrics)])


def metrics_text(metrics: Metrics) -> str:
    """The metrics, one on a line."""
    covered = metrics.coverage
    rows = [
        ["RPO, the worst", _measure(metrics.rpo)],
        ["RTO, the worst", _measure(metrics.rto)],
        ["time to the verdict", "no backup was judged" if metrics.to_verdict is None else span(metrics.to_verdict)],
        ["time to the signed pack", span(metrics.to_pack)],
        ["datasets from judged restore points", f"{covered.datasets_judged} of {covered.datasets}"],
        ["restore points judged", f"{covered.restore_points_judged} of {covered.restore_points}"],
        ["different objects read", f"{covered.objects_read} of {covered.objects}"],
        ["bytes read", share(covered.size_read, covered.size)],
        ["bytes followed to the end of their format", share(covered.size_checked, covered.size)],
        ["outputs answered", f"{covered.outputs_answered} of {covered.outputs}"],
        ["age of the last drill", "no drill" if metrics.drill_age is None else span(metrics.drill_age)],
    ]
    return table(["metric", "value"], rows)


def readiness_text(ready: Sequence[PackedOutput]) -> str:
    """What may run, who answers for it, and how fresh it would be now."""
    columns = ["analysis", "responsible", "age", "at most", "data", "RPO", "RTO", "last drill", "state"]
    rows = [
        [
            one.name,
            one.responsible,
            span(one.stamp.age),
            span(one.stamp.most),
            one.stamp.freshness.value,
            span(one.rpo.objective),
            span(one.rto.objective),
            _day(one),
            _state(one),
        ]
        for one in ready
    ]
    return table(columns, rows)


def _output(one: PackedOutput) -> list[object]:
    fresh = one.stamp.freshness.value
    return [one.name, _state(one), span(one.stamp.age), fresh, _measure(one.rpo), _measure(one.rto), _day(one)]


def _input(one: PackedInput) -> list[object]:
    taken = "unknown" if one.taken_at is None else f"{one.taken_at:%Y-%m-%d %H:%M}"
    found = ", ".join(f"{finding.code} {finding.count}" for finding in one.findings)
    return [one.dataset, one.restore_point[:16], taken, one.choice.value, one.verdict.value, found]


def _state(one: PackedOutput) -> str:
    return one.outcome.value + (f" {one.code}" if one.code else "")


def _measure(one: Measured) -> str:
    return f"{span(one.actual)} of {span(one.objective)}" + ("" if one.met else " MISSED")


def _day(one: PackedOutput) -> str:
    return "none" if one.last_drill is None else f"{one.last_drill:%Y-%m-%d}"
