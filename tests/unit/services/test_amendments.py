"""Amendments in a room: written from the text in force, planned in words, signed by all, and never a way back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from asepsis.bootstrap.room import Room, create_room, open_room
from asepsis.cli.main import app
from asepsis.domain.contract_state import ContractState, ContractStatus
from asepsis.domain.names import PartyId
from asepsis.errors.contract import AmendmentRefused, ContractSuperseded

HOSPITAL, LABORATORY = PartyId("northgate"), PartyId("lab")
STATED = ["--title", "t", "--purpose", "p", "--legal-basis", "b", "--researcher", "lab", "--label", "synthetic"]


def call(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: a room of one hospital and one laboratory, and a contract that nobody has signed."""
    folder = tmp_path_factory.mktemp("drafted")
    made = create_room(folder / "room", origin="asepsis.local/test")
    made.enrol(HOSPITAL, owner=True)
    made.enrol(LABORATORY, owner=False)
    assert call("contract", "draft", folder / "room.yaml", "--room", folder / "room", *STATED)[0] == 0
    return folder


@pytest.fixture(scope="module")
def signed(drafted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: the contract is in force."""
    folder = Path(shutil.copytree(drafted, tmp_path_factory.mktemp("signed") / "world"))
    everybody(folder, "room.yaml")
    return folder


@pytest.fixture
def folder(signed: Path, tmp_path: Path) -> Path:
    """A room of one's own where the contract is in force."""
    return Path(shutil.copytree(signed, tmp_path / "world"))


def room_of(folder: Path) -> Room:
    return open_room(folder / "room")


def sign(folder: Path, name: str, party: str) -> tuple[int, dict[str, Any]]:
    return call("contract", "sign", folder / name, "--as", party, "--room", folder / "room")


def everybody(folder: Path, name: str) -> ContractState:
    """Every party signs a text."""
    document, room = yaml.safe_load((folder / name).read_text()), room_of(folder)
    for party in map(PartyId, sorted(document["parties"])):
        signature = room.sign_contract(party, document)
        room.contracts.propose(document)
        room.contracts.sign(party, signature=signature)
    return room.contracts.status()


def amended(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    """What the command writes, edited."""
    code, answer = call("contract", "amend", folder / name, "--room", folder / "room")
    assert code == 0, answer
    document: dict[str, Any] = {**yaml.safe_load((folder / name).read_text()), **changes}
    (folder / name).write_text(yaml.safe_dump(document))
    return document


def test_a_contract_that_nobody_signed_yet_cannot_be_amended(drafted: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(drafted, tmp_path / "world"))
    code, answer = call("contract", "amend", folder / "next.yaml", "--room", folder / "room")
    assert (code, answer["error"]["code"]) == (4, "contract.none")
    sign(folder, "room.yaml", HOSPITAL)
    code, answer = call("contract", "amend", folder / "next.yaml", "--room", folder / "room")
    assert (code, answer["error"]["code"]) == (4, "contract.none")
    assert not (folder / "next.yaml").exists()


def test_an_amendment_takes_the_place_of_the_version_before_once_all_have_signed(folder: Path) -> None:
    first = room_of(folder).contracts.status().digest
    document = amended(folder, "next.yaml", title="Version 2", budgets={HOSPITAL: 99})
    assert document["amends"] == {"contract": first, "lineage": first}
    assert sign(folder, "next.yaml", HOSPITAL)[1]["status"] == ContractStatus.PROPOSED
    second = everybody(folder, "next.yaml")
    assert (second.status, second.digest != first) == (ContractStatus.IN_FORCE, True)
    acts = [
        entry.act.value for entry in room_of(folder).state.ledger().entries(0, room_of(folder).state.ledger().size())
    ]
    assert (acts.count("contract.in_force"), acts.count("contract.amended")) == (1, 1)
    third = amended(folder, "third.yaml", title="Version 3")
    assert third["amends"] == {"contract": second.digest, "lineage": first}


def test_an_amendment_says_in_words_what_goes_on_and_what_is_not_compared(folder: Path) -> None:
    first = room_of(folder).contracts.status().digest
    quotas = {"cells_of_one": 77, "variants_of_one": 5, "variants_of_all": 6}
    disclosure = {"profile": "strict-10", "beside": ["e" * 64], "quotas": quotas}
    amended(folder, "next.yaml", disclosure=disclosure)
    assert "is not compared" in call("contract", "plan", folder / "next.yaml", "--room", folder / "none")[1]["changes"]
    code, answer = call("contract", "plan", folder / "next.yaml", "--room", folder / "room")
    assert answer["changes"]["narrows"][0] == "disclosure.quotas.cells_of_one: 5000 -> 77"
    assert answer["changes"]["widens"] == [f"disclosure.beside.{'e' * 64}: nothing -> yes"]
    owner, researcher = ("\n".join(answer["parties"][party]) for party in (HOSPITAL, LABORATORY))
    assert code == 0
    assert f"Goes on with the memory, quotas and budgets of {first[:16]}" in owner
    assert "NOT compared with new ones: those under eeeeeeeeeeeeeeee." in owner
    assert "A researcher sees at most 77 distinct cells and asks 5 variants of a question" in owner
    assert (
        "Sees at most 77 distinct cells and asks 5 variants of a question; all researchers together 50000" in researcher
    )
    assert "beside" not in yaml.safe_load((folder / "room.yaml").read_text())["disclosure"]


def test_what_a_desk_refuses_to_sign_is_not_proposed_to_anybody(folder: Path) -> None:
    """Guard: the order in ``contract sign``: the contract in force stays in force."""
    first = room_of(folder).contracts.status().digest
    amended(folder, "next.yaml", disclosure={"profile": "opensafely-mid6"})
    code, answer = sign(folder, "next.yaml", HOSPITAL)
    assert (code, answer["error"]["code"]) == (2, "contract.amendment_refused")
    status = room_of(folder).contracts.status()
    assert (status.digest, status.status) == (first, ContractStatus.IN_FORCE)


def test_the_room_checks_the_chain_before_a_party_without_a_desk_signs(folder: Path) -> None:
    """Guard: ``_check_place``: also where no desk was asked first."""
    contracts = room_of(folder).contracts
    for change in ({"contract": "f" * 64}, {"lineage": "f" * 64}):
        document = contracts.amendment()
        amends = document["amends"]
        assert isinstance(amends, dict)
        with pytest.raises(AmendmentRefused):
            contracts.propose({**document, "amends": {**amends, **change}})


def test_an_earlier_version_does_not_come_back(folder: Path) -> None:
    """Guard: ``_check_place``: going back takes an amendment with the old words."""
    amended(folder, "next.yaml", title="Version 2")
    everybody(folder, "next.yaml")
    with pytest.raises(ContractSuperseded):
        room_of(folder).contracts.propose(yaml.safe_load((folder / "room.yaml").read_text()))


def test_one_owner_narrows_alone_and_widens_with_everybody(folder: Path) -> None:
    budget = room_of(folder).contracts.contract().budgets[HOSPITAL]
    amended(folder, "narrow.yaml", budgets={HOSPITAL: budget - 1})
    plan = call("contract", "plan", folder / "narrow.yaml", "--room", folder / "room")[1]
    assert plan["changes"]["is signed by"] == ["one owner: it only narrows; the other desks confirm it"]
    code, answer = sign(folder, "narrow.yaml", HOSPITAL)
    assert (code, answer["status"], answer["signed_by"], answer["waiting_for"]) == (0, "in force", [HOSPITAL], [])
    assert room_of(folder).contracts.in_force().contract.budgets[HOSPITAL] == budget - 1
    document = amended(folder, "wide.yaml", budgets={HOSPITAL: budget})
    assert document["amends"]["contract"] == answer["digest"]
    plan = call("contract", "plan", folder / "wide.yaml", "--room", folder / "room")[1]
    assert plan["changes"]["is signed by"] == ["all parties, for budgets"]
    code, answer = sign(folder, "wide.yaml", HOSPITAL)
    assert (answer["status"], answer["waiting_for"]) == ("proposed", [LABORATORY, "room"])
    assert everybody(folder, "wide.yaml").status is ContractStatus.IN_FORCE


def test_nobody_but_an_owner_narrows(folder: Path) -> None:
    """Guard: owners alone, in ``verify_agreement`` and in what a contract that narrows waits for."""
    budget = room_of(folder).contracts.contract().budgets[HOSPITAL]
    amended(folder, "narrow.yaml", budgets={HOSPITAL: budget - 1})
    code, answer = sign(folder, "narrow.yaml", LABORATORY)
    assert (code, answer["status"], answer["waiting_for"]) == (0, "proposed", [HOSPITAL])


def test_a_suspended_contract_is_not_narrowed_back_into_force(folder: Path) -> None:
    """Guard: the purpose in ``signature`` of the desk: a new version would have no suspension."""
    budget = room_of(folder).contracts.contract().budgets[HOSPITAL]
    amended(folder, "narrow.yaml", budgets={HOSPITAL: budget - 1})
    assert call("contract", "suspend", "--as", HOSPITAL, "--room", folder / "room")[0] == 0
    sign(folder, "narrow.yaml", HOSPITAL)
    assert room_of(folder).contracts.status().status is ContractStatus.PROPOSED
