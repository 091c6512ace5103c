"""Errors of comparing snapshots. Names of tables and columns and paths are public here; values never appear."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class SnapshotEmpty(AsepsisError):
    """A folder or source holds no table."""

    kind = Kind.MISSING
    code = "recovery.no_tables"
    message = "{path} holds no table: no <table>.parquet, <table>.csv or <table>.csv.gz."
    hint = "Name a folder with one file per table, or a source of tables such as pgdump:FILE or sqlite:FILE."


class SnapshotTableUnreadable(AsepsisError):
    """A file of a snapshot cannot be read as a table."""

    kind = Kind.INVALID
    code = "recovery.table_unreadable"
    message = "{path} cannot be read as a table."
    hint = "A file that cannot be parsed is a finding of its own: see 'asepsis recover last-clean'."


class KeyColumnMissing(AsepsisError):
    """A declared key names a column that a table does not have in both snapshots."""

    kind = Kind.INVALID
    code = "recovery.key_column"
    message = "The table '{table}' does not have the key column '{column}' in both snapshots."
    hint = "Name the key as TABLE=COLUMN or TABLE=COLUMN,COLUMN; without it a key is looked for."


class KeyDeclarationMalformed(AsepsisError):
    """A declared key cannot be read."""

    kind = Kind.INVALID
    code = "recovery.key_malformed"
    message = "'{text}' does not say which columns are the key of which table."
    hint = "Write TABLE=COLUMN or TABLE=COLUMN,COLUMN."


class TicketRefused(AsepsisError):
    """A change ticket is not signed by the key that was named, or cannot be read; it explains nothing."""

    kind = Kind.UNTRUSTED
    code = "recovery.ticket_refused"
    message = "The change ticket {ticket} was refused: {problem}."
    hint = "Ask who signed the change for the ticket as signed, and for the public key of that party."


class PatchInexact(AsepsisError):
    """A revert patch does not restore the older snapshot."""

    kind = Kind.CONFLICT
    code = "recovery.patch_inexact"
    message = "Applying the revert patch does not give the older snapshot back: the table '{table}' differs."
    hint = "Do not use the patch; restore the table from the older snapshot, and report the code and the version."


class OutputExists(AsepsisError):
    """A place to write to is already in use; nothing is overwritten."""

    kind = Kind.CONFLICT
    code = "recovery.output_exists"
    message = "{path} exists already."
    hint = "Name a new place; reports and patches are never overwritten."


class OutputUnwritable(AsepsisError):
    """A place to write to cannot be written."""

    kind = Kind.UNAVAILABLE
    code = "recovery.output_unwritable"
    message = "{path} cannot be written."
    hint = "Check the folder, its permissions and the free space."
