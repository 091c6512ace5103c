"""Whoever holds the host's folder can change every byte of it; whatever is changed is refused before it is used.

The host's own hands are SQLite with the triggers dropped, and a file manager.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asepsis.domain.contract_reading import read_contract
from asepsis.ledger.tree import append_nodes, leaf_hash
from asepsis.sealing.agreement import contract_digest
from asepsis.sealing.canonical import canonical
from simulator import (
    LABORATORY,
    NORTHGATE,
    OWNERS,
    RARE,
    RIVERSIDE,
    World,
    call,
    contribute,
    draft,
    edited,
    persons_with,
    sign,
    some,
)

GAUCHER = persons_with(RARE)


def sealed(world: World, dataset: str, table: str) -> Path:
    """Where the host keeps a sealed table."""
    [folder] = (world.path / "host" / "snapshots").glob(f"{dataset}-*")
    return folder / f"{table}.sealed"


def flip(path: Path, place: float) -> None:
    """Change one bit of one byte; ``place`` is a part of the file's length."""
    content = bytearray(path.read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 1
    path.write_bytes(content)


def refused(world: World, *codes: str, command: tuple[str, ...] = ("query", GAUCHER, "--as", LABORATORY)) -> None:
    """The command ends as untrusted, tells no number, and releases nothing."""
    answer = call(*world.command(*command))
    assert (answer.code, answer.out) == (7, "")
    assert answer.error in codes
    assert world.room().state.releases() == []


LINKAGE = ("links", "links")
CLINICAL = [
    (f"{owner}-omop-clinical", table)
    for owner in OWNERS
    for table in ("person", "condition_occurrence", "death", "observation_period")
]


@pytest.mark.parametrize(("dataset", "table"), some([*CLINICAL, LINKAGE], CLINICAL[0], LINKAGE))
def test_one_flipped_bit_in_a_sealed_file_is_refused(dataset: str, table: str, world: World) -> None:
    """Guard: ``check_files`` in ``Vault.unseal``; a query reads nothing of a snapshot with one wrong file."""
    flip(sealed(world, dataset, table), len(dataset + table) / 60)
    refused(world, "sealing.root_mismatch")


IDENTIFIERS = [(owner, place) for owner in OWNERS for place in (0.0, 0.5, 1.0)]


@pytest.mark.parametrize(("owner", "place"), some(IDENTIFIERS, (NORTHGATE, 0.5), (RIVERSIDE, 1.0)))
def test_one_flipped_bit_in_sealed_identifiers_is_refused(owner: str, place: float, unlinked: World) -> None:
    """Guard: ``check_files`` in ``Vault.unseal``, as a linkage reads it."""
    flip(sealed(unlinked, f"{owner}-omop-identity", "identity"), place)
    refused(unlinked, "sealing.root_mismatch", command=("link",))


SWAPS = {
    "tables": ("northgate-omop-clinical/person", "northgate-omop-clinical/condition_occurrence"),
    "owners": ("northgate-omop-clinical/person", "riverside-omop-clinical/person"),
    "snapshots": ("northgate-omop-clinical/person", "northgate-omop-identity/identity"),
    "links": ("links/links", "northgate-omop-identity/identity"),
}


@pytest.mark.parametrize("swap", some(SWAPS, "tables", "owners"))
def test_swapped_ciphertexts_are_refused(swap: str, world: World) -> None:
    """Guard: the BLAKE3 roots of the signed manifest, checked before anything is unsealed."""
    one, other = (sealed(world, *name.split("/")) for name in SWAPS[swap])
    aside = one.with_suffix(".aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    refused(world, "sealing.root_mismatch")


@pytest.mark.parametrize("keep", some([0, 0.5], 0.5))
def test_a_truncated_ciphertext_is_refused(keep: float, world: World) -> None:
    """Guard: length and root in the manifest."""
    path = sealed(world, "riverside-omop-clinical", "condition_occurrence")
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    refused(world, "sealing.root_mismatch")


def test_a_missing_ciphertext_is_refused(world: World) -> None:
    """A file that the host lost is told as what it is, not as a bug."""
    sealed(world, "riverside-omop-clinical", "condition_occurrence").unlink()
    answer = call(*world.query(GAUCHER))
    assert answer.code in {4, 7}
    assert answer.error != "bug.unexpected"


@pytest.mark.long
def test_an_older_snapshot_in_the_place_of_the_newest_is_refused(unlinked: World) -> None:
    """Guard: the snapshot's id in manifest and job; the host puts the first files where the second belong."""
    first = sealed(unlinked, "northgate-omop-clinical", "person").read_bytes()
    master = unlinked.source(NORTHGATE) / "PATMAST.DAT"
    master.write_bytes(master.read_bytes()[:-131])
    shutil.rmtree(unlinked.path / "parties" / NORTHGATE / "contributions")
    forget_contribution(unlinked)
    contribute(unlinked, NORTHGATE)
    assert call(*unlinked.command("link")).code == 0
    newest = [item for item in unlinked.room().state.snapshots() if item.manifest.dataset == "northgate-omop-clinical"]
    assert len(newest) == 2
    (unlinked.path / "host" / "snapshots" / newest[-1].manifest.snapshot / "person.sealed").write_bytes(first)
    refused(unlinked, "sealing.root_mismatch")


def forget_contribution(world: World) -> None:
    """Let the same folder be contributed again, by changing what its restore point was called."""
    with edited(world.database) as database:
        for number, document in database.execute("SELECT number, document FROM snapshots").fetchall():
            content = json.loads(document)
            content["contribution"] = "0" * 64
            database.execute("UPDATE snapshots SET document = ? WHERE number = ?", (canonical(content), number))


def rewrite(world: World, table: str, key: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the newest document of a table whose id begins with ``key``."""
    with edited(world.database) as database:
        number, document = database.execute(
            f"SELECT number, document FROM {table} WHERE id LIKE ? ORDER BY number DESC LIMIT 1", (key + "%",)
        ).fetchone()
        content = json.loads(document)
        change(content)
        database.execute(f"UPDATE {table} SET document = ? WHERE number = ?", (canonical(content), number))


def inner(content: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest inside a published snapshot."""
    manifest = json.loads(b64decode(content["document"]))
    change(manifest)
    content["document"] = b64encode(canonical(manifest)).decode()


MANIFEST_EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "rows": lambda manifest: manifest["files"][0].update(rows=1_000_000),
    "root": lambda manifest: manifest["files"][0].update(root="0" * 64),
    "fewer files": lambda manifest: manifest["files"].pop(),
    "label": lambda manifest: manifest.update(label="real"),
    "dataset": lambda manifest: manifest.update(dataset="northgate-omop-identity"),
}


@pytest.mark.parametrize("edit", some(MANIFEST_EDITS, "root", "label"))
def test_an_edited_manifest_is_refused(edit: str, world: World) -> None:
    """Guard: ``verify_manifest`` in ``runtime.order``, and the manifest's digest in the job."""
    rewrite(world, "snapshots", "northgate-omop-clinical", lambda content: inner(content, MANIFEST_EDITS[edit]))
    answer = call(*world.query(GAUCHER))
    assert answer.code in {3, 7}
    assert answer.error in {"sealing.signature_invalid", "runtime.order_refused", "desk.input_refused"}
    assert world.room().state.releases() == []


CONTRACT_EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "automatic release": lambda contract: contract["disclosure"].update(automatic_release=[NORTHGATE]),
    "profile": lambda contract: contract["disclosure"].update(profile="opensafely-mid6"),
    "budget": lambda contract: contract["budgets"].update({RIVERSIDE: 10_000}),
    "measurements": lambda contract: contract["runtime"]["measurements"].append("0" * 64),
    "expiry": lambda contract: contract["valid"].update(until="2099-01-01T00:00:00Z"),
    "host key": lambda contract: contract["parties"]["room"].update(
        signing_key=contract["parties"][LABORATORY]["signing_key"]
    ),
}


@pytest.mark.parametrize("renamed", [False, True], ids=["same digest", "new digest"])
@pytest.mark.parametrize("edit", CONTRACT_EDITS)
def test_a_contract_that_the_host_edited_is_refused(edit: str, *, renamed: bool, world: World) -> None:
    """Guard: ``verify_agreement`` wherever a contract is used; any edit voids every signature."""
    with edited(world.database) as database:
        number, digest, text = database.execute(
            "SELECT number, id, document FROM contracts ORDER BY number DESC LIMIT 1"
        ).fetchone()
        content = json.loads(text)
        CONTRACT_EDITS[edit](content)
        database.execute("UPDATE contracts SET document = ? WHERE number = ?", (canonical(content), number))
        if renamed:
            new = contract_digest(read_contract(content))
            database.execute("UPDATE contracts SET id = ? WHERE number = ?", (new, number))
            database.execute("UPDATE signatures SET contract = ? WHERE contract = ?", (new, digest))
    refused(world, "contract.not_signed")


def rebuild_tree(database: sqlite3.Connection) -> None:
    """Compute all nodes of the ledger's tree anew, as a host that covers its tracks."""
    database.execute("DELETE FROM ledger_nodes")
    nodes: dict[tuple[int, int], bytes] = {}
    for position, data in database.execute("SELECT position, entry FROM ledger_entries ORDER BY position").fetchall():
        for new in append_nodes(position, leaf_hash=leaf_hash(data), node=lambda level, at: nodes[level, at]):
            nodes[new.level, new.index] = new.hash
    rows = [(level, position, value) for (level, position), value in nodes.items()]
    database.executemany("INSERT INTO ledger_nodes (level, position, hash) VALUES (?, ?, ?)", rows)


@pytest.mark.parametrize("cover", [False, True], ids=["entry alone", "entry and tree"])
@pytest.mark.parametrize("which", some(["first", "middle", "last"], "last"))
def test_an_edited_ledger_entry_is_found(which: str, *, cover: bool, world: World, tmp_path: Path) -> None:
    """Guard: the leaf hashes of ``verify_bundle``; with the tree rebuilt, the desks' consistency check."""
    size = world.verify_ledger()
    position = {"first": 0, "middle": size // 2, "last": size - 1}[which]
    with edited(world.database) as database:
        [data] = database.execute("SELECT entry FROM ledger_entries WHERE position = ?", (position,)).fetchone()
        content = json.loads(data)
        content["actor"] = "somebody-else"
        query = "UPDATE ledger_entries SET entry = ? WHERE position = ?"
        database.execute(query, (canonical(content), position))
        if cover:
            rebuild_tree(database)
    export = tmp_path / "ledger.jsonl"
    answers = [
        call(*world.command("ledger", "export", "--out", str(export))),
        call("ledger", "verify", str(export), "--contract", str(world.contract_file)),
    ]
    codes = [answer.code for answer in answers]
    assert codes in ([0, 7], [7, 4], [7, 7])
    if cover:
        assert (codes[0], answers[0].error) == (7, "ledger.consistency_refused")  # an export is an act, so it grew
        refused(world, "ledger.rollback_detected", "ledger.consistency_refused")


def test_a_dropped_ledger_entry_is_found(world: World) -> None:
    """Guard: the desks' memory of the size that they cosigned."""
    with edited(world.database) as database:
        database.execute("DELETE FROM ledger_entries WHERE position = (SELECT MAX(position) FROM ledger_entries)")
        rebuild_tree(database)
    refused(world, "ledger.rollback_detected", "ledger.consistency_refused")


def test_a_room_that_was_rolled_back_gets_no_key(world: World, linked_world: World) -> None:
    """Guard: ``check_growth`` in ``keydesk.witness``; the host restores the whole folder of an earlier time."""
    assert call(*world.query(GAUCHER)).code == 0
    used = world.budgets()
    shutil.rmtree(world.path / "host")
    shutil.copytree(linked_world.path / "host", world.path / "host")
    refused(world, "ledger.rollback_detected", "ledger.consistency_refused")
    answer = call(*world.command("ledger", "export", "--out", str(world.folder / "export")))
    assert (answer.code, answer.error) == (7, "ledger.rollback_detected")
    assert world.budgets() == used


def test_a_ledger_signed_with_another_key_gets_no_cosignature(world: World) -> None:
    """Guard: ``_pinned_key`` in ``keydesk.witness``."""
    keys = world.path / "host" / "keys"
    shutil.rmtree(keys)
    shutil.copytree(world.path / "parties" / LABORATORY / "keys", keys)
    answer = call(*world.query(GAUCHER))
    assert answer.code == 7
    assert world.room().state.releases() == []


def forge(world: World) -> str:
    """Raise the released number in the host's own database; returns the release's id."""
    answer = call(*world.query(GAUCHER), "--json")
    assert (answer.code, answer.document()["table"]["rows"]) == (0, [[15]])
    rewrite(world, "runs", "run-", lambda content: content["proof"]["statistic"]["table"].update(rows=[[995]]))
    return str(answer.document()["release"])


def test_a_forged_statistic_does_not_verify(world: World, tmp_path: Path) -> None:
    """Guard: ``_check_statistic`` in ``services.evidence``: the runtime's own signature."""
    release, bundle = forge(world), tmp_path / "bundle.json"
    if call(*world.command("release", "get", release, "--out", str(bundle))).code == 0:
        contract = world.room().contracts.status().digest
        answer = call("release", "verify", str(bundle), "--contract", contract)
        assert (answer.code, answer.error, answer.out) == (7, "bundle.forged", "")


@pytest.mark.parametrize(
    "command", ["show", *(pytest.param(name, marks=pytest.mark.long) for name in ("get", "again"))]
)
def test_a_forged_statistic_is_never_shown(command: str, world: World, tmp_path: Path) -> None:
    """Guard: the statistic's signature, wherever the room reads it back from its own database."""
    release = forge(world)
    commands = {
        "show": world.command("release", "show", release),
        "get": world.command("release", "get", release, "--out", str(tmp_path / "bundle.json")),
        "again": world.query(GAUCHER),
    }
    answer = call(*commands[command])
    assert (answer.code, answer.out) == (7, "")


def test_an_output_in_review_cannot_be_released_by_editing_its_status(unlinked: World, tmp_path: Path) -> None:
    """Guard: the ledger's entry in the bundle; the host says 'released' where nobody decided."""
    disclosure = {"profile": "strict-10", "automatic_release": [NORTHGATE]}
    sign(unlinked, draft(unlinked, disclosure=disclosure))
    assert call(*unlinked.command("link")).code == 0
    answer = call(*unlinked.query(GAUCHER), "--json").document()
    assert (answer["status"], answer["table"]) == ("in review", None)
    rewrite(unlinked, "releases", "release-", lambda content: content.update(status="released"))
    bundle = tmp_path / "bundle.json"
    got = call(*unlinked.command("release", "get", answer["release"], "--out", str(bundle)))
    assert got.code != 0
    assert not bundle.exists()
