"""Errors of vocabularies, code maps and units. None of them quotes a line of a file."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class VocabularyMissing(AsepsisError):
    """A vocabulary, or a file that it cannot do without, is not there."""

    kind = Kind.MISSING
    code = "vocabulary.missing"
    message = "There is no readable {file} in {path}."
    hint = "Give the unpacked folder or the ZIP of an Athena download, or what `asepsis vocabulary load` has written."


class VocabularyMalformed(AsepsisError):
    """A file of a vocabulary cannot be understood as a table."""

    kind = Kind.INVALID
    code = "vocabulary.malformed"
    message = "{file} is not a vocabulary table: {problem}."
    hint = "Download the vocabulary again from Athena and leave its files as they are."


class VocabularyKept(AsepsisError):
    """There is something at the place where a vocabulary, a code map or a mapping would be written."""

    kind = Kind.CONFLICT
    code = "vocabulary.kept"
    message = "{path} is there already and is not overwritten."
    hint = "Give another name for the output, or move away what is there."


class VocabularyUnwritable(AsepsisError):
    """The place where a vocabulary or a code map would be written cannot be written to."""

    kind = Kind.UNAVAILABLE
    code = "vocabulary.unwritable"
    message = "{path} cannot be written."
    hint = "Check that the folder exists, that you may write to it, and that there is free space."


class CodesMalformed(AsepsisError):
    """A list of codes, a code map or a table of equivalences is not what it should be."""

    kind = Kind.INVALID
    code = "vocabulary.codes_malformed"
    message = "{file}, at {place}: {problem}."
    hint = "Give a CSV file in UTF-8 with a header; the guide to vocabularies shows the columns."


class UnitUnknown(AsepsisError):
    """A unit is neither a UCUM code nor one of the known aliases."""

    kind = Kind.INVALID
    code = "vocabulary.unit_unknown"
    message = "The unit is not known: {problem}."
    hint = "Write the unit as a UCUM code, or list it in the mapping's codes/units.csv with its concept."


class UnitsIncommensurable(AsepsisError):
    """Two units measure different things, or no exact factor leads from one to the other."""

    kind = Kind.INVALID
    code = "vocabulary.units_incommensurable"
    message = "No exact factor leads from {source} to {target}: {problem}."
    hint = "Give the molar mass of the substance for mass and amount; leave temperatures and logarithms to the mapping."
