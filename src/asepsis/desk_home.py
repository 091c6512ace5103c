"""The folder of one owner's key desk, and the desk in it, wired: settings, keys, memory, certificates, its room.

``desk.json`` says whose desk it is, where it listens and where the owner's key is kept; ``keys/`` and ``desk.db`` are
those of embedded mode, so that a home of a room becomes the folder of a program by adding the rest. No secret is in
the settings.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from getpass import getpass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from asepsis.attest.appraise import Appraiser
from asepsis.attest.trust import Trust
from asepsis.domain.desk_rules import DeskRules, read_desk_rules
from asepsis.domain.documents import Document, Fields, read_name
from asepsis.domain.names import PartyId
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.desk import (
    DeskAddressMalformed,
    DeskHomeExists,
    DeskHomeMalformed,
    DeskHomeMissing,
    DeskInUse,
    RoomNotAdmitted,
)
from asepsis.errors.keys import HoldersRefused, KekChoiceRefused, KeysExist, KeysUnwritable, RewrapUnfinished
from asepsis.keys.certificates import Authority, Identity, Introduction, identity_in, read_introduction
from asepsis.keys.choice import (
    PLAIN,
    PROTECTED,
    ChosenKek,
    KekChoice,
    KekKind,
    SecretFrom,
    SecretPlace,
    create_kek,
    held_kek,
    read_choice,
)
from asepsis.keys.files import FileKeys
from asepsis.keys.kek import HeldKek
from asepsis.keys.share_files import (
    Holder,
    Opens,
    check_holders,
    pass_on,
    read_share,
    restore_key,
    write_sealed_shares,
    write_shares,
)
from asepsis.sealing.keys import KEY_LENGTH
from asepsis.services.keydesk.desk import KeyDesk
from asepsis.services.keydesk.office import Office
from asepsis.store.desk_state import SqlDeskState

SETTINGS: Final = "desk.json"
FORMAT: Final = 1
PORT: Final = 8771

_LARGEST_PORT: Final = 65535
_FILES: Final = {KekKind.FILE: PLAIN, KekKind.PASSPHRASE: PROTECTED}
_MADE: Final = "made"
_LOCK: Final = "desk.lock"


def now() -> datetime:
    """The clock of the whole program."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """The address on which a desk listens, and the other names under which a room may reach it."""

    host: str = "127.0.0.1"
    port: int = PORT
    names: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every name that stands in the desk's certificate."""
        return tuple(dict.fromkeys([*self.names, self.host]))

    @property
    def address(self) -> str:
        """What the room is told."""
        return f"https://{_in_address(self.hosts[0])}:{self.port}"


@dataclass(frozen=True)
class DeskHome:
    """One owner's desk in its folder."""

    folder: Path
    owner: PartyId
    listening: Listening
    kek: KekChoice
    rules: DeskRules = field(default_factory=DeskRules)

    @cached_property
    def keys(self) -> FileKeys:
        """The owner's keys. Raises KeysMissing."""
        return FileKeys(self.folder / "keys", kek=self.owner_key)

    @cached_property
    def owner_key(self) -> ChosenKek:
        """The key that wraps data keys, wherever it is kept."""
        return ChosenKek(self.kek, self.folder / "keys", ask=ask)

    @cached_property
    def desk(self) -> KeyDesk:
        """The desk itself. Raises KeysMissing, RewrapUnfinished or DeskInUse."""
        with ExitStack() as leaving:
            leaving.callback(os.close, self._hold(fcntl.LOCK_SH))
            if self._next.exists():
                raise RewrapUnfinished(path=str(self._next))
            desk = desk_of(self.owner, self.folder, keys=self.keys, rules=self.rules)
            weakref.finalize(desk, leaving.pop_all().close)  # the folder is held as long as somebody has this desk
        return desk

    @property
    def _next(self) -> Path:
        """Where a new key of the owner lies until everything is wrapped under it."""
        return self.folder / "keys" / "next"

    @property
    def identity(self) -> Identity:
        """The desk's certificate."""
        return identity_in(self.folder / "tls", self.owner)

    def renew(self) -> Identity:
        """Make a new certificate, which the room has to be told of; the room that is served stays the same.

        Raises KeysUnwritable. It is put in place whole; interrupted, the same command finishes it.
        """
        current, new, old = (self.folder / name for name in ("tls", "tls.next", "tls.old"))
        shutil.rmtree(new, ignore_errors=True)
        identity = make_identity(new, self.owner, hosts=self.listening.hosts)
        for name in ("room.json", "room-authority.pem"):
            known = (current if current.exists() else old) / name
            if known.exists():
                _write(new / name, known.read_bytes())
        _write(self.folder / f"{self.owner}.pem", identity.introduction())
        if current.exists():
            shutil.rmtree(old, ignore_errors=True)
            current.rename(old)
        new.rename(current)
        shutil.rmtree(old, ignore_errors=True)
        return self.identity

    def admit(self, certificate: Path, *, pin: str) -> Introduction:
        """Serve the room of this certificate from the next start on. Raises CertificateRefused or KeysUnwritable."""
        room = read_introduction(certificate, pin=pin)
        _write(self.folder / "tls" / "room-authority.pem", room.authority)
        _write(self.folder / "tls" / "room.json", json.dumps({"pin": room.pin}).encode())
        return room

    def room(self) -> tuple[Path, str]:
        """The authority of the admitted room and its pin. Raises RoomNotAdmitted or DeskHomeMalformed."""
        authority = self.folder / "tls" / "room-authority.pem"
        try:
            fields = Fields(json.loads((self.folder / "tls" / "room.json").read_bytes()), document="room")
            pin = fields.text("pin")
            fields.close()
        except OSError:
            raise RoomNotAdmitted(owner=self.owner) from None
        except (ValueError, DocumentMalformed):
            raise DeskHomeMalformed(path=str(self.folder)) from None
        if not authority.exists():
            raise RoomNotAdmitted(owner=self.owner)
        return authority, pin

    def make_shares(
        self, folder: Path, *, shares: int, needed: int, holders: Sequence[Holder] = ()
    ) -> tuple[Path, ...]:
        """Split the owner's key; one file for each holder, in a new folder, sealed to the holders if they are named.

        Raises:
            HoldersRefused: one holder is named twice, or there are not as many as shares.
            KekChoiceRefused: the key is in a token or a vault.
            SharesRefused, KeysExist, KeysUnwritable: the numbers or the folder cannot be used.
        """
        check_holders(holders, shares=shares)
        parts = held_kek(self.kek, self.folder / "keys", ask=ask).split(shares=shares, needed=needed)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            raise KeysExist(path=str(folder)) from None
        except OSError:
            raise KeysUnwritable(path=str(folder)) from None
        self.desk.record_shares(shares=shares, needed=needed)
        if holders:
            return write_sealed_shares(folder, self.owner, parts, holders=holders)
        return write_shares(folder, self.owner, parts)

    def rewrap(self, kek: KekChoice) -> int:
        """Make a new key of the owner where the choice says, and wrap everything under it; the old one is removed.

        Interrupted, the desk stays closed until the same is asked again. Returns how many keys are under it.

        Raises:
            DeskInUse: a program has the desk open, and would go on with the old key.
            KekUnavailable, SecretMissing: a key cannot be used, or the token or vault has one of that name.
        """
        held = self._hold(fcntl.LOCK_EX)
        try:
            return self._rewrap(kek)
        finally:
            os.close(held)

    def _rewrap(self, kek: KekChoice) -> int:
        is_new = _make_next(self._next, kek)
        new = ChosenKek(kek, self._next, ask=ask)
        new.check()
        desk = desk_of(self.owner, self.folder, keys=self.keys, rules=self.rules)
        under = FileKeys(self.folder / "keys", kek=new)
        count = desk.rewrap(under) if is_new or not desk.opens_everything(under) else 0
        self._put_in_place(kek)
        return count

    def _hold(self, kind: int) -> int:
        """Hold the folder: several may use the desk, one alone may change its key. Returns what is to be closed."""
        try:
            held = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            raise KeysUnwritable(path=str(self.folder)) from None
        try:
            fcntl.flock(held, kind | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
            raise DeskInUse(path=str(self.folder)) from None
        return held

    def _put_in_place(self, kek: KekChoice) -> None:
        """The new key where the desk looks for it, the settings, and only then nothing of the old one any more."""
        keys = self.folder / "keys"
        wanted = _FILES.get(kek.kind)
        if wanted is not None:
            _write(keys / wanted, (self._next / wanted).read_bytes())
        _write(self.folder / SETTINGS, json.dumps(replace(self, kek=kek).to_document(), indent=1).encode())
        for name in set(_FILES.values()) - {wanted}:
            (keys / name).unlink(missing_ok=True)
        shutil.rmtree(self._next)

    def recover(self, paths: Sequence[Path]) -> None:
        """Make the lost key of the owner whole from recovery shares, and keep it where it was.

        Raises:
            KeysExist: it is not lost.
            KekChoiceRefused: it was in a token or a vault.
            ShareRefused, SharesRefused: the shares do not make a key.
            KeyUnwrapRefused: they make another key than the one that the desk's data need.
        """
        if self.kek.kind not in {KekKind.FILE, KekKind.PASSPHRASE}:
            raise KekChoiceRefused(problem="a token or a vault has recovery of its own")
        place = self.folder / "keys" / (PLAIN if self.kek.kind is KekKind.FILE else PROTECTED)
        if place.exists():
            raise KeysExist(path=str(place))
        key = restore_key([read_share(path, owner=self.owner, keys=self.keys) for path in paths])
        keys = FileKeys(self.folder / "keys", kek=HeldKek(key))
        desk_of(self.owner, self.folder, keys=keys).take_back(shares=len(paths))
        create_kek(self.kek, self.folder / "keys", ask=ask, key=key)

    def to_document(self) -> Document:
        """The settings; :func:`open_desk_home` reads them."""
        listening = self.listening
        return {
            "format": FORMAT,
            "owner": self.owner,
            "listen": {"host": listening.host, "port": listening.port, "names": list(listening.names)},
            "kek": self.kek.to_document(),
            **({} if self.rules == DeskRules() else {"rules": self.rules.to_document()}),
        }


def desk_of(owner: PartyId, folder: Path, *, keys: FileKeys, rules: DeskRules | None = None) -> KeyDesk:
    """The desk of an owner whose state lies in a folder. Raises OwnerKeyMissing."""
    keys.require_owner()
    own = rules or DeskRules()
    return KeyDesk(
        Office(
            owner=owner,
            state=SqlDeskState(folder / "desk.db"),
            keys=keys,
            appraise=Appraiser(now=now, trust=Trust(minimum_tcb=own.minimum_tcb)),
            clock=now,
            randomness=secrets.token_bytes,
            rules=own,
        )
    )


def is_desk_home(folder: Path) -> bool:
    """Whether an owner's desk is in the folder: as a program, or as part of a room."""
    return (folder / SETTINGS).exists() or (folder / "keys" / PLAIN).exists()


def has_settings(folder: Path) -> bool:
    """Whether the folder is that of a desk that can run as a program."""
    return (folder / SETTINGS).exists()


def create_desk_home(
    folder: Path, owner: PartyId, *, listening: Listening, kek: KekChoice, is_new_key: bool = True
) -> DeskHome:
    """Make a desk's folder: keys where there are none, certificates, settings; the settings come last.

    Raises:
        DeskHomeExists: there is a desk in it already.
        KeysExist: the owner's key is in a file, and it should be kept elsewhere now.
        KeysUnwritable: the folder cannot be written.
        KekUnavailable, SecretMissing: the owner's key cannot be made where it should be kept.
    """
    read_name(owner, what="party")
    if (folder / SETTINGS).exists():
        raise DeskHomeExists(path=str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        raise KeysUnwritable(path=str(folder)) from None
    _make_keys(folder / "keys", kek, is_new_key=is_new_key)
    home = DeskHome(folder.absolute(), owner, listening, kek)
    _make_certificates(home)
    _write(folder / SETTINGS, json.dumps(home.to_document(), indent=1).encode())
    return home


def open_desk_home(folder: Path) -> DeskHome:
    """Open the desk in a folder. Raises DeskHomeMissing or DeskHomeMalformed."""
    try:
        fields = Fields(json.loads((folder / SETTINGS).read_bytes()), document="desk")
        if fields.integer("format") != FORMAT:
            raise fields.malformed("format", f"{FORMAT} is needed")
        owner = PartyId(fields.name("owner"))
        with fields.mapping("listen") as raw:
            listening = Listening(host=raw.text("host"), port=raw.integer("port"), names=raw.texts("names", default=()))
        with fields.mapping("kek") as raw:
            kek = read_choice(raw)
        rules = DeskRules()
        if fields.has("rules"):
            with fields.mapping("rules") as raw:
                rules = read_desk_rules(raw)
        fields.close()
    except OSError:
        raise DeskHomeMissing(path=str(folder)) from None
    except (ValueError, RecursionError, DocumentMalformed):
        raise DeskHomeMalformed(path=str(folder)) from None
    return DeskHome(folder.absolute(), owner, listening, kek, rules)


def make_identity(folder: Path, name: str, *, hosts: Sequence[str] = ()) -> Identity:
    """The identity in a folder; made by an authority of its own, whose key is kept nowhere, if there is none."""
    if not folder.exists():
        Authority(folder, now=now()).issue(name, hosts=hosts)
    return identity_in(folder, name)


def listening_at(text: str, *, names: Sequence[str], owner: PartyId) -> Listening:
    """The address HOST:PORT to listen on, and names of it; the default where the text is empty.

    Raises:
        DeskAddressMalformed: it is no such address.
    """
    if not text:
        return Listening(names=tuple(names))
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > _LARGEST_PORT:
        raise DeskAddressMalformed(owner=owner)
    return Listening(host=host.strip("[]"), port=int(port), names=tuple(names))


def choose_kek(kind: str, settings: Sequence[str], *, variable: str, file: Path | None) -> KekChoice:
    """Where the owner's key is kept, from ``NAME=VALUE`` settings and the place of the secret.

    Raises:
        KekChoiceRefused: it does not say where.
    """
    if kind not in set(KekKind):
        raise KekChoiceRefused(problem="the kinds are " + ", ".join(KekKind))
    pairs = {name: value for name, _, value in (text.partition("=") for text in settings) if value}
    if len(pairs) != len(settings):
        raise KekChoiceRefused(problem="a setting is NAME=VALUE, once for each name")
    if kind == KekKind.OPENBAO:
        pairs.setdefault("mount", "transit")
    if variable and file is not None:
        raise KekChoiceRefused(problem="the secret has one place")
    place = SecretPlace()
    if variable:
        place = SecretPlace(source=SecretFrom.ENVIRONMENT, name=variable)
    elif file is not None:
        place = SecretPlace(source=SecretFrom.FILE, name=str(file.absolute()))
    return KekChoice(kind=KekKind(kind), settings=tuple(sorted(pairs.items())), secret=place)


def holders_of(texts: Sequence[str]) -> tuple[Holder, ...]:
    """Holders from ``NAME=KEY``, the key in base64. Raises HoldersRefused."""
    return tuple(map(_holder, texts))


def pass_share_on(share: Path, out: Path, *, keys: Opens, to: str) -> PartyId:
    """Open a share as its holder and seal it to the owner ``NAME=KEY``. Raises HoldersRefused or ShareRefused."""
    owner = _holder(to)
    pass_on(share, out, owner=PartyId(owner.name), keys=keys, to=owner)
    return PartyId(owner.name)


def _holder(text: str) -> Holder:
    name, _, key = text.partition("=")
    try:
        read_name(name, what="holder")
        value = base64.b64decode(key, validate=True)
    except (ValueError, DocumentMalformed):
        raise HoldersRefused(problem="one is not written as NAME=KEY") from None
    if len(value) != KEY_LENGTH:
        raise HoldersRefused(problem="a key has not 32 bytes")
    return Holder(name=name, key=value)


def ask(what: str) -> str:
    """Ask the person at the terminal; nothing, where nobody sits there."""
    try:
        return getpass(f"{what}: ")
    except (EOFError, OSError):
        return ""


def _make_keys(folder: Path, kek: KekChoice, *, is_new_key: bool) -> None:
    is_in_file = (folder / PLAIN).exists()
    if is_in_file and kek.kind is not KekKind.FILE:
        raise KeysExist(path=str(folder / PLAIN))
    if not folder.exists():
        FileKeys.create(folder, owner=False)
    if not is_in_file and is_new_key:
        create_kek(kek, folder, ask=ask)
    ChosenKek(kek, folder, ask=ask).check()


def _make_next(folder: Path, kek: KekChoice) -> bool:
    """Make the new key, once; says whether it was made now."""
    marker = folder / _MADE
    if marker.exists():
        return False
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    except OSError:
        raise KeysUnwritable(path=str(folder)) from None
    create_kek(kek, folder, ask=ask)
    _write(marker, kek.kind.value.encode())
    return True


def _make_certificates(home: DeskHome) -> None:
    identity = make_identity(home.folder / "tls", home.owner, hosts=home.listening.hosts)
    _write(home.folder / f"{home.owner}.pem", identity.introduction())


def _in_address(host: str) -> str:
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host  # noqa: PLR2004 - IPv6
    except ValueError:
        return host


def _write(path: Path, content: bytes) -> None:
    """Put a file in its place whole, for its owner alone. Raises KeysUnwritable."""
    draft = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        raise KeysUnwritable(path=str(path)) from None
