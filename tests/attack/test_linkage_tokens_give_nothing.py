"""An attacker with a public list of names and everything but the link key names nobody; the map holds no secret."""

from __future__ import annotations

import importlib.util
import secrets
from collections import Counter
from hashlib import blake2b, sha256
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

from asepsis.domain.names import PartyId
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.linkage.key import LinkKey
from asepsis.linkage.tokens import TokenTable, shuffled, tokenise, with_header

KEY = LinkKey(secret=sha256(b"a key of this file").digest(), epoch=1)
"""The same in every run: the tokens are so many that five letters of a name can stand among their bytes by luck."""
NEXT = LinkKey(secret=KEY.secret, epoch=2)


def synth() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "linkage_synth.py"
    spec = importlib.util.spec_from_file_location("linkage_synth_attack", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hospitals() -> dict[str, object]:
    tables, truth = synth().generate(1500, seed=11)
    return {"tables": tables, "truth": truth}


@pytest.fixture(scope="module")
def tokens(hospitals: dict[str, object]) -> dict[PartyId, TokenTable]:
    return {owner: tokenise(table, key=KEY) for owner, table in hospitals["tables"].items()}  # type: ignore[attr-defined]


def every_token(table: TokenTable) -> set[int]:
    found: set[int] = set()
    for column in table.records.columns[1:]:
        for value in column.to_pylist():
            found.update(value if isinstance(value, list) else [value])
    return (found | set(table.variants["variant"].to_pylist())) - {None, True, False}  # type: ignore[arg-type]


def test_no_name_of_a_public_list_can_be_confirmed_without_the_key(
    hospitals: dict[str, object], tokens: dict[PartyId, TokenTable]
) -> None:
    names = {name.lower() for name in hospitals["tables"]["northgate"]["family_name"].to_pylist() if name}  # type: ignore[index]
    seen = every_token(tokens[PartyId("northgate")])
    guesses = set()
    for name in names:
        for guess in (blake2b(name.encode(), digest_size=8), blake2b(name.encode(), key=b"name", digest_size=8)):
            guesses.add(int.from_bytes(guess.digest(), "little"))
        guesses.add(int.from_bytes(sha256(name.encode()).digest()[:8], "little"))
    other = LinkKey(secret=secrets.token_bytes(32), epoch=1)
    guesses |= every_token(tokenise(hospitals["tables"]["northgate"], key=other))  # type: ignore[index]
    assert not guesses & seen


def test_what_the_room_stores_carries_no_frequency_of_names(tokens: dict[PartyId, TokenTable], tmp_path: Path) -> None:
    output = tmp_path / "map.parquet"
    engine = Engine(randomness=secrets.token_bytes, threads=1, memory_limit=1 << 30)
    link_tokens(tokens, output=output, options=LinkOptions(duplicate_free=frozenset(tokens)), engine=engine)
    table = pq.read_table(output)
    assert table.schema.names == ["owner", "person_id", "link_id", "p_link", "grade", "link_id_90", "link_id_99"]
    assert max(Counter(table["link_id"].to_pylist()).values()) <= 2
    assert set(table["p_link"].to_pylist()) <= {None, 0.5, 0.9, 0.99}
    stored = set(table["link_id"].to_pylist()) | set(table["link_id_99"].to_pylist())
    assert not stored & set().union(*(every_token(each) for each in tokens.values()))
    content = output.read_bytes()
    for secret in (KEY.secret, KEY.secret.hex().encode(), KEY.check_value(), KEY.subkey("name")):
        assert secret not in content


def test_no_value_is_readable_in_a_token_table(
    hospitals: dict[str, object], tokens: dict[PartyId, TokenTable], tmp_path: Path
) -> None:
    records, variants = with_header(tokens[PartyId("riverside")])
    for name, table in (("records", records), ("variants", variants)):
        pq.write_table(table, tmp_path / name, compression="none")
    content = b"".join((tmp_path / name).read_bytes() for name in ("records", "variants"))
    for column in ("family_name", "phone", "address", "birth_date_source", "national_id"):
        for value in set(hospitals["tables"]["riverside"][column].to_pylist()) - {None}:  # type: ignore[index]
            assert len(value) < 5 or value.encode() not in content
    assert KEY.secret not in content


def test_tokens_of_two_epochs_do_not_join(hospitals: dict[str, object]) -> None:
    shares = {PartyId("a"): bytes(range(32)), PartyId("b"): bytes(range(1, 33))}
    from asepsis.domain.names import Digest  # noqa: PLC0415
    from asepsis.linkage.key import commitment, derive  # noqa: PLC0415

    seen = []
    for epoch in (1, 2):
        promised = {o: commitment(s, owner=o, contract=Digest("00"), epoch=epoch) for o, s in shares.items()}
        key = derive(shares, commitments=promised, contract=Digest("00"), epoch=epoch)
        seen.append(every_token(tokenise(hospitals["tables"]["northgate"].slice(0, 200), key=key)))  # type: ignore[index]
    assert not seen[0] & seen[1]


def test_one_value_has_another_token_in_every_domain() -> None:
    rows = [{"person_id": 1, "given_name": "Paris", "family_name": "Paris", "city": "Paris", "address": "Paris"}]
    record = tokenise(synth().as_table(rows), key=KEY).records.to_pylist()[0]
    assert record["given"] == record["family"]
    assert len({record["given"], record["city"], record["street"], record["given_canonical"]}) == 4


def test_shuffling_hides_the_order_and_dummies_the_number(tokens: dict[PartyId, TokenTable]) -> None:
    table = tokens[PartyId("northgate")]
    mixed = shuffled(table, randomness=secrets.token_bytes, dummies=300)
    assert len(mixed.records) == len(table.records) + 300
    ids = mixed.records["person_id"].to_pylist()
    assert set(table.records["person_id"].to_pylist()) <= set(ids)
    assert ids[: len(table.records)] != table.records["person_id"].to_pylist()
    assert mixed.records.schema == table.records.schema
