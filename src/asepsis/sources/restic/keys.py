"""Finding the master key: every key file is tried with the password; parameters are bounded first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from asepsis.errors.source import (
    LimitExceededError,
    NotARepositoryError,
    ObjectDamagedError,
    UnsupportedFormatError,
    WrongPasswordError,
)
from asepsis.sources.limits import Limits
from asepsis.sources.restic import documents
from asepsis.sources.restic.crypto import Derivation, Key, NotAuthenticError
from asepsis.sources.storage import Storage

_FOLDER: Final = "keys"
_MOST_PARALLEL: Final = 64


def master_key(storage: Storage, *, uri: str, password: str, limits: Limits) -> Key:
    """The repository's key, from the first key file that the password opens.

    Raises:
        NotARepositoryError: there is no key file.
        WrongPasswordError: the password opens none.
        ObjectDamagedError, UnsupportedFormatError, LimitExceededError: it opens none, and at least one key
            file cannot be what restic wrote.
    """
    fault: ObjectDamagedError | UnsupportedFormatError | LimitExceededError | None = None
    tried = 0
    for name in _key_files(storage):
        tried += 1
        try:
            return _opened(storage.read(name), name=name, password=password, limits=limits)
        except NotAuthenticError:
            continue
        except (ObjectDamagedError, UnsupportedFormatError, LimitExceededError) as error:
            fault = error
    if fault is not None:
        raise fault
    if not tried:
        raise NotARepositoryError(uri=uri, tool="restic")
    raise WrongPasswordError(uri=uri)


def _key_files(storage: Storage) -> Iterator[str]:
    for name in storage.names(_FOLDER):
        if documents.is_object_id(name):
            yield f"{_FOLDER}/{name}"


def _opened(content: bytes, *, name: str, password: str, limits: Limits) -> Key:
    fields = documents.document(content, name=name)
    if documents.text(fields, "kdf", name=name) != "scrypt":
        raise UnsupportedFormatError(name=name)
    derivation = Derivation(
        salt=documents.octets(fields, "salt", name=name),
        n=documents.number(fields, "N", name=name),
        r=documents.number(fields, "r", name=name),
        p=documents.number(fields, "p", name=name),
    )
    _check_cost(derivation, name=name, limits=limits)
    sealed = documents.octets(fields, "data", name=name)
    try:
        key = derivation.key(password)
    except ValueError:
        raise UnsupportedFormatError(name=name) from None
    return _master(key.open(sealed), name=name)


def _check_cost(derivation: Derivation, *, name: str, limits: Limits) -> None:
    """Key files are readable by whoever holds the storage: their cost parameters are not to be trusted."""
    if derivation.memory > limits.key_derivation_bytes:
        raise LimitExceededError(name=name, limit=limits.key_derivation_bytes, unit="bytes of memory")
    if derivation.p > _MOST_PARALLEL:
        raise LimitExceededError(name=name, limit=_MOST_PARALLEL, unit="rounds")


def _master(plain: bytes, *, name: str) -> Key:
    fields = documents.document(plain, name=name)
    mac = fields.get("mac")
    if not isinstance(mac, dict):
        raise UnsupportedFormatError(name=name)
    key = Key(
        encrypt=documents.octets(fields, "encrypt", name=name),
        mac_k=documents.octets(mac, "k", name=name),
        mac_r=documents.octets(mac, "r", name=name),
    )
    if (len(key.encrypt), len(key.mac_k), len(key.mac_r)) != (32, 16, 16):
        raise UnsupportedFormatError(name=name)
    return key
