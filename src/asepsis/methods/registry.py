"""The methods of the room, by name; planning and running one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.profiles import Profile
from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Use
from asepsis.domain.finding import Finding, Severity
from asepsis.domain.names import Digest
from asepsis.errors.sql import AnalysisError, MethodTableError, UnknownMethodError
from asepsis.methods import kaplan_meier
from asepsis.methods.method import Method, Statements
from asepsis.methods.parameters import Arguments, Value, read_arguments
from asepsis.sql.plan import QueryPlan
from asepsis.sql.planner import plan_query

METHODS: Final[Mapping[str, Method]] = {method.name: method for method in (kaplan_meier.METHOD,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMethod:
    """A method with its checked arguments, or the findings that refuse it. Equal questions have equal digests.

    ``persons`` is the plan of the persons behind it, for the memory of releases; None without a catalogue.
    """

    method: Method | None
    arguments: Mapping[str, Value]
    findings: tuple[Finding, ...]
    digest: Digest | None
    persons: QueryPlan | None = None


def method_named(name: str) -> Method:
    """The method of that name. Raises UnknownMethodError."""
    if name not in METHODS:
        raise UnknownMethodError(method=name, known=", ".join(sorted(METHODS)))
    return METHODS[name]


def plan_method(name: str, arguments: Arguments, catalogue: Catalogue | None = None) -> PlannedMethod:
    """Check the name, the arguments and (with a catalogue) the columns of a method; a refusal is a value."""
    try:
        method = method_named(name)
        values = read_arguments(name, method.parameters, arguments)
        persons = None if catalogue is None else _persons(method, values, catalogue)
    except AnalysisError as error:
        finding = Finding(code=error.code, severity=Severity.REFUSE, reason=error.detail, advice=error.advice)
        return PlannedMethod(method=None, arguments={}, findings=(finding,), digest=None)
    text = json.dumps({"method": name, "arguments": values}, sort_keys=True, separators=(",", ":"))
    digest = Digest(hashlib.sha256(text.encode()).hexdigest())
    return PlannedMethod(method=method, arguments=values, findings=(), digest=digest, persons=persons)


def run_method(name: str, arguments: Arguments, *, room: Statements, profile: Profile) -> Assessed:
    """Compute and protect a method in the room. Raises UnknownMethodError, MethodArgumentError, EngineError."""
    method = method_named(name)
    return method.release(room, read_arguments(name, method.parameters, arguments), profile)


def _persons(method: Method, values: Mapping[str, Value], catalogue: Catalogue) -> QueryPlan:
    """The plan of the persons behind a method, which may compare and group what the contract lets the method read.

    Raises:
        MethodTableError: the contract does not offer a column, or does not say who the persons of a table are.
    """
    method.require_tables(catalogue)
    planned = plan_query(method.persons(values), _opened(method, catalogue)).plan
    if planned is None:
        table, columns = next(iter(method.tables.items()))
        raise MethodTableError(method=method.name, table=table, column=columns[0])
    return planned


def _opened(method: Method, catalogue: Catalogue) -> Catalogue:
    tables = tuple(
        replace(
            table,
            columns=tuple(
                replace(column, uses=column.uses | {Use.COMPARE, Use.GROUP}) if _is_coded(column) else column
                for column in table.columns
            ),
        )
        for table in catalogue.tables
        if table.name in method.tables
    )
    return Catalogue(tables=tables)


def _is_coded(column: Column) -> bool:
    return column.type is ColumnType.INTEGER and Use.UNIT not in column.uses
