"""X12: segments tile the file, values come from the right loop, and what an envelope declares is compared."""

from __future__ import annotations

import io
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.errors.harmonise import LimitExceeded
from asepsis.harmonise.readers import x12
from asepsis.harmonise.readers.batch import Batch, records_of
from asepsis.harmonise.readers.record import Limits, Record, RecordKind
from asepsis.harmonise.readers.x12paths import Path as X12Path
from asepsis.harmonise.readers.x12paths import Separators, parse_path

SEGMENTS = ("CLM", "HI", "SV1", "CLP", "SVC", "PLB", "CAS")
PATHS = {
    "patient": "NM1[QC|IL]-9",
    "family": "NM1[QC|IL]-3",
    "subscriber": "NM1[IL]-9",
    "zip": "NM1[IL]/N4-3",
    "billing": "NM1[85]-9",
    "claim": "CLM-1",
    "place": "CLM-5.1",
    "diagnosis": "HI-1.2",
    "service": "SV1-1.2",
    "date": "DTP[472]-3",
    "level": "HL-1",
    "interchange": "ISA-13",
    "paid": "CLP-1",
    "group": "GS-6",
}

SUBSCRIBER = (
    "HL*2*1*22*1~SBR*P~NM1*IL*1*ROE*ANN****MI*S1~N4*BOSTON*MA*02115~DMG*D8*19500102*F~NM1*PR*2*PAYER~N4*X*Y*99999"
)
CLAIM = (
    "CLM*C{n}*100***11:B:1*Y~HI*ABK:J45~LX*1~SV1*HC:99213*40~DTP*472*D8*20200102"
    "~LX*2~SV1*HC:87070*60~DTP*472*D8*20200103"
)


def document(
    body: str,
    *,
    kind: str = "837",
    count: int | None = None,
    ends: tuple[str, str, str] = ("", "", ""),
    version: str = "00501",
    control: str = "000000007",
) -> str:
    """One interchange; ``ends`` replaces SE, GE and IEA where it says something else."""
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'SENDER':15}*ZZ*{'RECEIVER':15}*200101*1200*^*{version}*{control}*0*T*:~"
    found = 2 + body.count("~") + 1
    se, ge, iea = (
        given or usual
        for given, usual in zip(
            ends, (f"SE*{found if count is None else count}*0001", "GE*1*9", f"IEA*1*{control}"), strict=True
        )
    )
    inner = f"GS*HC*A*B*20200101*1200*9*X*005010X222A1~ST*{kind}*0001~{body}~{se}~{ge}~"
    return isa + inner.replace("-~", "") + ("" if iea == "-" else f"{iea}~")


def claims(*bodies: str) -> str:
    return "~".join(["BHT*0019*00*1", "HL*1**20*1", "NM1*85*2*CLINIC*****XX*N1", *bodies])


def records(text: str | bytes, *, paths: dict[str, str] | None = None, limits: Limits | None = None) -> list[Record]:
    content = text if isinstance(text, bytes) else text.encode()
    batches: list[Batch] = list(
        x12.read(
            io.BytesIO(content), encoding="utf-8", segments=SEGMENTS, paths=compiled(paths or PATHS), limits=limits
        )
    )
    found = list(records_of(batches))
    assert b"".join(record.raw for record in found) == content
    return found


def compiled(paths: dict[str, str]) -> dict[str, X12Path]:
    known = {name: parse_path(path) for name, path in paths.items()}
    return {name: path for name, path in known.items() if path is not None}


def rows(text: str | bytes, **options: object) -> list[dict[str, str | None]]:
    found = records(text, **options)  # type: ignore[arg-type]
    return [item.fields for item in found if item.fields is not None and item.fields["segment"] is not None]


def defects(text: str | bytes, **options: object) -> Counter[str]:
    found = records(text, **options)  # type: ignore[arg-type]
    return Counter(word for item in found for word in item.defects if word != "-segment_not_mapped")


def test_a_claim_and_its_services_know_their_patient_and_their_dates() -> None:
    claim, diagnosis, first, second = rows(document(claims(SUBSCRIBER, CLAIM.format(n=1))))
    for row in (claim, diagnosis, first, second):
        assert (row["patient"], row["family"], row["claim"], row["place"]) == ("S1", "ROE", "C1", "11")
        assert (row["billing"], row["zip"], row["interchange"], row["group"]) == ("N1", "02115", "000000007", "9")
        assert row["diagnosis"] == "J45"
    assert (first["service"], first["date"]) == ("99213", "20200102")
    assert (second["service"], second["date"]) == ("87070", "20200103")
    assert (claim["service"], claim["date"]) == (None, None)


def test_a_dependent_inherits_from_the_subscriber_and_never_from_a_sibling() -> None:
    first = "HL*3*2*23*0~NM1*QC*1*ROE*BEN****MI*D1~" + CLAIM.format(n=1)
    second = "HL*4*2*23*0~" + CLAIM.format(n=2)
    other = "HL*5*1*22*0~NM1*IL*1*DOE*EVA****MI*S2~" + CLAIM.format(n=3)
    found = rows(document(claims(SUBSCRIBER, first, second, other)))
    by_claim = {row["claim"]: row for row in found}
    assert (by_claim["C1"]["patient"], by_claim["C1"]["subscriber"]) == ("D1", "S1")
    assert (by_claim["C2"]["patient"], by_claim["C2"]["subscriber"]) == ("S1", "S1")
    assert (by_claim["C3"]["patient"], by_claim["C3"]["zip"]) == ("S2", None)


def test_the_subscriber_of_another_payer_inside_a_claim_is_not_the_patient() -> None:
    claim = "CLM*C1*9***11:B:1~SBR*S~NM1*IL*1*OTHER*X****MI*WRONG~LX*1~SV1*HC:1*9"
    found = rows(document(claims(SUBSCRIBER, claim)))
    assert {row["patient"] for row in found} == {"S1"}


def test_what_one_service_has_is_not_lent_to_the_next() -> None:
    claim = "CLM*C1*9~LX*1~SV1*HC:A*9~DTP*472*D8*20200102~LX*2~SV1*HC:B*9"
    found = [row for row in rows(document(claims(SUBSCRIBER, claim))) if row["segment"] == "SV1"]
    assert [row["date"] for row in found] == ["20200102", None]


def test_a_remittance_has_loops_of_claims_and_services() -> None:
    body = "BPR*I*1~LX*1~CLP*P1*1~NM1*QC*1*ROE*ANN****MI*S1~SVC*HC:A*1~CAS*CO*45*1~CLP*P2*1~CAS*PR*1*2~PLB*X*1"
    found = rows(document(body, kind="835"))
    shown = [(row["segment"], row["paid"], row["patient"]) for row in found]
    assert shown == [
        ("CLP", "P1", "S1"),
        ("SVC", "P1", "S1"),
        ("CAS", "P1", "S1"),
        ("CLP", "P2", None),
        ("CAS", "P2", None),
        ("PLB", None, None),
    ]


def test_repetitions_and_components_are_taken_where_the_version_has_them() -> None:
    paths = {"a": "CLM-2[1].2", "b": "CLM-2", "c": "CLM-2.1", "d": "CLM-3"}
    body = claims(SUBSCRIBER, "CLM*C1*A:B^C:D")
    assert rows(document(body), paths=paths) == [{"segment": "CLM", "a": "D", "b": "A:B", "c": "A", "d": None}]
    old = rows(document(body, version="00401"), paths=paths)
    assert old == [{"segment": "CLM", "a": None, "b": "A:B^C:D", "c": "A", "d": None}]


@pytest.mark.parametrize(
    "path", ["CLM", "clm-1", "CLM-0", "CLM-1.0", "CLM-1.", "NM1[]-9", "CLM-1/N4-1", "X[0=A]-1", ""]
)
def test_a_path_that_is_none_is_refused(path: str) -> None:
    assert parse_path(path) is None


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("signs", ["*^:~", "|\\>\x1c", "\x1d~:\n", "*^:\r"])
def test_separators_and_line_ends_are_those_of_the_interchange(signs: str, end: str) -> None:
    text = document(claims(SUBSCRIBER, CLAIM.format(n=1)))
    written = text.translate(str.maketrans(dict(zip("*^:~", signs, strict=True)))).replace(signs[3], signs[3] + end)
    found = records(written + "\x1a" if end else written)
    assert [row["service"] for row in (item.fields for item in found) if row and row["segment"] == "SV1"] == [
        "99213",
        "87070",
    ]
    assert Counter(word for item in found for word in item.defects) == {
        "-segment_not_mapped": 5,
        **({"outside_interchange": 1} if end else {}),
    }


def test_several_interchanges_and_what_stands_between_them() -> None:
    one, two = (
        document(claims(SUBSCRIBER, CLAIM.format(n=1))),
        document(claims(SUBSCRIBER, CLAIM.format(n=2)), control="000000008"),
    )
    found = records(f"junk\n{one}\nmore junk~{two.replace('*', '|')}")
    outside = [item.raw for item in found if item.kind is RecordKind.RESIDUE]
    assert outside == [b"junk\n", b"more junk~"]
    seen = {(row["claim"], row["interchange"]) for row in (item.fields for item in found) if row and row["claim"]}
    assert seen == {("C1", "000000007"), ("C2", "000000008")}


BODY = claims(SUBSCRIBER, CLAIM.format(n=1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 3}, {"segment_count_mismatch": 5}),
        ({"ends": ("SE*x*0001", "", "")}, {"segment_count_mismatch": 5}),
        ({"ends": ("SE", "", "")}, {"segment_count_mismatch": 5, "transaction_control_mismatch": 5}),
        ({"ends": ("SE*20*0002", "", "")}, {"transaction_control_mismatch": 5}),
        ({"ends": ("-", "", "")}, {"transaction_not_closed": 5}),
        ({"ends": ("", "GE*2*9", "")}, {"transaction_count_mismatch": 1, "transaction_count_mismatch@group": 4}),
        ({"ends": ("", "GE*1*8", "")}, {"group_control_mismatch": 1, "group_control_mismatch@group": 4}),
        ({"ends": ("", "-", "")}, {"group_not_closed": 1, "group_not_closed@group": 4}),
        ({"ends": ("", "", "IEA*2*000000007")}, {"group_count_mismatch": 1, "group_count_mismatch@interchange": 4}),
        (
            {"ends": ("", "", "IEA*1*000000001")},
            {"interchange_control_mismatch": 1, "interchange_control_mismatch@interchange": 4},
        ),
        ({"ends": ("", "", "-")}, {"interchange_not_closed": 1, "interchange_not_closed@interchange": 4}),
        ({"kind": "999"}, {"transaction_set_unknown": 5}),
    ],
)
def test_an_envelope_that_does_not_hold_what_it_declares_is_named(
    options: dict[str, object], words: dict[str, int]
) -> None:
    assert defects(document(BODY, **options)) == words  # type: ignore[arg-type]


def test_the_trailer_of_a_wrong_envelope_is_set_aside_even_where_it_has_no_rows() -> None:
    (trailer,) = (item for item in records(document("BHT*1", count=9)) if "segment_count_mismatch" in item.defects)
    assert (trailer.kind, trailer.raw) == (RecordKind.DATA, b"SE*9*0001~")


def test_the_declared_and_the_counted_segments_are_told() -> None:
    text = document(BODY, count=3) + document(BODY)
    batches = list(x12.read(io.BytesIO(text.encode()), encoding="utf-8", segments=SEGMENTS, paths={}))
    assert (sum(batch.declared or 0 for batch in batches), sum(batch.counted for batch in batches)) == (23, 40)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("HL*1**20~HL*2*7*22~CLM*C1", "hl_parent_unknown"),
        ("HL*1**20~HL*1**20~CLM*C1", "hl_number_repeated"),
        ("HL*1*1*20~CLM*C1", "hl_parent_unknown"),
    ],
)
def test_a_hierarchy_that_cannot_be_followed_is_set_aside(body: str, word: str) -> None:
    found = records(document(body))
    assert [item.defects for item in found if item.raw.startswith(b"CLM")] == [(word,)]


def test_a_chain_of_levels_is_limited() -> None:
    chain = "~".join(f"HL*{n}*{n - 1 if n > 1 else ''}*22" for n in range(1, 400)) + "~CLM*C1"
    assert "nested_too_deep" in defects(document(chain), limits=Limits(nesting=50))
    assert not defects(document("~".join(f"HL*{n}*{n - 1 if n > 1 else ''}*22" for n in range(1, 40)) + "~CLM*C1"))


def test_a_segment_outside_a_transaction_is_no_row() -> None:
    text = document(BODY).replace("GE*1*9", "CLM*C9*1~GE*1*9")
    assert defects(text) == {"outside_transaction": 1}
    assert defects(document(BODY).replace("GE*1*9", "SE*1*0001~GE*1*9")) == {"trailer_without_header": 1}
    assert defects(document(BODY).replace("~GS*", "~TA1*").replace("GE*1*9~", "")) >= Counter(
        {"transaction_without_group": 5}
    )


def test_segments_have_a_largest_length_and_number_of_elements() -> None:
    long = "NTE*ADD*" + "x" * 70_000
    found = defects(document(claims(SUBSCRIBER, long, CLAIM.format(n=1))))
    assert found["segment_too_long"] == 1
    assert found["segment_count_mismatch"] == 5
    unending = document(claims(SUBSCRIBER)) + "ISA*" + "y" * 3_000_000
    assert set(defects(unending)) == {"outside_interchange"}
    endless = document(claims(SUBSCRIBER, "NTE*" + "y" * 3_000_000))
    assert defects(endless)["segment_too_long"] > 0
    assert defects(document(claims(SUBSCRIBER, "CLM" + "*" * 2000)))["too_many_elements"] == 1


def test_the_rest_of_a_segment_that_is_too_long_is_not_taken_for_a_segment() -> None:
    hidden = "NTE*ADD*" + "x" * 3_000_000 + "CLM*C9"
    assert all(row["claim"] != "C9" for row in rows(document(claims(SUBSCRIBER, hidden))))


def test_a_record_that_cannot_be_decoded_is_set_aside() -> None:
    text = document(claims(SUBSCRIBER, "CLM*C1*1")).encode().replace(b"CLM*C1", b"CLM*C\xff")
    assert defects(text) == {"undecodable": 1}


def test_an_interchange_that_was_cut_off_does_not_swallow_the_next() -> None:
    one, two = document(BODY), document(BODY, control="000000008")
    found = records(one[: one.index("SV1") + 9] + two)
    assert [item.raw[:4] for item in found if item.kind is RecordKind.RESIDUE] == [b"SV1*"]
    assert [
        row["interchange"] for row in (item.fields for item in found if not item.defects) if row and row["claim"]
    ] == ["000000008"] * 4
    words = {word for item in found for word in item.defects}
    assert {"segment_not_terminated", "transaction_not_closed", "interchange_not_closed"} <= words


def test_an_interchange_too_large_to_wait_for_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asepsis.harmonise.readers.x12frame._BLOCK", 1000)
    body = "~".join(f"GS*HC*A*B*1*1*9*X*5~ST*837*0001~{BODY}~SE*20*0001~GE*1*9" for _ in range(60))
    text = document("X").split("GS*")[0] + body + "~IEA*60*000000007~"
    small = defects(text, limits=Limits(record_bytes=4000))
    assert set(small) == {"envelope_not_compared@interchange"}
    assert 100 < small["envelope_not_compared@interchange"] <= 240
    wrong = text.replace("IEA*60", "IEA*61")
    assert defects(wrong, limits=Limits(record_bytes=4000))["group_count_mismatch"] == 1
    assert not defects(text)


def test_a_transaction_too_large_to_wait_for_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asepsis.harmonise.readers.x12frame._BLOCK", 10_000)
    text = document(claims(SUBSCRIBER, *(CLAIM.format(n=n) for n in range(1000))))
    found = records(text, limits=Limits(record_bytes=20_000))
    assert all("transaction_too_long" in item.defects for item in found if item.raw.startswith((b"CLM", b"SV1")))


def test_the_number_of_records_is_limited() -> None:
    with pytest.raises(LimitExceeded):
        records(document(BODY), limits=Limits(records=5))


@pytest.mark.parametrize("change", [(3, b"A"), (105, b"*"), (104, b"*"), (84, b"x"), (6, b"-")])
def test_a_header_that_is_none_leaves_everything_outside(change: tuple[int, bytes]) -> None:
    content = bytearray(document(BODY).encode())
    content[change[0] : change[0] + 1] = change[1]
    assert {item.kind for item in records(bytes(content))} == {RecordKind.RESIDUE}
    assert "header_unreadable" in defects(bytes(content))


@given(size=st.integers(1, 400))
@settings(max_examples=30)
def test_where_the_blocks_of_a_file_end_makes_no_difference(size: int) -> None:
    content = (document(BODY).replace("~", "~\r\n") + "\n" + document(BODY, control="000000008")).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asepsis.harmonise.readers.x12frame._BLOCK", size)
        small = records(content)
    assert small == records(content)


def test_separators_are_values() -> None:
    path = parse_path("NM1[2=A|B]-3")
    assert path is not None
    assert path.selector.takes(["NM1", "x", "B:c"], Separators("*", None, ":", "~"))
    assert not path.selector.takes(["NM1", "x"], Separators("*", None, ":", "~"))


def samples() -> list[Path]:
    folder = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "x12_samples"
    found = sorted(path for path in folder.rglob("*.*") if path.suffix != ".txt")
    if not found:
        pytest.skip("the X12 samples are not here (set ASEPSIS_SHARED)")
    return found


def test_every_sample_lands_whole_and_its_books_are_right() -> None:
    found = {path: records(path.read_bytes()) for path in samples()}
    assert len(found) == 70
    assert sum(path.parent.name[:3] in {"835", "837"} for path in found) == 38
    words = {
        path.name: {word for item in items for word in item.defects} - {"-segment_not_mapped"}
        for path, items in found.items()
    }
    assert {name: word for name, word in words.items() if word} == {
        "subscriber-health-benefit-check-error.271": {"transaction_control_mismatch"}
    }
    assert all(item.kind is not RecordKind.RESIDUE for items in found.values() for item in items)


def test_the_samples_of_claims_and_remittances_have_patients() -> None:
    found = [row for path in samples() if path.suffix[:4] in {".835", ".837"} for row in rows(path.read_bytes())]
    services = [row for row in found if row["segment"] == "SV1"]
    assert len(services) > 40
    assert all(row["family"] and row["claim"] and row["date"] for row in services)


ENDS = {"SE": "st", "GE": "gs", "IEA": "isa"}
NAMED = {
    "segment_count_mismatch": ("st", "4"),
    "transaction_control_mismatch": ("st", "3"),
    "transaction_count_mismatch": ("gs", "5"),
    "group_control_mismatch": ("gs", "4"),
    "group_count_mismatch": ("isa", "021"),
    "interchange_control_mismatch": ("isa", "001"),
}


@given(data=st.data())
@settings(max_examples=60)
def test_the_envelopes_are_judged_as_another_reader_judges_them(data: st.DataObject) -> None:
    """Counts and control numbers of the samples are changed; pyx12 must find what we find."""
    reader = pytest.importorskip("pyx12.x12file", reason="pyx12 is not installed")
    text = data.draw(st.sampled_from(samples())).read_text(encoding="latin-1")
    for name in ENDS:
        if data.draw(st.booleans()):
            begin = max(text.rindex(f"{before}{name}*") for before in "~\n" if f"{before}{name}*" in text) + 1
            end = text.index("~", begin)
            words = text[begin:end].split("*")
            place = data.draw(st.sampled_from([1, 2]))
            words[place] = (
                str(int(words[place]) + data.draw(st.integers(1, 3))) if place == 1 else "9" + words[2][1:] + "9"
            )
            text = text[:begin] + "*".join(words) + text[end:]
    ours = {NAMED[word] for word in defects(text) if word in NAMED}
    theirs: set[tuple[str, str]] = set()
    stream = reader.X12Reader(io.StringIO(text))
    for _ in stream:
        theirs |= {(item[0], item[1]) for item in stream.pop_errors()}
    stream.cleanup()
    theirs |= {(item[0], item[1]) for item in stream.pop_errors()}
    assert ours == {item for item in theirs if item in NAMED.values()}


@given(data=st.data())
@settings(max_examples=40)
def test_mutated_samples_are_tiled(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(samples())).read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        kind = data.draw(st.sampled_from(["flip", "cut", "drop", "repeat"]))
        if kind == "flip" and content:
            content[place] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del content[place:]
        elif kind == "repeat":
            content += content[place:]
        else:
            del content[place : place + data.draw(st.integers(1, 60))]
    found = records(bytes(content))
    assert all(item.length for item in found)
