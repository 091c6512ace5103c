"""From the address of a source to its adapter: ``scheme:path``. Adapters are imported when they are asked for.

An address holds no secret: it goes into contracts, logs and the ledger.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from asepsis.errors.source import (
    PasswordMissingError,
    SourceUnavailableError,
    UnknownSchemeError,
    WrongPasswordError,
)

if TYPE_CHECKING:
    from asepsis.ports import Source

PASSWORD: Final = "ASEPSIS_RESTIC_PASSWORD"  # noqa: S105  the name of a variable
PASSWORD_FILE: Final = "ASEPSIS_RESTIC_PASSWORD_FILE"  # noqa: S105  the name of a variable
BORG_KEY_FILE: Final = "ASEPSIS_BORG_KEY_FILE"


def open_source(uri: str, *, secret: Callable[[], str] | None = None) -> Source:
    """The source at ``uri``, opened for reading.

    ``secret`` gives the password of an encrypted source; without it the environment is asked
    (``ASEPSIS_RESTIC_PASSWORD_FILE``, then ``ASEPSIS_RESTIC_PASSWORD``; likewise ``BORG`` and ``VEEAM``). A repository
    that needs none opens without one.

    Raises:
        UnknownSchemeError: no adapter serves the scheme.
        SourceError: the adapter cannot open what lies there.
    """
    scheme, separator, path = uri.partition(":")
    adapter = _ADAPTERS.get(scheme)
    if not separator or adapter is None or not path:
        raise UnknownSchemeError(scheme=scheme if separator else "", known=", ".join(f"{name}:" for name in SCHEMES))
    return adapter(path, secret)


def restic_password(uri: str, *, environment: Mapping[str, str]) -> str:
    """The password of a restic repository; see ``password_of``."""
    return password_of("RESTIC", uri=uri, environment=environment)


def password_of(tool: str, *, uri: str, environment: Mapping[str, str]) -> str:
    """The password as the environment gives it (``ASEPSIS_<tool>_PASSWORD_FILE``, then without ``_FILE``).

    Raises:
        PasswordMissingError: neither variable is set.
        SourceUnavailableError: the named file cannot be read.
    """
    if file := environment.get(f"ASEPSIS_{tool}_PASSWORD_FILE"):
        try:
            return Path(file).read_text("utf-8").rstrip("\r\n")
        except (OSError, ValueError):
            raise SourceUnavailableError(name=f"the file that ASEPSIS_{tool}_PASSWORD_FILE names") from None
    if password := environment.get(f"ASEPSIS_{tool}_PASSWORD"):
        return password
    raise PasswordMissingError(uri=uri, tool=tool)


def _restic(path: str, secret: Callable[[], str] | None) -> Source:
    from asepsis.sources.restic.source import ResticSource  # noqa: PLC0415  lazy: needs cryptography and zstd

    def unlock(password: str) -> Source:
        return ResticSource.unlock(path, password=password)

    return _unlocked(unlock, secret or (lambda: restic_password(f"restic:{path}", environment=os.environ)))


def _borg(path: str, secret: Callable[[], str] | None) -> Source:
    from asepsis.sources.borg.source import BorgSource  # noqa: PLC0415  lazy, as all adapters

    key_file = os.environ.get(BORG_KEY_FILE)
    if key_file and not os.access(key_file, os.R_OK):
        raise SourceUnavailableError(name=f"the file that {BORG_KEY_FILE} names")

    def unlock(passphrase: str) -> Source:
        return BorgSource.unlock(path, passphrase=passphrase, key_file=key_file)

    return _unlocked(unlock, secret or (lambda: password_of("BORG", uri=f"borg:{path}", environment=os.environ)))


def _unlocked(unlock: Callable[[str], Source], secret: Callable[[], str]) -> Source:
    """A repository opened with the password, or with the empty one where none is given.

    So what is not there is said before a password is asked for, and what is not encrypted needs none.
    """
    try:
        password = secret()
    except PasswordMissingError as missing:
        try:
            return unlock("")
        except WrongPasswordError:
            raise missing from None
    return unlock(password)


def _veeam(path: str, secret: Callable[[], str] | None) -> Source:
    from asepsis.sources.veeam.source import VeeamSettings, VeeamSource  # noqa: PLC0415  lazy, as all adapters

    password = secret() if secret else password_of("VEEAM", uri=f"veeam:{path}", environment=os.environ)
    return VeeamSource.sign_in(path, password=password, settings=VeeamSettings.from_environment(os.environ))


def _tar(path: str, _: Callable[[], str] | None) -> Source:
    from asepsis.sources.tar.source import TarSource  # noqa: PLC0415  lazy, as all adapters

    return TarSource.at(path)


def _zip(path: str, _: Callable[[], str] | None) -> Source:
    from asepsis.sources.zip.source import ZipSource  # noqa: PLC0415  lazy, as all adapters

    return ZipSource.at(path)


def _sevenzip(path: str, _: Callable[[], str] | None) -> Source:
    from asepsis.sources.sevenzip.source import SevenZipSource  # noqa: PLC0415  lazy, as all adapters

    return SevenZipSource.at(path)


def _image(path: str, _: Callable[[], str] | None) -> Source:
    from asepsis.sources.image.source import ImageSource  # noqa: PLC0415  lazy, as all adapters

    return ImageSource.at(path)


def _sqlite(path: str, _: Callable[[], str] | None) -> Source:
    from asepsis.sources.sqlite.source import SqliteSource  # noqa: PLC0415  lazy, as all adapters

    return SqliteSource.at(path)


def _pgdump(path: str, _: Callable[[], str] | None) -> Source:
    from asepsis.sources.pgdump.source import PgDumpSource  # noqa: PLC0415  lazy, as all adapters

    return PgDumpSource.at(path)


def _mysqldump(path: str, _: Callable[[], str] | None) -> Source:
    from asepsis.sources.mysqldump.source import MysqlDumpSource  # noqa: PLC0415  lazy, as all adapters

    return MysqlDumpSource.at(path)


def _directory(path: str, _: Callable[[], str] | None) -> Source:
    from asepsis.sources.directory import DirectorySource  # noqa: PLC0415  lazy, as all adapters

    return DirectorySource.at(path)


_ADAPTERS: Final[Mapping[str, Callable[[str, Callable[[], str] | None], Source]]] = {
    "restic": _restic,
    "borg": _borg,
    "veeam": _veeam,
    "tar": _tar,
    "zip": _zip,
    "7z": _sevenzip,
    "image": _image,
    "sqlite": _sqlite,
    "pgdump": _pgdump,
    "mysqldump": _mysqldump,
    "dir": _directory,
}
SCHEMES: Final = tuple(_ADAPTERS)
