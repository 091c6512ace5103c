"""What can go wrong while an engine computes. Engines quote data in their messages: only the class is passed on."""

from __future__ import annotations

from typing import ClassVar

from asepsis.errors import AsepsisError, Kind


class EngineError(AsepsisError):
    """Base of all errors of engines."""


class EngineMemoryError(EngineError):
    """An analysis needed more memory or temporary space than the room gives it."""

    kind: ClassVar = Kind.EXHAUSTED
    code: ClassVar = "engine.memory"
    message: ClassVar = "The analysis needs more memory than the room gives to one analysis."
    hint: ClassVar = "Restrict the rows, use fewer groups, or join fewer tables."


class EngineTimeError(EngineError):
    """An analysis took longer than the room allows."""

    kind: ClassVar = Kind.EXHAUSTED
    code: ClassVar = "engine.time"
    message: ClassVar = "The analysis took longer than the room allows."
    hint: ClassVar = "Restrict the rows, use fewer groups, or join fewer tables."


class EngineDataError(EngineError):
    """Stored values do not fit the analysis, such as a number out of range."""

    kind: ClassVar = Kind.CONFLICT
    code: ClassVar = "engine.data"
    message: ClassVar = "The stored data do not fit what the analysis or the contract expects of them."
    hint: ClassVar = "Ask the owners to check the snapshot against the contract's tables."


class EngineTableError(EngineError):
    """A snapshot's file cannot be opened as the table that the contract describes."""

    kind: ClassVar = Kind.CONFLICT
    code: ClassVar = "engine.table"
    message: ClassVar = "The file of {owner} for the table {table} cannot be read as the contract describes it."
    hint: ClassVar = "Contribute the dataset again, with the columns of the contract."


class EngineOwnersError(EngineError):
    """More owners than one room can hold."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "engine.owners"
    message: ClassVar = "A room holds at most {limit} owners."
    hint: ClassVar = "Split the collaboration."


class EngineLockedError(EngineError):
    """A table was to be loaded after the engine had been locked, or an analysis run before."""

    kind: ClassVar = Kind.CONFLICT
    code: ClassVar = "engine.locked"
    message: ClassVar = "Tables are loaded before, and analyses run after, the engine is locked."
    hint: ClassVar = "Load all tables, lock, then ask."


class EngineFailureError(EngineError):
    """The engine refused generated SQL or failed; a fault of Asepsis or of the machine."""

    kind: ClassVar = Kind.BUG
    code: ClassVar = "engine.failure"
    message: ClassVar = "The engine could not compute the analysis."
    hint: ClassVar = "Ask again; if it fails again, report the code and the version."


class EngineFolderError(AsepsisError):
    """A folder has no tables to rehearse on."""

    kind = Kind.MISSING
    code = "engine.folder_without_tables"
    message = "{path} holds no table: no <table>.parquet or <table>.csv."
    hint = "Name the folder that has one file per table."
