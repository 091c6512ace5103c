"""A drafted contract reads through the closed schema, and is careful where nobody stated anything."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from asepsis.bootstrap.room import create_room
from asepsis.cli.main import app
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.keydesk import PublicKeys
from asepsis.domain.link_terms import MODES, LinkTerms
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.parties import Role
from asepsis.domain.snapshot import Label
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.drafting import RoleRefused
from asepsis.services.contracts import read_proposal
from asepsis.services.drafting import Enrolled, Terms, draft_contract, linkage_in_words

HOSPITAL, LABORATORY, CLINIC, HOST = map(PartyId, ("northgate", "lab", "clinic", "room"))
AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
TERMS = Terms(
    name="trial",
    title="A trial",
    purpose="Count",
    legal_basis="None needed",
    label=Label.SYNTHETIC,
    valid_from=AT,
    valid_days=30,
    researchers=frozenset({LABORATORY}),
    teams={CLINIC: HOSPITAL},
)
ENROLLED = Enrolled(
    host=HOST,
    owners=frozenset({HOSPITAL}),
    keys={
        party: PublicKeys(signing=bytes([place]) * 32, sealing=bytes([place + 9]) * 32)
        for place, party in enumerate((HOSPITAL, LABORATORY, CLINIC, HOST))
    },
    origin="asepsis.local/test",
)
MEASUREMENT = Digest("ab" * 32)


def drafted(terms: Terms = TERMS, enrolled: Enrolled = ENROLLED, **datasets: set[str]) -> Contract:
    found = {PartyId(owner): names for owner, names in datasets.items()}
    return read_contract(draft_contract(terms, enrolled, datasets=found, measurement=MEASUREMENT))


def test_a_draft_reads_through_the_closed_schema_with_everybodys_keys() -> None:
    contract = drafted()
    assert {party.id: party.signing_key for party in contract.parties} == {
        party: keys.signing for party, keys in ENROLLED.keys.items()
    }
    assert [contract.party(party).roles for party in (HOSPITAL, LABORATORY, CLINIC, HOST)] == [
        {Role.OWNER},
        {Role.RESEARCHER},
        {Role.CLINICIAN},
        {Role.HOST},
    ]
    assert contract.clinical_team(HOSPITAL) == contract.party(CLINIC)
    assert (contract.valid_from, contract.valid_until) == (AT, AT + timedelta(days=30))
    assert contract.ledger_origin == ENROLLED.origin


def test_a_draft_lets_nothing_out_without_a_person() -> None:
    contract = drafted()
    assert contract.automatic_release == frozenset()
    assert contract.measurements == (MEASUREMENT,)
    assert contract.budgets == {HOSPITAL: 20}
    assert contract.profile == "strict-10"


@pytest.mark.parametrize(("label", "level"), [(Label.REAL, 2), (Label.SYNTHETIC, 0)])
def test_real_data_need_the_highest_level(label: Label, level: int) -> None:
    contract = drafted(replace(TERMS, label=label))
    assert contract.level == level
    assert {dataset.label for dataset in contract.datasets} == {label}


def test_the_datasets_are_the_contributed_ones_or_named_after_the_owner() -> None:
    assert {d.name for d in drafted().datasets} == {"northgate-omop-clinical", "northgate-omop-tokens"}
    assert {d.name for d in drafted(northgate={"old"}).datasets} == {"old-clinical", "old-tokens"}


def test_a_draft_links_by_keyed_tokens_unless_asked_otherwise_and_says_the_mode() -> None:
    assert drafted().linkage.mode is LinkMode.KEYED
    sealed = draft_contract(replace(TERMS, linkage=LinkMode.SEALED), ENROLLED, datasets={}, measurement=MEASUREMENT)
    assert (sealed["linkage"], read_contract(sealed).linkage) == ({"mode": "sealed"}, LinkTerms())


def test_what_a_signed_contract_means_that_says_nothing_about_linkage_stays() -> None:
    """Guard: the clause's own default, by which contracts were signed before drafts wrote another mode."""
    sealed = draft_contract(replace(TERMS, linkage=LinkMode.SEALED), ENROLLED, datasets={}, measurement=MEASUREMENT)
    silent = read_contract({key: value for key, value in sealed.items() if key != "linkage"})
    assert (silent, silent.linkage.mode) == (read_contract(sealed), LinkMode.SEALED)


@pytest.mark.parametrize(
    ("mode", "in_room", "again"),
    [
        (LinkMode.KEYED, {HOSPITAL: False, CLINIC: False}, None),
        (LinkMode.KEYED, {HOSPITAL: True, CLINIC: False}, "Those of northgate are in the room: contribute again"),
        (LinkMode.SEALED, {HOSPITAL: True}, None),
        (LinkMode.RULES, {HOSPITAL: False}, "Those of northgate are at home: contribute again under this contract"),
        (LinkMode.KEYED, {}, None),
    ],
)
def test_a_draft_says_who_has_to_contribute_again_for_its_mode(
    mode: LinkMode, in_room: dict[PartyId, bool], again: str | None
) -> None:
    said = linkage_in_words(mode, in_room)
    assert said.startswith(f"linkage: {mode.value}; identifiers ")
    assert again in said if again else "again" not in said


@pytest.mark.parametrize("mode", MODES)
def test_a_draft_for_every_mode_can_be_signed_and_filters_refer_nobody(mode: LinkMode) -> None:
    assert drafted(replace(TERMS, linkage=mode)).referrals is (mode is not LinkMode.IMPORT_CLK)


@pytest.mark.parametrize("mode", MODES)
def test_an_owner_has_one_dataset_of_each_kind(mode: LinkMode) -> None:
    """Guard: of two, a run would read one and say nothing about the other."""
    with pytest.raises(DocumentMalformed, match="northgate has more than one dataset that holds"):
        drafted(replace(TERMS, linkage=mode), northgate={"old", "older"})


def test_referrals_are_offered_only_where_a_clinical_team_is() -> None:
    without = replace(ENROLLED, keys={party: keys for party, keys in ENROLLED.keys.items() if party != CLINIC})
    assert drafted().referrals
    assert not drafted(replace(TERMS, teams={}), without).referrals


@pytest.mark.parametrize(
    ("change", "party"),
    [
        ({"researchers": frozenset()}, "lab has no role yet"),
        ({"researchers": frozenset({LABORATORY, PartyId("nobody")})}, "nobody is not enrolled"),
        ({"teams": {CLINIC: LABORATORY}}, "lab owns no data"),
        ({"teams": {CLINIC: PartyId("")}}, "is not enrolled"),
    ],
)
def test_a_party_without_a_place_is_refused(change: dict[str, object], party: str) -> None:
    with pytest.raises(RoleRefused, match=party):
        drafted(replace(TERMS, **change))  # type: ignore[arg-type]


STATED = ["--title", "t", "--purpose", "p", "--legal-basis", "b", "--researcher", "lab"]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    made = create_room(tmp_path / "room", origin="asepsis.local/test")
    made.enrol(HOSPITAL, owner=True)
    made.enrol(LABORATORY, owner=False)
    return tmp_path / "room"


def draft(room: Path, file: Path, *more: str) -> int:
    command = ["contract", "draft", str(file), "--room", str(room), *STATED, *more]
    return CliRunner().invoke(app, command).exit_code


def test_the_command_writes_a_contract_that_can_be_planned(room: Path, tmp_path: Path) -> None:
    file = tmp_path / "room.yaml"
    assert draft(room, file, "--label", "synthetic") == 0
    assert read_contract(yaml.safe_load(file.read_text())).name == "room"
    assert CliRunner().invoke(app, ["contract", "plan", str(file)]).exit_code == 0


def test_the_command_overwrites_nothing(room: Path, tmp_path: Path) -> None:
    file = tmp_path / "room.yaml"
    file.write_text("mine")
    assert draft(room, file, "--label", "synthetic") == 5
    assert file.read_text() == "mine"


def test_the_label_is_stated_and_never_assumed(room: Path, tmp_path: Path) -> None:
    assert draft(room, tmp_path / "room.yaml") == 2
    assert draft(room, tmp_path / "room.yaml", "--label", "pseudonymised") == 2
    assert not (tmp_path / "room.yaml").exists()


@pytest.mark.parametrize(("profile", "known"), [("strict-10+cms-11", True), ("strict-10+weak-1", False), ("", False)])
def test_the_profiles_of_several_owners_are_joined_in_the_contract(profile: str, *, known: bool) -> None:
    document = draft_contract(TERMS, ENROLLED, datasets={}, measurement=MEASUREMENT)
    document["disclosure"] = {"profile": profile}
    if known:
        assert read_proposal(document).profile == profile
        return
    with pytest.raises(DocumentMalformed):
        read_proposal(document)
