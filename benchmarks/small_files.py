"""Small structured files as hospitals keep them by the million: HL7 v2, FHIR, C-CDA, CSV, PDF and PNG of 2-50 kB."""

from __future__ import annotations

import json
import random  # noqa: TID251 - from a seed
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_PROSE: Final = (
    "the patient was admitted with chest pain and shortness of breath history of hypertension diabetes mellitus "
    "on metformin discharged home in stable condition follow up in clinic within two weeks"
)
_WORDS: Final = _PROSE.split()
_SMALLEST, _SPAN = 2_000, 25


class SmallFiles:
    """Makes files from a seed; sizes are spread evenly over their logarithm."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - from a seed

    def write(self, folder: Path, *, count: int) -> dict[str, list[Path]]:
        """So many files of each kind, in a folder for each kind."""
        written: dict[str, list[Path]] = {}
        for kind, make in self._kinds().items():
            (folder / kind).mkdir(parents=True)
            written[kind] = [folder / kind / f"{number:05}.{kind}" for number in range(count)]
            for path in written[kind]:
                path.write_bytes(make(int(_SMALLEST * _SPAN ** self._dice.random())))
        return written

    def _kinds(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "hl7": self._hl7,
            "json": self._fhir,
            "xml": self._ccda,
            "csv": self._csv,
            "pdf": self._pdf,
            "png": self._png,
        }

    def _hl7(self, size: int) -> bytes:
        head = [
            "MSH|^~\\&|LAB|NORTH|EHR|RIVER|20240101120000||ORU^R01|17|P|2.5",
            "PID|1||4711^^^MRN||DOE^JANE||19610101|F",
        ]
        line = lambda: f"OBX|1|NM|{self._number()}^{self._text(3)}^LN||{self._number()}|mg/dL|1-10|N|||F|||20240101"  # noqa: E731
        return "\r".join([*head, *self._lines(size, line), ""]).encode()

    def _fhir(self, size: int) -> bytes:
        def entry() -> str:
            code = {"coding": [{"system": "http://loinc.org", "code": self._number(), "display": self._text(4)}]}
            value = {"value": self._dice.random() * 100, "unit": "mg/dL"}
            resource = {"resourceType": "Observation", "id": self._number(), "status": "final", "code": code}
            return json.dumps({"resource": {**resource, "subject": {"reference": "Patient/1"}, "valueQuantity": value}})

        entries = ",\n".join(self._lines(size, entry))
        return f'{{"resourceType": "Bundle", "type": "collection", "entry": [\n{entries}]}}'.encode()

    def _ccda(self, size: int) -> bytes:
        def entry() -> str:
            code = f'<code code="{self._number()}" codeSystem="2.16.840.1.113883.6.1" displayName="{self._text(4)}"/>'
            return f'<entry><observation>{code}<value xsi:type="PQ" value="{self._number()}"/></observation></entry>'

        spaces = 'xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        inside = "\n".join(self._lines(size, entry))
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ClinicalDocument {spaces}>{inside}</ClinicalDocument>'.encode()
        )

    def _csv(self, size: int) -> bytes:
        line = lambda: f"{self._number()},2013-02-01,A00.9,{self._text(4)},{self._dice.random() * 9:.2f}"  # noqa: E731
        return "\n".join(["id,date,code,text,value", *self._lines(size, line), ""]).encode()

    def _pdf(self, size: int) -> bytes:
        bodies = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"]
        bodies.append(b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>")
        while sum(map(len, bodies)) < size:
            packed = zlib.compress(f"BT /F1 12 Tf ({self._text(1_500)}) Tj ET\n".encode() + self._dice.randbytes(1_500))
            head = b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed)
            bodies.append(head + packed + b"\nendstream")
        content, places = b"%PDF-1.4\n", []
        for number, body in enumerate(bodies, 1):
            places.append(len(content))
            content += b"%d 0 obj\n%b\nendobj\n" % (number, body)
        table = b"".join(b"%010d 00000 n \n" % place for place in places)
        head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
        return content + head + table + b"trailer\n<< /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(content)

    def _png(self, size: int) -> bytes:
        width, height = 256, max(8, size // 256)
        rows = b"".join(b"\0" + self._dice.randbytes(width) for _ in range(height))
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)

    def _lines(self, size: int, make: Callable[[], str]) -> list[str]:
        lines: list[str] = []
        while size > 0:
            lines.append(make())
            size -= len(lines[-1])
        return lines

    def _text(self, words: int) -> str:
        return " ".join(self._dice.choices(_WORDS, k=words))

    def _number(self) -> str:
        return str(self._dice.randrange(10_000, 1_000_000))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
