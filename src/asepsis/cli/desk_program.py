"""``asepsis keydesk init``, ``admit``, ``serve``: an owner's desk as a program; ``introduce``, ``connect``: its room.

Two files change hands, one each way: the room's certificate and the desk's. Their fingerprints are compared another
way. No secret is an argument.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported

PROGRAM: Final = "asepsis.keydesk.program"

AtOption = Annotated[Path, typer.Option("--at", envvar="ASEPSIS_HOME", help="The folder of the desk.")]
PinOption = Annotated[str, typer.Option("--fingerprint", help="What its holder told you, by another way.")]


def init(
    party: AsOption,
    at: AtOption,
    listen: Annotated[str, typer.Option("--listen", help="HOST:PORT; loopback where nothing is said.")] = "",
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A name or address under which the room reaches the desk.")
    ] = None,
    kek: Annotated[
        str, typer.Option("--kek", help="Where the owner's key is kept: file, passphrase, pkcs11 or openbao.")
    ] = "file",
    kek_setting: Annotated[
        list[str] | None,
        typer.Option(
            "--kek-setting", help="NAME=VALUE. pkcs11: library, token, label; openbao: address, name, mount, authority."
        ),
    ] = None,
    secret_env: Annotated[str, typer.Option("--secret-env", help="The variable that holds the secret.")] = "",
    secret_file: Annotated[Path | None, typer.Option("--secret-file", help="The file that holds the secret.")] = None,
    existing_kek: Annotated[bool, typer.Option("--existing-kek", help="The token or vault has the key.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an owner's desk: keys, certificate, settings. A folder with keys of a room keeps its keys."""
    with reported(as_json=as_json):
        from asepsis.desk_home import choose_kek, create_desk_home, listening_at
        from asepsis.domain.names import PartyId

        choice = choose_kek(kek, kek_setting or [], variable=secret_env, file=secret_file)
        listening = listening_at(listen, names=name or [], owner=PartyId(party))
        home = create_desk_home(at, PartyId(party), listening=listening, kek=choice, is_new_key=not existing_kek)
        certificate = home.folder / f"{home.owner}.pem"
        document = {
            "party": home.owner,
            "address": home.listening.address,
            "certificate": str(certificate),
            "fingerprint": home.identity.pin(),
            "kek": choice.kind.value,
        }
        text = (
            f"{home.owner}: {home.listening.address}, owner's key: {choice.kind.value}\n"
            f"certificate {certificate}\nfingerprint {document['fingerprint']}\n"
            "next: give both to the room's host; admit the room's certificate; then asepsis keydesk serve"
        )
        emit(document, as_json=as_json, text=text)


def admit(
    certificate: Annotated[Path, typer.Argument(help="The room's certificate, from its host.")],
    at: AtOption,
    fingerprint: PinOption,
    as_json: JsonOption = False,
) -> None:
    """Serve the room of this certificate, and no other; counts from the desk's next start on."""
    with reported(as_json=as_json):
        from asepsis.desk_home import open_desk_home

        home = open_desk_home(at)
        room = home.admit(certificate, pin=fingerprint)
        emit({"party": home.owner, "room": room.pin}, as_json=as_json, text=f"{home.owner} serves the room {room.pin}")


def serve(
    at: AtOption,
    rate: Annotated[float, typer.Option("--rate", min=0.1, help="Questions a second, for one client.")] = 20,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Questions that are answered at once.")] = 8,
    require_confinement: Annotated[
        bool, typer.Option("--require-confinement", help="Grant nothing to a runtime outside its sandbox.")
    ] = False,
    log_level: Annotated[
        str, typer.Option("--log-level", envvar="ASEPSIS_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "warning",
    as_json: JsonOption = False,
) -> None:
    """Answer the room until the program is told to end (Ctrl-C, SIGTERM); logs go to standard error."""
    with reported(as_json=as_json):
        from asepsis.desk_home import open_desk_home

        home = open_desk_home(at)
        if require_confinement:
            home = replace(home, rules=replace(home.rules, needs_confinement=True))
        program, limits = import_module(PROGRAM), import_module("asepsis.keydesk.limits").Limits

        def announce(address: str) -> None:
            document = {"party": home.owner, "address": address, "ready": True}
            text = f"{home.owner} answers at {address}  (end with Ctrl-C)"
            typer.echo(json.dumps(document) if as_json else text)

        in_order = program.run(
            home,
            limits=limits(per_second=rate, burst=max(1, int(3 * rate)), at_once=at_once),
            announce=announce,
            log_level=log_level if log_level in {"debug", "info", "warning", "error"} else "warning",
        )
        emit({"party": home.owner, "ended": in_order}, as_json=as_json, text="ended")


def shares(
    out: Annotated[Path, typer.Argument(help="A new folder for the shares, one file for each holder.")],
    at: AtOption,
    count: Annotated[int, typer.Option("--shares", min=2, max=16, help="How many holders there are.")] = 3,
    needed: Annotated[int, typer.Option("--needed", min=2, max=16, help="How many of them make the key whole.")] = 2,
    holder: Annotated[
        list[str] | None, typer.Option("--holder", help="NAME=KEY: a holder and the public sealing key of theirs.")
    ] = None,
    in_clear: Annotated[bool, typer.Option("--in-clear", help="Write shares that whoever has them can read.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Split the owner's key for its recovery, each share sealed to its holder; hand the files to them."""
    with reported(as_json=as_json):
        from asepsis.desk_home import holders_of, open_desk_home
        from asepsis.errors.keys import HoldersRefused

        if bool(holder) == in_clear:
            raise HoldersRefused(problem="name them, or say --in-clear")
        home, holders = open_desk_home(at), holders_of(holder or [])
        made = home.make_shares(out, shares=len(holders) or count, needed=needed, holders=holders)
        paths = [str(path) for path in made]
        document = {"party": home.owner, "needed": needed, "shares": paths}
        text = "\n".join([*paths, f"any {needed} of them make the owner's key whole; give each to another holder"])
        emit(document, as_json=as_json, text=text)


def open_share(
    share: Annotated[Path, typer.Argument(help="The share that was sealed to you.")],
    out: Annotated[Path, typer.Argument(help="Where to write it, sealed to the owner.")],
    party: AsOption,
    to: Annotated[str, typer.Option("--to", help="OWNER=KEY: whose key it is, and the owner's public sealing key.")],
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Open a recovery share as its holder, and seal it to the owner whose desk lost its key."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.desk_home import pass_share_on
        from asepsis.domain.names import PartyId

        owner = pass_share_on(share, out, keys=open_room(room).keys(PartyId(party)), to=to)
        emit({"share": str(out), "owner": owner}, as_json=as_json, text=f"{out}: sealed to {owner}")


def rewrap(
    at: AtOption,
    kek: Annotated[
        str, typer.Option("--kek", help="Where the new key is kept: file, passphrase, pkcs11 or openbao.")
    ] = "file",
    kek_setting: Annotated[
        list[str] | None, typer.Option("--kek-setting", help="NAME=VALUE, as for 'keydesk init'.")
    ] = None,
    secret_env: Annotated[str, typer.Option("--secret-env", help="The variable that holds the secret.")] = "",
    secret_file: Annotated[Path | None, typer.Option("--secret-file", help="The file that holds the secret.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new key of the owner and wrap all kept keys under it; end the desk before, start it again after."""
    with reported(as_json=as_json):
        from asepsis.desk_home import choose_kek, open_desk_home

        home = open_desk_home(at)
        choice = choose_kek(kek, kek_setting or [], variable=secret_env, file=secret_file)
        count = home.rewrap(choice)
        document = {"party": home.owner, "kek": choice.kind.value, "keys": count}
        text = f"{home.owner}: {count} keys are under a new owner's key ({choice.kind.value}); make new recovery shares"
        emit(document, as_json=as_json, text=text)


def renew(at: AtOption, as_json: JsonOption = False) -> None:
    """Make a new certificate of the desk; the room's host connects to it again, by its new fingerprint."""
    with reported(as_json=as_json):
        from asepsis.desk_home import open_desk_home

        home = open_desk_home(at)
        pin = home.renew().pin()
        certificate = home.folder / f"{home.owner}.pem"
        document = {"party": home.owner, "certificate": str(certificate), "fingerprint": pin}
        text = f"certificate {certificate}\nfingerprint {pin}\nnext: tell the room's host; start the desk again"
        emit(document, as_json=as_json, text=text)


def recover(
    share: Annotated[list[Path], typer.Argument(help="The shares, as many as were agreed.")],
    at: AtOption,
    as_json: JsonOption = False,
) -> None:
    """Make the lost key of the owner whole again from its recovery shares."""
    with reported(as_json=as_json):
        from asepsis.desk_home import open_desk_home

        home = open_desk_home(at)
        home.recover(share)
        document = {"party": home.owner, "recovered": True}
        emit(document, as_json=as_json, text=f"{home.owner}: the owner's key is whole again; make new shares of it")


def introduce(
    out: Annotated[Path, typer.Argument(help="Where to write the room's certificate.")],
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write the room's certificate, for the owners to admit it at their desks."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.cli.files import write_bytes

        identity = open_room(room).identity()
        write_bytes(out, identity.introduction())
        document = {"certificate": str(out), "fingerprint": identity.pin()}
        emit(document, as_json=as_json, text=f"certificate {out}\nfingerprint {identity.pin()}")


def connect(
    address: Annotated[str, typer.Argument(help="https://NAME:PORT, as the owner's 'keydesk init' printed it.")],
    party: AsOption,
    certificate: Annotated[Path, typer.Option("--certificate", help="The desk's certificate, from its owner.")],
    fingerprint: PinOption,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """From now on the room asks this owner's desk at that address; the desk has to answer now."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        desk = open_room(room).connect(PartyId(party), address, certificate=certificate, pin=fingerprint)
        seen = desk.seen_size()
        document = {"party": party, "address": address, "witnessed_entries": seen}
        emit(document, as_json=as_json, text=f"{party}: {address}, ledger witnessed up to entry {seen}")
