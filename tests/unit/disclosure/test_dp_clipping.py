"""What a person counts for: exact, bounded, of that person's rows alone, in whatever order."""

from __future__ import annotations

from dataclasses import replace
from math import trunc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.disclosure.dp.clipping import SHRUNK, Numbers, bounded_sums, person_cells, persons_of_lengths
from asepsis.domain.privacy import LARGEST_NORM, MOST_RECORDS
from asepsis.domain.private import PRESENCE_BITS, VectorKind, VectorSpec, finest, offered

CELLS = 5
NORMS = st.sampled_from([1, 2, 3, 60, 4095])
Row = tuple[int, int, float]


@st.composite
def specs(draw: st.DrawFn) -> VectorSpec:
    kind = draw(st.sampled_from(list(VectorKind)))
    norm = draw(NORMS | st.just(LARGEST_NORM if kind is VectorKind.TOTAL else MOST_RECORDS))
    return VectorSpec(
        kind=kind, norm=norm, bits=finest(norm), coarse=kind is VectorKind.PERSONS and draw(st.booleans())
    )


ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, CELLS - 1), st.floats(-1, 1)), min_size=1, max_size=40)


def part(row: Row, spec: VectorSpec) -> int:
    """What a row counts for: of presence and records 0 or 1, of totals anything that is allowed."""
    return round(row[2] * (spec.norm << spec.bits)) if spec.kind is VectorKind.TOTAL else int(row[2] > 0)


def sums(rows: list[Row], spec: VectorSpec, *, settled: bool = False) -> list[int]:
    persons, cells, parts = (
        np.array(column, np.int64)
        for column in ([row[0] for row in rows], [row[1] for row in rows], [part(row, spec) for row in rows])
    )
    (found,) = bounded_sums(person_cells(persons, cells, [parts], [spec]), [spec], cells=CELLS, settled=settled)
    return [int(value) for value in found]


def entries(rows: list[Row], spec: VectorSpec) -> list[int]:
    """A person's vector before its length is bounded, in plain Python."""
    most = {VectorKind.PERSONS: 1, VectorKind.RECORDS: spec.norm, VectorKind.TOTAL: spec.norm << spec.bits}[spec.kind]
    added = (sum(part(row, spec) for row in rows if row[1] == cell) for cell in range(CELLS))
    return [max(-most, min(most, value)) for value in added]


@settings(max_examples=300)
@given(rows=ROWS, spec=specs())
def test_sums_are_those_of_each_person_alone(rows: list[Row], spec: VectorSpec) -> None:
    alone = [sums([row for row in rows if row[0] == person], spec) for person in {row[0] for row in rows}]
    assert sums(rows, spec) == [sum(values) for values in zip(*alone, strict=True)]


@given(rows=ROWS, spec=specs(), shuffled=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[Row], spec: VectorSpec, shuffled: object) -> None:
    others = list(rows)
    shuffled.shuffle(others)  # type: ignore[attr-defined]
    assert sums(rows, spec) == sums(others, spec)


@settings(max_examples=300)
@given(rows=ROWS, spec=specs())
def test_a_person_counts_for_as_much_as_plain_python_says_and_never_for_more(rows: list[Row], spec: VectorSpec) -> None:
    """Guard: weights, halves of squares and the drop of coarse presence; plain numbers have no limit of size."""
    rows = [(0, cell, value) for _, cell, value in rows]
    vector, length = entries(rows, spec), spec.norm << spec.bits
    scale = 1 if spec.kind is VectorKind.TOTAL else 1 << spec.bits
    weight = min(scale, length * SHRUNK / max(1, sum(value * value for value in vector)) ** 0.5)
    if spec.coarse and weight < 1 << (spec.bits - PRESENCE_BITS):
        weight = 0
    found = sums(rows, spec)
    assert sum(value * value for value in found) <= length * length
    expected = [trunc(value * weight) for value in vector]
    assert all(abs(left - right) <= 1 for left, right in zip(found, expected, strict=True))


@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=9), spec=specs())
def test_who_is_in_one_cell_only_is_clipped_there_and_not_shrunk(values: list[float], spec: VectorSpec) -> None:
    rows = [(0, 1, value) for value in values]
    scale = 1 if spec.kind is VectorKind.TOTAL else 1 << spec.bits
    assert sums(rows, spec, settled=True) == [value * scale for value in entries(rows, spec)]


@settings(max_examples=200)
@given(rows=ROWS, spec=specs())
def test_a_person_is_in_the_place_of_its_length(rows: list[Row], spec: VectorSpec) -> None:
    spec = replace(spec, unbought=True)
    parts = np.array([part(row, spec) for row in rows], np.int64)
    persons: Numbers = np.array([row[0] for row in rows], np.int64)
    cells: Numbers = np.array([row[1] for row in rows], np.int64)
    (found,) = persons_of_lengths(person_cells(persons, cells, [parts], [spec]), [spec])
    expected = [0] * len(offered(spec.norm))
    unit = 1 << spec.bits if spec.kind is VectorKind.TOTAL else 1
    for person in {row[0] for row in rows}:
        squares = sum(value * value for value in entries([row for row in rows if row[0] == person], spec))
        # A square of more than 53 bits is rounded: it may be taken for the offered length that it nearly is.
        shorter = sum((size * unit) ** 2 * (1 + 1e-15) < squares for size in offered(spec.norm))
        expected[min(shorter, len(expected) - 1)] += squares > 0
    assert found.tolist() == expected


@pytest.mark.parametrize(("cells", "counts"), [(255, True), (257, False)])
def test_presence_in_too_many_cells_counts_for_nothing_where_groups_are_found(cells: int, *, counts: bool) -> None:
    """Guard: the drop of coarse presence, which bounds the number of cells that one person can make visible."""
    spec = VectorSpec(kind=VectorKind.PERSONS, norm=1, bits=finest(1), coarse=True)
    one, everywhere = np.zeros(cells, np.int64), np.arange(cells)
    (found,) = bounded_sums(person_cells(one, everywhere, [None], [spec]), [spec], cells=cells, settled=False)
    assert (found >= 1 << (spec.bits - PRESENCE_BITS)).tolist() == [counts] * cells
    assert found.any() == counts


def test_a_row_without_a_number_counts_for_one() -> None:
    spec = VectorSpec(kind=VectorKind.RECORDS, norm=2, bits=4)
    persons, cells = np.array([0, 0, 0, 1]), np.array([3, 3, 3, 0])
    found = person_cells(persons, cells, [None], [spec])
    assert found.entries[0].tolist() == [2, 1]
    assert (found.cells.tolist(), found.rows.tolist(), found.firsts.tolist()) == ([3, 0], [0, 3], [0, 1])


@pytest.mark.parametrize("settled", [True, False])
def test_nobody_is_nothing(*, settled: bool) -> None:
    spec, nobody = VectorSpec(kind=VectorKind.TOTAL, norm=9, bits=4), np.zeros(0, np.int64)
    found = person_cells(nobody, nobody, [nobody], [spec])
    assert [each.tolist() for each in bounded_sums(found, [spec], cells=0, settled=settled)] == [[]]
    assert [sum(each) for each in persons_of_lengths(found, [replace(spec, unbought=True)])] == [0]
