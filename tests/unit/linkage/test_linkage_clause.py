"""The clause ``linkage``: what it may say, what each mode runs, and that no rule is named that there is not."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.documents import Fields
from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.link_terms import MODES, PERCENTS, RULES, LinkTerms, read_link_terms
from asepsis.domain.linkage import GRADES, LINK_COLUMNS, LinkMode
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.engines.linkage.person_map import PERSON_MAP
from asepsis.engines.linkage.sealed_linking import link_identities
from asepsis.engines.linkage.token_files import read_token_files, token_files
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.linkage import TokensUnreadable
from asepsis.linkage.key import LinkKey
from asepsis.linkage.profiles import PROFILES
from asepsis.linkage.tokens import tokenise

ENGINE = Engine(randomness=secrets.token_bytes, threads=1, memory_limit=1 << 30)
KEY = LinkKey(secret=bytes(range(32)), epoch=3)
KINDS = {"person_id": pa.int64(), "birth_date": pa.date32()}
SCHEMA = pa.schema([(name, KINDS.get(name, pa.string())) for name in IDENTITY_COLUMNS])
OWNERS = PartyId("northgate"), PartyId("riverside")


def terms(**clause: Any) -> LinkTerms:
    fields = Fields(clause, document="contract", place="linkage")
    found = read_link_terms(fields)
    fields.close()
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("percent", PERCENTS)
def test_a_clause_reads_as_what_it_was_written_from(mode: LinkMode, percent: int) -> None:
    written = LinkTerms(mode=mode, percent=percent, duplicate_free=frozenset(OWNERS), rules=RULES[-1])
    assert terms(**written.to_document()) == written
    keyed = replace(written, mode=LinkMode.KEYED, dummies=25)
    assert terms(**keyed.to_document()) == keyed
    higher = [one for one in PERCENTS if one > percent and mode in {LinkMode.KEYED, LinkMode.SEALED}]
    if higher:
        stricter = replace(keyed, mode=mode, dummies=0, stricter=frozenset(higher))
        assert terms(**stricter.to_document()) == stricter


def test_a_clause_that_says_nothing_is_the_default_and_stays_out_of_old_contracts() -> None:
    """Contracts that were signed before a field was there keep their digest."""
    assert terms() == LinkTerms()
    assert set(LinkTerms().to_document()) == {"mode", "percent", "duplicate_free", "rules"}


@pytest.mark.parametrize(
    ("clause", "problem"),
    [
        ({"mode": "import-clk", "similarity": 101}, "at most 100"),
        ({"mode": "import-clk", "similarity": 0}, "similarity"),
        ({"mode": "import-clk", "stricter": [90]}, "lists nothing"),
        ({"mode": "sealed", "similarity": 70}, "in mode import-clk alone"),
        ({"mode": "clk"}, "mode"),
        ({"mode": "clear"}, "mode"),
        ({"mode": "KEYED"}, "mode"),
        ({"percent": 95}, "one of 50, 90, 99"),
        ({"percent": 0}, "one of 50, 90, 99"),
        ({"percent": 0.5}, "percent"),
        ({"mode": "rules", "rules": "open-link-token-t5"}, "one of open-link-token, cms-style"),
        ({"rules": ""}, "rules"),
        ({"mode": "keyed", "dummies": 26}, "at most 25"),
        ({"mode": "sealed", "dummies": 1}, "in mode keyed alone"),
        ({"dummies": -1}, "dummies"),
        ({"threshold": 0.9}, "unknown"),
        ({"stricter": [50]}, "lists 90, 99"),
        ({"stricter": [95]}, "lists 90, 99"),
        ({"stricter": ["90"]}, "lists 90, 99"),
        ({"percent": 90, "stricter": [90]}, "lists 99"),
        ({"percent": 99, "stricter": [99]}, "lists nothing"),
        ({"mode": "rules", "stricter": [90]}, "lists nothing"),
    ],
)
def test_what_no_room_runs_is_refused(clause: dict[str, Any], problem: str) -> None:
    with pytest.raises(DocumentMalformed, match=problem):
        terms(**clause)


def test_every_rule_and_mode_of_the_clause_is_there() -> None:
    assert set(RULES) <= set(PROFILES)
    assert set(MODES) <= set(GRADES)


def test_links_are_as_sure_as_is_stated_where_they_have_posteriors() -> None:
    found = {mode: [LinkTerms(mode=mode, percent=90).least(stated) for stated in (0, 90, 99)] for mode in MODES}
    assert found == {
        LinkMode.KEYED: [90, 90, 99],
        LinkMode.SEALED: [90, 90, 99],
        LinkMode.RULES: [50, 50, 50],
        LinkMode.IMPORT_CLK: [50, 50, 50],
    }
    assert set(LINK_COLUMNS) == set(PERCENTS)
    assert set(LINK_COLUMNS.values()) < set(PERSON_MAP.names)


def test_identifiers_stay_at_home_where_something_else_is_linked() -> None:
    assert {mode for mode in MODES if LinkTerms(mode=mode).at_home} == {LinkMode.KEYED, LinkMode.IMPORT_CLK}
    written = LinkTerms(mode=LinkMode.IMPORT_CLK, similarity=75)
    assert terms(**written.to_document()) == written


def people(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{"person_id": at, **row} for at, row in enumerate(rows, 1)], schema=SCHEMA)


ADA = {"family_name": "Thornton", "given_name": "Ada", "national_id": "314159265", "sex": "F", "phone": "5550101234"}
BRUNO = {"family_name": "Yardley", "given_name": "Bruno", "national_id": "271828182", "sex": "M"}


def born(row: dict[str, Any], day: str) -> dict[str, Any]:
    return {**row, "birth_date": date.fromisoformat(day), "birth_date_source": day}


HOSPITALS = {
    OWNERS[0]: people(born(ADA, "1961-10-31"), born(BRUNO, "1970-02-01")),
    OWNERS[1]: people(born({**ADA, "given_name": "A."}, "1961-10-31"), born({**BRUNO, "sex": "F"}, "1971-02-01")),
}


def groups(path: Path) -> set[frozenset[tuple[str, int]]]:
    found: dict[int, set[tuple[str, int]]] = {}
    for row in pq.read_table(path).to_pylist():
        found.setdefault(row["link_id"], set()).add((row["owner"], row["person_id"]))
    return {frozenset(group) for group in found.values()}


def test_mode_rules_joins_by_the_rules_that_the_contract_names(tmp_path: Path) -> None:
    """Ada has the same initial, id and birth date at both; nothing exact joins Bruno."""
    output = tmp_path / "map.parquet"
    options = LinkOptions(mode=LinkMode.RULES)
    for rules in RULES:
        report = link_identities(HOSPITALS, rules=rules, output=output, options=options, engine=ENGINE)
        assert (report.grade, report.links, report.quality()) == ("B", 1, (None, None))
        assert groups(output) == {
            frozenset({("northgate", 1), ("riverside", 1)}),
            frozenset({("northgate", 2)}),
            frozenset({("riverside", 2)}),
        }
        assert set(pq.read_table(output)["p_link"].to_pylist()) == {None}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    def write(table: pa.Table, name: str, **options: Any) -> dict[str, Path]:
        files, _ = token_files(table, key=KEY, randomness=secrets.token_bytes, **{"dummies": 0, **options})
        for part, content in files.items():
            (tmp_path / f"{name}-{part}").write_bytes(content)
        return {part: tmp_path / f"{name}-{part}" for part in files}

    return write


def test_tokens_come_back_from_their_files_with_key_check_and_counts(written: Callable[..., dict[str, Path]]) -> None:
    babies = people(*(born(ADA, "1900-01-01") for _ in range(40)))
    files = written(babies, "babies", dummies=10)
    table = read_token_files(OWNERS[0], files)
    assert len(table.records) == 50
    assert (table.header.epoch, table.header.key_check) == (3, KEY.check_value().hex())
    assert table.dropped == tokenise(babies, key=KEY).dropped != {}
    ids = table.records["person_id"].to_pylist()
    assert set(range(1, 41)) < set(ids)
    assert ids != sorted(ids)


def test_files_that_are_no_tokens_are_refused_without_quoting_them(
    written: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    files, other = written(HOSPITALS[OWNERS[0]], "one"), tmp_path / "other"
    pq.write_table(HOSPITALS[OWNERS[0]], other)
    broken = tmp_path / "broken"
    broken.write_bytes(files["records"].read_bytes()[:-9])
    bare = tmp_path / "bare"
    pq.write_table(pq.read_table(files["records"]).replace_schema_metadata(None), bare)
    for wrong in (
        {**files, "records": other},
        {**files, "records": broken},
        {**files, "records": bare},
        {"records": files["records"]},
        {**files, "variants": tmp_path / "none"},
    ):
        with pytest.raises(TokensUnreadable) as refused:
            read_token_files(OWNERS[0], wrong)
        assert "Thornton" not in str(refused.value.as_dict())


def test_seventeen_persons_have_the_rare_disease_by_tokens_too(
    two_hospitals: Any, written: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    """With a quarter of dummy records beside them."""
    rows = {"northgate": two_hospitals.northgate, "riverside": two_hospitals.riverside}
    tables = {}
    for owner, found in rows.items():
        identities = pa.Table.from_pylist([dict(row) for row in found], schema=SCHEMA)
        files = written(identities, owner, dummies=len(identities) // 4)
        tables[PartyId(owner)] = read_token_files(PartyId(owner), files)
    output = tmp_path / "map.parquet"
    report = link_tokens(tables, output=output, options=LinkOptions(mode=LinkMode.KEYED), engine=ENGINE)
    link = {(row["owner"], row["person_id"]): row["link_id"] for row in pq.read_table(output).to_pylist()}
    assert len({link[record] for record in two_hospitals.gaucher}) == 17
    assert report.persons_in_several_owners >= 88
