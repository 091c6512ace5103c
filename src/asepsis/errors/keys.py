"""Errors of key stores: where a party's keys are kept, and what they refuse. No error says anything of a key."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class KeysExist(AsepsisError):
    """Keys are never overwritten."""

    kind = Kind.CONFLICT
    code = "keys.exist"
    message = "{path} already exists; keys are never overwritten."
    hint = "Use the keys that are there, or choose another folder; lost keys cannot be made again."


class KeysMissing(AsepsisError):
    """A key folder is missing or incomplete."""

    kind = Kind.MISSING
    code = "keys.missing"
    message = "{path} holds no complete set of keys."
    hint = "Check the folder, or make keys with 'asepsis keydesk init'."


class KeysUnsafe(AsepsisError):
    """Somebody else could read or replace the keys."""

    kind = Kind.DENIED
    code = "keys.unsafe"
    message = "The keys at {path} are open to other users of this machine."
    hint = "Make the folder 0700 and its files 0600, owned by you, and no links; think about who read them so far."


class KeysMalformed(AsepsisError):
    """A key file has not the right length."""

    kind = Kind.INVALID
    code = "keys.malformed"
    message = "The keys at {path} are damaged."
    hint = "Restore the folder from your own backup of the keys."


class KeysUnwritable(AsepsisError):
    """The key folder cannot be made."""

    kind = Kind.UNAVAILABLE
    code = "keys.unwritable"
    message = "The key folder {path} cannot be made."
    hint = "Check that the folder above it exists, that you may write there, and that space is free."


class OwnerKeyMissing(AsepsisError):
    """Only owners hold a key that wraps data keys."""

    kind = Kind.DENIED
    code = "keys.owner_key_missing"
    message = "This party holds no owner key."
    hint = "Only owners wrap data keys; make the keys with the owner role."


class KeyDestroyed(AsepsisError):
    """The erasable secret of a data key is gone: nobody can open what was sealed under that key."""

    kind = Kind.MISSING
    code = "keys.destroyed"
    message = "The key of these data was destroyed, or its erasable secret is not at this desk."
    hint = "What was erased cannot be opened by anybody; contribute the data again if the contract still allows it."


class PassphraseRefused(AsepsisError):
    """A key file does not open with this passphrase."""

    kind = Kind.DENIED
    code = "keys.passphrase_refused"
    message = "The key at {path} does not open with this passphrase."
    hint = "Type the passphrase again; a lost passphrase means the recovery shares, there is no other way."


class KekUnavailable(AsepsisError):
    """The token or vault that keeps the owner's key does not answer, or its library is not installed."""

    kind = Kind.UNAVAILABLE
    code = "keys.kek_unavailable"
    message = "The {backend} that keeps the owner's key cannot be used."
    hint = "Check its address, login and state, and that the optional library for it is installed."


class SecretMissing(AsepsisError):
    """The place that should hold the secret of an owner's key holds none."""

    kind = Kind.MISSING
    code = "keys.secret_missing"
    message = "The secret that opens the owner's key is not in the {place}."
    hint = "Put it there before the desk starts; a secret is never given on a command line."


class KekChoiceRefused(AsepsisError):
    """The settings do not say where the owner's key is kept."""

    kind = Kind.INVALID
    code = "keys.kek_choice_refused"
    message = "The settings do not say how the owner's key is kept: {problem}."
    hint = "See 'asepsis keydesk init --help' for what file, passphrase, pkcs11 and openbao need."


class CertificateRefused(AsepsisError):
    """A file does not introduce a room or a desk."""

    kind = Kind.UNTRUSTED
    code = "keys.certificate_refused"
    message = "The certificate in {path} was refused: {problem}."
    hint = "Get the file again, and compare the fingerprint by another way, such as the telephone."


class ShareRefused(AsepsisError):
    """One recovery share, by the name of its file, does not count."""

    kind = Kind.DENIED
    code = "keys.share_refused"
    message = "The recovery share {share} was refused: {problem}."
    hint = "Ask the holder for the share as it was handed out; nothing was changed at the desk."


class HoldersRefused(AsepsisError):
    """Recovery shares go to as many different holders as there are shares."""

    kind = Kind.INVALID
    code = "keys.holders_refused"
    message = "The shares cannot be sealed to these holders: {problem}."
    hint = "Name each holder once as NAME=KEY, with the public sealing key that 'asepsis party new' printed."


class RewrapUnfinished(AsepsisError):
    """A new key of the owner was made, and the desk was stopped before everything was under it."""

    kind = Kind.UNAVAILABLE
    code = "keys.rewrap_unfinished"
    message = "A new owner's key was begun in {path} and not finished."
    hint = "Run the same 'asepsis keydesk rewrap' again; it goes on where it was stopped."


class SharesRefused(AsepsisError):
    """Recovery shares do not make a key."""

    kind = Kind.DENIED
    code = "keys.shares_refused"
    message = "These recovery shares do not make the key whole."
    hint = "Bring as many different shares of the same key as were agreed; none of them may be changed."
