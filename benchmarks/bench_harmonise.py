"""How fast contribution is: records per second of each reader and of the whole way to Parquet, against naive baselines.

Each line prints a ratio against a baseline measured in the same run on the same bytes. Run it alone: on a shared
machine only the ratios mean something.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from asepsis.engines.harmonise import Resources, harmonise, load_mapping
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.readers import dbase, ebcdic, ndjson
from asepsis.harmonise.readers.ebcdic import Options
from asepsis.harmonise.readers.ebcdic_framing import Framing, RecordFormat

MAPPINGS = Path(__file__).parents[1] / "examples" / "mappings"
PATIENTS = 50_000
DIAGNOSES = 200_000
CONDITIONS = 100_000


def main() -> None:
    """Measure and print."""
    master, table = patients(), diagnoses()
    people, conditions = fhir_patients(), fhir_conditions()
    northgate, riverside = load_mapping(MAPPINGS / "northgate"), load_mapping(MAPPINGS / "riverside")
    layout = northgate.files["patmast"].layout
    if layout is None:
        raise SystemExit(1)
    line(
        "EBCDIC decode",
        PATIENTS,
        lambda: drain(ebcdic.read(io.BytesIO(master), layout=layout, encoding="cp037")),
        "hand-written slices per record",
        lambda: naive_ebcdic(master),
    )
    varied = of_varied_length(master)
    variable = Options(framing=Framing(record_format=RecordFormat.VARIABLE))
    line(
        "EBCDIC with RDW decode",
        PATIENTS,
        lambda: drain(ebcdic.read(io.BytesIO(varied), layout=layout, encoding="cp037", options=variable)),
        "hand-written slices per record",
        lambda: naive_ebcdic(master),
    )
    line(
        "dBase decode",
        DIAGNOSES,
        lambda: drain(dbase.read(io.BytesIO(table), encoding="cp850")),
        "decode and slice per row",
        lambda: naive_dbase(table),
    )
    line(
        "NDJSON framing",
        CONDITIONS,
        lambda: drain(ndjson.read(io.BytesIO(conditions))),
        "json.loads per line",
        lambda: naive_json(conditions),
    )
    line(
        "Northgate to Parquet",
        PATIENTS + DIAGNOSES,
        lambda: whole(northgate, {"PATMAST.DAT": master, "DXHIST.DBF": table}),
        "decoding loops that keep nothing",
        lambda: (naive_ebcdic(master), naive_dbase(table)),
    )
    line(
        "Riverside to Parquet",
        PATIENTS + CONDITIONS,
        lambda: whole(riverside, {"Patient.ndjson": people, "Condition.ndjson": conditions}),
        "json.loads that keeps nothing",
        lambda: (naive_json(people), naive_json(conditions)),
    )


def line(name: str, records: int, ours: Callable[[], object], baseline: str, theirs: Callable[[], object]) -> None:
    """Print the rate of ours, the rate of the baseline and their ratio (CPU time)."""
    mine, base = records / seconds(ours), records / seconds(theirs)
    print(f"{name:22} {mine:12,.0f} records/s   baseline ({baseline}) {base:12,.0f}   ratio {mine / base:6.2f}")


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def drain(records: Iterable[object]) -> int:
    """Consume an iterator."""
    return sum(1 for _ in records)


def whole(mapping: Mapping, files: dict[str, bytes]) -> None:
    """One contribution on one thread."""
    opened = {path: partial(io.BytesIO, content) for path, content in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        resources = Resources(memory="2GB", threads=1)
        harmonise(mapping, opened, workdir=Path(folder), run="bench", person_key=bytes(32), resources=resources)


def naive_ebcdic(data: bytes) -> int:
    """What a script would do for this one layout."""
    done = 0
    for start in range(0, len(data), 131):
        raw = data[start : start + 131]
        text = raw[:120].decode("cp037")
        packed = raw[120:125].hex()
        row = (text[:8], text[8:17], text[17:37], text[37:52], text[52:58], text[58], text[59:65], text[65:95])
        rest = (text[95:115], text[115:120], int(packed[:9]), raw[125:129].hex()[:7], struct.unpack(">h", raw[129:131]))
        done += len(row) + len(rest) > 0
    return done


def naive_dbase(data: bytes) -> int:
    """Decode and cut, no checks."""
    done = 0
    for start in range(225, len(data) - 54, 54):
        text = data[start : start + 54].decode("cp850")
        done += len((text[1:9], text[9:19], text[19:27], text[27:33], text[33], text[34:54]))
    return done


def naive_json(data: bytes) -> int:
    """Parse every line."""
    return sum(len(json.loads(row)) for row in data.splitlines())


def patients() -> bytes:
    """An EBCDIC master of made-up patients."""
    tail = "1 HIGH STREET".ljust(30) + "BOSTON".ljust(20) + "02115"
    binary = bytes.fromhex("000012345c2001123c0007")
    return b"".join(
        f"{10_000_000 + n}{n:09}{'DOE':20}{'JANE':15}700131F000000{tail}".encode("cp037") + binary
        for n in range(PATIENTS)
    )


def of_varied_length(master: bytes) -> bytes:
    """The same records behind descriptor words, two of three cut at a field or inside of one."""
    sizes = (131, 95, 80)
    records = (master[at : at + sizes[at // 131 % 3]] for at in range(0, len(master), 131))
    return b"".join(struct.pack(">HH", len(record), 0) + record for record in records)


def diagnoses() -> bytes:
    """A dBase table of made-up diagnoses."""
    fields = {"MRN": 8, "VISITNO": 10, "DXDATE": 8, "ICD": 6, "DXTYPE": 1, "DOCTOR": 20}
    header = bytes([3, 99, 1, 1]) + struct.pack("<IHH", DIAGNOSES, 225, 54) + bytes(20)
    for name, size in fields.items():
        header += name.encode().ljust(11, b"\0") + b"C" + bytes(4) + bytes([size, 0]) + bytes(14)
    codes = ["4019  ", "25000 ", "2727  ", "99999X"]
    body = b"".join(
        f" {10_000_000 + n % PATIENTS}{n:10}1999{n % 12 + 1:02}{n % 31 + 1:02}{codes[n % 4]}P{'DR WHO':20}".encode()
        for n in range(DIAGNOSES)
    )
    return header + b"\r" + body + b"\x1a"


def fhir_patients() -> bytes:
    """Made-up FHIR patients."""
    names = [{"use": "official", "family": "Doe", "given": ["Jane"]}]
    return b"".join(
        json.dumps(
            {"resourceType": "Patient", "id": f"p{n}", "name": names, "gender": "female", "birthDate": "1970-01-31"}
        ).encode()
        + b"\n"
        for n in range(PATIENTS)
    )


def fhir_conditions() -> bytes:
    """Made-up FHIR conditions."""
    code = {"coding": [{"system": "http://snomed.info/sct", "code": "59621000", "display": "made up"}]}
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    return b"".join(
        json.dumps(
            {
                "resourceType": "Condition",
                "id": f"c{n}",
                "subject": {"reference": f"Patient/p{n % PATIENTS}"},
                "code": code,
                "clinicalStatus": status,
                "onsetDateTime": "2001-02-03T04:05:06+00:00",
            }
        ).encode()
        + b"\n"
        for n in range(CONDITIONS)
    )


if __name__ == "__main__":
    main()
