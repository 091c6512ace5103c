"""Snapshots compared in DuckDB, behind the port ``Forensics``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from asepsis.engines.forensics.pair import ComparedPair
from asepsis.engines.forensics.profile import SnapshotProfile, Types, profile
from asepsis.engines.forensics.session import open_session
from asepsis.engines.forensics.tables import open_views
from asepsis.integrity.records.tickets import ChangeTicket


@dataclass(slots=True)
class DuckForensics:
    """Compares folders of tables. ``scratch`` is a folder of our own for what does not fit into memory."""

    scratch: Path
    threads: int = 2
    memory: str = "2GB"
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _profile: SnapshotProfile | None = None

    @contextmanager
    def pair(
        self, before: Path, after: Path, *, tickets: Sequence[ChangeTicket] = (), like: Path | None = None
    ) -> Iterator[ComparedPair]:
        """Two snapshots side by side.

        Layouts, keys and the rules that hold are learned once, from ``like`` (else from the older snapshot of the first
        pair), and kept for all pairs.
        """
        connection = open_session(self.scratch, threads=self.threads, memory=self.memory)
        try:
            types = open_views(connection, "older", before), open_views(connection, "newer", after)
            known = self._profile or self._learn(connection, before, like, types[0])
            self._profile = known
            known_types = {table: columns for table, columns in types[0].items() if table in known.layouts.tables}
            yield ComparedPair(
                connection=connection,
                before="older",
                after="newer",
                types=(known_types, types[1]),
                profile=known,
                tickets=tickets,
            )
        finally:
            connection.close()

    def _learn(
        self, connection: duckdb.DuckDBPyConnection, before: Path, like: Path | None, types: Types
    ) -> SnapshotProfile:
        if like is None or like == before:
            return profile(connection, "older", types, keys=self.keys)
        return profile(connection, "learned", open_views(connection, "learned", like), keys=self.keys)
