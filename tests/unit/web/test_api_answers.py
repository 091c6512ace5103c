"""The API tells what may be told, in closed shapes, and writes nothing."""

import json
from pathlib import Path

import pytest
from served_room import CANARY, ORIGIN, OWNERS, RESEARCHER, Served, make_room
from starlette.testclient import TestClient

from asepsis.cli.server import application
from asepsis.domain.ledger import LedgerEntry
from asepsis.ledger.proof import verify_entry_proof
from asepsis.services.audit import ledger_keys
from asepsis.wire import v1


def test_the_contract_shows_who_signed_and_whose_turn_it_is(client: TestClient) -> None:
    standing = v1.ContractStanding.model_validate(client.get("/v1/contract").json())
    assert standing.status == "in force"
    assert standing.waiting_for == []
    assert all(party.signed for party in standing.parties)


def test_a_contract_that_waits_names_the_parties_it_waits_for(tmp_path: Path) -> None:
    room = make_room(tmp_path / "room", signed=False)
    standing = TestClient(application(room), base_url="http://localhost").get("/v1/contract").json()
    assert standing["status"] == "proposed"
    assert set(standing["waiting_for"]) == {"riverside", "ada", "north-clinic", "room"}


def test_releases_are_listed_in_every_state(client: TestClient, served: Served) -> None:
    lines = [v1.ReleaseLine.model_validate(line) for line in client.get("/v1/releases").json()]
    assert [(line.release, line.status) for line in lines] == [
        (served.counts, "released"),
        (served.curves, "released"),
        (served.waiting, "in review"),
    ]


def test_a_release_shows_its_table_what_was_done_to_each_cell_and_the_findings(
    client: TestClient, served: Served
) -> None:
    release = v1.Release.model_validate(client.get(f"/v1/releases/{served.counts}").json())
    assert release.table is not None
    assert release.table.rows[3][2] is None
    assert release.table.actions[3] == ["shown", "shown", "suppressed"]
    assert [finding.code for finding in release.findings] == ["disclosure.threshold", "disclosure.rounded"]


def test_an_output_in_review_has_findings_but_no_table(client: TestClient, served: Served) -> None:
    release = client.get(f"/v1/releases/{served.waiting}").json()
    assert release["table"] is None
    assert release["findings"]


def test_a_bundle_carries_a_proof_that_verifies_with_the_contracts_keys(client: TestClient, served: Served) -> None:
    answer = client.get(f"/v1/releases/{served.counts}/bundle")
    assert answer.headers["content-disposition"] == f'attachment; filename="{served.counts}.json"'
    bundle = answer.json()
    keys = ledger_keys(served.room.contracts.contract())
    step = bundle["trail"][-1]
    verified = verify_entry_proof(
        step["proof"],
        entry=LedgerEntry.from_document(step["entry"]),
        log_key=keys.log,
        witness_keys=keys.witnesses,
        quorum=len(OWNERS),
    )
    assert step["entry"]["subject"] == served.counts
    assert verified.witnessed.checkpoint.origin == ORIGIN


def test_there_is_no_bundle_of_what_was_not_released(client: TestClient, served: Served) -> None:
    answer = client.get(f"/v1/releases/{served.waiting}/bundle")
    assert (answer.status_code, answer.json()["code"]) == (409, "state.transition_refused")


def test_runs_and_referrals_show_their_status_only(client: TestClient, served: Served) -> None:
    runs, referrals = client.get("/v1/runs").json(), client.get("/v1/referrals").json()
    assert {run["status"] for run in runs} == {"finished"}
    assert runs[0].keys() == v1.RunLine.model_fields.keys()
    assert referrals == [
        {
            "referral": served.referral,
            "author": RESEARCHER,
            "status": "requested",
            "approved_by": ["northgate"],
            "requested_at": referrals[0]["requested_at"],
        }
    ]


def test_snapshots_show_what_their_manifests_say(client: TestClient) -> None:
    snapshots = [v1.Snapshot.model_validate(each) for each in client.get("/v1/snapshots").json()]
    assert [each.owner for each in snapshots] == list(OWNERS)
    assert snapshots[0].files[0].sealed_length == 10240


def test_the_ledger_is_paged_without_gap_or_repetition(client: TestClient, served: Served) -> None:
    whole = client.get("/v1/ledger").json()
    positions, start = [], 0
    while start is not None:
        page = v1.LedgerPage.model_validate(client.get("/v1/ledger", params={"start": start, "limit": 4}).json())
        positions += [entry.position for entry in page.entries]
        start = page.next
    assert positions == list(range(served.room.state.ledger().size()))
    assert len(whole["entries"]) == whole["size"] == len(positions)


@pytest.mark.parametrize("start", [13, 10_000, 2**53])
def test_a_page_behind_the_end_of_the_ledger_is_empty(client: TestClient, start: int) -> None:
    page = client.get("/v1/ledger", params={"start": start}).json()
    assert (page["entries"], page["next"]) == ([], None)


def test_the_checkpoint_names_the_owners_that_cosigned_it(client: TestClient, served: Served) -> None:
    checkpoint = v1.Checkpoint.model_validate(client.get("/v1/checkpoint").json())
    assert {each.witness for each in checkpoint.cosignatures} == set(OWNERS)
    assert checkpoint.missing == []
    assert checkpoint.size == served.room.state.ledger().size()


def test_a_cosignature_that_is_missing_is_told(tmp_path: Path) -> None:
    room = make_room(tmp_path / "room")
    note = room.audit.checkpoint()
    bare = "\n".join(line for line in note.split("\n") if not line.startswith("— riverside"))
    with room.state.noting() as tables:
        tables.put_checkpoint(int(note.split("\n")[1]), note=bare)
    checkpoint = TestClient(application(room), base_url="http://localhost").get("/v1/checkpoint").json()
    assert checkpoint["missing"] == ["riverside"]


def test_a_checkpoint_that_somebody_else_signed_is_refused(tmp_path: Path) -> None:
    room = make_room(tmp_path / "room")
    note = room.audit.checkpoint()
    head, _, rest = note.partition("\n")
    size, _, rest = rest.partition("\n")
    with room.state.noting() as tables:
        tables.put_checkpoint(int(size) + 1, note=f"{head}\n{int(size) + 1}\n{rest}")
    client = TestClient(application(room), base_url="http://localhost")
    assert client.get("/v1/checkpoint").json()["code"] == "ledger.note_refused"
    assert "does not verify" in client.get("/").text


def test_the_server_answers_that_it_is_there(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"


def test_reading_everything_writes_nothing(client: TestClient, served: Served) -> None:
    state = served.room.state
    before = (state.ledger().size(), state.checkpoint(), [desk.seen_size() for desk in served.room.desks.values()])
    for address in (*API, f"/v1/releases/{served.counts}/bundle", "/", "/ledger", "/host"):
        assert client.get(address).status_code == 200
    after = (state.ledger().size(), state.checkpoint(), [desk.seen_size() for desk in served.room.desks.values()])
    assert before == after


def test_no_answer_carries_what_was_not_released(client: TestClient, served: Served) -> None:
    for address in (*API, *(f"/v1/releases/{release}" for release in (served.counts, served.waiting))):
        assert CANARY not in json.dumps(client.get(address).json(), ensure_ascii=False)


def test_the_interface_is_described_without_any_other_site(client: TestClient) -> None:
    description = client.get("/v1/openapi.json").json()
    assert set(description["paths"]) >= {"/v1/contract", "/v1/releases/{release_id}/bundle", "/v1/ledger"}
    assert all(set(path) == {"get"} for path in description["paths"].values())
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


API = (
    "/v1/contract",
    "/v1/releases",
    "/v1/runs",
    "/v1/referrals",
    "/v1/snapshots",
    "/v1/ledger",
    "/v1/checkpoint",
    "/healthz",
)
