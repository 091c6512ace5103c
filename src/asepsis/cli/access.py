"""``asepsis access``: why somebody may or may not do something, and the tokens of persons and services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported, table

if TYPE_CHECKING:
    from pathlib import Path

    from asepsis.domain.tokens import Token
    from asepsis.services.explaining import Explanation
    from asepsis.services.tokens import Tokens

app = typer.Typer(help="Say why somebody may or may not do something; make and revoke tokens.", no_args_is_help=True)
token_app = typer.Typer(help="The tokens of persons and services.", no_args_is_help=True)
app.add_typer(token_app, name="token")


@app.command("explain")
def explain(
    who: Annotated[str, typer.Argument(help="A party, the id of a token, or runtime.")],
    deed: Annotated[str, typer.Argument(help="What is to be done, such as query or decide-release.")],
    what: Annotated[
        str, typer.Argument(help="On what: a release, referral, dataset or method; for grant: real or synthetic.")
    ] = "",
    level: Annotated[int, typer.Option("--level", min=0, max=2, help="The level of a runtime's evidence.")] = 0,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Say whether somebody may do something, by which policy, and what would be needed; exit code 3 if not."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import now, open_room
        from asepsis.domain.asking import Deed
        from asepsis.errors import Kind
        from asepsis.errors.access import QuestionUnclear
        from asepsis.services.explaining import Explaining

        opened = open_room(room)
        if deed not in set(Deed):
            raise QuestionUnclear(problem="the deeds are " + ", ".join(Deed))
        found = Explaining(opened.state, now, opened.origin).explain(
            who, Deed(deed), what, contract=opened.contracts.contract(), level=level
        )
        document = {
            "who": who,
            "deed": deed,
            "subject": found.question.subject.id,
            "allowed": found.ruling.allowed,
            "policies": [{"policy": one.id, "forbids": one.forbids, "words": one.words} for one in found.because],
            "needed": list(found.needed),
            "parties": list(found.parties),
        }
        emit(document, as_json=as_json, text=_explained(who, found))
        if not found.ruling.allowed:
            raise typer.Exit(Kind.DENIED.exit_code)


@token_app.command("new")
def new(
    holder: Annotated[str, typer.Argument(help="The name of the person or service; it is not in the ledger.")],
    party: AsOption,
    kind: Annotated[str, typer.Option("--kind", help="person or service.")] = "person",
    role: Annotated[list[str] | None, typer.Option("--role", help="A role of the party that the holder has.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What it is good for: reading, asking, deciding or giving.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="How long it is valid.")] = 30,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Make a token for a person or a service of a party; it is shown once and kept as a digest."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.asking import PrincipalKind, Scope
        from asepsis.domain.names import PartyId
        from asepsis.domain.parties import Role
        from asepsis.errors.access import TokenUnfit
        from asepsis.services.tokens import Wanted

        opened = open_room(room)
        try:
            wanted = Wanted(
                holder=holder,
                kind=PrincipalKind(kind.title()),
                party=PartyId(party),
                roles=frozenset(Role(one) for one in role or []),
                scopes=frozenset(Scope(one) for one in scope or [Scope.READING]),
                days=days,
            )
        except ValueError:
            raise TokenUnfit(problem="a kind, role or scope is none of those that there are") from None
        made, secret = _tokens(room).make(wanted, contract=opened.contracts.contract())
        text = f"{secret}\n{_line(made)}\nit is shown once; from now on this room answers to nobody without a token"
        emit({**made.to_document(), "secret": secret}, as_json=as_json, text=text)


@token_app.command("ls")
def ls(room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """List all tokens that were ever made, without their secrets."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import now

        found, at = _tokens(room).all(), now()
        rows = [
            [
                one.id,
                one.holder,
                one.kind.value.lower(),
                one.party,
                _names(one.roles),
                _names(one.scopes),
                one.standing(at),
            ]
            for one in found
        ]
        emit(
            [{**one.to_document(), "standing": one.standing(at)} for one in found],
            as_json=as_json,
            text=table(["token", "holder", "kind", "party", "roles", "scopes", "standing"], rows),
        )


@token_app.command("revoke")
def revoke(token: str, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Refuse a token from the next request on."""
    with reported(as_json=as_json):
        revoked = _tokens(room).revoke(token)
        emit(revoked.to_document(), as_json=as_json, text=f"{revoked.id}: revoked")


def _tokens(room: Path) -> Tokens:
    import secrets

    from asepsis.bootstrap.room import now, open_room
    from asepsis.services.tokens import Tokens

    opened = open_room(room)
    return Tokens(opened.state, now, secrets.token_bytes, opened.host)


def _explained(who: str, found: Explanation) -> str:
    question, allowed = found.question, found.ruling.allowed
    lines = [f"{who} {'may' if allowed else 'may NOT'}: {question.deed.value} ({question.subject.id})"]
    lines += [f"  {'forbidden' if one.forbids else 'permitted'} by {one.id}: {one.words}" for one in found.because]
    if not allowed and not found.because:
        lines.append("  no policy permits it; these would:")
        lines += [f"    {words}" for words in found.needed]
    if found.parties:
        lines.append(f"  parties that may: {', '.join(found.parties)}")
    return "\n".join(lines)


def _line(token: Token) -> str:
    who = f"{token.holder}, {token.kind.value.lower()} of {token.party}, as {_names(token.roles) or 'nothing'}"
    return f"{token.id}: {who}, for {_names(token.scopes)}, until {token.expires_at:%Y-%m-%d}"


def _names(values: frozenset[object]) -> str:
    return ", ".join(sorted(map(str, values)))
