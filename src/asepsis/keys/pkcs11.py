"""The owner's key in a PKCS#11 token (HSM): made there, sensitive and not extractable, used there.

The token wraps and unwraps (AES-256-GCM with associated data); a data key passes through it, the owner's key never
comes out. Source: PKCS #11 v3.0, section 2.13 (AES-GCM); python-pkcs11 is an optional extra.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from asepsis.errors.keys import KekUnavailable
from asepsis.errors.sealing import KeyMalformed, KeyUnwrapRefused
from asepsis.sealing.keys import KEY_LENGTH

_NONCE: Final = 12
_WRAPPED: Final = _NONCE + KEY_LENGTH + 16
_BITS: Final = 256
_TAG_BITS: Final = 128
_WRAP: Final = b"asepsis/wrap/1\x00"
_BACKEND: Final = "PKCS#11 token"
_LOGIN: Final = threading.Lock()
"""A process is logged in to a token once: who logs out takes the login away from all its threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKek:
    """A key in a token, named by the library's path, the token's and the key's label."""

    library: str
    token: str
    label: str
    pin: str = field(repr=False)

    def create(self) -> None:
        """Make the key in the token. Raises KekUnavailable, also where a key of that label is there already."""
        with self._session() as (pkcs11, session):
            found = session.get_objects({pkcs11.Attribute.LABEL: self.label, pkcs11.Attribute.CLASS: _secret(pkcs11)})
            if list(found):  # read to its end: a search that is left open blocks the session
                raise KekUnavailable(backend=_BACKEND)
            attribute = pkcs11.Attribute
            session.generate_key(
                pkcs11.KeyType.AES,
                _BITS,
                label=self.label,
                store=True,
                template={
                    attribute.SENSITIVE: True,
                    attribute.EXTRACTABLE: False,
                    attribute.ENCRYPT: True,
                    attribute.DECRYPT: True,
                    attribute.WRAP: False,
                    attribute.UNWRAP: False,
                },
            )

    def wrap(self, dek: bytes, *, binding: bytes) -> bytes:
        """Wrap a data key of 32 bytes: nonce, then ciphertext and tag. Raises KeyMalformed or KekUnavailable."""
        if len(dek) != KEY_LENGTH:
            raise KeyMalformed(role="data")
        nonce = secrets.token_bytes(_NONCE)
        with self._session() as (pkcs11, session):
            parameters = pkcs11.GCMParams(nonce, _WRAP + binding, _TAG_BITS)
            sealed = self._key(pkcs11, session).encrypt(
                dek, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameters
            )
        return nonce + bytes(sealed)

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises KeyUnwrapRefused or KekUnavailable."""
        if len(wrapped) != _WRAPPED:
            raise KeyUnwrapRefused
        with self._session() as (pkcs11, session):
            parameters = pkcs11.GCMParams(wrapped[:_NONCE], _WRAP + binding, _TAG_BITS)
            key = self._key(pkcs11, session)
            try:
                opened = key.decrypt(wrapped[_NONCE:], mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameters)
            except pkcs11.exceptions.PKCS11Error:  # tokens name a wrong tag in different ways
                raise KeyUnwrapRefused from None
        return bytes(opened)

    def _key(self, pkcs11: Any, session: Any) -> Any:
        return session.get_key(label=self.label, object_class=_secret(pkcs11))

    @contextmanager
    def _session(self) -> Iterator[tuple[Any, Any]]:
        """One login; whatever the library says is told as unavailable, without its words."""
        try:
            pkcs11 = import_module("pkcs11")
        except ImportError:
            raise KekUnavailable(backend=_BACKEND) from None
        try:
            with _LOGIN:
                token = pkcs11.lib(self.library).get_token(token_label=self.token)
                with token.open(user_pin=self.pin, rw=True) as session:
                    yield pkcs11, session
        except (pkcs11.exceptions.PKCS11Error, RuntimeError):
            raise KekUnavailable(backend=_BACKEND) from None


def _secret(pkcs11: Any) -> Any:
    return pkcs11.ObjectClass.SECRET_KEY
