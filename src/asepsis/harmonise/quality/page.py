"""The report as one page that stands alone: charts as SVG inside it, no script, no resource from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from asepsis.harmonise.account import STYLE, bars
from asepsis.harmonise.quality.checks import FACTS
from asepsis.harmonise.quality.text import failed_kinds, headline, note, number, percent, place, reasons_of
from asepsis.harmonise.quality.verdict import Status

_COLOURS: Final = {
    Status.FAILED: "#a33b3b",
    Status.PASSED: "#2e7d5b",
    Status.NOT_APPLICABLE: "#dfe2e6",
    Status.NOT_RUN: "#c9762b",
}
_WIDTH: Final = 640
_HEIGHT: Final = 80
_BAR: Final = 14
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def quality_html(document: Mapping[str, Any]) -> str:
    """The page of a document, masked or not. Every text in it is escaped."""
    title = escape(f"Data quality of {document['run']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{STYLE}</style><h1>{title}</h1>'
        f"<p>{escape(headline(document))}, on {escape(document['as_of'])}.</p><p><strong>{escape(note(document))}"
        f"</strong></p>{_summary(document)}{_failed(document)}{_not_run(document)}{_kinds(document)}"
        f"{_files(document['files'])}{_tables(document['tables'])}</html>\n"
    )


def _summary(document: Mapping[str, Any]) -> str:
    counts = document["summary"]
    total, at, parts = max(sum(counts.values()), 1), 0.0, []
    for status, colour in _COLOURS.items():
        width = _WIDTH * counts[status.value] / total
        title = f"<title>{status.value} {counts[status.value]:,}</title>"
        parts.append(f'<rect x="{at:.2f}" width="{width:.2f}" height="{_BAR}" fill="{colour}">{title}</rect>')
        at += width
    legend = " ".join(f'<span style="color:{colour}">■</span> {status.value}' for status, colour in _COLOURS.items())
    return (
        f'<p>{legend}</p><svg role="img" aria-label="verdicts" width="{_WIDTH}" height="{_BAR}">{"".join(parts)}</svg>'
    )


def _failed(document: Mapping[str, Any]) -> str:
    parts = []
    for kind, checks in failed_kinds(document):
        facts = FACTS[kind]
        rows = [
            (
                place(check),
                number(check["violated"]),
                number(check["rows"]),
                percent(check["percent"]),
                f"{check['threshold']:g} %",
            )
            for check in checks
        ]
        parts.append(
            f"<h3>{escape(kind.value)}: {escape(facts.says)}</h3><p>{facts.severity}. Next: {escape(facts.next)}</p>"
            f"{_table(('where', 'violated', 'of', 'share', 'allowed'), rows)}"
        )
    return f"<h2>What failed</h2>{''.join(parts) or '<p>Nothing.</p>'}"


def _not_run(document: Mapping[str, Any]) -> str:
    rows = sorted((reason, str(count)) for reason, count in reasons_of(document, Status.NOT_RUN).items())
    unchecked = ", ".join(escape(name) for name in document["unchecked"])
    rest = f"<p>Tables that no check knows: {unchecked}.</p>" if unchecked else ""
    return f"<h2>What was not checked</h2>{_table(('reason', 'checks'), rows) if rows else ''}{rest}"


def _kinds(document: Mapping[str, Any]) -> str:
    columns = ("kind", "origin", "severity", *(status.value for status in Status))
    rows = [tuple(str(one[column]) for column in columns) for one in document["kinds"]]
    return f"<h2>Every kind of check</h2>{_table(columns, rows)}"


def _files(files: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for one in files:
        states = one["states"]
        rows = [(number(one["landed"]), *(number(count) for count in states.values()))]
        reasons = {name: count for name, count in one["reasons"].items() if count is not None}
        parts.append(
            f"<h3>{escape(one['path'])}</h3>{_table(('landed', *states), rows)}"
            f"{bars('Why records were quarantined', reasons)}"
        )
    return f"<h2>Before: the files</h2>{''.join(parts)}" if parts else ""


def _tables(tables: Sequence[Mapping[str, Any]]) -> str:
    return f"<h2>After: the tables</h2>{''.join(_one_table(one) for one in tables)}"


def _one_table(one: Mapping[str, Any]) -> str:
    rows = [
        (field["name"], number(field["filled"]), _share(field["filled"], one["rows"]), _zero(field, one["rows"]))
        for field in one["fields"]
    ]
    unmapped = "".join(
        f"<h4>Not mapped in {escape(codes['field'])}: {codes['codes']:,} codes, {number(codes['rows'])} rows</h4>"
        f"{bars('', {code['code']: code['rows'] for code in codes['first']})}"
        for codes in one["unmapped"]
    )
    return (
        f"<h3>{escape(one['name'])}: {number(one['rows'])} rows</h3>{_years(one['years'])}"
        f"<details><summary>Fields</summary>{_table(('field', 'filled', 'share', 'concept 0'), rows)}</details>"
        f"{unmapped}"
    )


def _zero(field: Mapping[str, Any], rows: int | None) -> str:
    return "" if field["zero"] is None else _share(field["zero"], rows)


def _share(part: int | None, whole: int | None) -> str:
    return "·" if part is None or whole is None else f"{part / whole:.1%}" if whole else ""


def _years(years: Mapping[str, int | None]) -> str:
    """A column per year; a masked one is a grey mark on the ground."""
    if not years:
        return ""
    first, last = int(min(years, key=int)), int(max(years, key=int))
    most = max((count for count in years.values() if count is not None), default=1)
    width = _WIDTH / (last - first + 1)
    columns = []
    for year, count in years.items():
        height = 3.0 if count is None else max(_HEIGHT * count / max(most, 1), 1.0)
        colour = "#8a8f98" if count is None else "#5b8db8"
        columns.append(
            f'<rect x="{(int(year) - first) * width:.2f}" y="{_HEIGHT - height:.1f}" width="{max(width - 1, 0.5):.2f}" '
            f'height="{height:.1f}" fill="{colour}"><title>{escape(year)}: {number(count)}</title></rect>'
        )
    chart = f'<svg role="img" aria-label="rows by year" width="{_WIDTH}" height="{_HEIGHT}">{"".join(columns)}</svg>'
    return f"{chart}<p>{first} to {last}, at most {most:,} a year</p>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
