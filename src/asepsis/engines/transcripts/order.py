"""What a transcribing process is asked to do, and the words (exit codes) with which it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import IntEnum, StrEnum
from typing import Self


class Refusal(IntEnum):
    """Why there is no whole transcript: the exit code of the process. Anything else means that it crashed."""

    DAMAGED = 20
    TABLE_MISSING = 21
    LIMIT = 22
    LIBRARY_MISSING = 23


class TableAbsentError(Exception):
    """The file has no such sheet or table."""


class TooLargeError(Exception):
    """The file says that it would become larger than allowed."""


class Kind(StrEnum):
    """Which library or program reads the file."""

    STATISTICS = "statistics"
    EXCEL = "excel"
    ACCESS = "access"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Public words of a mapping, and limits: bytes of memory, seconds of processor time."""

    kind: Kind
    memory: int
    seconds: int
    form: str = ""
    table: str = ""
    header_row: int = 1
    columns: tuple[str, ...] = ()
    labels: bool = False
    missing: bool = False
    charset: str = ""
    programs: str = ""

    def to_text(self) -> str:
        """As an argument of the process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """As the process got it."""
        found = json.loads(text)
        known = {field.name: found[field.name] for field in fields(cls)}
        return cls(**known | {"kind": Kind(found["kind"]), "columns": tuple(found["columns"])})
