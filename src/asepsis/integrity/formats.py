"""Clinical and legacy formats: how each begins, and which formats a file name promises.

A format is recognised by content alone; the name only says what is expected. Sources of the magic numbers:
RFC 1952 (gzip), RFC 8878 (zstd), xz file format 1.2.1, APPNOTE.TXT (zip), PNG 1.2, ISO 32000 (PDF),
DICOM PS3.10, SQLite file format, Apache Parquet format, PostgreSQL sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from asepsis.integrity.structure.postgres import page_size

UNKNOWN: Final = "unknown"
EMPTY: Final = "empty"
TEXT: Final = "text"
EBCDIC: Final = "ebcdic"
GZIP: Final = "gzip"
TAR: Final = "tar"
DBASE: Final = "dbase"
POSTGRES: Final = "postgres"
HL7: Final = "hl7v2"
JSON: Final = "json"
XML: Final = "xml"
SQL: Final = "sql"
COPYBOOK: Final = "copybook"
X12: Final = "x12"
FHIR: Final = "fhir"
CCDA: Final = "ccda"

TEXT_FORMATS: Final = frozenset({TEXT, HL7, JSON, XML, SQL, COPYBOOK, X12, FHIR, CCDA})
STRUCTURED: Final = (frozenset({HL7}), frozenset({X12}), frozenset({JSON, FHIR}), frozenset({XML, CCDA}))
"""Text whose kind shows from its beginning; those in one set are of one kind."""

_MAGIC: Final[tuple[tuple[str, int, bytes], ...]] = (
    (GZIP, 0, b"\x1f\x8b\x08"),
    ("zip", 0, b"PK\x03\x04"),
    ("zip", 0, b"PK\x05\x06"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("xz", 0, b"\xfd7zXZ\x00"),
    ("bzip2", 0, b"BZh"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    ("png", 0, b"\x89PNG\r\n\x1a\n"),
    ("jpeg", 0, b"\xff\xd8\xff"),
    ("pdf", 0, b"%PDF-"),
    ("sqlite", 0, b"SQLite format 3\x00"),
    ("parquet", 0, b"PAR1"),
    ("pgdump", 0, b"PGDMP"),
    ("access", 0, b"\x00\x01\x00\x00Standard Jet DB\x00"),
    ("access", 0, b"\x00\x01\x00\x00Standard ACE DB\x00"),
    ("ole", 0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ("dicom", 128, b"DICM"),
    ("sas7bdat", 0, bytes(12) + b"\xc2\xea\x81\x60"),
    ("xport", 0, b"HEADER RECORD*******LIB"),
    ("spss", 0, b"$FL2"),
    ("spss", 0, b"$FL3"),
    ("stata", 0, b"<stata_dta>"),
    ("orc", 0, b"ORC"),
    ("avro", 0, b"Obj\x01"),
    ("arrow", 0, b"ARROW1"),
    ("qcow2", 0, b"QFI\xfb"),
    ("vmdk", 0, b"KDMV"),
    ("vhdx", 0, b"vhdxfile"),
    (TAR, 257, b"ustar"),
)

_PROMISES: Final[Mapping[str, frozenset[str]]] = {
    "dbf": frozenset({DBASE}),
    "gz": frozenset({GZIP}),
    "tgz": frozenset({GZIP}),
    "tar": frozenset({TAR}),
    "zip": frozenset({"zip"}),
    "docx": frozenset({"zip"}),
    "xlsx": frozenset({"zip"}),
    "doc": frozenset({"ole", TEXT}),
    "xls": frozenset({"ole", TEXT, XML}),
    "mdb": frozenset({"access"}),
    "accdb": frozenset({"access"}),
    "png": frozenset({"png"}),
    "jpg": frozenset({"jpeg"}),
    "jpeg": frozenset({"jpeg"}),
    "pdf": frozenset({"pdf"}),
    "sqlite": frozenset({"sqlite"}),
    "parquet": frozenset({"parquet"}),
    "dcm": frozenset({"dicom"}),
    "pptx": frozenset({"zip"}),
    "odt": frozenset({"zip"}),
    "ods": frozenset({"zip"}),
    "ppt": frozenset({"ole"}),
    "db3": frozenset({"sqlite"}),
    "bz2": frozenset({"bzip2"}),
    "sas7bdat": frozenset({"sas7bdat"}),
    "sav": frozenset({"spss"}),
    "zsav": frozenset({"spss"}),
    "orc": frozenset({"orc"}),
    "avro": frozenset({"avro"}),
    "qcow2": frozenset({"qcow2"}),
    "vhdx": frozenset({"vhdx"}),
    "zst": frozenset({"zstd"}),
    "xz": frozenset({"xz"}),
    "hl7": frozenset({HL7}),
    "json": frozenset({JSON, FHIR}),
    "ndjson": frozenset({JSON, FHIR}),
    "xml": frozenset({XML, CCDA}),
    "x12": frozenset({X12}),
    "edi": TEXT_FORMATS,
    "835": TEXT_FORMATS,
    "837": TEXT_FORMATS,
    "sql": TEXT_FORMATS,
    "cpy": TEXT_FORMATS,
    "csv": TEXT_FORMATS,
    "tsv": TEXT_FORMATS,
    "txt": TEXT_FORMATS,
    "md": TEXT_FORMATS,
    "log": TEXT_FORMATS,
}

_FURTHER: Final = tuple(known for known in _MAGIC if known[1])
_BY_FIRST: Final = {
    byte: tuple(known for known in _MAGIC if known[1] or known[2][0] == byte)
    for byte in {magic[0] for _, offset, magic in _MAGIC if not offset}
}
_DBASE_VERSIONS: Final = frozenset(b"\x02\x03\x04\x05\x30\x31\x32\x43\x63\x7b\x83\x8b\x8c\xcb\xe5\xf5\xfb")
_X12_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*ISA([^\w\s])..\1.{10}\1..\1.{10}\1..\1", re.DOTALL)
_HL7_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?[\x0b\r\n]*(?:MSH|FHS|BHS)[^\w\s]")
_JSON_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]\s*[\"{\[\]}\-0-9tfn]")
_XML_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!DOCTYPE|!--|[A-Za-z_][\w:.-]*[\s/>])")
_SQL_BEGIN: Final = re.compile(
    rb"(?im)^(?:-- (?:MySQL|MariaDB|PostgreSQL|SQLite).*dump|(?:CREATE TABLE|INSERT INTO)\s)"
)
_COPYBOOK_BEGIN: Final = re.compile(rb"(?im)^.{0,7}\s*\d\d\s+[\w-]+(?:\s+PIC\s|\s*\.)")
_SQL_WORDS: Final = (b"create table", b"insert into", b"dump")
_COPYBOOK_WORD: Final = b" pic"
"""Looking for a word that must be there is many times as fast as an expression."""
_FIRST_FIELD: Final = re.compile(rb"[ -~\x80-\xff][ -~\x80-\xff\0]{10}[CNDLFMGBITYPOVWQ@+0]", re.DOTALL)
_CLINICAL: Final[Mapping[str, str]] = {XML: CCDA, JSON: FHIR}
_CLINICAL_MARKS: Final = {
    XML: re.compile(rb"<(?:\w+:)?ClinicalDocument[\s>]"),
    JSON: re.compile(rb"\"resourceType\"\s*:"),
}
_SMALLEST_DBASE: Final = 33
_DBASE_END_OF_FIELDS: Final = 0x0D


def promised(path: str) -> frozenset[str]:
    """The formats that the last extension of a path promises; none when it promises nothing."""
    return _PROMISES.get(extension(path), frozenset())


def extension(path: str) -> str:
    """The last extension of a path in lower case, without its dot; empty when there is none."""
    name = path.rpartition("/")[2]
    stem, dot, last = name.rpartition(".")
    return last.lower() if dot and stem else ""


def is_known_extension(path: str) -> bool:
    """Whether the path's extension promises a format."""
    return extension(path) in _PROMISES


def binary_format(head: bytes) -> str | None:
    """The format whose magic number or header stands at the beginning; ``None`` when it may be text or noise."""
    for name, offset, magic in _BY_FIRST.get(head[0], _FURTHER) if head else ():
        if head.startswith(magic, offset):
            return name
    if is_dbase_header(head):
        return DBASE
    return None if page_size(head) is None else POSTGRES


def text_format(head: bytes) -> str:
    """Which text format begins so; plain text when none of them."""
    for name, pattern in ((HL7, _HL7_BEGIN), (X12, _X12_BEGIN), (XML, _XML_BEGIN), (JSON, _JSON_BEGIN)):
        if pattern.match(head):
            return _CLINICAL[name] if name in _CLINICAL and _CLINICAL_MARKS[name].search(head[:8192]) else name
    beginning = head[:8192]
    lowered = beginning.lower()
    if any(word in lowered for word in _SQL_WORDS) and _SQL_BEGIN.search(beginning):
        return SQL
    return COPYBOOK if _COPYBOOK_WORD in lowered and _COPYBOOK_BEGIN.search(beginning) else TEXT


def is_dbase_header(head: bytes) -> bool:
    """Whether the first bytes can be a dBase header: version, date, and lengths that fit each other."""
    if len(head) < _SMALLEST_DBASE or head[0] not in _DBASE_VERSIONS:
        return False
    month, day = head[2], head[3]
    header, record = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
    fits = header >= _SMALLEST_DBASE and record >= 1 and month <= 12 and day <= 31  # noqa: PLR2004  a calendar
    return fits and (head[32] == _DBASE_END_OF_FIELDS or _FIRST_FIELD.match(head, 32) is not None)
