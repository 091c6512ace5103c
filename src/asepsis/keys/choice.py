"""Where an owner's key is kept, as the owner chose it: settings without any secret, and the place of the secret.

The secret - a passphrase, a PIN, a vault's token - is read from an environment variable, from a file of the owner
alone, or asked for. It is never a setting and never an argument of a command.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Final

from asepsis.domain.documents import Document, Fields
from asepsis.errors.keys import KekChoiceRefused, KeysMissing, SecretMissing
from asepsis.errors.sealing import KeyUnwrapRefused
from asepsis.keys.kek import HeldKek, OwnerKek, create_protected, open_protected, write_kek
from asepsis.keys.openbao import TransitKek
from asepsis.keys.pkcs11 import TokenKek
from asepsis.keys.reading import read_key
from asepsis.sealing.keys import KEY_LENGTH

PLAIN: Final = "owner.kek"
PROTECTED: Final = "owner.kek.sealed"

Ask = Callable[[str], str]
"""Asks a person for a secret, without showing it."""

_PROBE: Final = b"asepsis/probe/1"


class KekKind(StrEnum):
    """How an owner's key is kept."""

    FILE = "file"
    PASSPHRASE = "passphrase"  # noqa: S105 - a kind, not a secret
    PKCS11 = "pkcs11"
    OPENBAO = "openbao"


class SecretFrom(StrEnum):
    """Where a secret is read from."""

    ENVIRONMENT = "environment"
    FILE = "file"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """The place of a secret: the name of a variable, the path of a file, or nothing for a question."""

    source: SecretFrom = SecretFrom.PROMPT
    name: str = ""

    def read(self, ask: Ask, *, what: str) -> str:
        """The secret. Raises SecretMissing."""
        if self.source is SecretFrom.ENVIRONMENT:
            secret, place = os.environ.get(self.name, ""), f"environment variable {self.name}"
        elif self.source is SecretFrom.FILE:
            secret, place = _line_of(Path(self.name)), f"file {self.name}"
        else:
            secret, place = ask(what), "answer to the question"
        if not secret:
            raise SecretMissing(place=place)
        return secret


_NEEDS: Final = {
    KekKind.FILE: (),
    KekKind.PASSPHRASE: (),
    KekKind.PKCS11: ("library", "token", "label"),
    KekKind.OPENBAO: ("address", "name", "mount"),
}
_MAY: Final = {KekKind.OPENBAO: ("authority",)}
_WHAT: Final = {
    KekKind.PASSPHRASE: "passphrase of the owner's key",
    KekKind.PKCS11: "PIN of the token",
    KekKind.OPENBAO: "token of the vault",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KekChoice:
    """A kind, its settings by name, and where its secret is."""

    kind: KekKind = KekKind.FILE
    settings: tuple[tuple[str, str], ...] = ()
    secret: SecretPlace = SecretPlace()

    def __post_init__(self) -> None:
        """Refuse settings that are missing, or of another kind. Raises KekChoiceRefused."""
        given = {name for name, _ in self.settings}
        for name in _NEEDS[self.kind]:
            if name not in given:
                raise KekChoiceRefused(problem=f"{self.kind.value} needs '{name}'")
        for name in sorted(given - {*_NEEDS[self.kind], *_MAY.get(self.kind, ())}):
            raise KekChoiceRefused(problem=f"{self.kind.value} has no '{name}'")

    def to_document(self) -> Document:
        """The document form; :func:`read_choice` reads it."""
        return {
            "kind": self.kind.value,
            "settings": dict(self.settings),
            "secret": {"from": self.secret.source.value, "name": self.secret.name},
        }


def read_choice(fields: Fields) -> KekChoice:
    """Read a choice. Raises DocumentMalformed or KekChoiceRefused."""
    kind = fields.choice("kind", KekKind)
    with fields.mapping("settings") as raw:
        settings = tuple((name, raw.text(name)) for name in raw.names())
    with fields.mapping("secret") as raw:
        secret = SecretPlace(source=raw.choice("from", SecretFrom), name=raw.text("name", default=""))
    return KekChoice(kind=kind, settings=settings, secret=secret)


def create_kek(choice: KekChoice, folder: Path, *, ask: Ask, key: bytes | None = None) -> None:
    """Make a new key where the choice says; ``folder`` is the owner's key folder.

    A file also takes a ``key`` that came back from recovery shares.

    Raises:
        KeysExist: there is one in the folder.
        KekUnavailable: the token or vault cannot be used, or has a key of that name.
        SecretMissing: the secret is not where it should be.
    """
    match choice.kind:
        case KekKind.FILE:
            write_kek(folder / PLAIN, key or secrets.token_bytes(KEY_LENGTH))
        case KekKind.PASSPHRASE:
            create_protected(folder / PROTECTED, passphrase=_secret(choice, ask), key=key)
        case KekKind.PKCS11:
            _token(choice, ask).create()
        case KekKind.OPENBAO:
            _transit(choice, ask).create()


class ChosenKek:
    """The key behind a choice, opened when it is first used: who only signs is not asked for its secret."""

    def __init__(self, choice: KekChoice, folder: Path, *, ask: Ask) -> None:
        self._choice, self._folder, self._ask = choice, folder, ask

    def check(self) -> None:
        """Wrap and unwrap once, so that a wrong secret shows now. Raises what ``wrap`` and ``unwrap`` raise."""
        probe = bytes(KEY_LENGTH)
        if self.unwrap(self.wrap(probe, binding=_PROBE), binding=_PROBE) != probe:
            raise KeyUnwrapRefused

    def wrap(self, dek: bytes, *, binding: bytes) -> bytes:
        """Wrap a data key of 32 bytes. Raises KeyMalformed, KekUnavailable or what opening raises."""
        return self._opened.wrap(dek, binding=binding)

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises KeyUnwrapRefused, KekUnavailable or what opening raises."""
        return self._opened.unwrap(wrapped, binding=binding)

    @cached_property
    def _opened(self) -> OwnerKek:
        match self._choice.kind:
            case KekKind.FILE:
                return HeldKek(read_key(self._folder / PLAIN))
            case KekKind.PASSPHRASE:
                return open_protected(self._folder / PROTECTED, passphrase=_secret(self._choice, self._ask))
            case KekKind.PKCS11:
                return _token(self._choice, self._ask)
            case KekKind.OPENBAO:
                return _transit(self._choice, self._ask)


def held_kek(choice: KekChoice, folder: Path, *, ask: Ask) -> HeldKek:
    """The key itself, where it is kept in a file; others never give theirs away. Raises KekChoiceRefused."""
    match choice.kind:
        case KekKind.FILE:
            return HeldKek(read_key(folder / PLAIN))
        case KekKind.PASSPHRASE:
            return open_protected(folder / PROTECTED, passphrase=_secret(choice, ask))
    raise KekChoiceRefused(problem="a token or a vault gives its key to nobody and has recovery of its own")


def _token(choice: KekChoice, ask: Ask) -> TokenKek:
    settings = dict(choice.settings)
    return TokenKek(
        library=settings["library"], token=settings["token"], label=settings["label"], pin=_secret(choice, ask)
    )


def _transit(choice: KekChoice, ask: Ask) -> TransitKek:
    settings = dict(choice.settings)
    authority = settings.get("authority")
    return TransitKek(
        address=settings["address"],
        name=settings["name"],
        mount=settings["mount"],
        token=_secret(choice, ask),
        authority=None if authority is None else Path(authority),
    )


def _secret(choice: KekChoice, ask: Ask) -> str:
    return choice.secret.read(ask, what=_WHAT[choice.kind])


def _line_of(path: Path) -> str:
    """The first line of a secret's file, which only its owner may read. Raises KeysUnsafe."""
    try:
        return read_key(path, length=None).decode("utf-8", "replace").partition("\n")[0]
    except KeysMissing:
        return ""
