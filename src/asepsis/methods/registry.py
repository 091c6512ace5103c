"""The methods of the room, by name; planning and running one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.profiles import Profile
from asepsis.domain.catalogue import Catalogue
from asepsis.domain.finding import Finding, Severity
from asepsis.domain.names import Digest
from asepsis.errors.sql import AnalysisError, UnknownMethodError
from asepsis.methods import kaplan_meier
from asepsis.methods.method import Method, Statements
from asepsis.methods.parameters import Arguments, Value, read_arguments

METHODS: Final[Mapping[str, Method]] = {method.name: method for method in (kaplan_meier.METHOD,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMethod:
    """A method with its checked arguments, or the findings that refuse it. Equal questions have equal digests."""

    method: Method | None
    arguments: Mapping[str, Value]
    findings: tuple[Finding, ...]
    digest: Digest | None


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
        if catalogue is not None:
            method.require_tables(catalogue)
    except AnalysisError as error:
        finding = Finding(code=error.code, severity=Severity.REFUSE, reason=error.detail, advice=error.advice)
        return PlannedMethod(method=None, arguments={}, findings=(finding,), digest=None)
    text = json.dumps({"method": name, "arguments": values}, sort_keys=True, separators=(",", ":"))
    digest = Digest(hashlib.sha256(text.encode()).hexdigest())
    return PlannedMethod(method=method, arguments=values, findings=(), digest=digest)


def run_method(name: str, arguments: Arguments, *, room: Statements, profile: Profile) -> Assessed:
    """Compute and protect a method in the room. Raises UnknownMethodError, MethodArgumentError, EngineError."""
    method = method_named(name)
    return method.release(room, read_arguments(name, method.parameters, arguments), profile)
