"""The cells of an xlsx sheet whose formula failed, with the words that stand in them.

Source: ECMA-376 Part 1, 18.3.1.4 "c (Cell)" with ``t="e"``, 18.18.11 "ST_CellType".
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Final
from xml.parsers import expat

_CELL: Final = re.compile(r"^([A-Z]{1,3})(\d{1,7})$")
_FAILED: Final = re.compile(rb"\st\s*=\s*[\"']e[\"']")
_CHUNK: Final = 1 << 20
_OVERLAP: Final = 64
_LETTERS: Final = 26


def failed_cells(archive: zipfile.ZipFile, sheet: str) -> Mapping[tuple[int, int], str]:
    """By row and column, from 0; empty for archives of another kind (xlsb, ods) and for a sheet that is not there.

    Raises:
        Exception: whatever the parsers say of a damaged file.
    """
    name = _sheet_file(archive, sheet)
    if name is None or not _has_failed(archive, name):
        return {}
    scan = _Scan()
    parser = _parser()
    parser.StartElementHandler = scan.begin
    parser.EndElementHandler = scan.finish
    parser.CharacterDataHandler = scan.text
    with archive.open(name) as stream:
        parser.ParseFile(stream)
    return scan.failed


def _has_failed(archive: zipfile.ZipFile, name: str) -> bool:
    rest = b""
    with archive.open(name) as stream:
        while data := stream.read(_CHUNK):
            if _FAILED.search(rest + data):
                return True
            rest = data[-_OVERLAP:]
    return False


def _sheet_file(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """Where the archive keeps a sheet: the package names the workbook, the workbook names its sheets."""
    names = set(archive.namelist())
    for target in _relations(archive, "_rels/.rels", names).values():
        folder, file = posixpath.split(target)
        if not file.endswith(".xml") or target not in names or file == "core.xml":
            continue
        sheets = _named(archive, target)
        if sheet in sheets:
            found = _relations(archive, f"{folder}/_rels/{file}.rels", names, folder).get(sheets[sheet])
            return found if found in names else None
    return None


def _relations(archive: zipfile.ZipFile, name: str, names: set[str], folder: str = "") -> dict[str, str]:
    found: dict[str, str] = {}

    def begin(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(" ")[2] == "Relationship" and "Target" in attributes:
            found[attributes.get("Id", "")] = posixpath.normpath(posixpath.join("/", folder, attributes["Target"]))[1:]

    if name in names:
        _parse(archive, name, begin)
    return found


def _named(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    """The sheets of a workbook, with the relation that leads to each."""
    found: dict[str, str] = {}

    def begin(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(" ")[2] == "sheet":
            ids = [value for key, value in attributes.items() if key.endswith(" id")]
            found[attributes.get("name", "")] = ids[0] if ids else ""

    _parse(archive, name, begin)
    return found


def _parse(archive: zipfile.ZipFile, name: str, begin: Callable[[str, dict[str, str]], None]) -> None:
    parser = _parser()
    parser.StartElementHandler = begin
    with archive.open(name) as stream:
        parser.ParseFile(stream)


def _parser() -> expat.XMLParserType:
    """A parser that reads no external entity; expat itself ends expansions that explode."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    return parser


class _Scan:
    """Follows rows and cells, which may leave out where they are when they stand right behind the one before."""

    def __init__(self) -> None:
        self.failed: dict[tuple[int, int], str] = {}
        self._row = self._column = -1
        self._is_failed = self._in_value = False
        self._word = ""

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        kind = tag.rpartition(" ")[2]
        if kind == "row":
            self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
            self._column = -1
        elif kind == "c":
            self._place(attributes.get("r", ""))
            self._is_failed, self._word = attributes.get("t") == "e", ""
        elif kind == "v":
            self._in_value = self._is_failed

    def finish(self, tag: str) -> None:
        """An element ends."""
        kind = tag.rpartition(" ")[2]
        if kind == "v":
            self._in_value = False
        elif kind == "c" and self._is_failed:
            self.failed[self._row, self._column] = self._word or "#N/A"

    def text(self, data: str) -> None:
        """Text of an element."""
        if self._in_value:
            self._word += data

    def _place(self, reference: str) -> None:
        match = _CELL.match(reference)
        if match is None:
            self._column += 1
            return
        column = 0
        for letter in match[1]:
            column = column * _LETTERS + ord(letter) - ord("A") + 1
        self._row, self._column = int(match[2]) - 1, column - 1
