"""Errors of bringing in the mapping of another tool."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class ImportMissing(AsepsisError):
    """The document of the other tool, or a folder named with it, cannot be read; or the output cannot be written."""

    kind = Kind.MISSING
    code = "importing.missing"
    message = "{path} cannot be read, or cannot be written."
    hint = "Give the file that the other tool has saved, as JSON or as gzip of it, and a folder that you may write to."


class ImportMalformed(AsepsisError):
    """The document is not what the other tool writes."""

    kind = Kind.INVALID
    code = "importing.malformed"
    message = "{file}, at {place}: {problem}."
    hint = "Save it again with the other tool; of Rabbit-in-a-Hat, choose the JSON format."


class DeclarationRefused(AsepsisError):
    """What has to be said at an import, because no document says it, is not valid."""

    kind = Kind.INVALID
    code = "importing.declaration_refused"
    message = "The option --{option} is refused: {problem}."
    hint = "See `asepsis mapping import --help`; these things are never guessed."


class MappingKept(AsepsisError):
    """There is something where the mapping folder would be written."""

    kind = Kind.CONFLICT
    code = "importing.mapping_kept"
    message = "{path} is there already and is not overwritten."
    hint = "Give the name of a folder that is not there yet."
