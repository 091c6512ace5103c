"""Filters that another tool made: read by the keys of their records, and refused without quoting any of it."""

from __future__ import annotations

import base64
import io
import json
import secrets
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.names import PartyId
from asepsis.engines.linkage.filter_files import filter_file, read_clks, read_filter_file
from asepsis.errors.linkage import FilterRefused

OWNER = PartyId("northgate")
CANARY = "Thornton"
BITS = [bytes([number]) * 128 for number in range(1, 6)]


def clks(*filters: bytes) -> bytes:
    return json.dumps({"clks": [base64.b64encode(one).decode() for one in filters]}).encode()


@pytest.fixture
def persons(tmp_path: Path) -> Path:
    path = tmp_path / "persons.parquet"
    keys = ["MRN1", "MRN2", "MRN2-old", "MRN3"]
    pq.write_table(pa.table({"person_key": keys, "person_id": pa.array([7, 8, 8, 9], pa.int64())}), path)
    return path


def test_filters_go_by_person_and_the_rest_is_left_out(persons: Path) -> None:
    assert read_clks(OWNER, clks(*BITS)) == BITS
    keys = ["MRN3", "MRN2-old", "nobody", "MRN2", "MRN1"]
    content, rows = filter_file(OWNER, BITS, keys, persons, randomness=secrets.token_bytes)
    found = read_filter_file(OWNER, io.BytesIO(content)).to_pylist()
    assert rows == len(found) == 3
    assert {row["person_id"]: row["filter"] for row in found} == {9: BITS[0], 8: BITS[1], 7: BITS[4]}


def test_the_order_of_the_file_tells_nothing(persons: Path) -> None:
    """Guard: rows in the tool's order would go by name where its input did."""
    descending = iter(range(1000, 0, -1))
    content, _ = filter_file(
        OWNER, BITS[:3], ["MRN1", "MRN2", "MRN3"], persons, randomness=lambda size: next(descending).to_bytes(size)
    )
    assert read_filter_file(OWNER, io.BytesIO(content))["person_id"].to_pylist() == [9, 8, 7]


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"clks": 3}', b'{"clks": [3]}', b'{"clks": ["Thornton!"]}', b"\xff\xfe", CANARY.encode()],
)
def test_a_file_that_is_none_of_clkhash_is_refused(document: bytes) -> None:
    with pytest.raises(FilterRefused) as refused:
        read_clks(OWNER, document)
    assert CANARY not in str(refused.value.as_dict())


def test_keys_that_do_not_fit_are_refused(persons: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(CANARY.encode())
    cases: list[tuple[list[str], Path]] = [(["MRN1"], persons), ([CANARY, "x"], persons), (["MRN1", "MRN2"], broken)]
    for keys, path in cases:
        with pytest.raises(FilterRefused) as refused:
            filter_file(OWNER, BITS[:2], keys, path, randomness=secrets.token_bytes)
        assert CANARY not in str(refused.value.as_dict())


@pytest.mark.parametrize("table", [{"person_id": [1]}, {"person_id": ["1"], "filter": [b"1"]}, None])
def test_a_file_without_filters_is_refused(table: dict[str, Any] | None) -> None:
    content = io.BytesIO(CANARY.encode())
    if table is not None:
        content = io.BytesIO()
        pq.write_table(pa.table(table), content)
        content.seek(0)
    with pytest.raises(FilterRefused):
        read_filter_file(OWNER, content)
