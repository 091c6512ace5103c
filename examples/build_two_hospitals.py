"""Build the bundled example backups from the synthetic data set ``two_hospitals``.

Northgate's legacy files become a restic repository with five restore points, the newest hit by ransomware;
Riverside's FHIR export becomes two archives. Content is the same on every run; keys, ids and stored bytes
of the repository are not, because restic draws fresh keys and nonces.

    python examples/build_two_hospitals.py --from ../shared/data/two_hospitals
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent / "two_hospitals"
PASSWORD: Final = "northgate-demo"  # noqa: S105  a demo password, documented in the folder's README
FOLDER: Final = "data"
PATMAST_RECORD: Final = 131
EXTENSION: Final = ".locked"
NOTE_NAME: Final = "README_RESTORE_FILES.txt"
NOTE: Final = """All your files have been encrypted.

This is the note of a SIMULATED attack in an example of Asepsis. There is nobody to pay.
A real one says: your files can only be decrypted with our private key; pay in bitcoin within 72 hours;
do not rename the encrypted files; contact us through the tor browser.
"""
FIRST_YEAR: Final = 1985
UNCHANGING: Final = ("LABDICT.CSV", "LOCALDX.CSV", "PATMAST.CPY")

Content = dict[str, tuple[bytes, datetime]]
"""File name to its bytes and the time it was last changed."""


def main() -> None:
    """Build both hospitals' backups below this script's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="origin", type=Path, default=Path("../shared/data/two_hospitals"))
    origin: Path = parser.parse_args().origin
    build_northgate(origin / "hospital_a_legacy", HERE / "northgate" / "restic-repository")
    build_riverside(origin / "hospital_b_fhir", HERE / "riverside")
    total = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    print(f"{total / 1e6:.1f} MB below {HERE.name}")


def build_northgate(origin: Path, repository: Path) -> None:
    """A restic repository (version 2) with the restore points of 1998, 2005, 2012 and two of 2013."""
    files = {path.name: path.read_bytes() for path in sorted(origin.iterdir())}
    shutil.rmtree(repository, ignore_errors=True)
    repository.parent.mkdir(parents=True, exist_ok=True)
    restic(repository, "init", "--repository-version", "2")
    with tempfile.TemporaryDirectory() as scratch:
        for taken, content in northgate_history(files):
            folder = Path(scratch) / FOLDER
            shutil.rmtree(folder, ignore_errors=True)
            write_folder(folder, content)
            evening = datetime(taken.year, taken.month, taken.day, 20, 0, tzinfo=UTC).timestamp()
            os.utime(folder, (evening, evening))
            moment = f"{taken:%Y-%m-%d} 23:30:00"
            arguments = ("--time", moment, "--host", "northgate", "--force", "--compression", "max")
            restic(repository, "backup", *arguments, FOLDER, cwd=Path(scratch))
    for path in repository.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def northgate_history(files: dict[str, bytes]) -> Iterator[tuple[date, Content]]:
    """Each restore point's date and files; the files of early points end at that date."""
    for taken in (date(1998, 12, 31), date(2005, 12, 31)):
        yield taken, dated(as_of(files, taken), taken)
    year_end = date(2012, 12, 31)
    before_last_dump = as_of(files, date(2012, 11, 30))["pharmacy.sql"]
    yield year_end, dated({**files, "pharmacy.sql": before_last_dump}, year_end)
    last_clean = dated(files, year_end)
    last_clean["pharmacy.sql"] = (files["pharmacy.sql"], datetime(2013, 1, 4, 2, 10, tzinfo=UTC))
    yield date(2013, 1, 31), last_clean
    yield date(2013, 2, 2), attacked(last_clean)


def dated(files: dict[str, bytes], taken: date) -> Content:
    """Files with the times they would have had: reference files are old, the rest is from that day."""
    evening = datetime(taken.year, taken.month, taken.day, 20, 0, tzinfo=UTC)
    installed = datetime(1997, 6, 2, 9, 0, tzinfo=UTC)
    return {name: (content, installed if name in UNCHANGING else evening) for name, content in files.items()}


def attacked(files: Content) -> Content:
    """What ransomware leaves: random bytes under new names with the old times, and a note."""
    night = datetime(2013, 2, 2, 3, 17, tzinfo=UTC)
    encrypted = {
        f"{name}{EXTENSION}": (hashlib.shake_256(name.encode()).digest(len(content) + 528), modified)
        for name, (content, modified) in files.items()
    }
    return {**encrypted, NOTE_NAME: (NOTE.encode(), night)}


def as_of(files: dict[str, bytes], cutoff: date) -> dict[str, bytes]:
    """The legacy files as they stood on a day: whole records dated up to then, counts in headers set right.

    A record without a usable date counts as of the date of the record before it.
    """
    diagnoses = dbase_until(files["DXHIST.DBF"], cutoff)
    laboratory = laboratory_until(files["LAB_RESULTS.CSV"], cutoff)
    seen = {row[1:9].strip() for row in dbase_records(diagnoses)}
    seen |= {line.split(b";", 1)[0] for line in laboratory.splitlines()[1:]}
    return {
        **{name: files[name] for name in UNCHANGING},
        "DXHIST.DBF": diagnoses,
        "LAB_RESULTS.CSV": laboratory,
        "PATMAST.DAT": patients_among(files["PATMAST.DAT"], seen),
        "adt_oru.hl7": messages_until(files["adt_oru.hl7"], cutoff),
        "pharmacy.sql": prescriptions_until(files["pharmacy.sql"], cutoff),
    }


def dbase_records(table: bytes) -> list[bytes]:
    """The fixed-length records between the header and the end mark."""
    start = int.from_bytes(table[8:10], "little")
    length = int.from_bytes(table[10:12], "little")
    count = int.from_bytes(table[4:8], "little")
    return [table[start + i * length : start + (i + 1) * length] for i in range(count)]


def dbase_until(table: bytes, cutoff: date) -> bytes:
    """A dBase III table with the records dated up to the day, and header date and count to match."""
    start = int.from_bytes(table[8:10], "little")
    kept = until(dbase_records(table), cutoff, lambda row: parsed(row[19:27], "%Y%m%d"))
    changed = bytes([cutoff.year - 1900, cutoff.month, cutoff.day])
    return table[:1] + changed + len(kept).to_bytes(4, "little") + table[8:start] + b"".join(kept) + b"\x1a"


def laboratory_until(text: bytes, cutoff: date) -> bytes:
    """The header line and the lines dated up to the day."""
    header, *lines = text.splitlines(keepends=True)
    return header + b"".join(until(lines, cutoff, _laboratory_date))


def _laboratory_date(line: bytes) -> date | None:
    fields = line.split(b";")
    return parsed(fields[1], "%d.%m.%Y") if len(fields) > 1 else None


def patients_among(master: bytes, numbers: set[bytes]) -> bytes:
    """The whole master records (EBCDIC) of patients with a result or diagnosis by then."""
    records = (master[i : i + PATMAST_RECORD] for i in range(0, len(master) - PATMAST_RECORD + 1, PATMAST_RECORD))
    return b"".join(record for record in records if record[:8].decode("cp037").encode() in numbers)


def messages_until(batch: bytes, cutoff: date) -> bytes:
    """The HL7 v2 batch with the messages up to the day and its count set right."""
    head, *messages = re.split(rb"(?<=[\r\n])(?=MSH\|)", batch)
    last, mark, tail = messages[-1].partition(b"BTS|")
    kept = until([*messages[:-1], last], cutoff, _message_date)
    return head + b"".join(kept) + mark + str(len(kept)).encode() + tail[re.match(rb"\d*", tail).end() :]  # type: ignore[union-attr]


def _message_date(message: bytes) -> date | None:
    fields = message.split(b"|", 7)
    return parsed(fields[6][:8], "%Y%m%d") if len(fields) > 6 else None  # noqa: PLR2004


def prescriptions_until(dump: bytes, cutoff: date) -> bytes:
    """The SQL dump with the rows up to the day, as if dumped four days into the next month."""
    row = re.compile(rb"\((?:[^'()]|'(?:[^'\\]|\\.|'')*')*\)", re.DOTALL)
    pieces = re.split(rb"(INSERT INTO `rx` VALUES )", dump)
    result = [pieces[0]]
    for statement in pieces[2::2]:
        rows = list(row.finditer(statement))
        kept = until([match.group() for match in rows], cutoff, _prescription_date)
        if kept:
            result += [pieces[1], b",".join(kept), b";\n"]
        result.append(statement[rows[-1].end() :].removeprefix(b";\n"))
    following = date(cutoff.year + cutoff.month // 12, cutoff.month % 12 + 1, 4)
    return re.sub(rb"completed on \S+", f"completed on {following}".encode(), b"".join(result))


def _prescription_date(row: bytes) -> date | None:
    match = re.search(rb"'(\d{4}-\d\d-\d\d)'", row)
    return parsed(match.group(1), "%Y-%m-%d") if match else None


def until(records: Iterable[bytes], cutoff: date, day_of: Callable[[bytes], date | None]) -> list[bytes]:
    """The records dated up to the day; one without a usable date goes with the one before it."""
    kept, day = [], None
    for record in records:
        day = day_of(record) or day
        if day is None or day <= cutoff:
            kept.append(record)
    return kept


def parsed(text: bytes, pattern: str) -> date | None:
    """A date within the hospital's life, or ``None``."""
    try:
        day = datetime.strptime(text.decode("latin-1"), pattern).replace(tzinfo=UTC).date()
    except ValueError:
        return None
    return day if FIRST_YEAR <= day.year <= 2012 else None  # noqa: PLR2004


def build_riverside(origin: Path, folder: Path) -> None:
    """Two archives: the whole export, and one of a year before with the patients and conditions of then."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.tar.gz"):
        old.unlink()
    files = {path.name: path.read_bytes() for path in sorted(origin.iterdir())}
    write_archive(folder / "fhir-export-2023-12-31.tar.gz", export_of_2023(files), datetime(2024, 1, 1, tzinfo=UTC))
    write_archive(folder / "fhir-export-2024-12-31.tar.gz", files, datetime(2025, 1, 1, tzinfo=UTC))


def export_of_2023(files: dict[str, bytes]) -> dict[str, bytes]:
    """Patients seen and conditions recorded up to the end of 2023, and a manifest that says so."""
    last = "2023-12-31T23:59:59"
    known = {r["subject"]["reference"] for r in resources(files["Encounter.ndjson.gz"]) if r["period"]["start"] <= last}
    lines = {
        "Patient": [
            line for line in lines_of(files["Patient.ndjson.gz"]) if f"Patient/{json.loads(line)['id']}" in known
        ],
        "Condition": [
            line
            for line in lines_of(files["Condition.ndjson.gz"])
            if (json.loads(line).get("onsetDateTime") or json.loads(line).get("recordedDate") or "") <= last
        ],
    }
    manifest = {
        "transactionTime": "2024-01-01T00:00:00Z",
        "request": "$export?_type=Patient,Condition",
        "requiresAccessToken": True,
        "output": [{"type": t, "url": f"{t}.ndjson.gz", "count": len(found)} for t, found in lines.items()],
        "error": [],
    }
    exported = {f"{t}.ndjson.gz": gzip.compress(b"".join(found), 9, mtime=0) for t, found in lines.items()}
    return {**exported, "manifest.json": json.dumps(manifest, indent=1).encode()}


def lines_of(compressed: bytes) -> list[bytes]:
    """The lines of a compressed NDJSON file, ends kept."""
    return gzip.decompress(compressed).splitlines(keepends=True)


def resources(compressed: bytes) -> Iterator[dict[str, dict[str, str]]]:
    """The resources of a compressed NDJSON file."""
    return (json.loads(line) for line in lines_of(compressed))


def write_archive(path: Path, files: dict[str, bytes], moment: datetime) -> None:
    """A reproducible ``.tar.gz`` with all files below ``export/``."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as stream:  # noqa: SIM117
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in sorted(files.items()):
                member = tarfile.TarInfo(f"export/{name}")
                member.size, member.mtime, member.mode = len(content), int(moment.timestamp()), 0o644
                archive.addfile(member, io.BytesIO(content))


def write_folder(folder: Path, files: Content) -> None:
    """Files with the modification times they should have."""
    folder.mkdir(parents=True)
    for name, (content, modified) in files.items():
        path = folder / name
        path.write_bytes(content)
        os.utime(path, (modified.timestamp(), modified.timestamp()))


def restic(repository: Path, *arguments: str, cwd: Path | None = None) -> None:
    """Run the restic command on the repository."""
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD, "TZ": "UTC"}
    command = ["restic", "--quiet", "--no-cache", "--repo", str(repository.resolve()), *arguments]
    subprocess.run(command, check=True, env=environment, cwd=cwd)


if __name__ == "__main__":
    main()
