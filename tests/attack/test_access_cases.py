"""Cases of the areas "authn" and "authz" (shared/attacks/trust.yaml) that concern what is built here.

TR-079 token scope and storage, TR-084 other people's ids, TR-085 own work, TR-087 the host, TR-088 other teams' rows,
TR-092 edited policies, TR-094 parameters that are not asked for. What waits for persons who act (TR-086), sign-in
(TR-071 to TR-081) and posture (TR-097 to TR-101) is listed in access_cases_not_covered.yaml.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from dataclasses import replace
from importlib.resources import files
from itertools import product
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "web"))

from served_room import OWNERS, RESEARCHER, TEAM, Served, serve_room

from asepsis.access.policies import POLICIES, SCHEMA, PolicySet, ruling
from asepsis.api.app import interface
from asepsis.bootstrap.room import Room, now, open_room
from asepsis.cli.server import application
from asepsis.domain.asking import Deed, Principal, PrincipalKind, Question, Scope, Subject
from asepsis.domain.ledger import Act
from asepsis.domain.names import PartyId
from asepsis.domain.parties import Role
from asepsis.errors.access import PoliciesUnusable
from asepsis.errors.contract import ContractForbids, UnknownParty
from asepsis.errors.room import OwnWorkReviewed, PackageMissing
from asepsis.services.tokens import Tokens, Wanted

HOST = PartyId("room")
READER = Wanted(
    holder="somebody",
    kind=PrincipalKind.PERSON,
    party=OWNERS[0],
    roles=frozenset({Role.OWNER}),
    scopes=frozenset({Scope.READING}),
    days=1,
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return serve_room(tmp_path_factory.mktemp("cases") / "room")


@pytest.fixture
def served(prepared: Served, tmp_path: Path) -> Served:
    return replace(prepared, room=open_room(shutil.copytree(prepared.room.folder, tmp_path / "room")))


def token(room: Room, wanted: Wanted) -> str:
    made = Tokens(room.state, now, secrets.token_bytes, room.host)
    return made.make(wanted, contract=room.contracts.contract())[1]


def client_of(room: Room) -> TestClient:
    return TestClient(application(room), base_url="http://127.0.0.1:8765")


def status(client: TestClient, path: str, secret: str) -> int:
    return client.get(path, headers={"Authorization": f"Bearer {secret}"}).status_code


def denials(room: Room) -> list[str]:
    ledger = room.state.ledger()
    return [str(e.facts["policy"]) for e in ledger.entries(0, ledger.size()) if e.act.value == "access.denied"]


@pytest.mark.parametrize("deed", [Deed.DECIDE_RELEASE, Deed.APPROVE_REFERRAL, Deed.SIGN_CONTRACT, Deed.STOP_CONTRACT])
@pytest.mark.parametrize("roles", [(Role.OWNER,), tuple(Role)])
def test_tr_079_a_token_for_reading_decides_nothing(deed: Deed, roles: tuple[Role, ...]) -> None:
    reader = Principal(
        kind=PrincipalKind.PERSON,
        id="somebody",
        party=OWNERS[0],
        roles=frozenset(roles),
        scopes=frozenset({Scope.READING}),
    )
    parties = frozenset(OWNERS)
    subjects = {
        Deed.DECIDE_RELEASE: Subject(kind="Release", id="r", marks={"author": RESEARCHER}),
        Deed.APPROVE_REFERRAL: Subject(kind="Referral", id="r", marks={"author": RESEARCHER, "teams": frozenset()}),
    }
    subject = subjects.get(deed, Subject(kind="Contract", id="c", marks={"parties": parties}))
    found = ruling(Question(principal=reader, deed=deed, subject=subject))
    assert not found.allowed
    assert not found.fault
    assert "token-not-for-deciding" in found.policies


def test_tr_084_the_whole_route_table_asks_for_a_token_and_for_the_role(served: Served) -> None:
    room = served.room
    team = token(room, replace(READER, party=TEAM, roles=frozenset({Role.CLINICIAN})))
    wrong = token(room, replace(READER, scopes=frozenset({Scope.GIVING})))
    client = client_of(room)
    paths = sorted(interface(room).openapi()["paths"])
    assert len(paths) >= 9
    for path in paths:
        address = path.replace("{release_id}", served.counts)
        expected = {"/healthz": 200}.get(path, 401)
        assert status(client, address, "asepsis_guessed") == expected, path
        if path != "/healthz":
            assert status(client, address, wrong) == 403, path
            assert status(client, address, team) == (403 if "{release_id}" in path else 200), path


def test_tr_085_nobody_decides_on_their_own_output_whatever_their_roles(served: Served) -> None:
    room = served.room
    with pytest.raises(OwnWorkReviewed):
        room.review(served.waiting, by=RESEARCHER, release_it=True)
    assert denials(room) == ["nobody-decides-on-own-work"]
    for kind, roles in product(PrincipalKind, ((Role.OWNER,), (Role.CHECKER,), tuple(set(Role) - {Role.HOST}))):
        if kind is PrincipalKind.RUNTIME:
            continue
        author = Principal(kind=kind, id="second-account", party=RESEARCHER, roles=frozenset(roles))
        subject = Subject(kind="Release", id="release", marks={"author": RESEARCHER})
        found = ruling(Question(principal=author, deed=Deed.DECIDE_RELEASE, subject=subject))
        assert not found.allowed
        assert "nobody-decides-on-own-work" in found.policies


def test_tr_087_the_host_reads_no_release_and_decides_nothing(served: Served) -> None:
    room = served.room
    client = client_of(room)
    host = token(room, replace(READER, party=HOST, roles=frozenset({Role.HOST})))
    for path in (f"/v1/releases/{served.counts}", f"/v1/releases/{served.counts}/bundle", f"/releases/{served.counts}"):
        assert status(client, path, host) == 403, path
    assert set(denials(room)) == {"the-host-only-operates"}
    with pytest.raises(ContractForbids):
        room.review(served.waiting, by=HOST, release_it=True)
    with pytest.raises(UnknownParty):
        room.review(served.waiting, by=PartyId("stranger"), release_it=True)
    assert denials(room)[-2:] == ["the-host-only-operates", "nothing-permits"]


def test_tr_088_rows_are_collected_by_the_team_that_they_were_sealed_to(served: Served) -> None:
    room = served.room
    for party in (RESEARCHER, *OWNERS, HOST):
        with pytest.raises(PackageMissing):
            room.referrals.collect(served.referral, team=party)
    assert len(denials(room)) == 4


def test_what_a_token_read_is_in_the_ledger_once_and_no_step_of_the_release(served: Served) -> None:
    room, secret = served.room, token(served.room, READER)
    client = client_of(room)
    for path in (f"/v1/releases/{served.counts}", f"/releases/{served.counts}", f"/v1/releases/{served.counts}"):
        assert status(client, path, secret) == 200
    assert status(client, "/v1/releases/release-ffffffffffffffff", secret) == 404
    ledger = room.state.ledger()
    read = [entry for entry in ledger.entries(0, ledger.size()) if entry.act is Act.RELEASE_READ]
    assert [(entry.actor, entry.facts["release"]) for entry in read] == [(OWNERS[0], served.counts)]
    with pytest.raises(OwnWorkReviewed):
        room.review(served.counts, by=RESEARCHER, release_it=False)
    about = [entry.act for entry in ledger.entries(0, ledger.size()) if entry.subject == served.counts]
    assert not {Act.RELEASE_READ, Act.ACCESS_DENIED} & set(about)


def edits(text: str) -> list[str]:
    """Policies that somebody edited: cut, renamed, without names, or asking for what there is not."""
    name = '@id("nobody-decides-on-own-work")'
    return [
        text[: len(text) // 2],
        text.replace(name, ""),
        text.replace(name, '@id("parties-read")'),
        text.replace("principal.party", "principal.novelty"),
        text.replace("@words", "@title"),
    ]


@pytest.mark.parametrize("edited", edits(files("asepsis.access").joinpath(POLICIES).read_text()))
def test_tr_092_policies_that_were_damaged_are_not_used(edited: str) -> None:
    with pytest.raises(PoliciesUnusable):
        PolicySet(edited, schema=files("asepsis.access").joinpath(SCHEMA).read_text())


def test_tr_092_an_edit_that_is_valid_shows_in_the_digest_that_desks_record() -> None:
    schema = files("asepsis.access").joinpath(SCHEMA).read_text()
    text = files("asepsis.access").joinpath(POLICIES).read_text()
    digests = {PolicySet(one, schema=schema).digest for one in (text, text + "// more\n")}
    assert len(digests) == 2


@pytest.mark.parametrize("more", [{"role": "owner"}, {"approved_by": "northgate"}, {"budget": 10}])
def test_tr_094_marks_that_nobody_asked_for_are_refused(more: dict[str, str | int]) -> None:
    principal = Principal(kind=PrincipalKind.PARTY, id="ada", party=RESEARCHER, roles=frozenset({Role.CHECKER}))
    subject = Subject(kind="Release", id="r", marks={"author": OWNERS[0], **more})
    for question in (
        Question(principal=principal, deed=Deed.DECIDE_RELEASE, subject=subject),
        Question(
            principal=principal,
            deed=Deed.DECIDE_RELEASE,
            subject=Subject(kind="Release", id="r", marks={"author": OWNERS[0]}),
            context=more,
        ),
    ):
        found = ruling(question)
        assert not found.allowed
        assert found.fault


def test_every_case_of_these_areas_is_run_or_listed(shared_data: Path) -> None:
    text = (shared_data / "attacks" / "trust.yaml").read_text()
    cases = {case["id"] for case in yaml.safe_load(text)["cases"] if case["area"] in {"authn", "authz", "posture"}}
    listed = yaml.safe_load(Path(__file__).with_name("access_cases_not_covered.yaml").read_text())["cases"]
    names = {case["id"] for case in listed} | set(COVERED)
    assert cases <= names
    assert not {case["id"] for case in listed if "part" not in case} & set(COVERED)


COVERED = ("TR-079", "TR-084", "TR-085", "TR-087", "TR-088", "TR-092", "TR-094", "TR-082", "TR-096")
"""TR-082 is run in tests/contract/test_desk_protocol.py and TR-096 in tests/unit/desk/test_desk_privacy.py."""
