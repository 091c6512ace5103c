"""mysqldump's text as a source: tables as tab-separated files, read out of INSERT statements.

Source: MySQL 8.0 Reference Manual, 4.5.4 "mysqldump" and 9.1.1 "String Literals". Numbers and hexadecimal literals stay
as they are written; names and values keep the bytes, and so the character set, of the dump.
"""

from __future__ import annotations

from typing import ClassVar

from asepsis.domain.source import Capability
from asepsis.sources.tables.databases import DatabaseSource
from asepsis.sources.tables.dump import TextDumpContainer
from asepsis.sources.tables.scanner import Dialect


class MysqlDump(TextDumpContainer):
    """One dump file."""

    dialect: ClassVar = Dialect.MYSQL
    tool: ClassVar = "mysqldump"
    header: ClassVar = (b"-- MySQL dump ", b"-- MariaDB dump ")
    foreign: ClassVar = (b"-- PostgreSQL database ",)
    footer: ClassVar = b"-- Dump completed"


class MysqlDumpSource(DatabaseSource):
    """``/database/table.tsv``; without the database where the dump does not name it."""

    kind = "mysqldump"
    abilities: ClassVar = frozenset({Capability.HISTORY, Capability.CONTENT_IDS, Capability.TABLES})
    tool: ClassVar = "mysqldump"
    suffixes: ClassVar = (".sql", ".sql.gz", ".sql.xz", ".sql.zst")
    container: ClassVar = MysqlDump
