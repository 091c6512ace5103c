"""How fast a contribution is from bytes to Parquet on one thread, and what other tools do with the same bytes.

Every line prints records per CPU second of ours, of a baseline, and their ratio; both are the best of three runs that
alternate, because only ratios mean something on a shared machine. "landed and staged" has every record in a table with
its values, its state and its reasons; "to Parquet" adds order by person, provenance of every row, zstd and the books.
Peers run in an environment of their own (``ASEPSIS_PEERS`` names its Python: carrot-transform, hl7, pandas, polars,
sqlglot); what they keep of Northgate's files stands beside what becomes of every record here.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import duckdb

from asepsis.engines.harmonise import Resources, harmonise, load_mapping
from asepsis.engines.harmonise.result import Progress
from asepsis.engines.importing import read_document, read_headers, write_folder
from asepsis.harmonise.importing.carrot import draft_from_carrot
from asepsis.harmonise.importing.declared import read_declared
from asepsis.harmonise.mapping import Mapping

HERE = Path(__file__).parent
MAPPINGS = HERE.parent / "examples" / "mappings"
PEERS = os.environ.get("ASEPSIS_PEERS", "")
LAB_ROWS = 800_000
FIXED_ROWS = 800_000
MESSAGES = 60_000
OBSERVATIONS = 400_000
LARGE = 4
PATIENTS = 1_000
CARROT_ROWS = 50_000
ROUNDS = 4


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="asepsis-bench-") as temporary:
        folder = Path(temporary)
        northgate, riverside = load_mapping(MAPPINGS / "northgate"), load_mapping(MAPPINGS / "riverside")
        files = {"PATMAST.DAT": master(), "DXHIST.DBF": diagnoses()}
        labs = write(folder / "LAB_RESULTS.CSV", lab_results())
        compare(
            "delimited", LAB_ROWS, northgate, files | {"LAB_RESULTS.CSV": labs}, "read_csv", partial(read_csv, labs)
        )
        fixed = write(folder / "FIXED.TXT", fixed_width())
        with fixed_width_mapping() as mapping:
            given = {"FIXED.TXT": fixed, "PEOPLE.TXT": flat_people()}
            compare("fixed width", FIXED_ROWS, mapping, given, "read_csv", partial(read_lines, fixed))
        messages = write(folder / "adt_oru.hl7", hl7_messages())
        compare("HL7 v2", MESSAGES, northgate, files | {"adt_oru.hl7": messages}, "split", partial(split_hl7, messages))
        for name, count in (("FHIR", OBSERVATIONS), ("FHIR, large", LARGE * OBSERVATIONS)):
            observed = write(folder / "Observation.ndjson", b"".join(observations(count)))
            resources = {"Patient.ndjson": people(), "Observation.ndjson": observed}
            resources |= dict.fromkeys(("Condition.ndjson", "Encounter.ndjson"), write(folder / "none", b""))
            compare(name, count, riverside, resources, "read_ndjson", partial(read_ndjson, observed))
        peers(folder, labs=labs, messages=messages)


def compare(
    name: str, records: int, mapping: Mapping, files: dict[str, Path | bytes], baseline: str, call: Callable[[], object]
) -> None:
    """Print one line: both stretches of ours against the baseline."""
    tables, parquet, theirs = [], [], []
    for _ in range(ROUNDS):
        theirs.append(seconds(call))
        until_split, whole = contribute(mapping, files)
        tables.append(until_split)
        parquet.append(whole)
    base = min(theirs)
    for what, spent in (("landed and staged", min(tables)), ("to Parquet", min(parquet))):
        rate, ratio = records / spent, base / spent
        print(f"{name:12} {what:18} {rate:11,.0f}/s   {baseline} {records / base:11,.0f}/s   ratio {ratio:5.2f}")


def contribute(mapping: Mapping, files: dict[str, Path | bytes]) -> tuple[float, float]:
    """CPU seconds of one contribution until the rows are split, and in all."""
    reached: dict[str, float] = {}

    def progress(now: Progress) -> None:
        reached.setdefault(now.stage, time.process_time())

    opened = {
        path: (partial(io.BytesIO, given) if isinstance(given, bytes) else partial(given.open, "rb"))
        for path, given in files.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        resources = Resources(memory="2GB", threads=1, progress=progress)
        start = time.process_time()
        harmonise(mapping, opened, workdir=Path(folder), run="bench", person_key=bytes(32), resources=resources)
        return reached["split"] - start, time.process_time() - start


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def write(path: Path, data: bytes) -> Path:
    """A file with these bytes."""
    path.write_bytes(data)
    return path


def read_csv(path: Path) -> None:
    """Every field as text into a table of DuckDB, nothing checked."""
    options = (
        "all_varchar=true, delim=';', header=true, encoding='latin-1', quote='', null_padding=true, strict_mode=false"
    )
    _duckdb(f"CREATE TABLE x AS SELECT * FROM read_csv('{path}', {options})")


def read_lines(path: Path) -> None:
    """Every line as text, cut into its fields."""
    cut = ", ".join(f"substr(l, {first}, {last - first + 1}) AS {name}" for name, (first, last) in PLACES.items())
    options = "columns={'l': 'VARCHAR'}, delim='\\1', quote='', header=false, auto_detect=false"
    _duckdb(f"CREATE TABLE x AS SELECT {cut} FROM read_csv('{path}', {options})")


def read_ndjson(path: Path) -> None:
    """Six columns of every resource, their types declared."""
    coding = "STRUCT(coding STRUCT(code VARCHAR, display VARCHAR)[])"
    columns = (
        f"{{'id': 'VARCHAR', 'status': 'VARCHAR', 'code': '{coding}', 'subject': 'STRUCT(reference VARCHAR)', "
        "'effectiveDateTime': 'VARCHAR', 'valueQuantity': 'STRUCT(\"value\" DOUBLE, unit VARCHAR)'}"
    )
    _duckdb(f"CREATE TABLE x AS SELECT * FROM read_ndjson('{path}', columns={columns})")


def _duckdb(sql: str) -> None:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(sql)
    connection.close()


def split_hl7(path: Path) -> int:
    """Segments and fields, split in plain Python, nothing kept."""
    return sum(len(segment.split("|")) for segment in path.read_bytes().decode("latin-1").split("\r"))


def lab_results() -> bytes:
    """Results of a laboratory as Northgate's system writes them."""
    tests = [("GLU", "mg/dl"), ("NA", "mmol/l"), ("K", "mmol/l"), ("HB", "g/dl"), ("CREA", "mg/dl")]
    rows = [
        f"{10_000_000 + n % PATIENTS};{n % 28 + 1:02}.{n % 12 + 1:02}.{1990 + n % 20};{tests[n % 5][0]};Name;"
        f"{n % 300 + 40},{n % 10};{tests[n % 5][1]};;\r\n"
        for n in range(LAB_ROWS)
    ]
    return b"PATNO;DATUM;TESTCODE;TESTNAME;RESULT;UNIT;FLAG;COMMENT\r\n" + "".join(rows).encode("latin-1")


PLACES = {"patno": (1, 8), "born": (9, 16), "sex": (17, 17), "code": (18, 23), "seen": (24, 31), "place": (32, 51)}
PEOPLE = {name: PLACES[name] for name in ("patno", "born", "sex")}


def fixed_width() -> bytes:
    """A flat file of encounters: patient, birth date, sex, ICD-9 code, date, place."""
    codes, ward = ["4019", "25000", "2727", "4280"], "WARD SEVEN".ljust(20)
    return "".join(
        f"{n % PATIENTS:08}{1930 + n % 70}0615{'FM'[n % 2]}{codes[n % 4]:6}{1990 + n % 20}{n % 12 + 1:02}15{ward}\n"
        for n in range(FIXED_ROWS)
    ).encode("cp1252")


def flat_people() -> bytes:
    """The patients of the flat file."""
    return "".join(f"{n:08}{1930 + n % 70}0615{'FM'[n % 2]}\n" for n in range(PATIENTS)).encode("cp1252")


@contextmanager
def fixed_width_mapping() -> Iterator[Mapping]:
    """A mapping of the flat file to persons, their identities and conditions."""
    entries = {
        name: {
            "pattern": pattern,
            "reader": "fixed_width",
            "encoding": "cp1252",
            "extract_date": "2013-01-01",
            "places": {field: f"{first}-{last}" for field, (first, last) in places.items()},
        }
        for name, pattern, places in (("flat", "FIXED.TXT", PLACES), ("people", "PEOPLE.TXT", PEOPLE))
    }
    source = {"format": "asepsis-mapping/1", "source": "flat", "owner": "flat", "dataset": "flat", "label": "synthetic"}
    person = {
        "gender_concept_id": {"expr": "case when sex = 'F' then 8532 when sex = 'M' then 8507 else 0 end"},
        "year_of_birth": {"expr": "to_integer(left(born, 4))"},
        "race_concept_id": {"expr": "0"},
        "ethnicity_concept_id": {"expr": "0"},
    }
    condition = {
        "condition_concept_id": {"code_map": "icd", "from": "trim(code)"},
        "condition_start_date": {"expr": "parse_date(seen, '%Y%m%d')"},
        "condition_type_concept_id": {"expr": "32817"},
        "condition_source_value": {"expr": "trim(code)"},
    }
    dated = [
        {"expr": "condition_start_date is not null", "reason": "impossible_date"},
        {"expr": "condition_start_date <= extract_date", "reason": "date_in_future"},
    ]
    tables = {
        "person": {"table": "person", "from": "people", "person": "patno", "fields": person},
        "identity": {"table": "identity", "from": "people", "person": "patno", "fields": {"mrn": {"expr": "patno"}}},
        "condition": {
            "table": "condition_occurrence",
            "from": "flat",
            "person": "patno",
            "fields": condition,
            "require": dated,
        },
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tables").mkdir()
        (folder / "codes").mkdir()
        write_yaml(folder / "source.yaml", {**source, "files": entries})
        for table, content in tables.items():
            write_yaml(folder / "tables" / f"{table}.yaml", content)
        codes = "4019,320128,exact,\n25000,201826,exact,\n2727,432867,broader,\n4280,316139,exact,\n"
        (folder / "codes" / "icd.csv").write_text("source_code,target_concept_id,grade,note\n" + codes)
        yield load_mapping(folder)


def write_yaml(path: Path, content: dict[str, object]) -> None:
    """YAML as JSON writes it, with dates as dates."""
    path.write_text(json.dumps(content).replace('"2013-01-01"', "2013-01-01"))


def hl7_messages() -> bytes:
    """Results as messages of five segments."""
    tests = ["GLU", "NA", "K", "HB", "CREA"]
    return "".join(
        f"MSH|^~\\&|LAB|N|CDR|N|20010101||ORU^R01|{n}|P|2.3\rPID|1||{10_000_000 + n % PATIENTS}^^^N||DOE^JANE\r"
        f"OBR|1|||PANEL|||{1990 + n % 20}{n % 12 + 1:02}150830\r"
        f"OBX|1|NM|{tests[n % 5]}^NAME^L||{n % 300 + 40}|mg/dl|||||F|||20010115\r"
        f"OBX|2|NM|{tests[(n + 1) % 5]}^NAME^L||{n % 200 + 4}|mmol/l|||||F|||20010115\r"
        for n in range(MESSAGES)
    ).encode("latin-1")


def observations(count: int) -> Iterator[bytes]:
    """FHIR Observations with a quantity, a line each."""
    codes = ["2339-0", "2951-2", "6298-4", "718-7", "38483-4"]
    return (
        json.dumps(
            {
                "resourceType": "Observation",
                "id": f"o{n}",
                "status": "final",
                "category": [{"coding": [{"system": "category", "code": "laboratory"}]}],
                "code": {"coding": [{"system": "http://loinc.org", "code": codes[n % 5], "display": "a test"}]},
                "subject": {"reference": f"Patient/p{n % PATIENTS}"},
                "effectiveDateTime": f"{1990 + n % 20}-{n % 12 + 1:02}-15T08:30:00+00:00",
                "valueQuantity": {"value": n % 300 / 10, "unit": "mg/dL", "code": "mg/dL"},
            },
            separators=(",", ":"),
        ).encode()
        + b"\n"
        for n in range(count)
    )


def people() -> bytes:
    """FHIR Patients."""
    return b"".join(
        json.dumps(
            {
                "resourceType": "Patient",
                "id": f"p{n}",
                "gender": "female",
                "birthDate": "1970-01-31",
                "name": [{"use": "official", "family": "Doe", "given": ["Jane"]}],
                "identifier": [{"system": "mrn", "type": {"coding": [{"code": "MR"}]}, "value": str(n)}],
            }
        ).encode()
        + b"\n"
        for n in range(PATIENTS)
    )


def master() -> bytes:
    """An EBCDIC master of the patients."""
    tail = "1 HIGH STREET".ljust(30) + "BOSTON".ljust(20) + "02115"
    binary = bytes.fromhex("000012345c2001123c0007")
    return b"".join(
        f"{10_000_000 + n}{n:09}{'DOE':20}{'JANE':15}700131F000000{tail}".encode("cp037") + binary
        for n in range(PATIENTS)
    )


def diagnoses() -> bytes:
    """A dBase table of no rows."""
    fields = {"MRN": 8, "VISITNO": 10, "DXDATE": 8, "ICD": 6, "DXTYPE": 1, "DOCTOR": 20}
    header = bytes([3, 99, 1, 1, 0, 0, 0, 0, 225, 0, 54, 0]) + bytes(20)
    for name, size in fields.items():
        header += name.encode().ljust(11, b"\0") + b"C" + bytes(4) + bytes([size, 0]) + bytes(14)
    return header + b"\r\x1a"


def peers(folder: Path, **files: Path) -> None:
    """What other tools do with the same files, in their own environment, and ours with the example of one of them."""
    example = HERE.parents[1] / "shared" / "data" / "carrot_example"
    if example.is_dir():
        files |= {"carrot": example, "carrot_inputs": faulty_example(example / "inputs", folder / "carrot")}
        carrot_rules(example / "rules" / "rules_14June2021.json", files["carrot_inputs"], folder)
    legacy = HERE.parents[1] / "shared" / "data" / "two_hospitals" / "hospital_a_legacy"
    if legacy.is_dir():
        files["legacy"] = legacy
        legacy_rows(legacy, folder)
    if not PEERS:
        names = "carrot-transform, hl7, pandas, polars, sqlglot"
        print(f"peers        not measured: name their Python in ASEPSIS_PEERS ({names})")
        return
    words = [f"{name}={path}" for name, path in files.items()]
    subprocess.run([PEERS, str(HERE / "peers_contribution.py"), *words], check=True)


def legacy_rows(legacy: Path, folder: Path) -> None:
    """What becomes of every record of Northgate's files."""
    opened = {path.name: partial(path.open, "rb") for path in legacy.iterdir()}
    mapping, limits = load_mapping(MAPPINGS / "northgate"), Resources(memory="1GB", threads=1)
    done = harmonise(mapping, opened, workdir=folder, run="legacy", person_key=bytes(32), resources=limits)
    for file in done.books.files:
        kept = f"{file.accepted:,} accepted, {file.merged:,} merged, {file.quarantined:,} quarantined"
        print(
            f"Northgate    {file.path:16} landed {file.landed:,}: {kept}, {file.excluded:,} excluded, "
            f"{file.header + file.context:,} of the format or context, {file.residue:,} left over; "
            f"{file.size - file.landed_bytes:,} of {file.size:,} bytes lost"
        )


def carrot_rules(rules: Path, inputs: Path, folder: Path) -> None:
    """The rules of Carrot, imported, on the input that Carrot gets: what becomes of every row."""
    words = {
        "owner": "north",
        "label": "synthetic",
        "extract_date": "2022-01-01",
        "encoding": "utf-8",
        "delimiter": ",",
    }
    declared = read_declared(**words)
    draft = draft_from_carrot(
        read_document(rules), file=rules.name, declared=declared, headers=read_headers(inputs, declared=declared)
    )
    write_folder(draft, folder / "imported", tool="Carrot")
    mapping = load_mapping(folder / "imported")
    opened = {path.name: partial(path.open, "rb") for path in inputs.iterdir()}
    start = time.process_time()
    resources = Resources(memory="1GB", threads=1)
    done = harmonise(mapping, opened, workdir=folder / "ours", run="bench", person_key=bytes(32), resources=resources)
    landed = sum(file.landed - file.header for file in done.books.files)
    rate = landed / (time.process_time() - start)
    states = {name: sum(getattr(file, name) for file in done.books.files) for name in ("accepted", "quarantined")}
    print(f"Carrot's rules, imported: {rate:,.0f} rows/s of {landed:,}: {states}, {dict(done.row_counts)}")


def faulty_example(inputs: Path, target: Path) -> Path:
    """The example, repeated to 50,000 rows a file, one of a hundred with a date that is impossible, other or blank."""
    target.mkdir()
    for path in inputs.glob("*.csv"):
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        lines = [header]
        for number in range(CARROT_ROWS):
            cells = rows[number % len(rows)].split(",")
            cells[0] += str(number // len(rows))
            if path.stem != "Demographics" and number % 100 == 0:
                cells[1] = ("2020-02-31", "15.03.2020", "")[number // 100 % 3]
            lines.append(",".join(cells))
        (target / path.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    main()
