"""Errors of the estate index. Paths that the user typed are public here; nothing that was read appears."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class RulesUnavailable(AsepsisError):
    """Rules were asked for, and what runs them is not installed."""

    kind = Kind.UNAVAILABLE
    code = "recovery.rules_unavailable"
    message = "YARA rules cannot be run here: the package yara-x is not installed."
    hint = "Install Asepsis with the extra 'yara'."


class RulesUnusable(AsepsisError):
    """A place that somebody named holds no rule that can be compiled."""

    kind = Kind.INVALID
    code = "recovery.rules_unusable"
    message = "No YARA rule could be read from {place}."
    hint = "Name a folder with files *.yar or *.yara, one such file, or 'builtin'."


class RuleTimeout(AsepsisError):
    """The rules took longer over one object than they may."""

    kind = Kind.EXHAUSTED
    code = "recovery.rule_timeout"
    message = "The YARA rules did not come to an end with an object."
    hint = "Look for slow patterns among the rules; the object counts as not looked at by them."


class NamesUnavailable(AsepsisError):
    """The list of known names was asked for, and is not installed."""

    kind = Kind.UNAVAILABLE
    code = "recovery.names_unavailable"
    message = "The names of the MISP galaxy cannot be read: the package pymispgalaxies is not installed or not whole."
    hint = "Install Asepsis with the extra 'misp'."


class IndexAltered(AsepsisError):
    """A signed batch of an estate index is not what was signed: somebody changed the file."""

    kind = Kind.UNTRUSTED
    code = "recovery.index_altered"
    message = "The estate index {path} is not what was signed when it was written."
    hint = "Find out who could write to it, move it away and scan again; what was recorded at home is not lost."


class RecordAltered(AsepsisError):
    """The hospital's own record of a source does not hold: a signature, the line, or what the ledger tells of it."""

    kind = Kind.UNTRUSTED
    code = "recovery.record_altered"
    message = "The record of the restore points cannot be trusted: {problem}."
    hint = "Somebody changed estate-records.db in the party's home; bring it back from a copy and scan again."


class IndexUnusable(AsepsisError):
    """The file of an estate index cannot be opened or written, or another version made it."""

    kind = Kind.INVALID
    code = "recovery.index_unusable"
    message = "{path} cannot be used as an estate index."
    hint = "Name a new file; an index holds nothing that a scan cannot find again, but for when it was first seen."
