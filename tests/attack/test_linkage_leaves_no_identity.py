"""An attacker who can read the link map, the folder it lies in, or an error learns no identity from them."""

from __future__ import annotations

import secrets
import traceback
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import PartyId
from asepsis.engines.linkage import guard
from asepsis.engines.linkage.identities import read_identities
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions
from asepsis.engines.linkage.person_map import PERSON_MAP
from asepsis.engines.linkage.sealed_linking import link_sealed
from asepsis.errors import AsepsisError
from asepsis.errors.linkage import IdentityUnreadable

CANARY = "Zyxwvut"
ROW: dict[str, Any] = {
    "person_id": 4711,
    "mrn": "MRN86420",
    "national_id": "314159265",
    "family_name": CANARY,
    "given_name": "Quillfeather",
    "previous_family_name": "Oldname",
    "birth_date": date(1961, 10, 31),
    "birth_date_source": "1961-10-31",
    "sex": "F",
    "address": "42424242 Nowhere Parade",
    "city": "Atlantis",
    "postal_code": "98765",
    "phone": "5553141592",
}
TYPES = {"person_id": pa.int64(), "birth_date": pa.date32()}
SCHEMA = pa.schema([(name, TYPES.get(name, pa.string())) for name in IDENTITY_COLUMNS])


def identities(folder: Path) -> dict[PartyId, Path]:
    files = {}
    for owner in ("northgate", "riverside"):
        files[PartyId(owner)] = folder / f"{owner}.parquet"
        pq.write_table(pa.Table.from_pylist([ROW], schema=SCHEMA), files[PartyId(owner)])
    return files


def link(files: dict[PartyId, Path], output: Path) -> None:
    tables = {owner: read_identities(owner, path) for owner, path in files.items()}
    engine = Engine(randomness=secrets.token_bytes, threads=1, memory_limit=1 << 28)
    link_sealed(tables, output=output, options=LinkOptions(), engine=engine)


def test_no_identity_value_is_in_the_link_map_or_beside_it(tmp_path: Path) -> None:
    files = identities(tmp_path)
    room = tmp_path / "room"
    room.mkdir()
    link(files, room / "map.parquet")
    assert [path.name for path in room.iterdir()] == ["map.parquet"]
    content = (room / "map.parquet").read_bytes().lower()
    texts = [str(value) for name, value in ROW.items() if name not in {"person_id", "sex"}]
    words = [word for text in texts for word in text.split()]
    for secret in [*texts, *words, "19611031", "611031"]:
        assert secret.lower().encode() not in content
    assert pq.read_schema(room / "map.parquet").names == PERSON_MAP.names
    assert not pq.read_schema(room / "map.parquet").metadata


def test_link_identifiers_of_two_runs_have_nothing_in_common(tmp_path: Path) -> None:
    files = identities(tmp_path)
    found = set()
    for run in range(3):
        link(files, tmp_path / f"{run}.parquet")
        found |= set(pq.read_table(tmp_path / f"{run}.parquet")["link_id"].to_pylist())
    assert len(found) == 3


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT CAST('{CANARY}' AS INTEGER)",
        f"SELECT error('{CANARY}')",
        f"SELECT strptime('{CANARY}', '%Y')",
        f"SELECT * FROM read_csv('/tmp/{CANARY}')",
    ],
)
def test_what_the_engine_quotes_reaches_no_error(query: str) -> None:
    with guard.private_engine(threads=1, memory_limit=1 << 28) as engine:
        with pytest.raises(AsepsisError) as caught, guard.withheld("finding pairs", records=1):
            engine.execute(query).fetchall()
        assert CANARY not in "".join(traceback.format_exception(caught.value))
        assert CANARY not in str(caught.value.as_dict())


def what_is_told(path: Path) -> str:
    """The whole traceback of a refusal, or nothing."""
    try:
        read_identities(PartyId("northgate"), path)
    except AsepsisError as error:
        return "".join(traceback.format_exception(error))
    return ""


def test_a_broken_identity_file_quotes_nothing(tmp_path: Path) -> None:
    files = identities(tmp_path)
    path = files[PartyId("northgate")]
    content, refused = path.read_bytes(), 0
    for at in range(4, len(content), 23):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        told = what_is_told(path)
        refused += bool(told)
        assert CANARY not in told
    assert refused > 0


def test_text_that_is_no_utf8_is_refused_without_quoting_it(tmp_path: Path) -> None:
    files = identities(tmp_path)
    broken = pa.array([CANARY.encode() + b"\x8b"]).cast(pa.binary()).view(pa.string())
    table = pq.read_table(files[PartyId("northgate")])
    pq.write_table(table.set_column(3, "family_name", broken), files[PartyId("northgate")])
    with pytest.raises(IdentityUnreadable) as caught:
        link(files, tmp_path / "map.parquet")
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_engine_of_identities_reaches_no_file_and_stays_locked(tmp_path: Path) -> None:
    with guard.private_engine(threads=1, memory_limit=1 << 28) as engine:
        for query in (
            f"COPY (SELECT 1) TO '{tmp_path / 'leak.csv'}'",
            f"ATTACH '{tmp_path / 'leak.db'}'",
            f"SET temp_directory = '{tmp_path}'",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                engine.execute(query)
    assert list(tmp_path.iterdir()) == []
