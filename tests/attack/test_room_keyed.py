"""Linkage by keyed tokens in a whole room: no identifier is there, no key, no score; and no token when it is over."""

from __future__ import annotations

import base64
import json
import random
import shutil
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from asepsis.bootstrap.room import create_room
from asepsis.cli.story.agreement import TEAMS
from asepsis.cli.story.inspection import held
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.datasets import Holding
from asepsis.domain.names import Digest, PartyId, SnapshotId
from asepsis.domain.run import RunStatus
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.keys import KeyDestroyed
from asepsis.errors.linkage import (
    EpochUnknown,
    IdentifiersNotAtHome,
    IdentifiersNotInRoom,
    IdentifiersStayHome,
    TokensMissing,
)
from asepsis.errors.room import RegisterUnreadable
from asepsis.errors.runtime import OrderRefused
from asepsis.runtime.linking import _tokens
from asepsis.runtime.order import read_order
from asepsis.runtime.vault import Vault
from asepsis.sealing.epochs import TOKENS, epoch_share_binding
from asepsis.sealing.links import LINKS
from asepsis.services.contracts import read_proposal
from asepsis.services.wording import contract_in_words
from simulator import (
    AT_NORTHGATE,
    LABORATORY,
    NORTHGATE,
    ORIGIN,
    OWNERS,
    PERSONS,
    RARE,
    RIVERSIDE,
    Nursery,
    World,
    base_folder,
    call,
    contribute,
    draft,
    now,
    once,
    order_for,
    persons_with,
    sign,
)

CLINIC = PartyId("northgate-clinic")
SHARED_PERSONS = 10
"""As the gate rounds the twelve."""
DATASETS = {
    f"{owner}-omop-{holds}": {"owner": owner, "label": "synthetic", "holds": holds}
    for owner in OWNERS
    for holds in ("clinical", "tokens")
}


def keyed_document(world: World, **clause: Any) -> dict[str, Any]:
    return draft(world, datasets=DATASETS, linkage={"mode": "keyed", **clause})


@pytest.fixture(scope="session")
def keyed_world(tmp_path_factory: pytest.TempPathFactory, signed_world: World) -> World:
    """Read only: a keyed contract is in force; Riverside has contributed before it, and Northgate under it."""

    def make(folder: Path) -> None:
        world = signed_world.copy(folder)
        kept = call(*world.contribution(RIVERSIDE), "--keep-identifiers")
        assert kept.out.count("identifiers stay in the owner's home") == 1
        sign(world, keyed_document(world, dummies=25))
        contribute(world, NORTHGATE)

    return World(once(base_folder(tmp_path_factory) / "world-keyed", make))


@pytest.fixture(scope="session")
def keyed_linked(tmp_path_factory: pytest.TempPathFactory, keyed_world: World) -> World:
    """Read only: linked, with what was secret on the way beside the room (``secrets.json``)."""

    def make(folder: Path) -> None:
        world = keyed_world.copy(folder)
        room = world.room()
        epoch = room.linkage.epoch()
        secret = room.desk(NORTHGATE).link_key(epoch.name, shares=epoch.shares_for(NORTHGATE)).secret
        shares = []
        for owner in OWNERS:
            with room.desk(owner)._office.state.reading() as records:
                (kept,) = records.epochs()
            shares.append(room.keys(owner).unwrap(kept.wrapped, binding=epoch_share_binding(owner, epoch=epoch.name)))
        answer = call(*world.command("link", "--json"))
        assert answer.code == 0, answer
        secrets = {"key": secret.hex(), "shares": [share.hex() for share in shares], "answer": answer.document()}
        (folder / "secrets.json").write_text(json.dumps(secrets))

    return World(once(base_folder(tmp_path_factory) / "world-keyed-linked", make))


@pytest.fixture
def keyed(keyed_world: World, tmp_path: Path) -> World:
    """A room of one's own where tokens are to be given."""
    return keyed_world.copy(tmp_path / "world")


@pytest.fixture
def linked(keyed_linked: World, tmp_path: Path) -> World:
    """A room of one's own that can be asked."""
    return keyed_linked.copy(tmp_path / "world")


def told(world: World) -> dict[str, Any]:
    secrets: dict[str, Any] = json.loads((world.folder / "secrets.json").read_text())
    return secrets


def what_the_host_has(world: World) -> dict[str, bytes]:
    """Every file of the host, and what its programs could print of them."""
    files = {str(path): path.read_bytes() for path in (world.path / "host").rglob("*") if path.is_file()}
    room = world.room()
    files["ledger"] = room.audit.export()
    files["epochs"] = json.dumps([epoch.to_document() for epoch in room.state.epochs()]).encode()
    files["manifests"] = b"".join(item.document for item in room.state.snapshots())
    return files


def published(world: World, holds: str) -> list[Any]:
    return [item for item in world.room().state.snapshots() if item.manifest.dataset.endswith(holds)]


def test_the_patients_of_both_hospitals_are_found_and_counted_once(linked: World) -> None:
    report = dict(told(linked)["answer"]["report"]["rows"])
    assert report["persons_in_several_owners"] == SHARED_PERSONS
    answer = call(*linked.query(persons_with(RARE)), "--json")
    assert answer.document()["table"]["rows"] == [[15]]
    said = [one for one in answer.document()["findings"] if one["code"] == "disclosure.linked"]
    assert [one["reason"] for one in said] == [
        "Patients of several owners count once, by links of grade A (mode keyed)."
    ]


def test_the_room_holds_no_identifier_no_key_and_no_score(keyed_linked: World) -> None:
    """Guards: identifiers are sealed into the owner's home; shares pass sealed; the map is sealed."""
    words = {person.family for person in PERSONS} | {person.national_id for person in PERSONS}
    words |= {f"{10_000_000 + person.number}" for person in AT_NORTHGATE}
    words |= {f"B{20_000 + person.number}" for person in PERSONS} | {"HIGH STREET"}
    needles = {form.encode(code) for word in words for form in (word, word.title()) for code in ENCODINGS}
    hidden = [bytes.fromhex(text) for text in (told(keyed_linked)["key"], *told(keyed_linked)["shares"])]
    for secret in hidden:
        needles |= {secret, secret.hex().encode(), base64.b64encode(secret)}
    needles |= {b"p_link", b"link_id", b"weight"}
    for name, content in what_the_host_has(keyed_linked).items():
        assert not held(needles, content), name
    # The search finds what is there: the same words stand in the sources beside the room.
    sources = b"".join(path.read_bytes() for path in keyed_linked.folder.glob("*/*") if path.is_file())
    assert {word for word in needles if word in sources} > {"DAWSON".encode("cp037"), b"Thornton"}


ENCODINGS = ("utf-8", "utf-16-le", "cp037")


def test_a_list_of_surnames_names_nobody_in_anything_that_the_host_can_see(keyed_linked: World, keyed: World) -> None:
    """While the tokens are there and afterwards: no name is confirmed, and nothing has the frequencies of names."""
    give_both(keyed)
    for world in (keyed, keyed_linked):
        seen = what_the_host_has(world)
        (epoch,) = world.room().state.epochs()
        public = [epoch.name.contract.encode(), *(one.value for one in epoch.commitments.values())]
        for place, content in seen.items():
            windows = {content[at : at + 8] for at in range(len(content) - 7)}
            assert not surname_tokens([b"", b"name", b"family", *public]) & windows, place
    sealed = (keyed.path / "host" / "snapshots").glob(f"*-{TOKENS}-*/*.sealed")
    for content in (path.read_bytes() for path in sealed):
        assert len({content[at : at + 8] for at in range(len(content) - 7)}) == len(content) - 7, (
            "something comes twice"
        )


def surname_tokens(keys: list[bytes]) -> set[bytes]:
    """What the surnames would be as tokens, without a key and under everything that the room could take for one."""
    names = [form.encode() for person in PERSONS for form in (person.family, person.family.lower())]
    tokens = {blake2b(name, digest_size=8, key=key[:64]).digest() for name in names for key in keys}
    tokens |= {sha256(key + name).digest()[:8] for name in names for key in keys}
    return tokens | {token[::-1] for token in tokens}


def test_identifiers_stay_at_home_and_sealed(keyed_linked: World) -> None:
    assert {item.manifest.dataset for item in keyed_linked.room().state.snapshots()} == {*DATASETS, LINKS}
    for owner in OWNERS:
        home = keyed_linked.path / "parties" / owner
        (sealed,) = (home / "identities").glob("*/*.sealed")
        content = sealed.read_bytes()
        assert not [person for person in PERSONS if person.family.encode() in content]
        assert sealed.parent.stat().st_mode & 0o077 == 0
        assert not list((home / "work").glob("*"))


def test_when_the_map_is_there_tokens_and_key_are_gone_and_the_ledger_says_so(keyed_linked: World) -> None:
    room = keyed_linked.room()
    entries = [(entry.act.value, entry.subject) for entry in room.audit.entries()]
    made = next(at for at, (act, _) in enumerate(entries) if act == "link.made")
    given = published(keyed_linked, TOKENS)
    assert len(given) == len(OWNERS)
    for item in given:
        name, owner = item.manifest.snapshot, item.manifest.owner
        assert {("key.shredded", name), ("snapshot.withdrawn", name)} <= set(entries[made:])
        assert not room.files.folder(name).exists()
        with pytest.raises(KeyDestroyed):
            room.desk(owner).own_key(item.manifest)
        assert "key.shredded" in keyed_linked.desk_acts(owner)
    (epoch,) = room.state.epochs()
    assert (epoch.is_over, dict(epoch.shares)) == (True, {})
    assert keyed_linked.verify_ledger() == len(entries) + len(["ledger.exported"])


def test_dummy_records_hide_how_many_patients_an_owner_has(keyed_linked: World) -> None:
    for item in published(keyed_linked, TOKENS):
        assert {file.table: file.rows for file in item.manifest.files}["records"] == 36 + 36 // 4


def give_both(world: World) -> None:
    assert world.room().linkage.waits_for() == OWNERS
    for owner in OWNERS:
        answer = call(*world.command("link", "tokens", "--as", owner))
        assert answer.code == 0, answer
        assert answer.out.endswith("next: when every owner has given tokens: asepsis link\n")


def test_each_owner_gives_its_own_tokens_and_the_run_waits_for_them(keyed: World) -> None:
    """As on separate machines; nothing is made twice, and nobody gives tokens that nobody asked for."""
    early = call(*keyed.command("link", "tokens", "--as", NORTHGATE))
    assert (early.code, early.error) == (EpochUnknown.kind.exit_code, EpochUnknown.code)
    with pytest.raises(TokensMissing, match="northgate, riverside"):
        keyed.room().linkage.link()
    assert call(*keyed.command("link", "tokens", "--as", NORTHGATE)).code == 0
    with pytest.raises(TokensMissing, match="tokens of riverside"):
        keyed.room().linkage.link()
    assert [run.status for run in keyed.room().state.runs()] == []
    again = call(*keyed.command("link", "tokens", "--as", NORTHGATE, "--json")).document()
    assert again["snapshot"] == published(keyed, TOKENS)[0].manifest.snapshot
    assert len(published(keyed, TOKENS)) == 1


@pytest.mark.long
def test_linked_once_the_same_answer_comes_again_and_newer_data_begin_a_new_epoch(linked: World) -> None:
    assert call(*linked.command("link", "--json")).document() == told(linked)["answer"]
    room = linked.room()
    newer = room.epochs.agreed(room.contracts.in_force(), data=Digest("0" * 64))
    assert (newer.name.number, newer.is_over, room.epochs.tokens(newer)) == (2, False, {})
    assert room.linkage.epoch().name.number == 3
    assert [epoch.is_over for epoch in room.state.epochs()] == [True, True, False]


def test_the_runtime_refuses_tokens_of_another_epoch_than_the_job_states(keyed: World) -> None:
    """Guard: ``_tokens`` of the runtime, which does not believe the room's word for it. No desk would grant that."""
    give_both(keyed)
    room = keyed.room()
    manifests = {item.manifest.snapshot: item.manifest for item in published(keyed, TOKENS)}
    keys = {name: [room.desk(item.owner).own_key(item)] for name, item in manifests.items()}
    for arguments, is_right in (({"epoch": 1}, True), ({"epoch": 2}, False), ({}, False)):
        analysis = Analysis(kind=AnalysisKind.LINKAGE, author=room.host, arguments=arguments)
        order = read_order(order_for(keyed, analysis)[1], now=now())
        assert {folder.holds for folder in order.snapshots} == {Holding.TOKENS}
        with Vault(keys) as vault:
            if is_right:
                assert set(_tokens(order, vault)) == set(OWNERS)
                continue
            with pytest.raises(OrderRefused, match="epoch"):
                _tokens(order, vault)


@pytest.mark.long
def test_a_referral_names_the_patients_at_their_own_hospital_alone(linked: World) -> None:
    """The package has keys and no name; they open those patients in the register of their hospital, and nobody else.

    Guards: name keys are a person's own; the register is none of the room's; a register of others is refused.
    """
    room = linked.room()
    cohort = f"SELECT DISTINCT person_id FROM condition_occurrence WHERE condition_concept_id = {RARE}"
    referral = room.referrals.request(LABORATORY, cohort=cohort, reason="therapy review")
    for owner in OWNERS:
        room.approve_referral(referral.id, owner=owner)
    room.referrals.deliver(referral.id)
    sealed = json.loads(room.referrals.open_package(referral.id, team=CLINIC, keys=room.keys(CLINIC)))["tables"]
    assert "identity" not in sealed
    assert not [one for one in PERSONS if one.national_id in str(sealed)]
    persons = {row["person_id"] for row in sealed["person"]}
    assert {row["person_id"] for row in sealed["name_keys"]} == persons

    home = next((linked.path / "parties" / NORTHGATE / "identities").iterdir())
    register = (home / "register.parquet").rename(linked.folder / "register.parquet")
    collect = linked.command("refer", "collect", referral.id, "--as", CLINIC, "--json")
    assert call(*collect).document()["named"] is False
    (other,) = (linked.path / "parties" / RIVERSIDE / "identities").glob("*/register.parquet")
    assert call(*collect, "--register", str(other)).error == RegisterUnreadable.code
    said = call(*collect, "--register", str(register)).document()
    tables = json.loads(Path(said["file"]).read_text())["tables"]
    assert (said["named"], said["patients"], "name_keys" in tables) == (True, len(persons), False)
    assert {row["person_id"] for row in tables["identity"]} == persons
    assert {row["national_id"] for row in tables["identity"]} < {one.national_id for one in AT_NORTHGATE}


@pytest.fixture(scope="session")
def bare_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Read only: an owner with keys, and no contract."""

    def make(folder: Path) -> None:
        create_room(folder / "room", origin=ORIGIN).enrol(NORTHGATE, owner=True)

    return World(once(base_folder(tmp_path_factory) / "world-bare", make))


def test_identifiers_stay_at_home_unless_they_are_sent_or_the_contract_wants_them(
    bare_world: World, signed_world: World, keyed_world: World
) -> None:
    """Guard: ``keeps_identifiers``; before there is a contract nobody's identifiers enter the room unasked."""

    def kept(world: World, *, send: bool | None) -> bool:
        return world.room().contribute(NORTHGATE, send_identifiers=send).keeps_identifiers()

    assert [kept(bare_world, send=send) for send in (None, False, True)] == [True, True, False]
    assert [kept(signed_world, send=send) for send in (None, False, True)] == [False, True, False]
    assert [kept(keyed_world, send=send) for send in (None, False)] == [True, True]
    with pytest.raises(IdentifiersStayHome):
        kept(keyed_world, send=True)


def test_identifiers_that_the_contract_keeps_out_of_the_room_cannot_be_sent(keyed: World) -> None:
    before = keyed.contents()
    answer = call(*keyed.contribution(NORTHGATE), "--send-identifiers")
    assert (answer.code, answer.error) == (IdentifiersStayHome.kind.exit_code, IdentifiersStayHome.code)
    assert keyed.contents() == before


def test_a_contract_that_links_by_identifiers_says_whose_are_at_home(unlinked: World) -> None:
    """Guard: ``_require_identifiers``; older identifiers are not linked in place of those of the newest persons."""
    kept = call(*unlinked.contribution(NORTHGATE), "--keep-identifiers", "--json").document()
    assert [item["dataset"] for item in kept["snapshots"]] == ["northgate-omop-clinical"]
    answer = call(*unlinked.command("link"))
    assert (answer.code, answer.error) == (IdentifiersNotInRoom.kind.exit_code, IdentifiersNotInRoom.code)
    assert "The identifiers of northgate are not in the room" in answer.err

    stated = [
        "--title",
        "t",
        "--purpose",
        "p",
        "--legal-basis",
        "b",
        "--label",
        "synthetic",
        "--researcher",
        LABORATORY,
    ]
    teams = [f"--team={team}={hospital}" for team, hospital in TEAMS.items()]
    for mode, said in {
        "keyed": "Those of riverside are in the room: contribute again",
        "sealed": "Those of northgate are at home: contribute again",
    }.items():
        file = unlinked.folder / f"{mode}.yaml"
        chosen = [] if mode == "keyed" else ["--linkage", mode]
        drafted = call(*unlinked.command("contract", "draft", str(file), *stated, *teams, *chosen))
        assert said in drafted.out, drafted
        assert yaml.safe_load(file.read_text())["linkage"] == {"mode": mode}


def test_without_identifiers_at_home_there_are_no_tokens(keyed: World) -> None:
    """As where they were contributed into the room, before the contract: the owner contributes again."""
    room = keyed.room()
    assert room.linkage.waits_for() == OWNERS
    (kept,) = (keyed.path / "parties" / NORTHGATE / "identities").iterdir()
    (kept / "identity.sealed").rename(kept / "gone")
    answer = call(*keyed.command("link", "tokens", "--as", NORTHGATE))
    assert answer.error == IdentifiersNotAtHome.code
    shutil.rmtree(kept)
    answer = call(*keyed.command("link"))
    assert (answer.code, answer.error) == (IdentifiersNotAtHome.kind.exit_code, IdentifiersNotAtHome.code)


@pytest.mark.parametrize(
    ("mode", "holds", "problem"),
    [
        ("keyed", ("clinical", "identity"), "no dataset holds identity"),
        ("keyed", ("clinical",), "every owner has one dataset that holds tokens"),
        ("sealed", ("clinical", "tokens"), "no dataset holds tokens"),
        ("rules", ("clinical", "identity", "tokens"), "no dataset holds tokens"),
    ],
)
def test_identifiers_and_tokens_never_stand_in_one_contract(
    keyed: World, mode: str, holds: tuple[str, ...], problem: str
) -> None:
    document = keyed_document(keyed)
    document["linkage"] = {"mode": mode}
    document["datasets"] = {
        f"{owner}-omop-{one}": {"owner": owner, "label": "synthetic", "holds": one} for owner in OWNERS for one in holds
    }
    with pytest.raises(DocumentMalformed, match=problem):
        read_proposal(document)


def test_an_owner_reads_in_words_what_the_mode_means(keyed: World) -> None:
    contract = read_proposal(keyed_document(keyed, dummies=10))
    (word,) = (line for line in contract_in_words(contract)[NORTHGATE] if "stay in its own home" in line)
    assert "10 per cent of records of nobody" in word
    assert not [line for line in contract_in_words(contract)[LABORATORY] if "stay in its own home" in line]


@pytest.mark.long
@pytest.mark.parametrize("part", range(40))
def test_a_keyed_linkage_that_was_killed_anywhere_is_finished_by_the_same_command(
    part: int, keyed_world: World, warm: Nursery, tmp_path: Path
) -> None:
    """Guards: the order of steps in ``Linkage.link`` and ``Epochs``; each step asked again says the same."""
    world = keyed_world.copy(tmp_path / "world")
    warm.run(world.command("link", "--json"), kill_at=random.Random(part).randrange(100))
    answer = warm.run(world.command("link", "--json"))
    assert answer.code == 0, answer
    assert dict(answer.document()["report"]["rows"])["persons_in_several_owners"] == SHARED_PERSONS
    room = world.room()
    assert [run.status for run in room.state.runs()] == [RunStatus.FINISHED]
    assert world.budgets() == dict.fromkeys(OWNERS, 1)
    left = {item.manifest.snapshot for item in room.state.snapshots()} - room.state.erased()
    assert {SnapshotId(path.name) for path in (world.path / "host" / "snapshots").iterdir()} == left
    assert not [name for name in left if TOKENS in name]
    assert all(epoch.is_over for epoch in room.state.epochs())
    world.verify_ledger()
