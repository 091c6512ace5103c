"""What can go wrong while looking into a backup; fields are names of objects, never their content."""

from __future__ import annotations

from typing import ClassVar

from asepsis.errors import AsepsisError, Kind


class SourceError(AsepsisError):
    """Base of all errors of sources."""


class UnknownSchemeError(SourceError):
    """The address of a source does not begin with a scheme that an adapter serves."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.unknown_scheme"
    message: ClassVar = "No source is known for the scheme {scheme!r}."
    hint: ClassVar = "Write the source as {known}, each followed by a path."


class SecretInAddressError(SourceError):
    """The address of a source carries a user or password; it would end up in logs and in the ledger."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.secret_in_address"
    message: ClassVar = "The address of a source must not contain a user or password."
    hint: ClassVar = "Give credentials through the environment or the configuration of the storage."


class SourceMissingError(SourceError):
    """Nothing lies at the address of the source."""

    kind: ClassVar = Kind.MISSING
    code: ClassVar = "source.missing"
    message: ClassVar = "There is nothing at {uri}."
    hint: ClassVar = "Check the path and that the backup storage is attached."


class SourceUnavailableError(SourceError):
    """The storage below the source refused or failed to read."""

    kind: ClassVar = Kind.UNAVAILABLE
    code: ClassVar = "source.unavailable"
    message: ClassVar = "The storage did not let {name} be read."
    hint: ClassVar = "Check that the storage is attached and that this account may read it, then try again."


class NotARepositoryError(SourceError):
    """What lies at the address is not a repository of the named tool."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.not_a_repository"
    message: ClassVar = "{uri} is not a repository or archive of the kind {tool}."
    hint: ClassVar = "Give the folder that holds the repository itself, or another scheme."


class UnsupportedFormatError(SourceError):
    """The source is of a version or shape that this reader does not know."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.unsupported_format"
    message: ClassVar = "{name} is in a format that this version does not read."
    hint: ClassVar = "Check for a newer version of Asepsis; the backup itself need not be damaged."


class PasswordMissingError(SourceError):
    """The source is encrypted and no password was given."""

    kind: ClassVar = Kind.DENIED
    code: ClassVar = "source.password_missing"
    message: ClassVar = "A password is needed to read {uri}."
    hint: ClassVar = "Set ASEPSIS_{tool}_PASSWORD_FILE or ASEPSIS_{tool}_PASSWORD."


class WrongPasswordError(SourceError):
    """No key of the repository opens with the password that was given."""

    kind: ClassVar = Kind.DENIED
    code: ClassVar = "source.wrong_password"
    message: ClassVar = "The password opens no key of {uri}."
    hint: ClassVar = "Check the password; nothing was read or changed."


class KeyFileMissingError(SourceError):
    """The key of the repository lies in a file of its own, which was not given or belongs to another repository."""

    kind: ClassVar = Kind.DENIED
    code: ClassVar = "source.key_file_missing"
    message: ClassVar = "The key of {uri} is not kept in it, and no file with it was found."
    hint: ClassVar = "Set ASEPSIS_BORG_KEY_FILE to the key file, such as `borg key export` writes; it is only read."


class RepositoryUnreadableError(SourceError):
    """The tool that made a repository cannot open it, for another reason than the password."""

    kind: ClassVar = Kind.UNTRUSTED
    code: ClassVar = "source.repository_unreadable"
    message: ClassVar = "{tool} cannot open {uri}: it is damaged or not whole."
    hint: ClassVar = "Copy it again from the backup storage, or run `{tool} check` on a copy to learn what is damaged."


class RemoteRepositoryError(SourceError):
    """The address names a repository on another machine, which this kind of source does not read."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.remote_repository"
    message: ClassVar = "{tool} repositories are read on this machine only."
    hint: ClassVar = "Copy the repository here, or mount its folder read-only, and give that path."


class ObjectMissingError(SourceError):
    """A part that the source itself refers to is not there."""

    kind: ClassVar = Kind.MISSING
    code: ClassVar = "source.object_missing"
    message: ClassVar = "The backup refers to {name}, which is missing."
    hint: ClassVar = "Run `asepsis source verify` to see which files are affected; use another restore point or copy."


class ObjectDamagedError(SourceError):
    """Stored bytes do not authenticate, or do not hash to the name they are stored under."""

    kind: ClassVar = Kind.UNTRUSTED
    code: ClassVar = "source.object_damaged"
    message: ClassVar = "The stored bytes of {name} are not the ones that were backed up."
    hint: ClassVar = "Run `asepsis source verify` to see which files are affected; use another restore point or copy."


class PackNotIndexedError(SourceError):
    """No index of a restic repository knows a pack that is needed; its own header told what it holds."""

    kind: ClassVar = Kind.CONFLICT
    code: ClassVar = "source.pack_not_indexed"
    message: ClassVar = "No index of the repository knows {name}; it was read by its own header."
    hint: ClassVar = "Nothing is lost yet. Run `restic repair index` (`rebuild-index` before 0.16) on the repository."


class RestorePointMissingError(SourceError):
    """The source has no such restore point, or the short name fits several."""

    kind: ClassVar = Kind.MISSING
    code: ClassVar = "source.restore_point_missing"
    message: ClassVar = "There is no single restore point {point!r}."
    hint: ClassVar = "List the restore points with `asepsis source ls` and give an id from there."


class PathMissingError(SourceError):
    """The restore point has no entry of that path."""

    kind: ClassVar = Kind.MISSING
    code: ClassVar = "source.path_missing"
    message: ClassVar = "The restore point has no entry {path!r}."
    hint: ClassVar = "Paths are absolute inside the restore point; list them with `asepsis source ls`."


class NotAFileError(SourceError):
    """The entry has no content to read: a directory, a link or a device."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.not_a_file"
    message: ClassVar = "{path!r} is not a regular file."
    hint: ClassVar = "Only regular files are opened; links are never followed."


class HostilePathError(SourceError):
    """A name inside the backup would lead out of the place it belongs to, or exists twice."""

    kind: ClassVar = Kind.UNTRUSTED
    code: ClassVar = "source.hostile_path"
    message: ClassVar = "The backup holds a name that no honest backup contains ({reason})."
    hint: ClassVar = "Treat this restore point as manipulated; choose another and tell whoever keeps the backups."


class LimitExceededError(SourceError):
    """The source would unpack to more than the limits allow."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.limit_exceeded"
    message: ClassVar = "{name} goes beyond the limit of {limit} {unit}."
    hint: ClassVar = "So much may be a decompression bomb; raise the limit only if you trust the backup."


class ArchiveTruncatedError(SourceError):
    """The archive ends before its content does."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.archive_truncated"
    message: ClassVar = "The archive {name} ends too early."
    hint: ClassVar = "Copy the archive again from the backup storage and compare the sizes."


class ArchiveDamagedError(SourceError):
    """The archive cannot be unpacked although it has not ended yet."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.archive_damaged"
    message: ClassVar = "The archive {name} is damaged."
    hint: ClassVar = "Copy the archive again from the backup storage, or use another restore point."


class EncryptedMemberError(SourceError):
    """The archive, or a member of it, is encrypted in a way that this reader does not open."""

    kind: ClassVar = Kind.DENIED
    code: ClassVar = "source.encrypted"
    message: ClassVar = "{name} is encrypted."
    hint: ClassVar = "Decrypt it with the tool that made it, in a safe place, and give Asepsis the result."


class HostileStatementError(SourceError):
    """A dump holds a command that the database's client program would run on the machine that loads it."""

    kind: ClassVar = Kind.UNTRUSTED
    code: ClassVar = "source.hostile_statement"
    message: ClassVar = "The dump {name} holds a command for the client program, which no dump of data needs."
    hint: ClassVar = "Do not load this dump anywhere; choose another restore point and tell whoever keeps the backups."


class TextNotDecodableError(SourceError):
    """A value is not in the character set that the dump declares."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.text_not_decodable"
    message: ClassVar = "{name} holds text that is not in the character set {encoding}, which it declares."
    hint: ClassVar = "Contribute it with a mapping that names the true character set, or make the dump again."


class TargetNotEmptyError(SourceError):
    """The folder that tables are to be written into holds something already."""

    kind: ClassVar = Kind.CONFLICT
    code: ClassVar = "source.target_not_empty"
    message: ClassVar = "The folder {folder} is not empty."
    hint: ClassVar = "Name a new folder; nothing was written."


class NoTablesError(SourceError):
    """The source holds files, not tables of a database."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.no_tables"
    message: ClassVar = "A source of the kind {scheme} has no tables."
    hint: ClassVar = "Tables come from pgdump:, mysqldump: and sqlite:; extract a dump from another backup first."


class UnfinishedWriteError(SourceError):
    """Beside a database file lies a journal with changes that reading it alone would leave out."""

    kind: ClassVar = Kind.CONFLICT
    code: ClassVar = "source.unfinished_write"
    message: ClassVar = "Beside {name} lies a journal with changes that are not in it."
    hint: ClassVar = "Copy the file and its journal together, open the copy once with sqlite3, and give Asepsis that."


class ToolMissingError(SourceError):
    """The program that reads this kind of source is not installed."""

    kind: ClassVar = Kind.UNAVAILABLE
    code: ClassVar = "source.tool_missing"
    message: ClassVar = "Reading this source needs {tool}, which is not installed."
    hint: ClassVar = "Install it on this machine; the documentation of sources names the package."


class ToolTimedOutError(SourceError):
    """The program that reads this kind of source did not end in time and was stopped."""

    kind: ClassVar = Kind.UNAVAILABLE
    code: ClassVar = "source.tool_timed_out"
    message: ClassVar = "{tool} did not end within {seconds} seconds and was stopped."
    hint: ClassVar = "Check the storage for slowness or faults, then try again."


class RequestRefusedError(SourceError):
    """The backup server refused a request."""

    kind: ClassVar = Kind.DENIED
    code: ClassVar = "source.request_refused"
    message: ClassVar = "The backup server refused the request ({reason}, status {status})."
    hint: ClassVar = "Check that the account has the role Restore Operator, and the names of target and credentials."


class PublishFailedError(SourceError):
    """The backup server could not mount a restore point."""

    kind: ClassVar = Kind.UNAVAILABLE
    code: ClassVar = "source.publish_failed"
    message: ClassVar = "The backup server could not publish the restore point."
    hint: ClassVar = "Look at the session in the backup server's console; check the target server and its credentials."


class MountJournalUnwritableError(SourceError):
    """What is about to be mounted cannot be written down, so it would be left behind if the program were killed."""

    kind: ClassVar = Kind.UNAVAILABLE
    code: ClassVar = "source.mount_journal_unwritable"
    message: ClassVar = "Mounts are written down in {path} before they are asked for, which does not work."
    hint: ClassVar = "Name a folder that you can write to in ASEPSIS_VEEAM_JOURNAL."


class SettingMissingError(SourceError):
    """A setting that the source needs is not there."""

    kind: ClassVar = Kind.INVALID
    code: ClassVar = "source.setting_missing"
    message: ClassVar = "The setting {setting} is needed to read this source."
    hint: ClassVar = "Set it in the environment of the command."
