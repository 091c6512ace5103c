"""File entries: which files of a source a mapping reads, with which reader, and what that reader has to know.

Encodings, dates and centuries are declared in source.yaml, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final

from asepsis.errors.harmonise import MappingMissing
from asepsis.harmonise.mainframe import read_options
from asepsis.harmonise.readers import ccda
from asepsis.harmonise.readers.copybook import Layout, parse_copybook
from asepsis.harmonise.readers.ebcdic import Options
from asepsis.harmonise.readers.hl7v2 import SEGMENT
from asepsis.harmonise.readers.lines import Decoding
from asepsis.harmonise.readers.sqldump import Dialect
from asepsis.harmonise.readers.x12 import ENVELOPE
from asepsis.harmonise.readers.x12paths import parse_path
from asepsis.harmonise.readers.xpaths import compile_xpath
from asepsis.harmonise.section import Section
from asepsis.harmonise.views.compile import compile_for_one

NAME: Final = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_PLACE: Final = re.compile(r"^(\d{1,6})-(\d{1,6})$")
_SEGMENT_NAME: Final = re.compile(r"^[A-Z][A-Z0-9]{2}$")
_X12_SEGMENT: Final = re.compile(r"^[A-Z][A-Z0-9]{1,2}$")
_DELIMITERS: Final = frozenset(",;|^~:!#\t\x1f")


class Reader(StrEnum):
    """The formats there are readers for."""

    EBCDIC = "ebcdic"
    DBASE = "dbase"
    NDJSON = "ndjson"
    DELIMITED = "delimited"
    FIXED_WIDTH = "fixed_width"
    HL7V2 = "hl7v2"
    SQLDUMP = "sqldump"
    STATISTICS = "statistics"
    EXCEL = "excel"
    ACCESS = "access"
    X12 = "x12"
    CCDA = "ccda"
    COPYBOOK = "copybook"
    FHIR_MANIFEST = "fhir_manifest"


_TEXT_READERS: Final = frozenset({Reader.NDJSON, Reader.DELIMITED, Reader.FIXED_WIDTH, Reader.HL7V2})

TRANSCRIBED: Final = frozenset({Reader.STATISTICS, Reader.EXCEL, Reader.ACCESS})
"""Tables without physical lines: what is landed is their transcript (see ``asepsis.harmonise.transcript``)."""

COMPANIONS: Final = frozenset({Reader.COPYBOOK, Reader.FHIR_MANIFEST})
"""Files that say something about other files and make no rows (see ``asepsis.harmonise.readers.companion``)."""


class StatisticsForm(StrEnum):
    """The formats of statistics programs: SAS, its catalogues, SAS transport, SPSS, SPSS portable, Stata."""

    SAS7BDAT = "sas7bdat"
    SAS7BCAT = "sas7bcat"
    XPORT = "xport"
    SAV = "sav"
    POR = "por"
    DTA = "dta"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What single readers need to know. ``places`` are first and last character (from 1) of fixed-width fields.

    ``quote`` is ``None`` where quotes are text like any other; ``overflow`` says that surplus delimiters belong to the
    last column; ``mixed`` that lines of valid UTF-8 may stand in a file of another encoding. ``table`` is also the name
    of a sheet, ``header_row`` the row that holds the names (0: none); ``charset`` overrules what a binary table says of
    its own texts; ``labels`` and ``missing`` ask for columns of value labels and of user-defined missing values.
    """

    delimiter: str = ","
    quote: str | None = None
    header: bool = False
    overflow: bool = False
    mixed: bool = False
    places: MappingOf[str, tuple[int, int]] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    frames: MappingOf[str, str] = field(default_factory=dict)
    dialect: Dialect | None = None
    table: str = ""
    form: StatisticsForm | None = None
    header_row: int = 1
    labels: bool = False
    missing: bool = False
    charset: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """How to read the files that match ``pattern``; encodings, dates and centuries are declared here, never guessed.

    ``view`` is a ViewDefinition of SQL on FHIR; ``paths`` are then its columns, by the names of the fields;
    ``several_rows`` says that it may make several rows of one resource.
    """

    name: str
    pattern: str
    reader: Reader
    encoding: str
    extract_date: date
    century_from: int | None = None
    layout: Layout | None = None
    mainframe: Options = field(default_factory=Options)
    paths: MappingOf[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    optional: bool = False
    records: int | None = None
    shape: Shape = field(default_factory=Shape)
    view: Any = None
    several_rows: bool = False

    @property
    def field_names(self) -> tuple[str, ...]:
        """The names of the source fields that expressions may use."""
        if self.is_companion:
            return ()
        if self.layout is not None:
            return tuple(span.name for span in self.layout.spans)
        own = _OWN.get(self.reader, ())
        return (*own, *(self.columns or self.shape.places or self.paths))

    @property
    def is_companion(self) -> bool:
        """Whether the files only say something about other files."""
        return self.reader in COMPANIONS

    @property
    def is_text(self) -> bool:
        """Whether records are landed as text that the engine takes the fields out of."""
        return self.reader in _TEXT_READERS or self.shape.dialect is Dialect.POSTGRES

    @property
    def is_delimited(self) -> bool:
        """Whether the fields of a record are its text between delimiters."""
        return self.is_text and bool(self.columns)

    @property
    def decoding(self) -> Decoding:
        """How lines become text."""
        return Decoding(encoding=self.encoding, mixed=self.shape.mixed)


def read_entry(
    section: Section, name: str, layouts: MappingOf[str, str], views: MappingOf[str, Any] | None = None
) -> FileEntry:
    """Understand one entry of ``files`` in source.yaml; layouts and views are the files beside it.

    Raises:
        MappingMalformed: a key is missing, unknown or of the wrong type.
        CopybookRefused: a layout cannot be read.
        ViewRefused: a ViewDefinition is malformed or uses something outside the subset.
    """
    if not NAME.match(name):
        raise section.malformed(name, "a name is lower case letters, digits and underscores")
    reader = section.choice("reader", Reader)
    layout = _layout(section, layouts) if reader in {Reader.EBCDIC, Reader.COPYBOOK} else None
    view = _view(section, views or {}) if reader is Reader.NDJSON else None
    entry = FileEntry(
        name=name,
        pattern=section.text("pattern"),
        reader=reader,
        encoding="utf-8" if reader in TRANSCRIBED else section.encoding("encoding"),
        extract_date=section.date("extract_date"),
        century_from=section.number("century_from", None),
        layout=layout,
        mainframe=read_options(section, layout) if layout is not None and reader is Reader.EBCDIC else Options(),
        paths=_paths(section, reader, view),
        view=view,
        several_rows=section.flag("several_rows") if view is not None else False,
        columns=section.names("columns") if reader in _WITH_COLUMNS else (),
        duplicates=section.names("duplicates"),
        optional=section.flag("optional"),
        records=section.number("records", None),
        shape=_SHAPES[reader](section) if reader in _SHAPES else Shape(),
    )
    _check_entry(section, entry)
    section.close()
    return entry


_WITH_PATHS: Final = frozenset({Reader.NDJSON, Reader.HL7V2, Reader.X12, Reader.CCDA})
_OWN: Final = {Reader.HL7V2: (SEGMENT,), Reader.X12: (SEGMENT,), Reader.CCDA: (ccda.FRAME,)}
_WITH_COLUMNS: Final = frozenset({*TRANSCRIBED, Reader.DBASE, Reader.DELIMITED, Reader.SQLDUMP})


def _view(section: Section, views: MappingOf[str, Any]) -> Any:
    name = section.text("view", None)
    if name is not None and name not in views:
        raise MappingMissing(file=name)
    if name is not None and _has_collection(views[name]):
        raise section.malformed("view", "a column with `collection: true` is no field")
    return None if name is None else views[name]


def _has_collection(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_has_collection, node))
    return isinstance(node, dict) and (node.get("collection") is True or any(map(_has_collection, node.values())))


def _paths(section: Section, reader: Reader, view: Any) -> dict[str, str]:
    """The paths of an entry; those of a view are its columns, known in lower case."""
    if view is not None:
        return {column.lower(): column for column in compile_for_one(view).columns}
    return section.texts("paths") if reader in _WITH_PATHS else {}


def _layout(section: Section, layouts: MappingOf[str, str]) -> Layout:
    name = section.text("layout", None)
    if name is None:
        raise section.malformed("layout", "a copybook of the mapping is expected")
    if name not in layouts:
        raise MappingMissing(file=name)
    return parse_copybook(layouts[name])


def _check_entry(section: Section, entry: FileEntry) -> None:
    if entry.reader is Reader.NDJSON and entry.encoding != "utf-8":
        raise section.malformed("encoding", "NDJSON is UTF-8 (RFC 8259)")
    if (entry.is_text or entry.reader is Reader.X12) and "\r\n,;".encode(entry.encoding, "replace") != b"\r\n,;":
        raise section.malformed("encoding", "line-oriented readers need an encoding that contains ASCII")
    if entry.reader is Reader.CCDA and not ccda.allows(entry.encoding):
        raise section.malformed("encoding", "UTF-8 is expected, or an encoding of one byte that contains ASCII")
    _check_paths(section, entry)
    names = entry.field_names
    if not set(entry.duplicates) <= {"raw", *names} or not all(map(NAME.match, names)) or len(set(names)) < len(names):
        raise section.malformed("duplicates", "a field is not known, or its name is not valid")
    if not names and not entry.is_companion:
        raise section.malformed("columns", "the fields of the file are not declared")
    if entry.several_rows and not set(entry.duplicates) <= {"raw"}:
        raise section.malformed("duplicates", "a resource with several rows is repeated by its bytes: [raw]")


def _check_paths(section: Section, entry: FileEntry) -> None:
    """The paths of readers that take the values out themselves; others are compiled to SQL later."""
    for name, path in entry.paths.items():
        if entry.reader is Reader.X12 and parse_path(path) is None:
            raise section.malformed(f"paths.{name}", "a path like CLM-1, HI-1.2 or NM1[QC|IL]-9 is expected")
        if entry.reader is Reader.CCDA and compile_xpath(path) is None:
            raise section.malformed(f"paths.{name}", "an XPath 1.0 expression is expected, like act/value/@code")


def _delimited(section: Section) -> Shape:
    delimiter, quote = section.text("delimiter", ","), section.text("quote", None)
    if delimiter == "tab":
        delimiter = "\t"
    if delimiter not in _DELIMITERS:
        raise section.malformed("delimiter", "one of , ; | ^ ~ : ! # or tab is expected")
    if quote not in {None, '"', "'"}:
        raise section.malformed("quote", "a quotation mark is expected; leave it out where quotes are text")
    return Shape(
        delimiter=delimiter,
        quote=quote,
        header=section.flag("header"),
        overflow=section.flag("overflow"),
        mixed=section.flag("mixed"),
    )


def _fixed_width(section: Section) -> Shape:
    places = {}
    for name, text in section.texts("places").items():
        match = _PLACE.match(text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise section.malformed(f"places.{name}", "first and last character are expected, like 1-8")
        places[name] = (int(match[1]), int(match[2]))
    return Shape(places=places, header=section.flag("header"), mixed=section.flag("mixed"))


def _hl7v2(section: Section) -> Shape:
    segments = section.names("segments")
    if not segments or not all(map(_SEGMENT_NAME.match, segments)):
        raise section.malformed("segments", "the names of the segments that become rows are expected, like OBX")
    return Shape(segments=segments, mixed=section.flag("mixed"))


def _x12(section: Section) -> Shape:
    segments = section.names("segments")
    if not segments or not all(map(_X12_SEGMENT.match, segments)) or ENVELOPE & set(segments):
        raise section.malformed("segments", "the names of the segments that become rows are expected, like CLM")
    return Shape(segments=segments)


def _ccda(section: Section) -> Shape:
    frames = section.texts("frames")
    for name, frame in frames.items():
        if compile_xpath(frame) is None:
            raise section.malformed(f"frames.{name}", "an XPath 1.0 expression for elements is expected")
    if not frames:
        raise section.malformed("frames", "the elements that become rows are expected")
    return Shape(frames=frames)


def _sqldump(section: Section) -> Shape:
    return Shape(dialect=section.choice("dialect", Dialect), table=section.text("table"), delimiter="\t")


def _statistics(section: Section) -> Shape:
    return Shape(
        dialect=Dialect.POSTGRES,
        delimiter="\t",
        form=section.choice("format", StatisticsForm),
        labels=section.flag("labels"),
        missing=section.flag("missing"),
        charset=section.encoding("encoding", ""),
    )


def _excel(section: Section) -> Shape:
    header_row = section.number("header_row", 1)
    return Shape(dialect=Dialect.POSTGRES, delimiter="\t", table=section.text("sheet"), header_row=header_row)


def _access(section: Section) -> Shape:
    charset = section.encoding("encoding", "")
    return Shape(dialect=Dialect.POSTGRES, delimiter="\t", table=section.text("table"), charset=charset)


_SHAPES: Final[MappingOf[Reader, Callable[[Section], Shape]]] = {
    Reader.DELIMITED: _delimited,
    Reader.FIXED_WIDTH: _fixed_width,
    Reader.HL7V2: _hl7v2,
    Reader.SQLDUMP: _sqldump,
    Reader.STATISTICS: _statistics,
    Reader.EXCEL: _excel,
    Reader.ACCESS: _access,
    Reader.X12: _x12,
    Reader.CCDA: _ccda,
}
