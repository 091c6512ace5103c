"""The tables that stay with the owner hold what the books count, and have the same columns where nothing was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import HarmonisedRun
from asepsis.engines.harmonise.accounts import check_written
from asepsis.errors.harmonise import BooksDoNotBalance
from asepsis.harmonise.mapping import Mapping

OWNED = ("quarantined_records", "quarantine", "excluded", "merged")


@pytest.mark.parametrize("table", ["excluded", "merged", "quarantined_records"])
def test_a_record_without_its_place_with_the_owner_is_noticed(northgate_run: HarmonisedRun, table: str) -> None:
    run = northgate_run
    folder = run.provenance.parent
    check_written(folder, run.books, run.row_counts)
    with pytest.raises(BooksDoNotBalance):
        check_written(folder, run.books, {**run.row_counts, table: run.row_counts[table] - 1})


def test_origins_are_counted_over_several_groups_of_rows(northgate_run: HarmonisedRun, tmp_path: Path) -> None:
    """Each group has its own words: what large contributions write, in small."""
    written = tmp_path / "provenance.parquet"
    pq.write_table(pq.read_table(northgate_run.provenance), written, row_group_size=5)
    assert pq.ParquetFile(written).num_row_groups > 1
    check_written(tmp_path, northgate_run.books, northgate_run.row_counts)


def test_the_tables_of_a_run_without_any_fault_have_the_same_columns(
    riverside: Mapping, riverside_run: HarmonisedRun, run: Callable[..., HarmonisedRun]
) -> None:
    empty = run(riverside, {"Patient.ndjson": b"", "Condition.ndjson": b""})
    for table in OWNED:
        full, none = (pq.read_schema(one.provenance.parent / f"{table}.parquet") for one in (riverside_run, empty))
        assert [(item.name, item.type) for item in none] == [(item.name, item.type) for item in full]
        assert empty.row_counts[table] == 0
