"""Name keys open the register's rows of their own persons, in any number of batches, and nothing else is opened."""

from datetime import date
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import PartyId
from asepsis.engines.referral import names
from asepsis.engines.referral.names import open_names, seal_names
from asepsis.errors.room import RegisterUnreadable

OWNER = PartyId("northgate")
PERSONS = [2**60 + number // 2 for number in range(14)]
"""Seven persons with two rows each: a former address."""


@pytest.fixture(params=[2, 3, 10_000])
def sealed(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    monkeypatch.setattr(names, "_PERSONS_AT_ONCE", request.param)
    columns = {name: [f"{name} {number}" for number in range(len(PERSONS))] for name in IDENTITY_COLUMNS}
    columns |= {"person_id": PERSONS, "birth_date": [date(1950, 1, 1)] * len(PERSONS)}
    pq.write_table(pa.table(columns), tmp_path / "identity.parquet")
    numbers = count(1)
    made = seal_names(
        tmp_path / "identity.parquet",
        owner=OWNER,
        keys=tmp_path / "keys.parquet",
        register=tmp_path / "register.parquet",
        randomness=lambda size: next(numbers).to_bytes(size, "big"),
    )
    assert made == len(set(PERSONS))
    keys = pq.read_table(tmp_path / "keys.parquet").to_pylist()
    return {row["person_id"]: row["name_key"] for row in keys}


def test_the_keys_of_some_persons_open_all_their_rows_and_no_others(sealed: dict[int, str], tmp_path: Path) -> None:
    assert len(set(sealed.values())) == len(set(PERSONS))
    chosen = {person: sealed[person] for person in (PERSONS[2], PERSONS[-1])}
    rows = open_names(tmp_path / "register.parquet", chosen, owner=OWNER)
    assert [row["person_id"] for row in rows] == [PERSONS[2]] * 2 + [PERSONS[-1]] * 2
    assert [row["address"] for row in rows] == [f"address {number}" for number in (2, 3, 12, 13)]
    assert {row["birth_date"] for row in rows} == {"1950-01-01"}
    assert b"family_name 2" not in (tmp_path / "register.parquet").read_bytes()


def test_another_key_or_person_or_owner_or_file_is_refused(sealed: dict[int, str], tmp_path: Path) -> None:
    register, person = tmp_path / "register.parquet", PERSONS[0]
    (tmp_path / "nothing").write_bytes(b"PAR1")
    for place, keys, owner in (
        (register, {person: sealed[PERSONS[2]]}, OWNER),
        (register, {7: sealed[person]}, OWNER),
        (register, {person: "no key"}, OWNER),
        (register, {person: sealed[person]}, PartyId("riverside")),
        (tmp_path / "nothing", {person: sealed[person]}, OWNER),
        (tmp_path / "absent", {person: sealed[person]}, OWNER),
    ):
        with pytest.raises(RegisterUnreadable):
            open_names(place, keys, owner=owner)
