"""HL7 v2 fields cut out of whole blocks are those that splitting each segment gives."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from asepsis.harmonise.readers import hl7v2
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.hl7fields import Hl7Path, parse_path
from asepsis.harmonise.readers.lines import Decoding

PATHS = {
    name: path
    for name, text in {
        "test": "OBX-3",
        "code": "OBX-3.1",
        "second": "OBX-5[1].2",
        "inner": "OBX-3.2.2",
        "patient": "PID-3",
        "application": "MSH-3",
        "signs": "MSH-2",
    }.items()
    if (path := parse_path(text)) is not None
}
ESCAPES = {"F": 0, "S": 1, "R": 2, "E": 3, "T": 4}
value = st.text(st.sampled_from('ab |^~\\&"FSé\u4e2d'), max_size=8)
segment = st.tuples(st.sampled_from(["OBX", "PID", "NTE", "OBR"]), st.lists(value, max_size=6)).map(
    lambda made: "|".join([made[0], *made[1]])
)
message = st.lists(segment, min_size=1, max_size=6).map(lambda segments: ["MSH|^~\\&|LAB|X", *segments])


def plainly(path: Hl7Path, line: str | None, signs: str = "|^~\\&") -> str | None:
    """What the path means, by splitting."""
    if line is None:
        return None
    fields = line.split(signs[0])
    if path.segment == "MSH":
        fields = [fields[0], signs[0], *fields[1:]]
    found = fields[path.field] if len(fields) > path.field else ""
    wanted = [(2, path.repetition), (1, (path.component or 0) - 1), (4, (path.subcomponent or 0) - 1)]
    for sign, part in wanted:
        if part >= 0:
            parts = found.split(signs[sign])
            found = parts[part] if len(parts) > part else ""
    if signs[3] in found:
        for letter, place in ESCAPES.items():
            found = found.replace(signs[3] + letter + signs[3], signs[place])
    return None if found in {"", '""'} else found


@given(
    st.lists(message, min_size=1, max_size=4),
    st.sampled_from(["\r", "\n", "\r\n"]),
    st.sampled_from(["utf-8", "cp1252"]),
)
def test_every_value_is_what_splitting_the_segments_of_its_message_gives(
    messages: list[list[str]], end: str, encoding: str
) -> None:
    text = end.join(line for lines in messages for line in lines) + end
    data = text.encode(encoding, "replace")
    read = hl7v2.read(io.BytesIO(data), decoding=Decoding(encoding=encoding), segments=["OBX"], paths=PATHS)
    found = [item.fields for item in records_of(read) if item.fields and item.fields["segment"] == "OBX"]
    last: dict[str, str] = {}
    expected = []
    for line in data.decode(encoding).split(end):
        name = line[:3]
        if name == "MSH":
            last = {}
        if name not in last or name != "MSH":
            last[name] = line
        if name == "OBX":
            own = {key: line if path.segment == "OBX" else last.get(path.segment) for key, path in PATHS.items()}
            expected.append({key: plainly(path, own[key]) for key, path in PATHS.items()})
    assert [{key: row[key] for key in PATHS} for row in found] == expected


def test_a_value_of_the_message_reaches_over_the_border_of_a_block() -> None:
    lines = ["MSH|^~\\&|LAB|X", "PID|1||77", *[f"OBX|{n}|NM|K^{n}" for n in range(400_000)]]
    data = "\r".join(lines).encode()
    read = hl7v2.read(io.BytesIO(data), decoding=Decoding(), segments=["OBX"], paths=PATHS)
    batches = list(read)
    assert len(batches) > 1
    assert {value for batch in batches[1:] for value in batch.columns["patient"].to_pylist()} == {"77"}


def test_separators_are_those_of_each_message() -> None:
    data = b"MSH|^~\\&|A\rPID|1||7^x\rOBX|1|NM|K^k\rMSH#*~\\&#B\rOBX#1#NM#L*l\r"
    read = hl7v2.read(io.BytesIO(data), decoding=Decoding(), segments=["OBX"], paths=PATHS)
    rows = [item.fields for item in records_of(read) if item.fields and item.fields["segment"] == "OBX"]
    assert [(row["code"], row["application"], row["patient"]) for row in rows] == [("K", "A", "7^x"), ("L", "B", None)]
