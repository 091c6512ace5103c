"""The report of a comparison as one page that stands alone: charts as SVG, no script, nothing from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "table{border-collapse:collapse}td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #e3e5e8}"
    "td:first-child,th:first-child{text-align:left}svg{display:block;margin:.4rem 0}li{margin:.6rem 0}"
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_COLOURS: Final = {"inserted": "#2e7d5b", "deleted": "#a33b3b", "updated": "#c9762b"}
_SEVERITY: Final = {"severe": "#a33b3b", "alarm": "#c9762b", "notice": "#5b8db8"}
_WIDTH: Final = 640
_BAR: Final = 14
_HEIGHT: Final = 90
_MOST_MONTHS: Final = 240


def comparison_page(document: Mapping[str, Any], days: Sequence[tuple[str, str, str, int]]) -> str:
    """The page of a comparison's document; ``days`` are (table, day, change, rows). Every text in it is escaped."""
    title = "Comparison of two snapshots"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style><h1>{title}</h1>'
        f"<p>Verdict: <strong>{escape(str(document['verdict']))}</strong>. Before: {escape(str(document['before']))}. "
        f"After: {escape(str(document['after']))}.</p>{_divergences(document['divergences'])}"
        f"{_changes(document['ledger'])}{_months(days)}{_explained(document)}{_unchecked(document['unchecked'])}</html>\n"
    )


def _divergences(found: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(
        f'<li><span style="color:{_SEVERITY[one["severity"]]}">■ {escape(one["severity"])}</span> '
        f"<code>{escape(one['code'])}</code> {escape(one['says'])}<br><em>{escape(one['next'])}</em></li>"
        for one in found
    )
    return f"<h2>What was found</h2>{f'<ol>{items}</ol>' if items else '<p>Nothing that asks for an explanation.</p>'}"


def _changes(ledgers: Sequence[Mapping[str, Any]]) -> str:
    legend = " ".join(f'<span style="color:{colour}">■</span> {name}' for name, colour in _COLOURS.items())
    most = max((sum(one[name] for name in _COLOURS) for one in ledgers), default=0) or 1
    rows = []
    for one in ledgers:
        at, parts = 0.0, []
        for name, colour in _COLOURS.items():
            width = _WIDTH / 2 * one[name] / most
            parts.append(
                f'<rect x="{at:.1f}" width="{width:.1f}" height="{_BAR}" fill="{colour}">'
                f"<title>{name} {one[name]:,}</title></rect>"
            )
            at += width
        cells = ", ".join(f"{escape(column)} {count:,}" for column, count in one["cells"].items())
        rows.append(
            f"<tr><td>{escape(one['table'])}</td><td>{one['rows_before']:,}</td><td>{one['rows_after']:,}</td>"
            + "".join(f"<td>{one[name]:,}</td>" for name in _COLOURS)
            + f'<td><svg role="img" aria-label="changes" width="{_WIDTH // 2}" height="{_BAR}">{"".join(parts)}</svg>'
            f"{cells}</td></tr>"
        )
    head = "".join(f"<th>{name}</th>" for name in ("table", "before", "after", *_COLOURS, "cells by column"))
    return f"<h2>The exact ledger</h2><p>{legend}</p><table><tr>{head}</tr>{''.join(rows)}</table>"


def _months(days: Sequence[tuple[str, str, str, int]]) -> str:
    """Changed rows by the month of their event: what was done to the past stands out."""
    months: dict[str, dict[str, int]] = {}
    names = {"insert": "inserted", "delete": "deleted", "update": "updated"}
    for _, day, change, rows in days:
        counts = months.setdefault(day[:7], dict.fromkeys(_COLOURS, 0))
        counts[names[change]] += rows
    if not months:
        return ""
    shown = sorted(months)[-_MOST_MONTHS:]
    most = max(sum(months[month].values()) for month in shown)
    width, parts = _WIDTH / len(shown), []
    for index, month in enumerate(shown):
        at = float(_HEIGHT)
        for name, colour in _COLOURS.items():
            height = _HEIGHT * months[month][name] / most
            at -= height
            parts.append(
                f'<rect x="{index * width:.1f}" y="{at:.1f}" width="{max(width - 1, 0.5):.1f}" height="{height:.1f}" '
                f'fill="{colour}"><title>{escape(month)}: {name} {months[month][name]:,}</title></rect>'
            )
    chart = f'<svg role="img" aria-label="changed rows by month of their event" width="{_WIDTH}" height="{_HEIGHT}">'
    return (
        f"<h2>When the changed rows' events were</h2>{chart}{''.join(parts)}</svg>"
        f"<p>{escape(shown[0])} to {escape(shown[-1])}, at most {most:,} rows a month.</p>"
    )


def _explained(document: Mapping[str, Any]) -> str:
    items = [f"<li>{document['merges']} merges and {document['unmerges']} un-merges of persons.</li>"]
    items += [
        f"<li>Ticket {escape(str(one['by']))}: {one['rows']:,} rows of {escape(str(one['table']))}"
        f"{' fit, which is more than it allows: it explains none' if one['refused'] else ''}.</li>"
        for one in document["explained"]
    ]
    return f"<h2>What was explained</h2><ul>{''.join(items)}</ul>"


def _unchecked(reasons: Sequence[str]) -> str:
    return f"<h2>What was not checked</h2><ul>{''.join(f'<li>{escape(one)}</li>' for one in reasons)}</ul>"
