"""Errors of contribution: mappings, readers, landing, staging and the books. None of them quotes a record."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class MappingMissing(AsepsisError):
    """The mapping folder, or a file that it names, is not there."""

    kind = Kind.MISSING
    code = "harmonise.mapping_missing"
    message = "The mapping has no readable {file}."
    hint = "Give the folder that holds source.yaml, tables/ and codes/; every file it names must exist inside it."


class MappingMalformed(AsepsisError):
    """A file of the mapping is not valid YAML or CSV, or says something the closed schema does not know."""

    kind = Kind.INVALID
    code = "harmonise.mapping_malformed"
    message = "{file}, at {key}: {problem}."
    hint = "Correct this place of the mapping; `asepsis mapping check` names the next one."


class ExpressionRefused(AsepsisError):
    """An expression of the mapping uses something outside the allow-listed subset of SQL."""

    kind = Kind.INVALID
    code = "harmonise.expression_refused"
    message = "{file}, at {key}: {problem}."
    hint = "Use the names of this file and the listed functions; the reference of mappings lists them."


class CopybookRefused(AsepsisError):
    """A copybook uses a clause that the reader does not know, so that no offset after it would be certain."""

    kind = Kind.INVALID
    code = "harmonise.copybook_refused"
    message = "The copybook is refused at item {item}: {problem}."
    hint = "Describe the same bytes with clauses that docs/how-to/read-mainframe-files.md lists."


class LayoutDiffers(AsepsisError):
    """A copybook of the source describes other fields than the mapping's copybook, by which its file would be read."""

    kind = Kind.INVALID
    code = "harmonise.layout_differs"
    message = "{file} describes other fields than the copybook of the mapping (entry {entry})."
    hint = "Compare the two copybooks, and bring the mapping's up to date for this restore point."


class IdentifierColumn(AsepsisError):
    """A mapping would put an identifier of a person into a clinical table."""

    kind = Kind.DENIED
    code = "harmonise.identifier_column"
    message = "{file} fills {column}, which would carry an identifier into a clinical table."
    hint = "Map identifiers to the identity table only."


class SourceFileMissing(AsepsisError):
    """The source has no file for an entry of the mapping that is not optional."""

    kind = Kind.MISSING
    code = "harmonise.file_missing"
    message = "No file of the source matches {pattern} (entry {entry} of the mapping)."
    hint = "List the source with `asepsis source ls`; mark the entry `optional: true` if it may be absent."


class SourceFileDamaged(AsepsisError):
    """A compressed file of the source cannot be decompressed to its end."""

    kind = Kind.UNTRUSTED
    code = "harmonise.file_damaged"
    message = "The compressed file {file} is damaged; nothing of this run is kept."
    hint = "Choose another restore point; `asepsis source verify` tells which files are whole."


class TableFileDamaged(SourceFileDamaged):
    """An Excel, Access, SAS, SPSS or Stata file cannot be read to its end, or ends the process that reads it."""

    code = "harmonise.table_file_damaged"
    message = "The file {file} cannot be read whole by the reader {reader}; nothing of this run is kept."
    hint = "Choose another restore point, or declare the format and encoding that the file really has."


class TableMissing(AsepsisError):
    """A file of the source has no such sheet or table."""

    kind = Kind.MISSING
    code = "harmonise.table_missing"
    message = "The file {file} has no sheet or table named {table}."
    hint = "Correct `sheet` or `table` in source.yaml; the name must be written as in the file."


class TableReaderMissing(AsepsisError):
    """What reads Excel, Access, SAS, SPSS or Stata files is not installed."""

    kind = Kind.UNAVAILABLE
    code = "harmonise.table_reader_missing"
    message = "The reader {reader} needs {needed}, which is not installed."
    hint = "Install Asepsis with the extra 'tables'; for Access files, install the Debian package mdbtools besides."


class LimitExceeded(AsepsisError):
    """A file asks for more than a reader is allowed to use."""

    kind = Kind.EXHAUSTED
    code = "harmonise.limit_exceeded"
    message = "A file exceeds the limit {limit}."
    hint = "Check the file; raise the limit in the settings only for a file that you know."


class PersonKeyRefused(AsepsisError):
    """The owner's secret for person ids has the wrong size."""

    kind = Kind.INVALID
    code = "harmonise.person_key_refused"
    message = "The person key must have 32 bytes."
    hint = "Let the owner's key desk make it; never type it."


class HarmoniseFailed(AsepsisError):
    """The engine could not finish a stage; its text is dropped because it quotes data."""

    kind = Kind.UNAVAILABLE
    code = "harmonise.engine_failed"
    message = "The engine failed in stage {stage} ({failure})."
    hint = "Check free space and memory of the work folder and run the same command again; it starts over safely."


class BooksDoNotBalance(AsepsisError):
    """Records were landed that are neither accepted, merged, quarantined nor excluded."""

    kind = Kind.UNTRUSTED
    code = "harmonise.books_do_not_balance"
    message = "The books of {file} do not balance: {problem}."
    hint = "Nothing of this run is kept. Report it: this must not happen with any input."


class RowUnknown(AsepsisError):
    """Provenance knows no such row."""

    kind = Kind.MISSING
    code = "harmonise.row_unknown"
    message = "Provenance knows no row {row} of {table}."
    hint = "Give a table and an id of this snapshot."


class ViewRefused(AsepsisError):
    """A ViewDefinition is malformed or uses FHIRPath outside the subset of SQL on FHIR."""

    kind = Kind.INVALID
    code = "harmonise.view_refused"
    message = "The ViewDefinition is refused: {problem}."
    hint = "See the SQL on FHIR v2 specification for the supported FHIRPath."


class RerunNeedsBackup(AsepsisError):
    """A rerun judges records as they were read; a mapping that reads them otherwise needs the backup."""

    kind = Kind.CONFLICT
    code = "harmonise.rerun_needs_backup"
    message = "Quarantined records cannot be judged again under this mapping: {what}."
    hint = "Only tables/ and codes/ may have changed since; otherwise contribute again from the backup."


class KeptRunDamaged(AsepsisError):
    """What a contribution keeps at the owner is not whole, or not what its signed manifest names."""

    kind = Kind.UNTRUSTED
    code = "harmonise.kept_run_damaged"
    message = "What is kept of run {run} cannot be used: {what}."
    hint = "Contribute again from the backup."
