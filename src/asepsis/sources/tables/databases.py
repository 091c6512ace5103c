"""Sources of tables: dumps and database files, whose tables can also be written out as Parquet files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import ExportedTable
from asepsis.errors.source import UnsupportedFormatError
from asepsis.ports import Reading
from asepsis.sources.digests import Meter
from asepsis.sources.history import HistorySource
from asepsis.sources.tables.table import TableContainer


class DatabaseSource(HistorySource):
    """``/schema/table.tsv``, and the same tables as ``schema/table.parquet``."""

    def export(
        self, point: RestorePointId, folder: Path, *, only: Collection[str] = (), reading: Reading | None = None
    ) -> list[ExportedTable]:
        """Write tables as Parquet files into an empty folder; see ``parquet.exported`` for what it raises.

        ``only`` are paths as ``walk`` tells them. A dump is read once, from front to back.
        """
        from asepsis.sources.tables.parquet import exported  # noqa: PLC0415  pyarrow, only where it is asked for

        container = self._container(point)
        if not isinstance(container, TableContainer):
            raise UnsupportedFormatError(name=str(point))
        return exported(container, folder, only=only, meter=Meter(reading))
