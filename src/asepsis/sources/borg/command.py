"""The ``borg`` command: what it is asked and what it answers.

``--bypass-lock`` needs no writing; cache and security folder lie in the jail's own folder. Names come out escaped
(``unicode_escape``), because borg 1.2 prints a question mark for every byte that is no UTF-8. Messages of borg are
dropped: they quote names; of an error only its kind is kept. The passphrase travels by environment only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

from asepsis.errors.source import (
    KeyFileMissingError,
    LimitExceededError,
    NotARepositoryError,
    ObjectDamagedError,
    RepositoryUnreadableError,
    SourceError,
    UnsupportedFormatError,
    WrongPasswordError,
)
from asepsis.sources.jail import Jail
from asepsis.sources.limits import Limits
from asepsis.sources.paths import absolute

FIELDS: Final = ("mode", "size", "isomtime", "bpath", "source")
_FORMAT: Final = "{NUL}".join(f"{{{field}}}" for field in FIELDS) + "{NUL}"
_SECONDS: Final = 6 * 3600.0
_PIECE: Final = 1 << 20
_WARNING: Final = 1
_COMPLAINTS: Final = 1 << 16
_KIND: Final = re.compile(rb'"msgid": "([A-Za-z.]{1,60})"')
_WRONG: Final = frozenset({b"PassphraseWrong", b"PasswordRetriesExceeded"})
_KEYLESS: Final = frozenset(
    {b"KeyfileNotFoundError", b"KeyfileMismatchError", b"KeyfileInvalidError", b"RepoKeyNotFoundError"}
)
_UNKNOWN: Final = frozenset({b"UnsupportedManifestError", b"UnsupportedPayloadError", b"MandatoryFeatureUnsupported"})


class Borg:
    """Asks borg about one local repository."""

    def __init__(
        self, repository: str, *, uri: str, passphrase: str, limits: Limits, key_file: str | None = None
    ) -> None:
        self._repository = repository
        self._uri = uri
        self._limits = limits
        self._jail = Jail("borg", seconds=_SECONDS)
        self._environment = {
            "BORG_PASSPHRASE": passphrase,
            "BORG_BASE_DIR": str(self._jail.scratch),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING": "NO",
            "PYTHONIOENCODING": "unicode_escape",
            **({"BORG_KEY_FILE": absolute(key_file)} if key_file else {}),
        }

    def archives(self) -> list[dict[str, Any]]:
        """Every archive as borg lists it.

        Raises:
            WrongPasswordError: the passphrase does not open the repository.
            KeyFileMissingError: its key lies in a file that borg was not given.
            RepositoryUnreadableError: it is damaged, or parts of it are missing.
            UnsupportedFormatError: borg does not know what lies there.
        """
        complaints = self._jail.scratch / "complaints"
        answer = self._answer(["list", "--bypass-lock", "--log-json", "--json", self._repository], complaints)
        if answer is None:
            with complaints.open("rb") as file:
                raise refusal(file.read(_COMPLAINTS), uri=self._uri)
        try:
            found = json.loads(answer.decode("unicode_escape"))["archives"]
        except (ValueError, KeyError, TypeError):
            raise UnsupportedFormatError(name="the answer of borg") from None
        if not isinstance(found, list):
            raise NotARepositoryError(uri=self._uri, tool="borg")
        return found

    def entries(self, archive: str) -> list[list[str]]:
        """The fields of every entry of an archive.

        Raises:
            ObjectDamagedError: borg cannot read the archive's metadata.
        """
        answer = self._answer(["list", "--bypass-lock", "--format", _FORMAT, f"{self._repository}::{archive}"])
        if answer is None:
            raise ObjectDamagedError(name=f"archive {archive}")
        values = answer.decode("unicode_escape").split("\0")[:-1]
        if len(values) % len(FIELDS):
            raise UnsupportedFormatError(name="the answer of borg")
        return [values[at : at + len(FIELDS)] for at in range(0, len(values), len(FIELDS))]

    def differences(self, older: str, newer: str) -> dict[str, bool]:
        """Path -> whether content certainly differs, of every entry that borg calls different.

        Borg 1.2 calls a file modified by nothing (0 bytes) when only its change time differs.

        Raises:
            ObjectDamagedError: borg cannot compare the archives.
        """
        answer = self._answer(["diff", "--bypass-lock", "--json-lines", f"{self._repository}::{older}", newer])
        if answer is None:
            raise ObjectDamagedError(name=f"archive {newer}")
        try:
            found = [json.loads(row) for row in answer.decode("unicode_escape").split("\n") if row]
            return {item["path"]: any(_is_certain(change) for change in item["changes"]) for item in found}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UnsupportedFormatError(name="the answer of borg") from None

    def content(self, archive: str, path: str) -> Generator[bytes]:
        """The bytes of one file; borg authenticates every chunk before it hands it on.

        Raises:
            ObjectDamagedError: a chunk is missing or not authentic.
        """
        pattern = b"pf:" + path.encode("utf-8", "surrogateescape")
        arguments: list[str | bytes] = [
            "extract",
            "--bypass-lock",
            "--stdout",
            f"{self._repository}::{archive}",
            pattern,
        ]
        with self._jail.running(arguments, environment=self._environment) as (process, output):
            while piece := output.read(_PIECE):
                yield piece
            if process.wait() > _WARNING:
                raise ObjectDamagedError(name=f"archive {archive}")

    def check(self, archive: str) -> bool:
        """Whether all data of an archive can be read and authenticated, without writing it anywhere."""
        arguments = ["extract", "--bypass-lock", "--dry-run", f"{self._repository}::{archive}"]
        return self._answer(arguments) is not None

    def _answer(self, arguments: Sequence[str | bytes], complaints: Path | None = None) -> bytes | None:
        """All that borg writes, ``None`` when it ends with an error."""
        parts, size = [], 0
        running = self._jail.running(arguments, environment=self._environment, complaints=complaints)
        with running as (process, output):
            while piece := output.read(_PIECE):
                parts.append(piece)
                size += len(piece)
                if size > self._limits.metadata_bytes:
                    raise LimitExceededError(
                        name="the archive", limit=self._limits.metadata_bytes, unit="bytes of names"
                    )
            status = process.wait()
        return None if status > _WARNING or status < 0 else b"".join(parts)


def refusal(complaints: bytes, *, uri: str) -> SourceError:
    """Why borg does not open a repository, by the kind of error that it names in its log (``--log-json``)."""
    kinds = set(_KIND.findall(complaints))
    if kinds & _WRONG:
        return WrongPasswordError(uri=uri)
    if kinds & _KEYLESS:
        return KeyFileMissingError(uri=uri)
    if kinds & _UNKNOWN:
        return UnsupportedFormatError(name=uri)
    return RepositoryUnreadableError(uri=uri, tool="borg")


def _is_certain(change: dict[str, Any]) -> bool:
    return change.get("type") == "modified" and bool(change.get("added") or change.get("removed"))
