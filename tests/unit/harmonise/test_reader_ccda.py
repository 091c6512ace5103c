"""C-CDA: elements become records with their own bytes, values come by XPath, what is refused is refused whole."""

from __future__ import annotations

import gzip
import io
import os
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.harmonise.readers import ccda
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.record import Limits, Record, RecordKind
from asepsis.harmonise.readers.xpaths import XPath, compile_xpath

FRAMES = {
    "patient": "/ClinicalDocument/recordTarget",
    "problem": "//section[code/@code = '11450-4']/entry",
    "vital": "//section[templateId/@root='9.9']/entry/organizer/component",
}
PATHS = {
    "code": "act/value/@code",
    "translation": "act/value/translation/@code",
    "missing": ".//value/@nullFlavor",
    "patient": "/ClinicalDocument/recordTarget/patientRole/id[1]/@extension",
    "family": "patientRole/patient/name/family",
    "race": "patientRole/patient/sdtc:raceCode/@code",
    "kind": "act/value/@xsi:type",
}
HEAD = (
    '<ClinicalDocument xmlns="urn:hl7-org:v3" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc">'
)
TARGET = (
    "<recordTarget><patientRole><id extension='P1'/><patient><name><family> Žižka\n </family></name>"
    "<sdtc:raceCode code='R'/></patient></patientRole></recordTarget>"
)
PROBLEM = "<entry><act><value xsi:type='CD' code='J45' note='a>b'><translation code='493'/></value></act></entry>"
UNKNOWN = "<entry><act><value xsi:type='CD' nullFlavor='UNK'/></act></entry>"
DOCUMENT = (
    f"{HEAD}<!-- <entry> --><![CDATA[<entry>]]>{TARGET}<section><code code='11450-4'/>"
    f"{PROBLEM}\n{UNKNOWN}<entry/></section>"
    "<section><code code='1'/><entry><act/></entry></section></ClinicalDocument>\n"
)


def compiled(texts: dict[str, str]) -> dict[str, XPath]:
    known = {name: compile_xpath(text) for name, text in texts.items()}
    assert None not in known.values()
    return {name: path for name, path in known.items() if path is not None}


def records(
    content: bytes | str,
    *,
    frames: dict[str, str] | None = None,
    paths: dict[str, str] | None = None,
    encoding: str = "utf-8",
    limits: Limits | None = None,
) -> list[Record]:
    data = content if isinstance(content, bytes) else content.encode()
    wanted = ccda.Wanted(frames=compiled(frames or FRAMES), paths=compiled(paths or PATHS))
    found = list(records_of(ccda.read(io.BytesIO(data), encoding=encoding, wanted=wanted, limits=limits)))
    assert b"".join(record.raw for record in found) == data
    assert all(record.length for record in found)
    return found


def rows(content: bytes | str, **options: object) -> list[dict[str, str | None]]:
    found = records(content, **options)  # type: ignore[arg-type]
    return [item.fields for item in found if item.fields is not None and not item.defects]


def refused(content: bytes | str, **options: object) -> str:
    """Why a document is set aside, which must be whole."""
    found = records(content, **options)  # type: ignore[arg-type]
    assert {item.kind for item in found} == {RecordKind.RESIDUE}
    (words,) = {item.defects for item in found}
    (word,) = words
    return word


def test_elements_become_records_with_their_own_bytes() -> None:
    found = records(DOCUMENT)
    data = [item.raw.decode() for item in found if item.kind is RecordKind.DATA]
    assert data == [TARGET, PROBLEM, UNKNOWN, "<entry/>", "<entry><act/></entry>"]
    assert [item.defects for item in found if item.defects] == [("-entry_not_mapped",)]
    assert {item.kind for item in found} == {RecordKind.DATA, RecordKind.CONTEXT}


def test_values_come_by_path_from_the_element_and_from_the_document() -> None:
    patient, problem, unknown, empty = rows(DOCUMENT)
    assert (patient["frame"], patient["family"], patient["race"]) == ("patient", "Žižka", "R")
    assert (problem["code"], problem["translation"], problem["missing"], problem["kind"]) == ("J45", "493", None, "CD")
    assert (unknown["code"], unknown["missing"]) == (None, "UNK")
    assert (empty["code"], empty["missing"]) == (None, None)
    assert {row["patient"] for row in (patient, problem, unknown, empty)} == {"P1"}


@pytest.mark.parametrize(
    ("codec", "declared"),
    [
        ("utf-8-sig", "UTF-8"),
        ("utf-8-sig", None),
        ("utf-16", "UTF-16"),
        ("utf-16", None),
        ("cp1250", "windows-1250"),
        ("cp1250", None),
        ("iso8859-2", "ISO-8859-2"),
    ],
)
def test_the_encoding_is_the_declared_one_and_bytes_stay_those_of_the_file(codec: str, declared: str | None) -> None:
    text = ("" if declared is None else f'<?xml version="1.0" encoding="{declared}"?>') + DOCUMENT
    found = records(text.encode(codec), encoding="cp1250")
    (patient, *_) = [item for item in found if item.kind is RecordKind.DATA]
    bare = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(codec, codec)
    assert patient.raw == TARGET.encode(bare)
    assert patient.fields is not None
    assert patient.fields["family"] == "Žižka"


def test_a_fragment_is_read_as_hl7_with_the_usual_prefixes() -> None:
    fragment = f"<section><code code='11450-4'/>{PROBLEM}</section>"
    assert [row["code"] for row in rows(fragment)] == ["J45"]
    assert [row["kind"] for row in rows(f"<?xml version='1.0'?><!-- x -->{fragment}")] == ["CD"]
    assert refused("<section><entry/></section>") == "not_a_clinical_document"
    assert refused(fragment.replace("xsi:type", "foo:type")) == "prefix_not_declared"


def test_a_root_with_a_prefix_of_its_own_is_the_same_document() -> None:
    text = (
        '<h:ClinicalDocument xmlns:h="urn:hl7-org:v3"><h:recordTarget><h:patientRole>'
        '<h:id extension="P9"/></h:patientRole></h:recordTarget></h:ClinicalDocument>'
    )
    assert [row["patient"] for row in rows(text)] == ["P9"]


def test_a_document_in_which_no_frame_is_found_is_told() -> None:
    (record,) = records(f"{HEAD}<title>x</title></ClinicalDocument>")
    assert (record.kind, record.defects) == (RecordKind.DATA, ("-no_frame_matches",))


def test_frames_inside_frames_share_the_bytes() -> None:
    frames = {"outer": "//organizer", "inner": "//component", "again": "//component[1]"}
    text = (
        f"{HEAD}<entry><organizer><x/><component>1</component><y/><component>2</component>"
        f"</organizer></entry></ClinicalDocument>"
    )
    found = [(item.fields["frame"], item.raw) for item in records(text, frames=frames) if item.fields]
    assert found == [
        ("outer", b"<organizer><x/>"),
        ("inner", b"<component>1</component>"),
        ("inner", b"<component>2</component>"),
    ]
    nested = f"{HEAD}<entry><act><entry/></act></entry><recordTarget/></ClinicalDocument>"
    assert [item.raw for item in records(nested) if item.kind is RecordKind.DATA] == [
        b"<entry><act><entry/></act></entry>",
        b"<recordTarget/>",
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("count(//entry)", "4"),
        ("count(//entry) div 8", "0.5"),
        ("string-length('a b') * 2", "6"),
        ("act/value/@code = 'J45'", "true"),
        ("/ClinicalDocument/section[1]/code/@code | act/none", "11450-4"),
        ("child::act/attribute::x | act/value/attribute::code", "J45"),
        ("*/*[@code]/translation/@*", "493"),
        ("../code/@code", "11450-4"),
        ("hl7:act/hl7:value/@code", "J45"),
        ("act/value[@code='J45' and not(@x)]/@note", "a>b"),
        ("concat(act/value/@code, '-', ancestor::ClinicalDocument/recordTarget/patientRole/id/@extension)", "J45-P1"),
        ("act/text()", None),
        (".", None),
        ("normalize-space(/ClinicalDocument//family)", "Žižka"),
    ],
)
def test_paths_are_xpath_with_names_of_hl7(path: str, value: str | None) -> None:
    (_, problem, *_) = rows(DOCUMENT, paths={"v": path})
    assert problem["v"] == value


@pytest.mark.parametrize(
    "path",
    [
        "",
        "document('file:///etc/passwd')",
        "re:test('a', 'b')",
        "exsl:node-set(a)",
        "foo:bar",
        "$secret",
        "a[",
        "a b",
        "namespace::x",
        "unknown()",
        "a/@foo:b",
        "x" * 3000,
        "count('a')",
        "a ;",
    ],
)
def test_an_expression_that_is_none_or_reaches_out_is_refused(path: str) -> None:
    assert compile_xpath(path) is None


def test_what_does_not_depend_on_the_element_is_known_to_be_so() -> None:
    known = {
        text: path.is_absolute
        for text in ("/a/b", "//a[b = 1]", "/a | b", "a", "/a = b", "/a and b")
        if (path := compile_xpath(text))
    }
    assert known == {"/a/b": True, "//a[b = 1]": True, "/a | b": False, "a": False, "/a = b": False, "/a and b": False}


@lru_cache
def documents() -> list[bytes]:
    folder = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[4] / "shared")) / "data"
    found = [
        path for name in ("ccda_hl7_examples", "ccda_ehr_vendors") for path in sorted((folder / name).rglob("*.gz"))
    ]
    if not found:
        pytest.skip("the C-CDA examples are not here (set ASEPSIS_SHARED)")
    return [gzip.decompress(path.read_bytes()) for path in found]


def test_of_all_examples_at_least_ninety_nine_in_a_hundred_are_parsed_and_the_rest_is_set_aside_whole() -> None:
    found = [records(content, frames={"any": "/*"}, paths={"name": "local-name()"}) for content in documents()]
    assert len(found) == 530
    parsed = [items for items in found if any(item.kind is RecordKind.DATA for item in items)]
    rest = [items for items in found if all(item.kind is RecordKind.RESIDUE for item in items)]
    assert len(parsed) + len(rest) == 530
    assert len(parsed) >= 525
    assert {item.defects for items in rest for item in items} == {("not_well_formed",)}


def test_problems_of_the_examples_have_codes_and_patients() -> None:
    frames = {"problem": "//section[code/@code='11450-4']/entry"}
    paths = {"code": ".//observation/value/@code", "missing": ".//observation/value/@nullFlavor"} | {
        "patient": PATHS["patient"]
    }
    found = [row for content in documents()[447:] for row in rows(content, frames=frames, paths=paths)]
    assert len(found) > 150
    assert sum(bool(row["code"] or row["missing"]) for row in found) > 0.9 * len(found)
    assert sum(bool(row["patient"]) for row in found) > 0.9 * len(found)


@given(data=st.data())
@settings(max_examples=60)
def test_mutated_examples_are_tiled(data: st.DataObject) -> None:
    known = sorted(documents(), key=len)[:400]
    content = bytearray(data.draw(st.sampled_from([*known, DOCUMENT.encode(), DOCUMENT.encode("utf-16")])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        kind = data.draw(st.sampled_from(["flip", "cut", "drop", "repeat"]))
        if kind == "flip" and content:
            content[place] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del content[place:]
        elif kind == "repeat":
            content[place:place] = content[place : place + data.draw(st.integers(1, 60))]
        else:
            del content[place : place + data.draw(st.integers(1, 60))]
    found = records(bytes(content), frames=FRAMES | {"any": "//entry"})
    kinds = {item.kind for item in found}
    assert kinds == {RecordKind.RESIDUE} or RecordKind.RESIDUE not in kinds
