"""The main job as a stranger sees it: ``asepsis demo`` in an empty folder, then the tools of an auditor."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from asepsis.cli.story.inspection import held
from simulator import asepsis, call
from told_demo import Demo


def test_the_newest_backup_is_compromised_and_the_one_before_is_chosen(demo: Demo) -> None:
    assert demo.facts["last_clean"] == "2013-01-31"


def test_every_record_of_both_hospitals_is_in_balanced_books(demo: Demo) -> None:
    for owner in ("northgate", "riverside"):
        [books] = (demo.room / "parties" / owner / "contributions").glob("*/books.json")
        files = json.loads(books.read_text())["files"]
        sums = ("accepted", "merged", "quarantined", "excluded", "header", "context", "residue")
        assert all(file["landed"] == sum(file[part] for part in sums) for file in files)
        assert demo.facts[f"{owner}_landed"] == sum(file["landed"] for file in files) > 1000


def test_linkage_finds_nearly_all_of_the_90_shared_patients(demo: Demo) -> None:
    found = demo.facts["linkage"]
    assert 80 <= found["persons_in_several_owners"] <= 95
    assert found["records"] - found["persons"] == pytest.approx(found["persons_in_several_owners"], abs=10)


def test_gaucher_is_released_rounded_and_the_curve_is_there(demo: Demo) -> None:
    """17 persons in truth; a person whom linkage misses counts twice, and strict-10 rounds to a multiple of 5."""
    assert demo.facts["gaucher"] == 15
    assert demo.facts["survival_rows"] > 1


def test_a_query_about_one_person_is_refused_and_its_rewrite_passes(demo: Demo) -> None:
    assert demo.facts["refused"] == ["sql.person_key_predicate"]
    assert demo.facts["rewrite_released"] is True


def test_the_referral_reaches_only_the_patients_own_hospitals(demo: Demo) -> None:
    assert demo.facts["referred"] == {"northgate": 11, "riverside": 10}
    [north] = (demo.room / "parties" / "northgate-clinic").glob("referral-*.json")
    [south] = (demo.room / "parties" / "riverside-clinic").glob("referral-*.json")
    numbers = [{row["mrn"] for row in json.loads(path.read_text())["tables"]["identity"]} for path in (north, south)]
    assert not numbers[0] & numbers[1]
    assert {path.stat().st_mode & 0o777 for path in (north, south)} == {0o600}


def test_the_host_sees_no_identifier(demo: Demo) -> None:
    """Guard: sealing of snapshots and packages; searched for here once more, in every encoding of the sources."""
    assert demo.facts["host_hits"] == 0
    packages = (demo.room / "parties").glob("*-clinic/referral-*.json")
    rows = [row for path in packages for row in json.loads(path.read_text())["tables"]["identity"]]
    fields = ("family_name", "national_id", "mrn", "address", "phone")
    words = {str(row[field]) for row in rows for field in fields if len(str(row.get(field) or "")) >= 6}
    assert len(words) > 20
    needles = {word.encode(encoding) for word in words for encoding in ("utf-8", "utf-16-le", "cp037")}
    for path in (path for path in (demo.room / "host").rglob("*") if path.is_file()):
        assert not held(needles, path.read_bytes()), path.name


def test_the_account_tells_all_seven_steps(demo: Demo) -> None:
    account = (demo.room / "account.txt").read_text()
    assert all(f"\n{number}. " in f"\n{account}" for number in range(1, 8))
    assert "NON-CONFIDENTIAL" in account


def test_ledger_and_bundle_verify_offline(demo: Demo, tmp_path: Path) -> None:
    """With the export, the bundle and the contract alone, far from the room."""
    for path in (demo.room / "ledger.jsonl", demo.bundle, demo.room / "room.yaml"):
        shutil.copy(path, tmp_path)
    ledger = asepsis("ledger", "verify", "ledger.jsonl", "--contract", "room.yaml", "--json", cwd=tmp_path)
    assert (ledger.code, ledger.err) == (0, "")
    assert ledger.document()["size"] == demo.facts["ledger_entries"]
    assert ledger.document()["witnesses"] == ["northgate", "riverside"]
    bundle = asepsis(
        "release", "verify", demo.bundle.name, "--contract", demo.facts["contract"], "--json", cwd=tmp_path
    )
    assert (bundle.code, bundle.err) == (0, "")
    verified = bundle.document()
    assert (verified["table"]["rows"], verified["owners"]) == ([[15]], ["northgate", "riverside"])
    assert (verified["level"], verified["confidential"]) == (0, False)


def changed(path: Path, target: Path, place: float) -> Path:
    """A copy with one bit of one byte changed; ``place`` is a part of the length."""
    content = bytearray(path.read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 1
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("place", [0.0, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
def test_a_ledger_with_one_changed_byte_is_refused(place: float, demo: Demo, tmp_path: Path) -> None:
    """Guard: ``verify_bundle``."""
    answer = demo.verify_ledger(changed(demo.room / "ledger.jsonl", tmp_path / "ledger.jsonl", place))
    assert answer.code == 7
    assert set(answer.document()) == {"error"}


def test_a_ledger_without_its_last_entry_is_refused(demo: Demo, tmp_path: Path) -> None:
    lines = (demo.room / "ledger.jsonl").read_text().splitlines(keepends=True)
    for drop in (0, 1, len(lines) // 2, len(lines) - 1):
        path = tmp_path / "ledger.jsonl"
        path.write_text("".join(lines[:drop] + lines[drop + 1 :]))
        assert demo.verify_ledger(path).code == 7


# A changed byte may also spoil the JSON or a closed schema (2), or an owner's endorsement of the link map (3, below).
@pytest.mark.parametrize("place", [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97])
def test_a_bundle_with_one_changed_byte_is_refused(place: float, demo: Demo, tmp_path: Path) -> None:
    """Guard: ``verify_release``."""
    answer = demo.verify_release(changed(demo.bundle, tmp_path / "bundle.json", place))
    assert answer.code in {2, 3, 7}
    assert set(answer.document()) == {"error"}


FORGERIES = {
    "number": ("statistic.table.rows", [[995]]),
    "actions": ("statistic.table.actions", [["shown"]]),
    "release": ("release", "release-0000000000000000"),
    "query": ("job.analysis.body", "SELECT count(DISTINCT person_id) AS persons FROM person"),
    "author": ("job.analysis.author", "northgate"),
    "evidence": ("evidence.northgate.measurement", "0" * 64),
    "run": ("grants.riverside.run", "run-0000000000000000"),
    "purpose": ("contract.purpose", "Anything at all"),
    "entry": ("trail.-1.entry.facts.statistic", "0" * 64),
    "step": ("trail.0.entry.actor", "northgate"),
    "charge": ("grants.northgate.charge.used", 0),
    "plan": ("statistic.plan", "0" * 64),
    "finding": ("statistic.assessment.profile", "nhs-hes"),
    "inputs": ("job.inputs", []),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_part_of_a_bundle_is_refused_as_untrusted(forgery: str, demo: Demo, tmp_path: Path) -> None:
    """Guard: each check of ``verify_release``; the file stays well formed."""
    document = json.loads(demo.bundle.read_text())
    place, value = FORGERIES[forgery]
    *path, last = place.split(".")
    target = document
    for name in path:
        target = target[int(name) if isinstance(target, list) else name]
    assert target[last] != value
    target[last] = value
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(document))
    answer = demo.verify_release(bundle)
    assert (answer.code, answer.document()["error"]["kind"]) == (7, "untrusted")


@pytest.mark.parametrize("part", ["signatures", "grants", "evidence"])
def test_a_bundle_that_lacks_an_owner_is_refused(part: str, demo: Demo, tmp_path: Path) -> None:
    document = json.loads(demo.bundle.read_text())
    del document[part]["riverside"]
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(document))
    assert demo.verify_release(bundle).code == 7


@pytest.mark.parametrize("left", ["run.submitted", "run.started", "run.finished", "release.released"])
def test_a_bundle_that_leaves_out_a_step_is_refused(left: str, demo: Demo, tmp_path: Path) -> None:
    """Guard: ``check_trail``."""
    document = json.loads(demo.bundle.read_text())
    document["trail"] = [step for step in document["trail"] if step["entry"]["act"] != left]
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(document))
    assert demo.verify_release(bundle).code == 7


def test_a_bundle_with_its_steps_in_another_order_is_refused(demo: Demo, tmp_path: Path) -> None:
    document = json.loads(demo.bundle.read_text())
    document["trail"][:2] = document["trail"][1::-1]
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(document))
    answer = demo.verify_release(bundle)
    assert (answer.code, answer.document()["error"]["code"]) == (7, "bundle.forged")


def test_a_forged_endorsement_of_the_link_map_is_untrusted(demo: Demo, tmp_path: Path) -> None:
    """Guard: ``verify_links`` in ``_check_manifests``."""
    document = json.loads(demo.bundle.read_text())
    [links] = [item for item in document["manifests"] if item["endorsements"]]
    links["endorsements"]["northgate"] = links["endorsements"]["riverside"]
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(document))
    answer = demo.verify_release(bundle)
    assert answer.code != 0
    assert answer.code == 7


def test_a_bundle_counts_only_under_the_contract_that_the_verifier_trusts(demo: Demo) -> None:
    """Guard: ``KeysNotPinned``: a bundle cannot bring its own keys."""
    answer = call("release", "verify", str(demo.bundle), "--contract", "0" * 64)
    assert (answer.code, answer.error, answer.out) == (7, "bundle.keys_not_pinned", "")


def test_a_ledger_counts_only_under_the_keys_of_the_contract(demo: Demo, tmp_path: Path) -> None:
    """Guard: ``ledger_keys``: the keys come from the contract, not from the export."""
    document = yaml.safe_load((demo.room / "room.yaml").read_text())
    parties = document["parties"]
    parties["northgate"]["signing_key"] = parties["genomics-lab"]["signing_key"]
    other = tmp_path / "room.yaml"
    other.write_text(yaml.safe_dump(document))
    answer = call("ledger", "verify", str(demo.room / "ledger.jsonl"), "--contract", str(other))
    assert (answer.code, answer.out) == (7, "")


def test_the_room_can_be_asked_on(demo: Demo, tmp_path: Path) -> None:
    """The last line of the demo is a command that works."""
    room = shutil.copytree(demo.room, tmp_path / "demo")
    sql = "SELECT gender_concept_id, count(*) AS n FROM person GROUP BY gender_concept_id"
    answer = call("query", "--room", str(room), "--as", "genomics-lab", sql, "--json")
    assert (answer.code, answer.document()["status"]) == (0, "released")
    again = call("query", "--room", str(room), "--as", "genomics-lab", sql, "--json")
    assert again.document() == answer.document() | {"repeated": True}


def test_a_demo_never_removes_what_is_no_demo(demo: Demo, tmp_path: Path) -> None:
    """Guard: ``_make_place`` looks at the origin of the room before ``--replace`` removes it."""
    room = shutil.copytree(demo.room, tmp_path / "room")
    settings = json.loads((room / "room.json").read_text())
    (room / "room.json").write_text(json.dumps(settings | {"origin": "hospital.example/room"}))
    answer = call("demo", "--replace", "--folder", str(room))
    assert (answer.code, answer.error) == (5, "room.folder_in_use")
    assert (room / "host" / "room.db").exists()


@pytest.fixture(scope="session")
def crate(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of the story as a Five Safes RO-Crate."""
    file = tmp_path_factory.mktemp("crate") / "release.zip"
    answer = call("release", "get", demo.bundle.stem, "--ro-crate", str(file), "--room", str(demo.room))
    assert answer.code == 0, answer
    return file


def repacked(crate: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """The crate with some files changed, added, or left out."""
    with zipfile.ZipFile(crate) as archive:
        files: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    folder = next(iter(files)).partition("/")[0]
    files |= {f"{folder}/data/{name}": content for name, content in changes.items()}
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)
    return target


def test_a_crate_is_a_whole_bag_and_verifies_like_its_bundle(demo: Demo, crate: Path, tmp_path: Path) -> None:
    answer = demo.verify_release(crate)
    assert (answer.code, answer.document()["table"]["rows"]) == (0, [[15]])
    with zipfile.ZipFile(crate) as archive:
        archive.extractall(tmp_path)
    [bag] = tmp_path.iterdir()
    for manifest, start in (("manifest-sha512.txt", "data/"), ("tagmanifest-sha512.txt", "")):
        lines = dict(reversed(line.split("  ")) for line in (bag / manifest).read_text().splitlines())
        here = {str(path.relative_to(bag)) for path in bag.rglob("*") if path.is_file()}
        payload = {name for name in here if name.startswith("data/")}
        assert set(lines) == (payload if start else here - payload - {manifest})
        assert all(hashlib.sha512((bag / name).read_bytes()).hexdigest() == value for name, value in lines.items())
    metadata = json.loads((bag / "data" / "ro-crate-metadata.json").read_text())
    graph = {entity["@id"]: entity for entity in metadata["@graph"]}
    assert graph["./"]["conformsTo"]["@id"] == "https://w3id.org/5s-crate/0.4"
    kinds = [entity.get("additionalType", {}).get("@id") for entity in graph.values()]
    assert kinds.count("https://w3id.org/shp#SignOff") == 2
    assert kinds.count("https://w3id.org/shp#DisclosureCheck") == 1
    named = {item["@id"] for item in graph["./"]["hasPart"]}
    assert {f"data/{name}" for name in named if not name.endswith("/")} <= payload | here
    assert (bag / "data" / "outputs" / "table.csv").read_text() == "persons\n15\n"


@pytest.mark.parametrize("file", ["outputs/table.csv", "contract.json", "workflow/analysis.sql", "evidence.json"])
def test_a_changed_or_missing_file_of_a_crate_is_refused(file: str, demo: Demo, crate: Path, tmp_path: Path) -> None:
    """Guard: ``check_crate``, and ``verify_release`` for the evidence itself."""
    for number, content in enumerate((b"persons\n995\n", None)):
        forged = repacked(crate, tmp_path / f"{number}.zip", {file: content})
        answer = demo.verify_release(forged)
        assert (answer.code, answer.document()["error"]["code"]) == (7, "bundle.forged")


def test_a_file_more_in_a_crate_is_refused(demo: Demo, crate: Path, tmp_path: Path) -> None:
    forged = repacked(crate, tmp_path / "more.zip", {"outputs/rows.csv": b"1\n"})
    assert demo.verify_release(forged).code == 7
    (tmp_path / "cut.zip").write_bytes(crate.read_bytes()[:-30])
    assert demo.verify_release(tmp_path / "cut.zip").code == 7


def test_roc_validator_accepts_the_crate_and_the_one_inside(crate: Path, tmp_path: Path) -> None:
    """ASEPSIS_ROC_PYTHON names a Python with roc-validator and rocrate, whose pins do not go with ours."""
    python = os.environ.get("ASEPSIS_ROC_PYTHON")
    if not python:
        pytest.skip("ASEPSIS_ROC_PYTHON names no Python with roc-validator and rocrate")
    with zipfile.ZipFile(crate) as archive:
        archive.extractall(tmp_path)
    [bag] = tmp_path.iterdir()
    peer = Path(__file__).parent / "peers" / "roc.py"

    def issues(folder: Path) -> object:
        found = subprocess.run([python, peer, folder, "ro-crate-1.3"], capture_output=True, check=True)
        return json.loads(found.stdout)["ro-crate-1.3"]

    assert issues(bag) == issues(bag / "data" / "workflow") == []
    metadata = bag / "data" / "ro-crate-metadata.json"
    metadata.write_text(metadata.read_text().replace('"license"', '"licensed"'))
    assert issues(bag)


def test_other_systems_get_every_entry_of_the_ledger(demo: Demo, tmp_path: Path) -> None:
    size = demo.facts["ledger_entries"]
    found = {}
    for kind in ("fhir", "ocsf"):
        file = tmp_path / kind
        answer = call("ledger", "export", "--format", kind, "--out", str(file), "--room", str(demo.room), "--json")
        assert (answer.code, answer.document()) == (0, {"file": str(file), "format": kind})
        found[kind] = file.read_text()
    assert (len(json.loads(found["fhir"])["entry"]), len(found["ocsf"].splitlines())) == (size + 1, size + 2)
    assert '"ledger.exported"' in found["ocsf"].splitlines()[-1]  # that it was exported is an act too
