"""How much memory a contribution takes that is larger than memory: the highest resident set while the books balance.

    python benchmarks/bench_memory.py [GIGABYTES [MEMORY]]

GIGABYTES (1 if left out) of FHIR Observations come through a pipe from a process of its own, so that no file of that
size is needed and the generator is not counted; MEMORY (1GB) is what the engine may take before it writes to the disk.
What the contribution spills and writes lies in the temporary folder (TMPDIR): about the size of the input.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import BinaryIO

from bench_contribution import MAPPINGS, people

from asepsis.engines.harmonise import Resources, harmonise, load_mapping

GIGABYTE = 1 << 30
CODES = ("2339-0", "2951-2", "6298-4", "718-7", "38483-4")
BLOCK = 1_000
PROFILE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"
NUMBER, PATIENT = "#", "@"


def main() -> None:
    """Measure and print."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    memory = sys.argv[2] if len(sys.argv) > 2 else "1GB"
    size = int(gigabytes * GIGABYTE)
    files = {"Patient.ndjson": partial(io.BytesIO, people()), "Observation.ndjson": partial(generated, size)}
    files |= dict.fromkeys(("Condition.ndjson", "Encounter.ndjson"), io.BytesIO)
    before = peak()
    with tempfile.TemporaryDirectory(prefix="asepsis-memory-") as folder:
        resources = Resources(memory=memory, threads=1)
        mapping, start = load_mapping(MAPPINGS / "riverside"), time.process_time()
        result = harmonise(mapping, files, workdir=Path(folder), run="bench", person_key=bytes(32), resources=resources)
        spent = time.process_time() - start
    [books] = [file for file in result.books.files if file.path == "Observation.ndjson"]
    print(
        f"FHIR {books.size / GIGABYTE:.1f} GB, {books.landed:,} records, {books.accepted:,} accepted, books balance: "
        f"peak {peak() / GIGABYTE:.2f} GB of memory ({before / GIGABYTE:.2f} before), "
        f"{books.size / peak():.1f} times smaller than the input; {books.landed / spent:,.0f} records per CPU second"
    )


def peak() -> int:
    """The highest resident set of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def generated(size: int) -> BinaryIO:
    """The observations of another process."""
    words = [sys.executable, __file__, "--generate", str(size)]
    stream = subprocess.Popen(words, stdout=subprocess.PIPE).stdout  # the process ends with the pipe
    if stream is None:
        raise SystemExit(1)
    return stream


def generate(size: int) -> None:
    """Write observations of at least so many bytes."""
    templates = [
        json.dumps(
            {
                "resourceType": "Observation",
                "id": NUMBER,
                "meta": {"versionId": "1", "lastUpdated": "2020-01-01T00:00:00Z", "profile": [PROFILE] * 5},
                "status": "final",
                "category": [{"coding": [{"system": "category", "code": "laboratory"}]}],
                "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": "a test"}]},
                "subject": {"reference": f"Patient/p{PATIENT}"},
                "effectiveDateTime": "2001-03-15T08:30:00+00:00",
                "valueQuantity": {"value": 4.5, "unit": "mg/dL", "code": "mg/dL"},
            },
            separators=(",", ":"),
        ).split(NUMBER)
        for code in CODES
    ]
    done = number = 0
    while done < size:
        parts = []
        for _ in range(BLOCK):
            head, tail = templates[number % len(templates)]
            parts.append(f"{head}o{number}{tail.replace(PATIENT, str(number % 1_000))}\n")
            number += 1
        block = "".join(parts).encode()
        sys.stdout.buffer.write(block)
        done += len(block)


if __name__ == "__main__":
    generate(int(sys.argv[2])) if sys.argv[1:2] == ["--generate"] else main()
