"""Synthetic identity tables of two hospitals with known truth, from a seed: households, twins, moves and typing errors.

Half of each owner's persons are known to the other. A third of the persons live with the person before them and share
family name, home and phone; one in twenty of these is a twin, one in a hundred has the same given name as well.
Run: python benchmarks/linkage_synth.py RECORDS_PER_OWNER SEED FOLDER
"""

from __future__ import annotations

import random  # noqa: TID251 - test data from a seed
import sys
from bisect import bisect
from collections.abc import Callable
from datetime import date, timedelta
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.linkage.nicknames import CANONICAL

Row = dict[str, str | int | None]
SYLLABLES = tuple("ba be bo da do fa fin ga gar ha hel in ja jo ka ker la len li lo ma mar mi mo na nel no".split())  # noqa: SIM905
KINDS = ("street", "road", "avenue", "court", "place", "drive")
FIELDS = ("given_name", "family_name", "address", "city", "postal_code", "phone", "national_id")
ABSENT = {"given_name": 0.01, "family_name": 0.005, "address": 0.05, "city": 0.03, "postal_code": 0.03, "phone": 0.35}


class Names:
    """Names with frequencies that fall as the rank to a power, as those of people do."""

    def __init__(self, dice: random.Random, count: int, power: float, start: tuple[str, ...] = ()) -> None:
        made = dict.fromkeys(start)
        while len(made) < count:
            made["".join(dice.choices(SYLLABLES, k=dice.choice((2, 3, 3, 4))))] = None
        self.names = list(made)
        self.sums = list(accumulate(1 / (rank + 8) ** power for rank in range(count)))
        self.dice = dice

    def draw(self) -> str:
        """One name."""
        return self.names[bisect(self.sums, self.dice.random() * self.sums[-1])]


def generate(records: int, *, seed: int) -> tuple[dict[str, pa.Table], dict[tuple[str, int], int]]:
    """The identity tables of two owners, and the person of each (owner, person_id)."""
    dice = random.Random(seed)  # noqa: S311 - test data
    shared = records // 2
    persons = _persons(dice, 2 * records - shared)
    order = list(range(len(persons)))
    dice.shuffle(order)
    tables, truth = {}, {}
    parts = {"northgate": (order[:records], 0.5), "riverside": (order[:shared] + order[records:], 1.0)}
    for owner, (members, wear) in parts.items():
        dice.shuffle(members)
        rows = [_worn(dice, persons[person], wear, persons) | {"person_id": at} for at, person in enumerate(members)]
        truth |= {(owner, at): person for at, person in enumerate(members)}
        tables[owner] = as_table(rows)
    return tables, truth


def as_table(rows: list[Row]) -> pa.Table:
    """Rows as an identity table; columns that are not given are null."""
    kinds = {"person_id": pa.int64(), "birth_date": pa.date32()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in IDENTITY_COLUMNS])
    return pa.Table.from_pylist([{name: row.get(name) for name in IDENTITY_COLUMNS} for row in rows], schema=schema)


def _persons(dice: random.Random, count: int) -> list[Row]:
    short = tuple(dict.fromkeys(CANONICAL.values()))
    given, family = Names(dice, 1500, 1.0, short), Names(dice, max(2000, count // 12), 0.8)
    streets, cities = Names(dice, 12_000, 0.3), Names(dice, max(40, count // 1500), 0.6)
    home = _home(dice, streets, cities, family)
    persons: list[Row] = []
    for number in range(count):
        is_follower = bool(persons) and dice.random() < 0.3
        if not is_follower:
            home = _home(dice, streets, cities, family)
        born = date(1925, 1, 1) + timedelta(days=int(dice.betavariate(1.6, 1.2) * 33_000))
        person: Row = {
            **home,
            "given_name": given.draw(),
            "sex": dice.choice("FM"),
            "birth_date_source": born.isoformat(),
            "national_id": str(100_000_000 + (number * 379_721_623 + 7) % 900_000_000),
        }
        if is_follower and dice.random() < 0.05:
            person["birth_date_source"] = persons[-1]["birth_date_source"]
        if is_follower and dice.random() < 0.01:
            person |= {"given_name": persons[-1]["given_name"], "sex": persons[-1]["sex"]}
        persons.append(person)
    return persons


def _home(dice: random.Random, streets: Names, cities: Names, family: Names) -> Row:
    city = cities.draw()
    return {
        "family_name": family.draw(),
        "address": f"{dice.randrange(1, 400)} {streets.draw()} {dice.choice(KINDS)}",
        "city": city,
        "postal_code": str(10_000 + cities.names.index(city) * 7),
        "phone": str(dice.randrange(200_000_000, 999_999_999)),
    }


def _worn(dice: random.Random, person: Row, wear: float, others: list[Row]) -> Row:  # noqa: C901 - a list of mishaps
    row = dict(person)

    def happens(probability: float) -> bool:
        return dice.random() < probability * wear

    other = dice.choice(others)
    if happens(0.2):
        row |= {name: other[name] for name in ("address", "city", "postal_code")}
    if happens(0.3):
        row["phone"] = str(dice.randrange(200_000_000, 999_999_999))
    if row["sex"] == "F" and happens(0.06):
        row["family_name"] = other["family_name"]
    if happens(0.03):
        row["given_name"] = str(row["given_name"])[0]
    if happens(0.012):
        row["given_name"], row["family_name"] = row["family_name"], row["given_name"]
    for name, share in (("given_name", 0.09), ("family_name", 0.09), ("address", 0.1), ("phone", 0.03)):
        if happens(share):
            row[name] = _typed(dice, str(row[name]))
    row["birth_date_source"] = _date(dice, str(row["birth_date_source"]), happens)
    for name, share in ABSENT.items():
        if happens(share):
            row[name] = None
    if dice.random() < 0.4:
        row["national_id"] = None
    row["birth_date"] = row["birth_date_source"] and date.fromisoformat(str(row["birth_date_source"]))  # type: ignore[assignment]
    return row


def _typed(dice: random.Random, text: str) -> str:
    at = dice.randrange(len(text))
    kind = dice.randrange(3)
    letter = dice.choice("0123456789" if text[at].isdigit() else "aeionrst")
    if kind == 0 and len(text) > 1:
        return text[:at] + text[at + 1 :]
    return text[:at] + letter + text[at + (kind == 1) :]


def _date(dice: random.Random, text: str, happens: Callable[[float], bool]) -> str | None:
    if happens(0.02):
        return None
    if happens(0.01):
        return "1900-01-01"
    year, month, day = text.split("-")
    if happens(0.01) and int(day) <= 12:
        return f"{year}-{day}-{month}"
    if happens(0.025):
        return f"{year[:3]}{dice.randrange(10)}-{month}-{day if int(day) < 29 else '28'}"
    return text


def main() -> None:
    """Write one Parquet file for each owner, and the truth."""
    tables, truth = generate(int(sys.argv[1]), seed=int(sys.argv[2]))
    folder = Path(sys.argv[3])
    for owner, table in tables.items():
        pq.write_table(table, folder / f"{owner}.parquet")
    rows = [{"owner": owner, "person_id": at, "person": person} for (owner, at), person in truth.items()]
    pq.write_table(pa.Table.from_pylist(rows), folder / "truth.parquet")


if __name__ == "__main__":
    main()
