"""Writes identity tables for linkage tests, and reads two_hospitals into them (no mapping, no books: tests only)."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.linkage import QualityReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.identities import read_identities
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions
from asepsis.engines.linkage.sealed_linking import link_sealed

SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[3] / ".." / "shared")).resolve()
SCHEMA = pa.schema(
    [(name, {"person_id": pa.int64(), "birth_date": pa.date32()}.get(name, pa.string())) for name in IDENTITY_COLUMNS],
)
Row = Mapping[str, Any]


def write_identities(path: Path, rows: Iterable[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA), path)
    return path


def counting_randomness() -> Callable[[int], bytes]:
    """Distinct numbers, 8 bytes each, so that a test can be repeated."""
    numbers = itertools.count(1)
    return lambda size: b"".join((next(numbers) << 2).to_bytes(8, "big") for _ in range(size // 8))


@dataclass(frozen=True)
class Linked:
    report: QualityReport
    rows: list[dict[str, Any]]

    def partition(self) -> set[frozenset[tuple[str, int]]]:
        groups: dict[int, set[tuple[str, int]]] = {}
        for row in self.rows:
            groups.setdefault(row["link_id"], set()).add((row["owner"], row["person_id"]))
        return {frozenset(group) for group in groups.values()}

    def together(self, *records: tuple[str, int]) -> bool:
        return any(set(records) <= group for group in self.partition())


@pytest.fixture
def linked(tmp_path: Path) -> Callable[[Mapping[str, Iterable[Row]]], Linked]:
    runs = itertools.count()

    def run(owners: Mapping[str, Iterable[Row]]) -> Linked:
        folder = tmp_path / str(next(runs))
        folder.mkdir()
        files = {PartyId(owner): write_identities(folder / f"{owner}.parquet", rows) for owner, rows in owners.items()}
        output = folder / "link_map.parquet"
        engine = Engine(randomness=counting_randomness(), threads=1, memory_limit=1 << 29)
        tables = {owner: read_identities(owner, path) for owner, path in files.items()}
        report = link_sealed(tables, output=output, options=LinkOptions(may_be_one=True), engine=engine)
        return Linked(report=report, rows=pq.read_table(output).to_pylist())

    return run


@dataclass(frozen=True)
class TwoHospitals:
    northgate: list[Row]
    riverside: list[Row]
    truth: dict[tuple[str, int], str]
    """Person of truth of each record."""
    gaucher: set[tuple[str, int]]


@pytest.fixture(scope="session")
def two_hospitals() -> TwoHospitals:
    folder = SHARED / "data" / "two_hospitals"
    if not folder.is_dir():
        pytest.skip("ASEPSIS_SHARED does not hold two_hospitals")
    northgate = _northgate(folder / "hospital_a_legacy" / "PATMAST.DAT")
    riverside, numbers = _riverside(folder / "hospital_b_fhir" / "Patient.ndjson.gz")
    truth = _truth(SHARED / "data" / "two_hospitals_truth" / "persons.csv", numbers)
    gaucher = _gaucher_a(folder / "hospital_a_legacy" / "DXHIST.DBF", truth) | _gaucher_b(
        folder / "hospital_b_fhir" / "Condition.ndjson.gz",
        numbers,
    )
    return TwoHospitals(northgate=northgate, riverside=riverside, truth=truth, gaucher=gaucher)


def _northgate(path: Path) -> list[Row]:
    data, rows = path.read_bytes(), []
    for at in range(0, len(data) - 70, 131):
        text = data[at : at + 131].decode("cp037")
        mrn = int(text[:8])
        if mrn >= 99000000:
            continue
        rows.append(
            {
                "person_id": mrn,
                "mrn": text[:8],
                "national_id": text[8:17].strip() or None,
                "family_name": text[17:37].strip() or None,
                "given_name": text[37:52].strip() or None,
                "birth_date": _short_date(text[52:58]),
                "birth_date_source": text[52:58],
                "sex": text[58] if len(text) > 58 and text[58] in "MF" else None,
                "address": text[65:95].strip() or None,
                "city": text[95:115].strip() or None,
                "postal_code": text[115:120].strip() or None,
            },
        )
    return rows


def _short_date(text: str) -> date | None:
    try:
        year = int(text[:2])
        return date(year + (1900 if year > 24 else 2000), int(text[2:4]), int(text[4:6]))
    except ValueError:
        return None


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def _riverside(path: Path) -> tuple[list[Row], dict[str, int]]:
    rows, numbers = [], {}
    for number, line in enumerate(_lines(path)):
        patient = json.loads(line)
        numbers[patient["id"]] = number
        ids = {item["type"]["coding"][0]["code"]: item["value"] for item in patient.get("identifier", ())}
        names = {name.get("use"): name for name in patient.get("name", ())}
        home = next(iter(patient.get("address", ())), {})
        birth = patient.get("birthDate")
        rows.append(
            {
                "person_id": number,
                "mrn": ids.get("MR"),
                "national_id": ids.get("SS"),
                "family_name": names.get("official", {}).get("family"),
                "given_name": " ".join(names.get("official", {}).get("given", ())),
                "previous_family_name": names.get("maiden", {}).get("family"),
                "birth_date": date.fromisoformat(birth) if birth else None,
                "birth_date_source": birth,
                "sex": {"female": "F", "male": "M"}.get(patient.get("gender")),
                "address": " ".join(home.get("line", ())),
                "city": home.get("city"),
                "postal_code": home.get("postalCode"),
                "phone": next(
                    (item["value"] for item in patient.get("telecom", ()) if item["system"] == "phone"), None
                ),
            },
        )
    return rows, numbers


def _truth(path: Path, numbers: Mapping[str, int]) -> dict[tuple[str, int], str]:
    truth = {}
    with path.open(encoding="utf-8") as file:
        for person in csv.DictReader(file):
            for mrn in filter(None, person["a_mrns"].split(";")):
                truth["northgate", int(mrn)] = person["entity_id"]
            if person["b_patient_id"]:
                truth["riverside", numbers[person["b_patient_id"]]] = person["entity_id"]
    return truth


def _gaucher_a(path: Path, truth: Mapping[tuple[str, int], str]) -> set[tuple[str, int]]:
    from dbfread import DBF  # noqa: PLC0415 - only where the data is there

    rows = DBF(path, encoding="cp437", char_decode_errors="replace")
    known = {("northgate", int(row["MRN"])) for row in rows if str(row["ICD"]).strip() == "2727"}
    return {record for record in known if record in truth}


def _gaucher_b(path: Path, numbers: Mapping[str, int]) -> set[tuple[str, int]]:
    found = set()
    for line in _lines(path):
        condition = json.loads(line)
        if any(item.get("code") == "190794006" for item in condition.get("code", {}).get("coding", ())):
            found.add(
                ("riverside", numbers[condition["subject"]["reference"].split("/")[-1].removeprefix("urn:uuid:")])
            )
    return found
