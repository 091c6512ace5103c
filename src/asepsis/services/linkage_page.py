"""The quality report of a linkage as one page that stands alone: plots as SVG, no script, nothing from anywhere else.

It follows from the signed statistic alone: protected counts, and estimates that are means over many links. So no plot
shows more than the table under it, and none the score of a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from asepsis.domain.linkage import LinkEstimate
from asepsis.domain.statistic import Statistic
from asepsis.sealing.canonical import digest

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.15rem .7rem;text-align:left;"
    "border-bottom:1px solid #e3e5e8}td.n{text-align:right}section{break-inside:avoid}"
    "svg{display:block;margin:.4rem 0;max-width:100%}text{font:12px system-ui,sans-serif;fill:#1c2024}"
    "code{overflow-wrap:anywhere}"
)
_COLOURS: Final[Mapping[str, str]] = {
    "match": "#2e7d5b",
    "household": "#a33b3b",
    "namesake": "#c9762b",
    "area": "#8a6fb0",
    "birth_date": "#5b8db8",
    "address": "#8c8f94",
    "twin": "#c2a83e",
}
_WIDTH: Final = 640
_HEIGHT: Final = 180
_LEFT, _BOTTOM = 56, 36
_PITCH, _BAR, _LABEL = 22, 14, 260
_DOT: Final = 3
_SCORE, _RATE = "score.", "rate."

Counts = Mapping[str, int | None]
"""Protected counts by name; None where one is withheld."""


def linkage_page(statistic: Statistic) -> str:
    """The page of a linkage. Every text in it is escaped."""
    title = "Quality of a linkage"
    counts = _counts(statistic)
    said = "".join(f"<li>{escape(finding.reason)}</li>" for finding in statistic.assessment.findings)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style><h1>{title}</h1>'
        f"<p>Run <code>{escape(statistic.run)}</code> under contract <code>{escape(statistic.contract)}</code>. "
        f"The runtime signed these numbers; the ledger's entry of the finished run names their digest, "
        f"<code>{digest(statistic.to_document())}</code>.</p><ul>{said}</ul>"
        f"{_histogram(counts)}{_curve(statistic.estimates)}{_rates(counts)}{_table(counts)}</html>\n"
    )


def _counts(statistic: Statistic) -> dict[str, int | None]:
    rows = () if statistic.table is None else statistic.table.rows
    return {str(name): int(value) if isinstance(value, int | float) else None for name, value in rows}


def _histogram(counts: Counts) -> str:
    """Records by the score of their best pair, one bar for each band, its parts by class."""
    bands: dict[int, dict[str, int]] = {}
    for name, value in counts.items():
        if name.startswith(_SCORE):
            why, _, bits = name.removeprefix(_SCORE).partition(".")
            bands.setdefault(int(bits), {}).update({} if value is None else {why: value})
    most = max((sum(parts.values()) for parts in bands.values()), default=0)
    if not most:
        return ""
    step, parts = _WIDTH / len(bands), []
    for number, lowest in enumerate(sorted(bands)):
        at = float(_HEIGHT)
        for why, colour in _COLOURS.items():
            value = bands[lowest].get(why)
            if value is None:
                continue
            height = _HEIGHT * value / most
            at -= height
            parts.append(
                f'<rect x="{_LEFT + number * step:.1f}" y="{at:.1f}" width="{step - 2:.1f}" height="{height:.1f}" '
                f'fill="{colour}"><title>{why}, from {lowest} bits: {value:,}</title></rect>'
            )
        parts.append(f'<text x="{_LEFT + number * step:.1f}" y="{_HEIGHT + 16}">{lowest}</text>')
    legend = " ".join(f'<span style="color:{colour}">■</span> {why}' for why, colour in _COLOURS.items())
    return (
        "<section><h2>Scores</h2><p>Records by the bits of their best pair (0: even odds), and why that pair agrees. "
        f"Each record counts once; parts of too few are left out.</p><p>{legend}</p>"
        f"{_svg('scores', _HEIGHT + _BOTTOM, ''.join(parts))}</section>"
    )


def _curve(estimates: Sequence[LinkEstimate]) -> str:
    """Estimated precision and recall by threshold, on one scale that ends at 1."""
    if not estimates:
        return ""
    low = min(min(one.precision, one.recall) for one in estimates)
    floor = max(0.0, low - 0.01)
    lines = {"precision": "#2e7d5b", "recall": "#5b8db8"}
    parts = []
    for name, colour in lines.items():
        points = [
            (_across(place, len(estimates)), _HEIGHT * (1 - (getattr(one, name) - floor) / (1 - floor)))
            for place, one in enumerate(estimates)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT}" fill="{colour}"/>' for x, y in points]
    parts += [
        f'<text x="{_across(place, len(estimates)) - 12:.1f}" y="{_HEIGHT + 18}">{one.threshold:g}</text>'
        for place, one in enumerate(estimates)
    ]
    parts += [f'<text x="0" y="12">1</text><text x="0" y="{_HEIGHT}">{floor:.3f}</text>']
    rows = "".join(
        f'<tr><td class="n">{one.threshold:g}</td><td class="n">{one.precision:.3f}</td>'
        f'<td class="n">{one.recall:.3f}</td></tr>'
        for one in estimates
    )
    legend = " ".join(f'<span style="color:{colour}">■</span> {name}' for name, colour in lines.items())
    return (
        "<section><h2>Precision and recall by threshold</h2><p>Estimated, without known truth, if only links of at "
        "least that posterior counted. A threshold without a point differs from the one before by few links, or by "
        f"none.</p><p>{legend}</p>{_svg('estimates', _HEIGHT + _BOTTOM, ''.join(parts))}"
        f"<table>{_head('posterior', 'precision', 'recall')}{rows}</table></section>"
    )


@dataclass(frozen=True, slots=True)
class _Rate:
    group: str
    records: int
    linked: int


def _rates(counts: Counts) -> str:
    """Which share of an owner's records has a partner elsewhere, by what is known of them."""
    rates = []
    for name, records in counts.items():
        group = name.removeprefix(_RATE).removesuffix(".records")
        linked = counts.get(f"{_RATE}{group}.linked")
        if name == f"{_RATE}{group}.records" and records and linked is not None:
            rates.append(_Rate(group, records, linked))
    if not rates:
        return ""
    room = _WIDTH - _LABEL
    bars = "".join(
        f'<text x="0" y="{place * _PITCH + _BAR - 2}">{escape(rate.group.replace(".", ": ").replace("_", " "))}</text>'
        f'<rect x="{_LABEL}" y="{place * _PITCH}" width="{room * min(1.0, rate.linked / rate.records):.1f}" '
        f'height="{_BAR}" fill="#5b8db8"><title>about {rate.linked / rate.records:.0%}</title></rect>'
        for place, rate in enumerate(rates)
    )
    return (
        "<section><h2>Link rates by group</h2><p>A group that links less often is counted twice more often. Rates are "
        f"of rounded counts; groups with too few are left out.</p>{_svg('rates', len(rates) * _PITCH, bars)}</section>"
    )


def _table(counts: Counts) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{"·" if value is None else f"{value:,}"}</td></tr>'
        for name, value in counts.items()
    )
    return f"<section><h2>All counts</h2><table>{_head('count', 'records')}{rows}</table></section>"


def _across(place: int, count: int) -> float:
    return _LEFT + (place + 0.5) * _WIDTH / count


def _svg(label: str, height: int, parts: str) -> str:
    width = _LEFT + _WIDTH
    return f'<svg role="img" aria-label="{label}" width="{width}" height="{height}">{parts}</svg>'


def _head(*names: str) -> str:
    return "<thead><tr>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr></thead>"
