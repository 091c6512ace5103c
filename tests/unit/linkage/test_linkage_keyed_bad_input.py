"""Every row of the table of bad input, planted into one run over a synthetic background, with keyed tokens."""

from __future__ import annotations

import importlib.util
import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.linkage import QualityReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.blocking import Pairs, find_candidates
from asepsis.engines.linkage.comparing import compare
from asepsis.engines.linkage.joining import Judge, join_pairs
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.engines.linkage.lines import load
from asepsis.engines.linkage.near import NearByVariants
from asepsis.engines.linkage.scoring import LEAST, TWIN_CAUTION, fit_classes, score
from asepsis.errors.linkage import OneOwnerOnly, PersonIdMissing, TokensNotComparable, TokensUnreadable
from asepsis.linkage.best_first import ALONE
from asepsis.linkage.defaults import Defaults
from asepsis.linkage.key import LinkKey
from asepsis.linkage.tokens import TokenTable, tokenise

KEY = LinkKey(secret=bytes(range(32)), epoch=7)
A, B = PartyId("northgate"), PartyId("riverside")
BASE: dict[str, Any] = {
    "given_name": "Wilhelmina",
    "family_name": "Oberhauser",
    "birth": "1954-03-17",
    "sex": "F",
    "address": "17 Lindenbaum road",
    "city": "Quellstadt",
    "postal_code": "84213",
    "phone": "4471820935",
}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "missing_birth": ({}, {"birth": None}, True),
    "missing_given": ({}, {"given_name": None}, True),
    "default_birth": ({}, {"birth": "1900-01-01"}, True),
    "baby": ({"given_name": "Baby"}, {}, True),
    "swapped_names": ({}, {"given_name": "Oberhauser", "family_name": "Wilhelmina"}, True),
    "swapped_day_and_month": ({"birth": "1954-03-07"}, {"birth": "1954-07-03"}, True),
    "one_digit": ({}, {"birth": "1954-03-11"}, True),
    "partial_birth": ({}, {"birth": None, "birth_date_source": "1954-03"}, True),
    "diacritics": ({"given_name": "Łukasz", "family_name": "Nguyễn"}, {"given_name": "LUKASZ", "family_name": "Nguyen"}, True),  # noqa: E501
    "umlaut_spelt_out": ({"family_name": "Mühlböck"}, {"family_name": "Muehlboeck"}, True),
    "cyrillic": ({"family_name": "Мюллер"}, {"family_name": "Мюллер"}, True),
    "cyrillic_and_latin": ({"family_name": "Мюллер"}, {"family_name": "Myuller"}, True),
    "arabic": ({"given_name": "محمد", "family_name": "العلي"}, {"given_name": "محمد", "family_name": "العلي"}, True),
    "chinese": ({"given_name": "伟强", "family_name": "欧阳"}, {"given_name": "伟强", "family_name": "欧阳"}, True),
    "hyphen": ({}, {"family_name": "Oberhauser-Trint"}, True),
    "particle": ({"family_name": "van der Oberhauser"}, {}, True),
    "maiden_name": ({}, {"family_name": "Trintwell", "previous_family_name": "Oberhauser"}, True),
    "nickname": ({"given_name": "Elizabeth"}, {"given_name": "Betty"}, True),
    "namesake": ({}, {"birth": "1981-11-29", "address": "3 Far lane", "city": "Elsewhere", "postal_code": "11111",
                      "phone": "9912837465"}, False),
    "father_and_son": ({"given_name": "Johannes", "sex": "M"}, {"given_name": "Johannes", "sex": "M", "birth": "1983-11-29",  # noqa: E501
                       "phone": None}, False),
    "twins": ({"given_name": "Ruprecht", "sex": "M"}, {"given_name": "Albertina", "sex": "F"}, False),
    "shared_id": ({"national_id": "713204985"}, {"national_id": "713204985", "given_name": "Otto", "family_name": "Krambeck",  # noqa: E501
                  "birth": "1990-08-02", "sex": "M", "address": "9 Other way", "city": "Anders", "postal_code": "55555",
                  "phone": "8812345670"}, False),
}  # fmt: skip


def synth() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "linkage_synth.py"
    spec = importlib.util.spec_from_file_location("linkage_synth", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def planted(side: int) -> list[dict[str, Any]]:
    """The rows of one side; each case has its own people, so that cases cannot help each other."""
    rows = []
    for number, (name, case) in enumerate(CASES.items()):
        own = {
            "birth": f"19{30 + number}-{BASE['birth'][5:]}",
            "address": f"{17 + number} Lind{'aeiou'[number % 5]}{'bdfgk'[number // 5]}aum road",
            "phone": str(4471820935 + number * 7_654_321),
        }
        row = BASE | own | {key: value for key, value in case[side].items() if value is None or key not in own}
        if case[side].get("birth") and name in {"one_digit", "swapped_day_and_month"}:
            row["birth"] = f"19{30 + number}{case[side]['birth'][4:]}"
        elif case[side].get("birth"):
            row["birth"] = case[side]["birth"]
        row |= {key: case[side][key] for key in ("address", "phone") if key in case[side]}
        birth = row.pop("birth")
        rows.append(
            {"birth_date_source": birth}
            | row
            | {"person_id": 900_000 + number, "birth_date": birth and date.fromisoformat(birth)}
        )
    return rows


@dataclass(frozen=True)
class Done:
    report: QualityReport
    partition: list[set[tuple[str, int]]]
    rows: list[dict[str, Any]]

    def together(self, case: str) -> bool:
        number = 900_000 + list(CASES).index(case)
        return any({("northgate", number), ("riverside", number)} <= group for group in self.partition)


def engine() -> Engine:
    numbers = itertools.count(1)
    return Engine(
        randomness=lambda size: b"".join((next(numbers) << 2).to_bytes(8, "big") for _ in range(size // 8)),
        threads=1,
        memory_limit=1 << 30,
    )


def run(tables: dict[PartyId, TokenTable], output: Path, **options: Any) -> Done:
    report = link_tokens(tables, output=output, options=LinkOptions(**options), engine=engine())
    rows = pq.read_table(output).to_pylist()
    groups = defaultdict(set)
    for row in rows:
        groups[row["link_id"]].add((row["owner"], row["person_id"]))
    return Done(report=report, partition=list(groups.values()), rows=rows)


@pytest.fixture(scope="module")
def tables() -> dict[PartyId, TokenTable]:
    module = synth()
    background, _ = module.generate(1200, seed=5)
    full = {
        owner: pa.concat_tables([background[owner], module.as_table(planted(side))])
        for side, owner in enumerate((A, B))
    }
    return {owner: tokenise(table, key=KEY) for owner, table in full.items()}


@pytest.fixture(scope="module")
def done(tables: dict[PartyId, TokenTable], tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tables, tmp_path_factory.mktemp("map") / "map.parquet", duplicate_free=frozenset(tables))


@pytest.mark.parametrize("case", [name for name, (_, _, is_one) in CASES.items() if is_one])
def test_one_person_is_found_in_spite_of_it(done: Done, case: str) -> None:
    assert done.together(case)


@pytest.mark.parametrize("case", [name for name, (_, _, is_one) in CASES.items() if not is_one])
def test_two_persons_stay_two(done: Done, case: str) -> None:
    assert not done.together(case)


def test_the_background_is_linked_well_and_the_estimate_says_so(done: Done) -> None:
    assert done.report.precision is not None
    assert done.report.precision >= 0.98
    assert done.report.recall is not None
    assert done.report.recall >= 0.95
    assert done.report.weak[0.5] >= done.report.weak[0.9] >= done.report.weak[0.99] > 0
    assert done.report.missing["birth"] > 0


def test_every_record_has_a_link_id_and_bands_instead_of_weights(done: Done) -> None:
    assert len(done.rows) == done.report.records
    assert {row["p_link"] for row in done.rows} <= {None, 0.5, 0.9, 0.99}
    assert {row["grade"] for row in done.rows} == {"A"}


def test_finer_identifiers_only_split(done: Done) -> None:
    for finer in ("link_id_90", "link_id_99"):
        coarse = defaultdict(set)
        for row in done.rows:
            coarse[row[finer]].add(row["link_id"])
        assert all(len(links) == 1 for links in coarse.values())


def test_the_order_of_records_and_owners_changes_nothing(
    tables: dict[PartyId, TokenTable], done: Done, tmp_path: Path
) -> None:
    turned = {
        owner: TokenTable(
            header=table.header,
            records=table.records.take(pa.array(range(len(table.records) - 1, -1, -1))),
            variants=table.variants,
            dropped={},
        )
        for owner, table in reversed(tables.items())
    }
    again = run(turned, tmp_path / "map.parquet", duplicate_free=frozenset(tables))
    assert sorted(map(sorted, again.partition)) == sorted(map(sorted, done.partition))


@pytest.mark.parametrize("change", ["epoch", "key", "version"])
def test_tokens_that_mean_different_things_are_refused(
    tables: dict[PartyId, TokenTable], tmp_path: Path, change: str
) -> None:
    header = tables[B].header
    other = {
        "epoch": replace(header, epoch=8),
        "key": replace(header, key_check="00" * 16),
        "version": replace(header, version="asepsis-tokens/0"),
    }[change]
    with pytest.raises(TokensNotComparable):
        run({A: tables[A], B: replace(tables[B], header=other)}, tmp_path / "map.parquet")
    assert not (tmp_path / "map.parquet").exists()


def test_one_hospital_or_an_empty_one_is_refused(tables: dict[PartyId, TokenTable], tmp_path: Path) -> None:
    empty = tokenise(synth().as_table([]), key=KEY)
    for some in ({A: tables[A]}, {A: tables[A], B: empty}):
        with pytest.raises(OneOwnerOnly):
            run(some, tmp_path / "map.parquet")


def test_a_wrong_column_and_a_missing_pseudonym_are_refused(tables: dict[PartyId, TokenTable], tmp_path: Path) -> None:
    broken = replace(tables[B], records=tables[B].records.drop_columns(["birth"]))
    with pytest.raises(TokensUnreadable):
        run({A: tables[A], B: broken}, tmp_path / "map.parquet")
    ids = pa.nulls(len(tables[B].records), pa.int64())
    nobody = replace(tables[B], records=tables[B].records.set_column(0, "person_id", ids))
    with pytest.raises(PersonIdMissing):
        run({A: tables[A], B: nobody}, tmp_path / "map.parquet")


def test_one_owner_may_look_for_duplicates(tables: dict[PartyId, TokenTable], tmp_path: Path) -> None:
    records = tables[A].records
    columns = {name: records.slice(0, 50)[name] for name in records.schema.names}
    columns["person_id"] = pa.chunked_array([pa.array(range(500_000, 500_050), pa.int64())])
    copy = pa.table(columns, schema=records.schema)
    doubled = replace(tables[A], records=pa.concat_tables([records, copy]))
    found = run({A: doubled}, tmp_path / "map.parquet", may_be_one=True)
    firsts = records["person_id"].to_pylist()[:50]
    pairs = [{("northgate", first), ("northgate", 500_000 + at)} for at, first in enumerate(firsts)]
    assert sum(any(pair <= group for group in found.partition) for pair in pairs) >= 45


def test_a_record_that_no_key_finds_is_found_among_those_that_stay_alone(tables: dict[PartyId, TokenTable]) -> None:
    lines = load(tables, free=frozenset(tables))
    near = NearByVariants(lines, [table.variants for table in tables.values()], threads=1)
    pairs, _ = find_candidates(lines, threads=1)
    compared = compare(lines, pairs.i, pairs.j, near=near, threads=1)
    fitted = fit_classes(compared, is_late=pairs.is_late)
    scored = score(lines, compared, fitted, is_late=pairs.is_late, least=LEAST)
    judge = Judge(lines=lines, fitted=fitted, near=near, threads=1)
    _, whole = join_pairs(judge, pairs, scored, threshold=0.0)
    sure = [edge[:2] for edge in sorted([*whole.lone, *whole.joined], key=lambda edge: -edge[2])[:5]]
    lost = np.isin(lines.node[pairs.i], np.unique(sure)) | np.isin(lines.node[pairs.j], np.unique(sure))
    kept = replace(scored, place=scored.place[~lost[scored.place]], weight=scored.weight[~lost[scored.place]])
    left = Pairs(i=pairs.i, j=pairs.j, keys=pairs.keys, is_late=pairs.is_late | lost)
    _, again = join_pairs(judge, left, kept, threshold=0.0)
    clusters = again.clusters(nodes=len(lines.owner_of)).tolist()
    assert all(clusters[a] == clusters[b] != ALONE for a, b in sure)


def test_who_may_be_a_twin_needs_more_where_sexes_are_known(tables: dict[PartyId, TokenTable]) -> None:
    lines = load(tables, free=frozenset(tables))
    near = NearByVariants(lines, [table.variants for table in tables.values()], threads=1)
    pairs, _ = find_candidates(lines, threads=1)
    compared = compare(lines, pairs.i, pairs.j, near=near, threads=1)
    fitted = fit_classes(compared, is_late=pairs.is_late)
    sexless = replace(lines, columns={**lines.columns, "sex": np.zeros_like(lines.columns["sex"])})
    known, unknown = (
        score(each, compared, fitted, is_late=pairs.is_late, least=-np.inf).weight for each in (lines, sexless)
    )
    less = unknown - known
    assert less.min() >= -1e-9
    assert TWIN_CAUTION - 0.5 < less.max() <= TWIN_CAUTION + 1e-9


def test_planted_canaries_are_counted(tables: dict[PartyId, TokenTable], tmp_path: Path) -> None:
    number = 900_000 + list(CASES).index("diacritics")
    twins = 900_000 + list(CASES).index("twins")
    canaries = frozenset((owner, person) for owner in (A, B) for person in (number, twins))
    report = run(tables, tmp_path / "map.parquet", duplicate_free=frozenset(tables), canaries=canaries).report
    assert (report.canaries_planted, report.canaries_found) == (2, 1)


def test_defaults_are_found_dropped_and_counted() -> None:
    rows = [
        {"person_id": at, "phone": "5550001234", "national_id": "713204985", "address": "1 Main street",
         "birth_date": date(1971, 1, 1), "birth_date_source": "1971-01-01", "given_name": "Unknown", "family_name": f"Nam{at}"}  # noqa: E501
        for at in range(100)
    ]  # fmt: skip
    table = tokenise(synth().as_table(rows), key=KEY)
    for name in ("phone", "national_id", "number", "street", "birth", "given"):
        assert table.records[name].null_count == 100
    assert table.dropped["phone"] == table.dropped["birth"] == table.dropped["home"] == 100


def test_a_default_that_the_contract_names_is_dropped() -> None:
    rows = [{"person_id": 1, "postal_code": "99998"}, {"person_id": 2, "postal_code": "99997"}]
    named = Defaults(values={"postal_code": frozenset({"99998"})})
    table = tokenise(synth().as_table(rows), key=KEY, defaults=named)
    assert table.records["postal_code"].null_count == 1
    assert table.dropped["postal_code"] == 1
