"""Programs that we did not write check our ledger: Go's checksum database, scitt-cose, pymerkle and npm's sigstore.

Go needs the Debian packages golang-go and golang-golang-x-mod-dev; npm's @sigstore/verify is used where
ASEPSIS_NODE_MODULES names a folder that holds it. Each peer must also refuse what is wrong, or its yes says nothing.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.ledger.bundle import write_bundle
from asepsis.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from asepsis.ledger.entry import entry_bytes, entry_hash
from asepsis.ledger.note import Algorithm, VerifierKey, add_signature
from asepsis.ledger.proof import write_entry_proof
from asepsis.ledger.tree import MemoryNodes, consistency_proof, inclusion_proof, root

PEERS = Path(__file__).parent / "peers"
GO_SOURCES = Path("/usr/share/gocode")
START = datetime(2026, 1, 1, tzinfo=UTC)
LOG_PRIVATE, *WITNESS_PRIVATE, STRANGER_PRIVATE = (bytes([seed]) * 32 for seed in range(11, 15))
WITNESSES = ("northgate", "riverside")
SIZE = 37


def public(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


LOG = VerifierKey(name="room.example/peers", public_key=public(LOG_PRIVATE))
KEYS = [
    VerifierKey(name=name, public_key=public(private), algorithm=Algorithm.COSIGNATURE)
    for name, private in zip(WITNESSES, WITNESS_PRIVATE, strict=True)
]
ENTRIES = [
    LedgerEntry(
        at=START + timedelta(minutes=number),
        actor=PartyId("room"),
        act=Act.RUN_STARTED,
        subject=f"run-{number}",
        facts={"count": number},
    )
    for number in range(SIZE)
]
NODES = MemoryNodes(entry_hash(entry) for entry in ENTRIES)
ROOTS = [root(NODES, size=size) for size in range(SIZE + 1)]


def note(size: int, *, signers: tuple[bytes, ...] = tuple(WITNESS_PRIVATE), log: bytes = LOG_PRIVATE) -> str:
    """A checkpoint, signed and cosigned as the room and the desks do it."""
    checkpoint = Checkpoint(origin=LOG.name, size=size, root=ROOTS[size])
    text = sign_checkpoint(checkpoint, private_key=log)
    for name, private in zip(WITNESSES, signers, strict=False):
        text = add_signature(text, line=cosign(checkpoint, name=name, private_key=private, at=START))
    return text


def b64(values: list[bytes]) -> list[str]:
    return [base64.b64encode(value).decode() for value in values]


@dataclass(frozen=True)
class Papers:
    """What an auditor is given: the bundle, a proof for each entry, and how the ledger grew."""

    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "ledger.jsonl"

    def proof(self, index: int, *, size: int = SIZE) -> Path:
        path = self.folder / f"{index}-of-{size}.tlog-proof"
        hashes = inclusion_proof(NODES, index=index, size=size)
        path.write_text(write_entry_proof(note(size), index=index, hashes=hashes))
        return path

    def growth(self, size: int) -> Path:
        path = self.folder / f"grown-from-{size}.json"
        proof = b64(consistency_proof(NODES, old_size=size, new_size=SIZE))
        path.write_text(json.dumps({"size": size, "root": b64([ROOTS[size]])[0], "proof": proof}))
        return path


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    found = Papers(tmp_path)
    found.bundle.write_bytes(write_bundle(ENTRIES, checkpoint_note=note(SIZE), log_key=LOG, witness_keys=KEYS))
    return found


Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def go_verify(tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """The auditor's program, compiled without any network."""
    go = shutil.which("go")
    if go is None or not (GO_SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("Go or its module library is missing (Debian: golang-go golang-golang-x-mod-dev)")
    folder = tmp_path_factory.mktemp("go")
    offline = {"GO111MODULE": "off", "GOPATH": str(GO_SOURCES), "GOCACHE": str(folder / "cache"), "GOFLAGS": ""}
    program = folder / "verify"
    command = [go, "build", "-o", str(program), str(PEERS / "verify.go")]
    subprocess.run(command, check=True, env={"PATH": os.environ["PATH"], **offline})

    def run(papers: Papers, *more: Path, quorum: int = 2) -> subprocess.CompletedProcess[str]:
        keys = [LOG.text, ",".join(key.text for key in KEYS), str(quorum)]
        arguments = [str(program), *keys, str(papers.bundle), *map(str, more)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    return run


def test_go_verifies_the_bundle_every_proof_and_every_growth(go_verify: Verify, papers: Papers) -> None:
    proofs = [papers.proof(index, size=size) for size in (1, 2, 20, SIZE) for index in range(size)]
    growths = [papers.growth(size) for size in range(1, SIZE + 1)]
    answer = go_verify(papers, *proofs, *growths)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"{SIZE} entries, {len(proofs)} proofs, {len(growths)} growths\n"


def test_go_refuses_an_edited_entry(go_verify: Verify, papers: Papers) -> None:
    papers.bundle.write_bytes(papers.bundle.read_bytes().replace(b"run-7", b"run-8", 1))
    assert go_verify(papers).returncode == 1


@pytest.mark.parametrize("place", ["origin", "size", "root", "signature", "cosignature"])
def test_go_refuses_one_changed_character_of_a_checkpoint(place: str, go_verify: Verify, papers: Papers) -> None:
    """Case TR-108, in the Go verifier; ours refuses the same in test_ledger_note and test_ledger_bundle."""
    text = note(SIZE)
    lines = text.split("\n")
    at = {"origin": 0, "size": 1, "root": 2, "signature": 4, "cosignature": 5}[place]
    changed = lines[at]
    middle = len(changed) - 9 if at > 3 else 1 if at == 1 else 3
    lines[at] = changed[:middle] + ("1" if changed[middle] != "1" else "2") + changed[middle + 1 :]
    forged = "\n".join(lines)
    assert forged != text
    bundle = write_bundle(ENTRIES, checkpoint_note=forged, log_key=LOG, witness_keys=KEYS)
    papers.bundle.write_bytes(bundle)
    assert go_verify(papers).returncode == 1


def test_go_refuses_another_signer_a_missing_witness_and_a_wrong_place(go_verify: Verify, papers: Papers) -> None:
    good = papers.proof(3)
    wrong_index = papers.folder / "wrong.tlog-proof"
    wrong_index.write_text(good.read_text().replace("index 3", "index 4"))
    assert go_verify(papers, good).returncode == 0
    assert go_verify(papers, wrong_index).returncode == 1
    growth = papers.growth(5)
    growth.write_text(growth.read_text().replace('"size": 5', '"size": 6'))
    assert go_verify(papers, growth).returncode == 1
    for forged in (note(SIZE, log=STRANGER_PRIVATE), note(SIZE, signers=tuple(WITNESS_PRIVATE[:1]))):
        papers.bundle.write_bytes(write_bundle(ENTRIES, checkpoint_note=forged, log_key=LOG, witness_keys=KEYS))
        assert go_verify(papers).returncode == 1
    assert go_verify(papers, quorum=1).returncode == 0


def test_scitt_verifies_every_proof_and_every_growth() -> None:
    merkle = pytest.importorskip("scitt_cose.merkle", reason="scitt-cose is not installed")
    for size in (1, 2, 20, SIZE):
        for index in range(size):
            proof = [value.hex() for value in inclusion_proof(NODES, index=index, size=size)]
            entry = entry_bytes(ENTRIES[index]).hex()
            assert merkle.verify_inclusion(entry, index, size, proof, ROOTS[size].hex())
            assert not merkle.verify_inclusion(entry, index, size, proof, ROOTS[size - 1].hex())
    for size in range(1, SIZE):
        proof = [value.hex() for value in consistency_proof(NODES, old_size=size, new_size=SIZE)]
        assert merkle.verify_consistency(ROOTS[size].hex(), ROOTS[SIZE].hex(), size, SIZE, proof)
        assert not merkle.verify_consistency(ROOTS[size - 1].hex(), ROOTS[SIZE].hex(), size, SIZE, proof)


def test_sigstore_verifies_every_proof(tmp_path: Path) -> None:
    modules, node = os.environ.get("ASEPSIS_NODE_MODULES"), shutil.which("node")
    if not modules or node is None:
        pytest.skip("ASEPSIS_NODE_MODULES names no folder with npm's @sigstore/verify, or node is missing")
    cases = [
        {
            "checkpoint": note(SIZE).partition("\n\n")[0] + "\n",
            "entry": b64([entry_bytes(ENTRIES[index])])[0],
            "index": index,
            "hashes": b64(inclusion_proof(NODES, index=index, size=SIZE)),
        }
        for index in range(SIZE)
    ]
    file = tmp_path / "cases.json"
    command = [node, str(PEERS / "verify.js"), modules, str(file)]
    file.write_text(json.dumps(cases))
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, f"{SIZE} proofs\n")
    cases[5]["index"] = 6
    file.write_text(json.dumps(cases))
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 1
