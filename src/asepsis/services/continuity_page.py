"""The continuity pack as one page that stands alone and prints well: no script, nothing from anywhere else.

It follows from the statement and the tables alone, so that whoever verifies a pack makes the same page again.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from asepsis.domain.continuity_age import Freshness, Measured, span
from asepsis.domain.continuity_pack import ANSWERED, Metrics, Pack, PackedInput, PackedOutput, share
from asepsis.domain.documents import encode_time
from asepsis.domain.release import Cell, Released

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.15rem .7rem;text-align:left;"
    "border-bottom:1px solid #e3e5e8}td.n{text-align:right}section{break-inside:avoid}"
    ".stamp{border:2px solid #2e7d5b;padding:.3rem .7rem;font-weight:600}"
    ".late{border-color:#a33b3b;color:#a33b3b}.drill{background:#fff3c4;padding:.4rem .7rem;font-weight:700}"
    "code{overflow-wrap:anywhere}"
    "@page{margin:16mm}@media print{body{font-size:10.5pt;margin:0;max-width:none}.stamp,.late,.drill{"
    "-webkit-print-color-adjust:exact;print-color-adjust:exact}thead{display:table-header-group}}"
)


def pack_page(pack: Pack, tables: Mapping[str, Released]) -> bytes:
    """The page of a pack; ``tables`` are the released ones by the names of the outputs. Every text in it is escaped."""
    title = "Continuity pack" + (" (DRILL)" if pack.drill else "")
    drill = (
        '<p class="drill">DRILL: production was not down. Do not use these numbers for anything else.</p>'
        if pack.drill
        else ""
    )
    outputs = "".join(_output(output, tables.get(output.name), pack) for output in pack.outputs)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style><h1>{title}</h1>{drill}'
        f"<p>Pack <code>{escape(pack.id)}</code>, number {pack.number}, made by {escape(pack.lead)} at "
        f"{encode_time(pack.signed_at)}. Production was declared down at {encode_time(pack.declared_at)}. "
        f"Contract <code>{escape(pack.contract)}</code>.</p>"
        f"<p>Only <code>asepsis recover continuity verify</code> shows that this page is what was signed.</p>"
        f"{_summary(pack)}{outputs}{_inputs(pack.inputs)}{_metrics(pack.metrics)}{_not_checked(pack)}</html>\n"
    )
    return page.encode()


def _summary(pack: Pack) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.title)}</td><td>{escape(one.responsible)}</td><td>{one.outcome.value}</td>"
        f"<td>{_measure(one.rpo)}</td><td>{_measure(one.rto)}</td><td>{_day(one)}</td></tr>"
        for one in pack.outputs
    )
    head = _head("analysis", "responsible", "outcome", "RPO", "RTO", "last drill")
    return f"<h2>What was pre-approved</h2><table>{head}{rows}</table>"


def _output(one: PackedOutput, table: Released | None, pack: Pack) -> str:
    late = "" if one.stamp.freshness is Freshness.FRESH else " late"
    found = f"{pack.findings} open findings" if pack.findings != 1 else "1 open finding"
    said = f'<p class="stamp{late}">{escape(one.stamp.says)}. {found}.</p>'
    code = f" (<code>{escape(one.code)}</code>)" if one.code else ""
    if table is not None:
        body = _table(table)
    elif one.outcome in ANSWERED:
        body = "<p>Sealed to the clinical team of each hospital. This page holds no row, and no number of patients.</p>"
    else:
        body = f"<p>No numbers: {one.outcome.value}{code}.</p>"
    return f"<section><h2>{escape(one.title)}</h2>{said}{body}</section>"


def _table(table: Released) -> str:
    rows = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in table.rows)
    notes = "".join(f"<p>Note: {escape(note)}</p>" for note in table.notes)
    return f"<table>{_head(*table.columns)}{rows}</table>{notes}"


def _cell(cell: Cell) -> str:
    if cell is None:
        return '<td class="n">·</td>'
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    return f'<td class="n">{cell}</td>' if is_number else f"<td>{escape(str(cell))}</td>"


def _inputs(inputs: tuple[PackedInput, ...]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.dataset)}</td><td><code>{escape(one.restore_point[:16])}</code></td>"
        f"<td>{'unknown' if one.taken_at is None else encode_time(one.taken_at)}</td><td>{one.choice.value}</td>"
        f"<td>{one.verdict.value}</td><td>{_findings(one)}</td></tr>"
        for one in inputs
    )
    head = _head("dataset", "restore point", "taken at", "chosen as", "verdict", "open findings")
    return f"<h2>Data that were used</h2><table>{head}{rows}</table>"


def _findings(one: PackedInput) -> str:
    return escape(", ".join(f"{finding.code} {finding.count}" for finding in one.findings)) or "none"


def _metrics(metrics: Metrics) -> str:
    covered = metrics.coverage
    rows = {
        "RPO, the worst": _measure(metrics.rpo),
        "RTO, the worst": _measure(metrics.rto),
        "time to the verdict on the backups": span(metrics.to_verdict),
        "time to the signed pack": span(metrics.to_pack),
        "datasets from judged restore points": f"{covered.datasets_judged} of {covered.datasets}",
        "restore points judged": f"{covered.restore_points_judged} of {covered.restore_points}",
        "different objects read": f"{covered.objects_read} of {covered.objects}",
        "bytes read": share(covered.size_read, covered.size),
        "bytes followed to the end of their format": share(covered.size_checked, covered.size),
        "outputs answered": f"{covered.outputs_answered} of {covered.outputs}",
        "age of the last drill": "no drill" if metrics.drill_age is None else span(metrics.drill_age),
    }
    lines = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows.items())
    return f"<section><h2>Metrics</h2><table>{lines}</table></section>"


def _not_checked(pack: Pack) -> str:
    return f"<h2>What was not checked</h2><ul>{''.join(f'<li>{escape(one)}</li>' for one in pack.not_checked)}</ul>"


def _measure(one: Measured) -> str:
    said = f"{span(one.actual)} of {span(one.objective)}"
    return said if one.met else f'<strong class="late">{said}: missed</strong>'


def _day(one: PackedOutput) -> str:
    return "none" if one.last_drill is None else f"{one.last_drill:%Y-%m-%d}"


def _head(*names: str) -> str:
    return "<thead><tr>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr></thead>"
