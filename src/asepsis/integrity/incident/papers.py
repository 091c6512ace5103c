"""Papers of headings, lines and commands, as Markdown and as a page that stands alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Final

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "pre{background:#f3f4f6;padding:.6rem;overflow-x:auto}h2{margin-top:1.6rem;font-size:1.1rem}"
    "@media print{pre{white-space:pre-wrap}}"
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STRONG: Final = re.compile(r"\*\*(.+?)\*\*")
_BACKSLASH: Final = r"\\\1"
_MARKS: Final = re.compile(r"([\\`*_<>\[\]#|])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, what stands under it, and what is to be typed. ``**`` around words makes them stand out."""

    heading: str
    lines: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A paper with its title."""

    title: str
    lead: str
    sections: tuple[Section, ...]


def as_markdown(paper: Paper) -> str:
    """The paper in Markdown; nothing in a line is read as markup but ``**``."""
    parts = [f"# {_plain(paper.title)}", _plain(paper.lead)]
    for section in paper.sections:
        parts.append(f"## {_plain(section.heading)}")
        if section.lines:
            parts.append("\n".join(f"- {_plain(line)}" for line in section.lines))
        if section.commands:
            parts.append("\n".join(["```sh", *section.commands, "```"]))
    return "\n\n".join(parts) + "\n"


def as_html(paper: Paper) -> str:
    """The paper as one page, without script and without anything from elsewhere; every text in it is escaped."""
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(paper.title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style>'
    )
    parts = [head, f"<h1>{escape(paper.title)}</h1><p>{_marked(paper.lead)}</p>"]
    for section in paper.sections:
        parts.append(f"<h2>{escape(section.heading)}</h2>")
        if section.lines:
            parts.append("<ul>" + "".join(f"<li>{_marked(line)}</li>" for line in section.lines) + "</ul>")
        if section.commands:
            parts.append("<pre>" + "\n".join(map(escape, section.commands)) + "</pre>")
    return "\n".join(parts) + "</html>\n"


def _marked(line: str) -> str:
    return _STRONG.sub(r"<strong>\1</strong>", escape(line))


def _plain(line: str) -> str:
    """A line in which only ``**`` is markup."""
    pieces = _STRONG.split(line)
    return "".join(
        f"**{_MARKS.sub(_BACKSLASH, piece)}**" if index % 2 else _MARKS.sub(_BACKSLASH, piece)
        for index, piece in enumerate(pieces)
    )
