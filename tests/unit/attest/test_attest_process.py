"""Level-0 evidence: what it measures, what it is bound to, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asepsis
from asepsis.attest.appraise import VERIFIERS, appraise
from asepsis.attest.process import CLOSURE, make_evidence, measure, measure_files, verify_process
from asepsis.domain.attestation import Binding, Evidence, EvidenceKind, read_evidence
from asepsis.domain.names import Digest
from asepsis.errors.attest import (
    EvidenceKindRefused,
    EvidenceNotBound,
    EvidenceRefused,
    EvidenceSignatureInvalid,
    LevelTooLow,
    MeasurementUnknown,
    ProgramUnreadable,
)
from asepsis.sealing.signing import generate_sealing_key, generate_signing_key

SIGNING, SEALING = generate_signing_key(), generate_sealing_key()
BINDING = Binding(
    nonce=bytes(32),
    contract=Digest("c"),
    job=Digest("j"),
    profile="strict-10",
    checkpoint=Digest("k"),
    sealing_key=SEALING.public,
    signing_key=SIGNING.public,
)
EVIDENCE = make_evidence(BINDING, signing_key=SIGNING.private)
VERSIONS = {"python": "3.11.2", "libraries": {"duckdb": "2.0.0"}}


def test_evidence_of_this_process_is_appraised_as_level_0_and_not_confidential() -> None:
    appraisal = appraise(EVIDENCE, binding=BINDING, measurements=[measure()], minimum_level=0)
    assert (appraisal.kind, appraisal.level) == (EvidenceKind.PROCESS, 0)
    assert appraisal.claims["confidential"] == "false"
    assert "NON-CONFIDENTIAL" in appraisal.reasons[0]


def test_evidence_survives_its_document_form() -> None:
    assert read_evidence(EVIDENCE.to_document()) == EVIDENCE


def test_every_kind_of_evidence_has_a_verifier() -> None:
    assert set(VERIFIERS) == set(EvidenceKind)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": bytes(31) + b"1"},
        {"contract": Digest("other")},
        {"job": Digest("other")},
        {"profile": "other"},
        {"checkpoint": Digest("other")},
        {"sealing_key": generate_sealing_key().public},
        {"signing_key": generate_signing_key().public},
    ],
)
def test_evidence_counts_for_one_binding_only(changes: dict[str, Any]) -> None:
    with pytest.raises(EvidenceNotBound):
        appraise(EVIDENCE, binding=replace(BINDING, **changes), measurements=[measure()], minimum_level=0)


@given(bit=st.integers(0, 511))
def test_every_flipped_bit_of_the_signature_is_refused(bit: int) -> None:
    signature = bytearray(EVIDENCE.signature)
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(EvidenceSignatureInvalid):
        verify_process(replace(EVIDENCE, signature=bytes(signature)))


@pytest.mark.parametrize(
    "changes",
    [
        {"measurement": Digest("0" * 64)},
        {"report_data": bytes(64)},
        {"sealing_key": bytes(32)},
        {"signing_key": generate_signing_key().public},
        {"signing_key": b"\xff" * 32},
    ],
)
def test_a_changed_body_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EvidenceSignatureInvalid):
        verify_process(replace(EVIDENCE, **changes))


def test_a_process_cannot_claim_to_be_confidential() -> None:
    with pytest.raises(EvidenceKindRefused):
        verify_process(replace(EVIDENCE, confidential=True))


def test_unknown_code_is_refused() -> None:
    with pytest.raises(MeasurementUnknown):
        appraise(EVIDENCE, binding=BINDING, measurements=[Digest("0" * 64)], minimum_level=0)
    with pytest.raises(MeasurementUnknown):
        appraise(EVIDENCE, binding=BINDING, measurements=[], minimum_level=0)


@pytest.mark.parametrize("level", [1, 2])
def test_a_process_never_reaches_a_higher_level(level: int) -> None:
    with pytest.raises(LevelTooLow):
        appraise(EVIDENCE, binding=BINDING, measurements=[measure()], minimum_level=level)


def test_a_kind_without_a_verifier_is_refused() -> None:
    unknown = replace(EVIDENCE, kind="abacus")  # type: ignore[arg-type]
    with pytest.raises(EvidenceRefused):
        appraise(unknown, binding=BINDING, measurements=[measure()], minimum_level=0)


def test_evidence_carries_no_private_key() -> None:
    assert SIGNING.private.hex() not in str(EVIDENCE.to_document())
    assert isinstance(EVIDENCE, Evidence)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    for name in ("errors", "runtime"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("one = 1\n")
        (tmp_path / name / "deep" / "two.py").write_text("two = 2\n")
    (tmp_path / "__init__.py").write_text("")
    return tmp_path


def measured(program: Path, **changes: Any) -> Digest:
    return measure_files(program, packages=("errors", "runtime"), **{**VERSIONS, **changes})


def test_a_changed_added_moved_or_removed_file_is_another_measurement(program: Path) -> None:
    seen = {measured(program)}
    path = program / "runtime" / "deep" / "two.py"
    path.write_text("two = 3\n")
    seen.add(measured(program))
    path.rename(path.with_name("three.py"))
    seen.add(measured(program))
    shutil.copy(path.with_name("three.py"), path)
    seen.add(measured(program))
    (program / "runtime" / "__init__.py").unlink()
    seen.add(measured(program))
    (program / "__init__.py").write_text("changed = True\n")
    seen.add(measured(program))
    assert len(seen) == 6


def test_other_versions_are_another_measurement(program: Path) -> None:
    assert measured(program, python="3.12.0") != measured(program)
    assert measured(program, libraries={"duckdb": "2.0.1"}) != measured(program)


def test_files_that_are_no_code_do_not_matter(program: Path) -> None:
    before = measured(program)
    (program / "runtime" / "__pycache__").mkdir()
    (program / "runtime" / "__pycache__" / "two.pyc").write_bytes(b"x")
    (program / "other").mkdir()
    (program / "other" / "three.py").write_text("")
    assert measured(program) == before


def test_a_missing_package_cannot_be_measured(program: Path) -> None:
    with pytest.raises(ProgramUnreadable):
        measure_files(program, packages=("errors", "gone"), python="", libraries={})


def test_the_measurement_covers_the_packages_of_the_runtime() -> None:
    folder = Path(asepsis.__file__).parent
    assert all((folder / name).is_dir() for name in CLOSURE)
    assert "runtime" in CLOSURE
