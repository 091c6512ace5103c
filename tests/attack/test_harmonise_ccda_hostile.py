"""Documents made to harm a parser are set aside whole, by name, and quickly; nothing outside of them is read."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from asepsis.harmonise.readers import ccda
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.record import Limits, RecordKind
from asepsis.harmonise.readers.xpaths import compile_xpath

OPEN, CLOSE = '<ClinicalDocument xmlns="urn:hl7-org:v3">', "</ClinicalDocument>"
LAUGHS = (
    "<!DOCTYPE x [<!ENTITY a0 'ha'>"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))
    + f"]>{OPEN}&a11;{CLOSE}"
)
QUADRATIC = f"<!DOCTYPE x [<!ENTITY a '{'a' * 100_000}'>]>{OPEN}{'&a;' * 50_000}{CLOSE}"
PARAMETER = f"<!DOCTYPE x [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/x'> %p;]>{OPEN}{CLOSE}"


def set_aside(content: bytes | str, *, encoding: str = "utf-8", limits: Limits | None = None) -> str:
    data = content if isinstance(content, bytes) else content.encode()
    frame, path = compile_xpath("//entry"), compile_xpath("string(/)")
    assert frame is not None
    assert path is not None
    wanted = ccda.Wanted(frames={"entry": frame}, paths={"text": path})
    begun = time.process_time()
    found = list(records_of(ccda.read(io.BytesIO(data), encoding=encoding, wanted=wanted, limits=limits)))
    assert time.process_time() - begun < 5
    assert b"".join(record.raw for record in found) == data
    assert {record.kind for record in found} == {RecordKind.RESIDUE}
    (words,) = {record.defects for record in found}
    return words[0]


@pytest.mark.parametrize("content", [LAUGHS, QUADRATIC, PARAMETER], ids=["laughs", "quadratic", "parameter"])
def test_entities_never_expand(content: str) -> None:
    assert set_aside(content) == "doctype_not_allowed"


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_an_external_entity_is_not_read(scheme: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ZQCANARYZQ")
    where = secret.as_uri() if scheme == "file" else "http://127.0.0.1:9/secret"
    for text in (
        f"<!DOCTYPE x [<!ENTITY e SYSTEM '{where}'>]>{OPEN}<entry>&e;</entry>{CLOSE}",
        f"<!DOCTYPE x SYSTEM '{where}'>{OPEN}<entry/>{CLOSE}",
        f"<!DOCTYPE ClinicalDocument>{OPEN}<entry/>{CLOSE}",
    ):
        for content in (text, "\ufeff" + text, text.encode("utf-16")):
            assert set_aside(content) == "doctype_not_allowed"


def test_an_included_file_and_a_style_sheet_are_only_text(tmp_path: Path) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text("<x>ZQCANARYZQ</x>")
    include = f"<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='{secret.as_uri()}'/>"
    style = f"<?xml-stylesheet type='text/xsl' href='{secret.as_uri()}'?>"
    frame, path = compile_xpath("//entry"), compile_xpath("string(/)")
    assert frame is not None
    assert path is not None
    wanted = ccda.Wanted(frames={"entry": frame}, paths={"text": path})
    content = f"{style}{OPEN}<entry>{include}seen</entry>{CLOSE}".encode()
    found = [record.fields for record in records_of(ccda.read(io.BytesIO(content), encoding="utf-8", wanted=wanted))]
    assert [fields["text"] for fields in found if fields] == ["seen"]


@pytest.mark.parametrize("depth", [201, 10_000, 300_000])
def test_nesting_is_limited(depth: int) -> None:
    assert set_aside(OPEN + "<a>" * depth + "</a>" * depth + CLOSE) == "nested_too_deep"


def test_a_document_of_too_many_elements_or_bytes_is_not_built() -> None:
    assert set_aside(OPEN + "<a/>" * 600_000 + CLOSE) == "too_many_elements"
    assert set_aside(OPEN + "x" * 3_000_000 + CLOSE, limits=Limits(record_bytes=2_000_000)) == "document_too_large"


def test_a_text_larger_than_the_tree_may_hold_is_set_aside_and_not_cut() -> None:
    assert set_aside(f"{OPEN}<entry>{'x' * 12_000_000}</entry>{CLOSE}") == "not_well_formed"


@pytest.mark.parametrize(
    "encoding", ["UTF-7", "utf-32", "cp037", "rot13", "hex", "unicode_escape", "punycode", "no-such"]
)
def test_an_encoding_that_hides_markup_is_not_allowed(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>{OPEN}+ADw-entry/+AD4-<entry/>{CLOSE}'
    assert set_aside(text) == "encoding_not_allowed"


def test_an_encoding_must_be_what_the_bytes_are() -> None:
    declared = '<?xml version="1.0" encoding="{}"?>' + f"{OPEN}<entry/>{CLOSE}"
    assert set_aside("\ufeff" + declared.format("ISO-8859-1")) == "encoding_contradicts_byte_order_mark"
    assert set_aside(declared.format("UTF-8").encode("utf-16")) == "encoding_contradicts_byte_order_mark"
    assert set_aside(declared.format("UTF-16")) == "byte_order_mark_missing"
    assert set_aside(declared.format("UTF-8").encode().replace(b"<entry/>", b"\xff")) == "undecodable"
    assert set_aside(f"{OPEN}\xe9{CLOSE}".encode("utf-16")[:-1]) == "undecodable"


@pytest.mark.parametrize("content", [f"{OPEN}\0{CLOSE}", f"{OPEN}<entry/>{CLOSE}\0", "\0", f"\0{OPEN}{CLOSE}"])
def test_nul_is_refused_by_name(content: str) -> None:
    assert set_aside(content) == "nul_in_document"
    assert set_aside(content.encode("utf-16")) == "nul_in_document"


@pytest.mark.parametrize(
    "content",
    [
        f"{OPEN}<entry></ClinicalDocument>",
        f"{OPEN}<entry/>",
        f"{OPEN}<entry/>{CLOSE}{OPEN}{CLOSE}",
        f"{OPEN}&undefined;{CLOSE}",
        f"{OPEN}&#0;{CLOSE}",
        f"{OPEN}<entry a='1' a='2'/>{CLOSE}",
        f"{OPEN}<entry xmlns:b='u' xmlns:c='u' b:a='1' c:a='2'/>{CLOSE}",
        f" <?xml version='1.0'?>{OPEN}{CLOSE}",
        "no document at all",
        "<",
    ],
)
def test_what_is_not_well_formed_is_never_half_landed(content: str) -> None:
    assert set_aside(content) == "not_well_formed"


def test_something_else_than_a_clinical_document_is_set_aside() -> None:
    assert set_aside("<html><body/></html>") == "not_a_clinical_document"
    assert set_aside('<ClinicalDocument xmlns="urn:other"/>') == "not_a_clinical_document"
