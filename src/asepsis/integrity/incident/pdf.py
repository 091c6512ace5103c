"""Pages of plain text as PDF 1.7 in the standard fonts, so that no library is needed; the same input, the same bytes.

Source: ISO 32000-1:2008 (Adobe's copy), 7.5 (file structure), 9.6.2.2 (standard fonts), annex D (WinAnsiEncoding). Text
beyond that encoding is transliterated: a page is for reading, the signed file has every character as it was written.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from anyascii import anyascii

from asepsis.integrity.incident.papers import Section

_WIDTH: Final = 595
_HEIGHT: Final = 842
"""A4, in points."""

_MARGIN: Final = 56
_LEADING: Final = 12.5
_HEADING: Final = 13
_COLUMNS: Final = 100
"""So many characters of Courier, whose characters are 0.6 of its size wide, fit between the margins at most."""

_SIZE_OF_TEXT: Final = (_WIDTH - 2 * _MARGIN) / (_COLUMNS * 0.6)


def pages_of(sections: Sequence[Section], *, footer: str) -> bytes:
    """A PDF of all sections, with a footer and the page's number on every page."""
    pages = _paginated(_lines(sections))
    contents = [
        _content(page, footer=f"{footer} - {number}/{len(pages)}") for number, page in enumerate(pages, start=1)
    ]
    fonts = b"<< /F1 3 0 R /F2 4 0 R >>"
    first = 5
    kids = " ".join(f"{first + 2 * index} 0 R" for index in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for index, content in enumerate(contents):
        place = first + 2 * index + 1
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Resources << /Font %s >> /Contents %d 0 R >>"
            % (_WIDTH, _HEIGHT, fonts, place),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        ]
    return _file(objects)


def _lines(sections: Sequence[Section]) -> Iterator[tuple[str, bool]]:
    """Lines that fit, each with whether it is a heading."""
    for section in sections:
        yield section.heading, True
        for line in section.lines:
            indent = " " * (len(line) - len(line.lstrip()) + 2)
            for part in textwrap.wrap(line, _COLUMNS, subsequent_indent=indent, drop_whitespace=False) or [""]:
                yield part, False


def _paginated(lines: Iterator[tuple[str, bool]]) -> list[list[tuple[float, str, bool]]]:
    """Lines with their heights; a heading never stands alone at the foot of a page."""
    pages: list[list[tuple[float, str, bool]]] = [[]]
    height = float(_HEIGHT - _MARGIN)
    for text, is_heading in lines:
        height -= 2 * _LEADING if is_heading and pages[-1] else _LEADING
        if height < _MARGIN + (3 * _LEADING if is_heading else _LEADING):
            pages.append([])
            height = _HEIGHT - _MARGIN - _LEADING
        pages[-1].append((height, text, is_heading))
    return pages


def _content(page: Sequence[tuple[float, str, bool]], *, footer: str) -> bytes:
    drawn = [_drawn(text, height, heading=is_heading) for height, text, is_heading in page]
    return b"\n".join([*drawn, _drawn(footer, _MARGIN / 2, heading=False)])


def _drawn(text: str, height: float, *, heading: bool) -> bytes:
    font, size = (b"/F2", float(_HEADING)) if heading else (b"/F1", _SIZE_OF_TEXT)
    return b"BT %s %.2f Tf %d %.2f Td (%s) Tj ET" % (font, size, _MARGIN, height, _string(text))


def _string(text: str) -> bytes:
    """A literal string of PDF, in the encoding of the fonts."""
    encoded = "".join(one if _has(one) else anyascii(one) or "?" for one in text).encode("cp1252", errors="replace")
    return encoded.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _has(character: str) -> bool:
    return character.isprintable() and character.encode("cp1252", errors="ignore") != b""


def _file(objects: Sequence[bytes]) -> bytes:
    """The file: header, objects, their places, trailer."""
    body, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (count, table, count, len(body))
    )
