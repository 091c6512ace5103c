"""Small sources of both hospitals, written here byte by byte, so that the tests need no data from elsewhere."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from asepsis.engines.harmonise import HarmonisedRun, Resources, harmonise, load_mapping
from asepsis.harmonise.mapping import Mapping as SourceMapping

ROOT = Path(__file__).parents[3]
MAPPINGS = ROOT / "examples" / "mappings"
KEY = bytes(range(32))

Run = Callable[..., HarmonisedRun]


def packed(value: int, digits: int) -> bytes:
    return bytes.fromhex(f"{abs(value):0{digits}d}{'d' if value < 0 else 'c'}")


def patient_record(mrn: str, *, family: str = "DOE", dob: str = "700131", sex: str = "F", dod: str = "000000") -> bytes:
    text = (
        f"{mrn:8}{'123456780':9}{family:20}{'JANE':15}{dob:6}{sex:1}{dod:6}{'1 HIGH STREET':30}{'BOSTON':20}{'02115':5}"
    )
    return text.encode("cp037") + packed(12345, 9) + packed(2001123, 7) + (7).to_bytes(2, "big")


def dbase_table(rows: list[tuple[str, str, str]]) -> bytes:
    fields = [
        ("MRN", "N", 8),
        ("VISITNO", "N", 10),
        ("DXDATE", "D", 8),
        ("ICD", "C", 6),
        ("DXTYPE", "C", 1),
        ("DOCTOR", "C", 20),
    ]
    length = 1 + sum(size for _, _, size in fields)
    header = bytes([3, 99, 1, 1]) + len(rows).to_bytes(4, "little") + (33 + 32 * len(fields)).to_bytes(2, "little")
    header += length.to_bytes(2, "little") + bytes(20)
    for name, kind, size in fields:
        header += name.encode().ljust(11, b"\0") + kind.encode() + bytes(4) + bytes([size, 0]) + bytes(14)
    body = b"".join(
        f" {mrn:>8}{number:>10}{day:8}{code:6}P{'DR MÜLLER':20}".encode("cp850")
        for number, (mrn, day, code) in enumerate(rows)
    )
    return header + b"\r" + body + b"\x1a"


def northgate_files() -> dict[str, bytes]:
    patients = [
        patient_record("10000001", dob="250131", dod="050718"),
        patient_record("10000002", sex="M"),
        patient_record("10000003", dob="000000"),
        patient_record("99000000", family="ZZTEST"),
    ]
    diagnoses = [
        ("10000001", "19990203", "4019"),
        ("10000001", "19990203", "2727"),
        ("10000002", "20010231", "4019"),
        ("10000002", "20010228", "340"),
        ("10000002", "20880101", "4019"),
        ("10000002", "        ", "4019"),
        ("10000003", "20010301", "99999X"),
        ("10999999", "20010301", "4019"),
    ]
    table = dbase_table([*diagnoses, diagnoses[0]])
    # The repeated row must be equal byte for byte, the running visit number included.
    first = table[225 : 225 + 54]
    table = table[: 225 + 54 * 8] + first + b"\x1a"
    return {"data/PATMAST.DAT": b"".join(patients) + patient_record("10000004")[:65], "data/DXHIST.DBF": table}


def riverside_files() -> dict[str, bytes]:
    patients = [
        {
            "resourceType": "Patient",
            "id": f"p{number}",
            "identifier": [
                {"system": "urn:hospital-b:mrn", "value": f"B{number}"},
                {"system": "http://hl7.org/fhir/sid/us-ssn", "value": f"123-45-678{number}"},
            ],
            "name": [{"use": "official", "family": "Doe", "given": ["Jane"]}, {"use": "maiden", "family": "Roe"}],
            "gender": "female",
            "birthDate": f"197{number}-02-03",
            "address": [{"use": "home", "city": "Boston", "postalCode": "02115", "line": ["1 High Street"]}],
            "telecom": [{"system": "phone", "value": "555-0100"}],
            **({"deceasedDateTime": "2020-01-02T03:04:05+00:00"} if number == 1 else {}),
        }
        for number in range(3)
    ]
    conditions = [
        {
            "resourceType": "Condition",
            "id": f"c{number}",
            "subject": {"reference": f"Patient/p{number % 4}"},
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "190794006"}]},
            "onsetDateTime": f"2010-0{1 + number}-30T10:00:00+00:00",
        }
        for number in range(5)
    ]
    return {
        "export/Patient.ndjson": b"".join(json.dumps(item).encode() + b"\n" for item in patients),
        "export/Condition.ndjson": b"".join(json.dumps(item).encode() + b"\n" for item in conditions),
    }


def openers(files: Mapping[str, bytes]) -> dict[str, Callable[[], BinaryIO]]:
    return {path: partial(io.BytesIO, content) for path, content in files.items()}


@pytest.fixture(scope="session")
def northgate() -> SourceMapping:
    return load_mapping(MAPPINGS / "northgate")


@pytest.fixture(scope="session")
def riverside() -> SourceMapping:
    return load_mapping(MAPPINGS / "riverside")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def start(mapping: SourceMapping, files: Mapping[str, bytes], name: str = "run-1") -> HarmonisedRun:
        resources = Resources(memory="256MB", threads=1)
        return harmonise(mapping, openers(files), workdir=tmp_path, run=name, person_key=KEY, resources=resources)

    return start


@pytest.fixture(scope="session")
def sources() -> dict[str, dict[str, bytes]]:
    return {"northgate": northgate_files(), "riverside": riverside_files()}


@pytest.fixture(scope="session")
def northgate_run(northgate: SourceMapping, tmp_path_factory: pytest.TempPathFactory) -> HarmonisedRun:
    resources = Resources(memory="256MB", threads=1)
    folder = tmp_path_factory.mktemp("northgate")
    return harmonise(
        northgate, openers(northgate_files()), workdir=folder, run="r", person_key=KEY, resources=resources
    )


@pytest.fixture(scope="session")
def riverside_run(riverside: SourceMapping, tmp_path_factory: pytest.TempPathFactory) -> HarmonisedRun:
    resources = Resources(memory="256MB", threads=1)
    folder = tmp_path_factory.mktemp("riverside")
    return harmonise(
        riverside, openers(riverside_files()), workdir=folder, run="r", person_key=KEY, resources=resources
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(os.environ.get("ASEPSIS_SHARED", ROOT.parent / "shared")) / "data"
    if not (folder / "two_hospitals_truth").is_dir():
        pytest.skip("the truth of the two hospitals is not here (set ASEPSIS_SHARED)")
    return folder
