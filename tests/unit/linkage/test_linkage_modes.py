"""The modes beside keyed: identifiers in clear in the sealed job, exact rules, imported filters; and two_hospitals."""

from __future__ import annotations

import itertools
import secrets
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.exact_linking import link_by_rules, link_filters
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.engines.linkage.sealed_linking import link_sealed
from asepsis.errors.linkage import FilterRefused, OneOwnerOnly, RuleProfileUnknown
from asepsis.linkage.key import LinkKey
from asepsis.linkage.tokens import tokenise

KEY = LinkKey(secret=bytes(range(32)), epoch=1)
ENGINE = Engine(randomness=secrets.token_bytes, threads=1, memory_limit=1 << 30)
KINDS = {"person_id": pa.int64(), "birth_date": pa.date32()}
SCHEMA = pa.schema([(name, KINDS.get(name, pa.string())) for name in IDENTITY_COLUMNS])
Groups = list[set[tuple[str, int]]]


def groups(path: Path, column: str = "link_id") -> Groups:
    found = defaultdict(set)
    for row in pq.read_table(path).to_pylist():
        found[row[column]].add((row["owner"], row["person_id"]))
    return list(found.values())


def identities(rows: Iterable[Any]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)


def pairs(partition: Iterable[Iterable[tuple[str, int]]]) -> set[Any]:
    return {pair for group in partition for pair in itertools.combinations(sorted(group), 2)}


@pytest.mark.parametrize("mode", ["keyed", "sealed"])
def test_the_shared_persons_of_two_hospitals_are_found(two_hospitals: Any, tmp_path: Path, mode: str) -> None:
    tables = {
        PartyId("northgate"): identities(two_hospitals.northgate),
        PartyId("riverside"): identities(two_hospitals.riverside),
    }
    output = tmp_path / "map.parquet"
    if mode == "sealed":
        link_sealed(tables, output=output, options=LinkOptions(), engine=ENGINE)
    else:
        tokens = {owner: tokenise(table, key=KEY) for owner, table in tables.items()}
        link_tokens(tokens, output=output, options=LinkOptions(), engine=ENGINE)
    persons: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for record, entity in two_hospitals.truth.items():
        persons[entity].append(record)
    found, truth = pairs(groups(output)), pairs(persons.values())
    assert len(found & truth) / len(found) >= 0.99
    assert len(found & truth) / len(truth) >= 0.97
    links = {record: number for number, group in enumerate(groups(output)) for record in group}
    assert len({links[record] for record in two_hospitals.gaucher}) == 17


ROWS = {
    "northgate": [
        {"person_id": 1, "given_name": "Ada", "family_name": "Holm", "birth_date_source": "1950-02-03", "sex": "F"},
        {"person_id": 2, "given_name": "Bo", "family_name": "Lund", "birth_date_source": "1960-02-03", "sex": "M"},
    ],
    "riverside": [
        {"person_id": 7, "given_name": "Ada", "family_name": "Holm", "birth_date_source": "1950-02-03", "sex": "F"},
        {"person_id": 8, "given_name": "Bo", "family_name": "Lunt", "birth_date_source": "1960-02-03", "sex": "M"},
    ],
}


def test_exact_rules_link_what_is_equal_and_nothing_else(tmp_path: Path) -> None:
    tokens = {PartyId(owner): tokenise(identities(rows), key=KEY) for owner, rows in ROWS.items()}
    output = tmp_path / "map.parquet"
    link_by_rules(tokens, profile="open-link-token", output=output, options=LinkOptions(), engine=ENGINE)
    assert {frozenset(group) for group in groups(output) if len(group) > 1} == {
        frozenset({("northgate", 1), ("riverside", 7)})
    }
    rows = pq.read_table(output).to_pylist()
    assert {(row["grade"], row["p_link"]) for row in rows} == {("B", None)}


def test_an_unknown_rule_profile_is_refused(tmp_path: Path) -> None:
    tokens = {PartyId(owner): tokenise(identities(rows), key=KEY) for owner, rows in ROWS.items()}
    with pytest.raises(RuleProfileUnknown):
        link_by_rules(tokens, profile="x", output=tmp_path / "m", options=LinkOptions(), engine=ENGINE)


def filters(*bits: bytes) -> pa.Table:
    return pa.table({"person_id": pa.array(range(len(bits)), pa.int64()), "filter": pa.array(bits, pa.binary())})


def test_imported_filters_are_compared_by_dice_and_graded_c(tmp_path: Path) -> None:
    one, near, far = b"\xff" * 8 + b"\x00" * 8, b"\xff" * 7 + b"\x0f" + b"\x00" * 8, b"\x00" * 8 + b"\xff" * 8
    output = tmp_path / "map.parquet"
    both = {PartyId("a"): filters(one, far), PartyId("b"): filters(near)}
    link_filters(both, threshold=0.8, output=output, options=LinkOptions(), engine=ENGINE)
    assert [group for group in groups(output) if len(group) > 1] == [{("a", 0), ("b", 0)}]
    assert set(pq.read_table(output)["grade"].to_pylist()) == {"C"}
    link_filters(both, threshold=0.99, output=output, options=LinkOptions(), engine=ENGINE)
    assert all(len(group) == 1 for group in groups(output))


@pytest.mark.parametrize("bad", [filters(b"\xff" * 7), filters(b"\xff" * 16), filters(bytes(8)), pa.table({"x": [1]})])
def test_filters_that_cannot_be_compared_are_refused(bad: pa.Table, tmp_path: Path) -> None:
    both = {PartyId("a"): filters(b"\xff" * 8), PartyId("b"): bad}
    with pytest.raises(FilterRefused):
        link_filters(both, threshold=0.8, output=tmp_path / "m", options=LinkOptions(), engine=ENGINE)


def test_filters_of_one_owner_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OneOwnerOnly):
        link_filters(
            {PartyId("a"): filters(b"\xff" * 8)},
            threshold=0.8,
            output=tmp_path / "m",
            options=LinkOptions(),
            engine=ENGINE,
        )
