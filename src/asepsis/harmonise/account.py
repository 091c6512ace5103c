"""Accounts for people: the books of a run as one HTML page with bar charts, and a mapping as Markdown.

Pure functions from values to text; every text from outside is escaped. No script, no outside resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from asepsis.domain.books import Books, FileBooks, TextBooks
from asepsis.harmonise.entries import FileEntry
from asepsis.harmonise.mapping import Column, Rule, TableSpec
from asepsis.harmonise.mapping import Mapping as SourceMapping

_PARTS: Final = {
    "accepted": "#2e7d5b",
    "merged": "#5b8db8",
    "quarantined": "#c9762b",
    "excluded": "#8a8f98",
    "header": "#c9ccd1",
    "context": "#dfe2e6",
    "residue": "#a33b3b",
}
_WIDTH: Final = 640
_BAR: Final = 14
STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "table{border-collapse:collapse}td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #e3e5e8}"
    "td:first-child,th:first-child{text-align:left}svg{display:block;margin:.4rem 0}"
)
_LISTS: Final = {
    "reasons": "Why records were quarantined",
    "exclusions": "Why records were left out",
    "repairs": "What was repaired",
    "flags": "What was flagged",
    "emitted": "Rows made",
}


def books_html(books: Books) -> str:
    """The reconciliation of a run as a page that stands alone."""
    sections = "".join(_file(file) for file in books.files)
    uncovered = "".join(f"<li>{escape(path)}</li>" for path in books.uncovered)
    rest = f"<h2>Files that no entry of the mapping reads</h2><ul>{uncovered}</ul>" if uncovered else ""
    texts = "".join(_texts(text) for text in books.texts)
    legend = " ".join(f'<span style="color:{colour}">■</span> {name}' for name, colour in _PARTS.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Books of {escape(books.run)}</title>'
        f"<style>{STYLE}</style><h1>Books of {escape(books.run)}</h1><p>{legend}</p>{sections}{texts}{rest}</html>\n"
    )


def mapping_docs(mapping: SourceMapping) -> str:
    """What a mapping does, as Markdown: every file, every table, every requirement, every code map with its grades."""
    lines = [
        f"# Mapping of {mapping.source}",
        "",
        f"Owner {mapping.owner}, dataset {mapping.dataset}, {mapping.label} data.",
        "",
    ]
    for entry in mapping.entries:
        lines += _entry(entry)
        for spec in mapping.specs_of(entry.name):
            lines += _table(spec)
    lines += [
        "## Code maps",
        "",
        "| map | codes | exact | narrower | broader | approximate | not mapped |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, codes in mapping.codes.items():
        grades = [str(row.grade) for row in codes.rows]
        counts = [grades.count(grade) for grade in ("exact", "narrower", "broader", "approximate", "not_mapped")]
        lines.append(f"| {name} | {len(grades)} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines) + "\n"


def page_of(text: str) -> str:
    """Markdown as it is written here (headings, tables, lists, code) as a page that stands alone."""
    body, inside = [], ""
    for line in text.splitlines():
        kind = "table" if line.startswith("|") else "ul" if line.startswith("- ") else ""
        if kind != inside:
            body += [f"</{inside}>"] * bool(inside) + [f"<{kind}>"] * bool(kind)
            inside = kind
        body.append(_line(line, kind))
    title = escape(text.partition("\n")[0].lstrip("# "))
    closing = f"</{inside}>" if inside else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"{''.join(body)}{closing}</html>\n"
    )


def _line(line: str, kind: str) -> str:
    if kind == "table":
        cells = re.split(r"(?<!\\)\|", line.strip()[1:-1])
        is_rule = all(set(cell) <= set("-: ") for cell in cells)
        return "" if is_rule else f"<tr>{''.join(f'<td>{_marked(cell)}</td>' for cell in cells)}</tr>"
    if kind == "ul":
        return f"<li>{_marked(line[2:])}</li>"
    level = len(line) - len(line.lstrip("#"))
    return f"<h{level}>{_marked(line[level:])}</h{level}>" if level else f"<p>{_marked(line)}</p>" if line else ""


def _marked(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text.strip().replace("\\|", "|")))


def _file(file: FileBooks) -> str:
    cells = "".join(f"<td>{getattr(file, name):,}</td>" for name in _PARTS)
    head = "".join(f"<th>{name}</th>" for name in _PARTS)
    declared = ""
    if file.meets_declared_count is not None:
        met = "meets it" if file.meets_declared_count else "<strong>does not meet it</strong>"
        declared = f"<p>The source declares {file.declared:,}; the file {met}.</p>"
    lists = "".join(bars(title, getattr(file, name)) for name, title in _LISTS.items())
    return (
        f"<h2>{escape(file.path)}</h2>{_stacked(file)}<table><tr><th>landed</th>{head}</tr>"
        f"<tr><td>{file.landed:,}</td>{cells}</tr></table>{declared}{lists}"
    )


def _texts(text: TextBooks) -> str:
    """The account of one column of free text."""
    counts = {"kept out: not asked for": text.withheld, "kept out: no name known": text.unnamed, "kept": text.kept}
    replaced = bars("What was replaced", text.replaced)
    return f"<h2>Free text {escape(text.column)}</h2>{bars('Texts', counts)}{replaced}"


def _stacked(file: FileBooks) -> str:
    place, parts = 0.0, []
    for name, colour in _PARTS.items():
        width = _WIDTH * getattr(file, name) / max(file.landed, 1)
        if width:
            title = f"<title>{name} {getattr(file, name):,}</title>"
            parts.append(f'<rect x="{place:.2f}" width="{width:.2f}" height="{_BAR}" fill="{colour}">{title}</rect>')
        place += width
    return f'<svg role="img" aria-label="states of the records" width="{_WIDTH}" height="{_BAR}">{"".join(parts)}</svg>'


def bars(title: str, counts: Mapping[str, int]) -> str:
    """A list of counts with a bar each, the greatest first; nothing where there is none."""
    if not counts:
        return ""
    most = max(counts.values())
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{number:,}</td><td>"
        f'<svg width="200" height="8"><rect width="{200 * number / max(most, 1):.1f}" height="8" fill="#5b8db8"/></svg>'
        "</td></tr>"
        for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"<h3>{title}</h3><table>{rows}</table>"


def _entry(entry: FileEntry) -> Iterator[str]:
    yield f"## {entry.name}"
    yield ""
    yield f"Files `{entry.pattern}`, reader {entry.reader}, encoding {entry.encoding}, extracted {entry.extract_date}."
    if entry.view is not None:
        yield ""
        columns = ", ".join(f"`{column}`" for column in entry.paths.values())
        several = ", several rows of one resource" if entry.several_rows else ""
        yield f"Shape: a ViewDefinition of {_cell(entry.view['resource'])} with the columns {columns}{several}."
    yield ""


def _table(spec: TableSpec) -> Iterator[str]:
    where = f", where `{_cell(spec.where)}`" if spec.where is not None else ""
    yield f"### {spec.name}: rows of {spec.table}"
    yield ""
    yield f"Person `{_cell(spec.person)}`{where}."
    yield ""
    for join in spec.joins:
        keys = " and ".join(f"{field} = `{_cell(text)}`" for field, text in join.on.items())
        known = ", ".join(join.known_as(field) for field in join.fields)
        yield f"Joined with {join.entry} where {keys}: {known}."
        yield ""
    yield "| column | from | repair |"
    yield "|---|---|---|"
    for column in (*spec.let, *spec.fields):
        free = " (free text)" if column in spec.fields and spec.is_free(column) else ""
        repair = column.repair.reason if column.repair is not None else ""
        yield f"| {column.name} | {_source(column)}{free} | {repair} |"
    yield ""
    for rule in spec.require:
        yield f"- `{_cell(rule.expr)}`, otherwise {rule.on_fail}{_becomes(rule)} as {rule.reason}"
    yield ""


def _source(column: Column) -> str:
    if column.code_map is not None:
        return f"`{_cell(column.expr)}` through codes/{column.code_map}.csv"
    return f"the person `{_cell(column.expr)}`" if column.is_person else f"`{_cell(column.expr)}`"


def _becomes(rule: Rule) -> str:
    """What a repaired field becomes."""
    return "" if rule.to is None else f" ({rule.field} becomes `{_cell(rule.to)}`)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")
