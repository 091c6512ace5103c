from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.integrity import ObjectFacts
from asepsis.domain.source import Verdict
from asepsis.integrity.judgement import judge
from asepsis.integrity.notes import phrases_in
from asepsis.integrity.observation import is_noise, observe

SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))


def noise(size: int) -> bytes:
    """The same in every run and in every order of the tests."""
    return random.Random(size).randbytes(size)


def facts_of(content: bytes) -> ObjectFacts:
    return observe(io.BytesIO(content), size=len(content))


def dbase(records: int = 400) -> bytes:
    fields = b"".join(
        struct.pack("<11sc4sBB14s", name, b"C", b"", length, 0, b"") for name, length in ((b"MRN", 8), (b"ICD", 20))
    )
    header = struct.pack("<BBBBIHH20s", 3, 112, 12, 31, records, 32 + 64 + 1, 29, b"") + fields + b"\r"
    rows = b"".join(b" " + str(10_000_000 + i).encode() + b"25000".ljust(20) for i in range(records))
    return header + rows + b"\x1a"


def a_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return out.getvalue()


LINES = b"".join(b"1008%04d;04.01.1985;HDL;\xc4rzte;52,1;mg/dL;;\r\n" % number for number in range(600))
MESSAGES = (
    b"FHS|^~\\&|X\rBHS|^~\\&|X\r"
    + b"MSH|^~\\&|ADT1|X|Y||1998||ADT^A04|M1|P|2.3\rPID|1||100\r" * 300
    + b"BTS|300\rFTS|1\r"
)
SAMPLES: dict[str, tuple[str, bytes]] = {
    "LAB.CSV": ("text", LINES),
    "DX.DBF": ("dbase", dbase()),
    "x.ndjson.gz": ("gzip", gzip.compress(LINES, mtime=0)),
    "x.tar": ("tar", a_tar()),
    "adt.hl7": ("hl7v2", MESSAGES),
    "p.ndjson": ("fhir", b'{"resourceType":"Patient","id":"1"}\n' * 500),
    "bundle.json": ("json", json.dumps({"entry": list(range(20_000))}).encode()),
    "doc.xml": ("xml", b'<?xml version="1.0" encoding="ISO-8859-1"?>\n<a>' + b"<b>\xe9</b>" * 3000 + b"</a>"),
    "dump.sql": ("sql", b"-- MySQL dump 10.9\nINSERT INTO `rx` VALUES " + b"(1,'x'),\n" * 2000),
    "MAST.CPY": ("copybook", b"       01  PATIENT-REC.\n           05  PAT-MRN   PIC 9(8).\n" * 20),
    "MAST.DAT": ("ebcdic", ("10080872SMITH     ANNA      " + "850101F").encode("cp037") * 500),
    "utf16.txt": ("text", "Name;Wert\r\n".encode("utf-16") * 500),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sound_object_is_recognised_and_clean(name: str) -> None:
    expected, content = SAMPLES[name]
    facts = facts_of(content)
    assert facts.format == expected
    assert judge(f"/data/{name}", facts).verdict is Verdict.CLEAN


def whole(content: bytes) -> bytes:
    return noise(len(content))


def first_block(content: bytes) -> bytes:
    return noise(min(4096, len(content))) + content[4096:]


def alternate(content: bytes) -> bytes:
    random_bytes = noise(len(content))
    return b"".join((content if at % 32 else random_bytes)[at : at + 16] for at in range(0, len(content), 16))


def middle_block(content: bytes) -> bytes:
    at = len(content) // 2 // 4096 * 4096
    return content[:at] + noise(4096) + content[at + 4096 :]


@pytest.mark.parametrize("encrypt", [whole, first_block, alternate, middle_block])
@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in {"x.tar", "x.ndjson.gz"}])
def test_an_object_encrypted_in_any_pattern_is_not_clean(name: str, encrypt: Callable[[bytes], bytes]) -> None:
    content = SAMPLES[name][1]
    verdict = judge(f"/data/{name}", facts_of(encrypt(content)), before=facts_of(content))
    assert verdict.verdict is not Verdict.CLEAN
    assert verdict.reasons


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_bit_in_compressed_content_is_found(position: int, bit: int) -> None:
    """RFC 1952: the first ten bytes hold times and hints that the checksum does not cover."""
    content = bytearray(SAMPLES["x.ndjson.gz"][1])
    content[10 + position % (len(content) - 10)] ^= 1 << bit
    assert judge("/x.ndjson.gz", facts_of(bytes(content))).verdict is not Verdict.CLEAN


@pytest.mark.parametrize("name", ["LAB.CSV", "DX.DBF", "adt.hl7", "x.ndjson.gz", "dump.sql"])
def test_an_encrypted_object_of_a_known_name_is_compromised_without_any_history(name: str) -> None:
    verdict = judge(f"/data/{name}", facts_of(noise(20_000)))
    assert verdict.verdict is Verdict.COMPROMISED
    assert {"format.header_lost", "content.random"} <= set(verdict.reasons)


def test_noise_of_an_unknown_kind_is_suspect_only() -> None:
    assert judge("/data/image.raw", facts_of(noise(20_000))).verdict is Verdict.SUSPECT


def test_noise_where_a_known_format_was_is_compromised() -> None:
    verdict = judge("/data/MAST.DAT", facts_of(noise(20_000)), before=facts_of(SAMPLES["MAST.DAT"][1]))
    assert verdict.verdict is Verdict.COMPROMISED


def test_a_name_is_measured_behind_an_appended_extension() -> None:
    verdict = judge("/data/DX.DBF.qzxv", facts_of(noise(20_000)))
    assert verdict.verdict is Verdict.COMPROMISED


def test_a_known_extension_alone_is_suspect() -> None:
    verdict = judge("/data/LAB.CSV.locked", facts_of(LINES))
    assert (verdict.verdict, verdict.reasons) == (Verdict.SUSPECT, ("name.known_ransomware_extension",))


def test_a_ransom_note_is_known_by_its_text_under_any_name() -> None:
    note = b"Your files have been encrypted. Pay 2 bitcoin. Use the Tor Browser. Do not rename encrypted files."
    assert judge("/data/hello.txt", facts_of(note)).reasons == ("note.ransom",)
    assert judge("/data/hello.txt", facts_of(note)).verdict is Verdict.COMPROMISED


@pytest.mark.parametrize(
    "text",
    [
        b"The backup is encrypted with the hospital's private key.",
        b"Patient reports that files were lost; decrypt the archive with the usual tool.",
        b"README: how to restore the laboratory interface",
    ],
)
def test_ordinary_prose_about_keys_is_no_note(text: bytes) -> None:
    assert judge("/data/memo.txt", facts_of(text)).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("DX.DBF", lambda c: c[: len(c) // 2], "format.truncated"),
        ("DX.DBF", lambda c: c + bytes(9000), "format.record_count_wrong"),
        ("x.ndjson.gz", lambda c: c[:-20], "format.truncated"),
        ("x.ndjson.gz", lambda c: c[:-8] + bytes(4) + c[-4:], "format.checksum_wrong"),
        ("x.tar", lambda c: b"b" + c[1:], "format.header_damaged"),
        ("bundle.json", lambda c: c[:-2], None),
        ("p.ndjson", lambda c: b"{{" + c, "format.unreadable_json"),
    ],
)
def test_damage_to_structure_has_its_reason(name: str, damage: Callable[[bytes], bytes], reason: str | None) -> None:
    reasons = judge(f"/data/{name}", facts_of(damage(SAMPLES[name][1]))).reasons
    assert reason is None or reason in reasons


@given(content=st.binary(max_size=3000), name=st.sampled_from(list(SAMPLES)), cut=st.integers(0, 3000))
def test_any_bytes_get_a_verdict(content: bytes, name: str, cut: int) -> None:
    for candidate in (content, SAMPLES[name][1][:cut] + content):
        assert judge(f"/{name}", facts_of(candidate)).verdict in Verdict


def test_text_and_tables_are_no_noise() -> None:
    assert is_noise(noise(4096))
    assert not any(is_noise(content[:65536]) for name, (_, content) in SAMPLES.items() if not name.endswith("gz"))


def test_a_bomb_in_a_gzip_object_is_bounded() -> None:
    bomb = gzip.compress(bytes(30_000_000))
    assert facts_of(bomb).faults == ()


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the shared test data are not beside this repository")
def test_hardly_a_real_file_is_called_anything_but_clean() -> None:
    """Reference: at most 0.5 % false positives on clean files of many kinds."""
    paths = [path for path in sorted((SHARED / "data").rglob("*")) if path.is_file() and path.stat().st_size < 200_000]
    alarms = []
    for path in paths:
        with path.open("rb") as file:
            verdict = judge(str(path), observe(file, size=path.stat().st_size))
        if verdict.verdict is not Verdict.CLEAN:
            alarms.append(path.name)
    assert len(alarms) <= len(paths) * 0.005


def test_each_phrase_of_a_note_is_found_by_itself() -> None:
    """The words that are looked for first never hide a phrase."""
    phrases = [
        b"files were ENCRYPTED",
        b"private key",
        b"master key",
        b"the decryptor",
        b"can be decrypted",
        b"BTC",
        b"xmr",
        b"ransom",
        b"Tor Browser",
        b"x.onion",
        b"tox id",
        b"do not rename any files",
        b"will be sold",
        b"permanent data loss",
        b"publish your data",
        b"within 72 hours",
        b"price will double",
    ]
    assert [phrases_in(phrase) for phrase in phrases] == [1] * len(phrases)
