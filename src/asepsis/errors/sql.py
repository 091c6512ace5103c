"""Errors of methods and their arguments; refusals of SQL are findings (see ``asepsis.sql.refusals``), not errors."""

from __future__ import annotations

from typing import ClassVar

from asepsis.errors import AsepsisError, Kind


class AnalysisError(AsepsisError):
    """Base of the errors of analyses."""


class UnknownMethodError(AnalysisError):
    """No predefined method has this name."""

    kind: ClassVar = Kind.MISSING
    code: ClassVar = "method.unknown"
    message: ClassVar = "There is no method {method!r}."
    hint: ClassVar = "Choose one of: {known}."


class MethodArgumentError(AnalysisError):
    """An argument of a method is missing, unknown or of the wrong type or range."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "method.argument"
    message: ClassVar = "The method {method} does not take this for {argument!r}: {problem}."
    hint: ClassVar = "Look at the parameters of the method."


class MethodTableError(AnalysisError):
    """The contract lacks a table or column that a method reads."""

    kind: ClassVar = Kind.DENIED
    code: ClassVar = "method.table"
    message: ClassVar = "The method {method} needs {column} of the table {table}, which the contract does not offer."
    hint: ClassVar = "Ask the owners to amend the contract, or choose another method."
