"""Tokens: shown once, kept as digests, good for what they name; the doors ask the policies for each request."""

import base64
import json
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from served_room import make_room
from starlette.testclient import TestClient
from typer.testing import CliRunner

from asepsis.bootstrap.room import Room, now, open_room
from asepsis.cli.main import app
from asepsis.cli.server import application
from asepsis.domain.asking import PrincipalKind, Scope
from asepsis.domain.names import PartyId
from asepsis.domain.parties import Role
from asepsis.errors.access import TokenRefused, TokenUnfit
from asepsis.errors.contract import UnknownParty
from asepsis.errors.room import RecordMissing
from asepsis.services.tokens import Tokens, Wanted

NORTH, ADA, TEAM = PartyId("northgate"), PartyId("ada"), PartyId("north-clinic")
RELEASE = "/v1/releases/release-00000000000000ff"
READER = Wanted(
    holder="jo-bloggs",
    kind=PrincipalKind.PERSON,
    party=NORTH,
    roles=frozenset({Role.OWNER}),
    scopes=frozenset({Scope.READING}),
    days=30,
)

Get = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_room(tmp_path_factory.mktemp("prepared") / "room").folder


@pytest.fixture
def room(prepared: Path, tmp_path: Path) -> Room:
    return open_room(shutil.copytree(prepared, tmp_path / "room"))


@pytest.fixture
def tokens(room: Room) -> Tokens:
    return Tokens(room.state, now, secrets.token_bytes, room.host)


@pytest.fixture
def get(room: Room) -> Get:
    client = TestClient(application(room), base_url="http://127.0.0.1:8765")

    def ask(path: str, secret: str | None = None, **headers: str) -> tuple[int, str]:
        shown = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        answer = client.get(path, headers={**shown, **headers})
        is_problem = "problem" in answer.headers["content-type"]
        return answer.status_code, answer.json()["code"] if is_problem else ""

    return ask


def made(tokens: Tokens, room: Room, **changes: object) -> str:
    return tokens.make(replace(READER, **changes), contract=room.contracts.contract())[1]  # type: ignore[arg-type]


def acts(room: Room) -> list[str]:
    ledger = room.state.ledger()
    return [entry.act.value for entry in ledger.entries(0, ledger.size())]


def test_a_room_without_tokens_is_read_on_its_own_machine(get: Get) -> None:
    assert get("/v1/contract") == (200, "")
    assert get("/") == (200, "")


def test_once_a_token_was_made_nobody_reads_without_one(room: Room, tokens: Tokens, get: Get) -> None:
    secret = made(tokens, room)
    for path in ("/v1/contract", "/v1/ledger", "/v1/openapi.json", "/", "/ledger", "/host", "/nothing", RELEASE):
        assert get(path) == (401, "access.token_needed"), path
        assert get(path, secret + "x") == (401, "access.token_refused"), path
    assert get("/v1/contract", secret) == (200, "")
    assert get("/", secret) == (200, "")
    assert get(RELEASE, secret) == (404, "room.record_missing")
    assert get("/healthz") == (200, "")
    assert get("/static/asepsis.css") == (200, "")


def test_a_revoked_token_opens_nothing_and_the_room_stays_closed(room: Room, tokens: Tokens, get: Get) -> None:
    secret = made(tokens, room)
    (token,) = tokens.all()
    tokens.revoke(token.id)
    assert tokens.revoke(token.id).revoked_at == tokens.all()[0].revoked_at
    assert get("/v1/contract", secret) == (401, "access.token_refused")
    assert get("/v1/contract") == (401, "access.token_needed")
    assert acts(room).count("token.revoked") == 1
    with pytest.raises(RecordMissing):
        tokens.revoke("token-0000000000000000")


def test_a_token_ends(room: Room, tokens: Tokens) -> None:
    secret = made(tokens, room, days=1)
    later = replace(tokens, clock=lambda: now() + timedelta(days=1))
    contract = room.contracts.contract()
    assert tokens.principal(secret, contract=contract)[1].party == NORTH
    with pytest.raises(TokenRefused):
        later.principal(secret, contract=contract)


def test_a_token_is_good_for_its_scopes_alone(room: Room, tokens: Tokens, get: Get) -> None:
    secret = made(tokens, room, scopes=frozenset({Scope.DECIDING}))
    assert get("/v1/contract", secret) == (403, "access.denied")


def test_a_token_has_the_roles_that_it_names_and_that_the_contract_gives(room: Room, tokens: Tokens, get: Get) -> None:
    without = made(tokens, room, roles=frozenset())
    team = made(tokens, room, party=TEAM, roles=frozenset({Role.CLINICIAN}))
    for secret in (without, team):
        assert get("/v1/contract", secret) == (200, "")
        assert get(RELEASE, secret) == (403, "access.denied")
        assert get(RELEASE + "/bundle", secret) == (403, "access.denied")
        assert get("/releases/release-00000000000000ff", secret) == (403, "access.denied")


def test_a_refusal_of_somebody_known_is_in_the_ledger_once(room: Room, tokens: Tokens, get: Get) -> None:
    secret = made(tokens, room, roles=frozenset())
    for _ in range(3):
        assert get(RELEASE, secret) == (403, "access.denied")
    get(RELEASE, "asepsis_wrong")
    ledger = room.state.ledger()
    denied = [entry for entry in ledger.entries(0, ledger.size()) if entry.act.value == "access.denied"]
    (entry,) = denied
    assert entry.facts["token"] == tokens.all()[0].id
    assert entry.subject == "read-release"
    assert (entry.actor, entry.facts["policy"]) == (NORTH, "nothing-permits")


def test_a_browser_shows_the_token_as_a_password(room: Room, tokens: Tokens, get: Get) -> None:
    secret = made(tokens, room)
    shown = base64.b64encode(f"jo:{secret}".encode()).decode()
    assert get("/", Authorization=f"Basic {shown}") == (200, "")
    for wrong in ("Basic !", "Basic", f"Digest {secret}", "", secret):
        assert get("/", Authorization=wrong)[0] == 401, wrong


def test_the_secret_is_kept_nowhere_and_the_holder_is_not_in_the_ledger(room: Room, tokens: Tokens) -> None:
    secret = made(tokens, room)
    kept = b"".join(path.read_bytes() for path in room.folder.rglob("*") if path.is_file())
    assert secret.encode() not in kept
    assert secret.removeprefix("asepsis_").encode() not in kept
    with sqlite3.connect(room.folder / "host" / "room.db") as database:
        (count,) = database.execute("SELECT count(*) FROM tokens WHERE length(secret) = 64").fetchone()
    assert count == 1
    ledger = room.state.ledger()
    assert "bloggs" not in json.dumps([entry.to_document() for entry in ledger.entries(0, ledger.size())])
    assert acts(room)[-1] == "token.made"


@pytest.mark.parametrize(
    "changes",
    [
        {"days": 91},
        {"days": 0},
        {"scopes": frozenset()},
        {"kind": PrincipalKind.PARTY},
        {"roles": frozenset({Role.HOST})},
    ],
)
def test_a_token_that_stands_for_too_much_is_not_made(room: Room, tokens: Tokens, changes: dict[str, object]) -> None:
    with pytest.raises(TokenUnfit):
        made(tokens, room, **changes)
    assert not tokens.are_needed()


def test_a_token_of_a_party_that_the_contract_does_not_name_is_not_made(room: Room, tokens: Tokens) -> None:
    with pytest.raises(UnknownParty):
        made(tokens, room, party=PartyId("stranger"))


def run(room: Room, *arguments: str) -> tuple[int, dict[str, object]]:
    answer = CliRunner().invoke(app, ["access", *arguments, "--room", str(room.folder), "--json"])
    return answer.exit_code, json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("question", "code", "policies"),
    [
        (("ada", "query"), 0, ["researchers-ask"]),
        (("ada", "method", "novelty"), 3, ["only-what-was-agreed"]),
        (("northgate", "query"), 3, []),
        (("room", "link"), 0, ["owners-and-host-link"]),
        (("ada", "read"), 0, ["parties-read"]),
        (("runtime", "grant", "synthetic"), 0, ["attested-runtimes-get-keys"]),
        (("runtime", "grant", "real", "--level", "1"), 3, ["real-data-at-level-2"]),
    ],
)
def test_explain_names_the_policy_and_what_is_needed(
    room: Room, question: tuple[str, ...], code: int, policies: list[str]
) -> None:
    before = acts(room)
    answered, found = run(room, "explain", *question)
    assert (answered, found["allowed"]) == (code, code == 0)
    assert [one["policy"] for one in found["policies"]] == policies  # type: ignore[attr-defined]
    assert bool(found["needed"]) == (code == 3)
    assert acts(room) == before


def test_explain_tells_which_parties_may(room: Room) -> None:
    assert run(room, "explain", "northgate", "query")[1]["parties"] == ["ada"]


def test_the_commands_make_list_and_revoke_a_token(room: Room, get: Get) -> None:
    code, token = run(room, "token", "new", "jo-bloggs", "--as", "northgate", "--role", "owner", "--scope", "reading")
    assert code == 0
    assert get("/v1/contract", str(token["secret"])) == (200, "")
    _, listed = run(room, "token", "ls")
    assert [(one["id"], one["standing"], "secret" in one) for one in listed] == [(token["id"], "valid", False)]  # type: ignore[index]
    _, explained = run(room, "explain", str(token["id"]), "decide-release", "release-00000000000000ff")
    assert explained["error"]["code"] == "room.record_missing"  # type: ignore[index]
    _, explained = run(room, "explain", str(token["id"]), "sign-contract")
    assert explained["policies"][0]["policy"] == "token-not-for-deciding"  # type: ignore[index]
    assert run(room, "token", "revoke", str(token["id"]))[0] == 0
    assert get("/v1/contract", str(token["secret"])) == (401, "access.token_refused")
