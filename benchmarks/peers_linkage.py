"""What other tools find in the hospitals of ``bench_linkage``: wall and CPU seconds, and F1 raw and one-to-one.

Run in an environment of its own (``pip install splink recordlinkage``); imports nothing of Asepsis. Arguments: the
identity tables of two owners and the true pairs, as Parquet, and the tools to run, if not all. A column that is empty
is not used. Splink runs twice: with the comparisons of its own guide
for such columns, and as an expert would set it for households, with one comparison for all that relatives share.
Sources: Splink 5, demos "febrl4" and "link_only"; recordlinkage 0.16, guide "Classification algorithms" (ECM).
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow.parquet as pq

Found = list[tuple[int, int, float]]
FILES = "north.parquet south.parquet pairs.parquet"
BLOCKS = (
    ("given_name", "family_name"),
    ("birth_date_source",),
    ("postal_code", "family_name"),
    ("address",),
    ("phone",),
    ("national_id",),
    ("postal_code", "given_name"),
)
NO_HOME = "(address_l IS NULL OR address_r IS NULL)"
HOME = "(address_l = address_r)"
AREA = "(postal_code_l = postal_code_r OR city_l = city_r)"


def main() -> None:
    """Measure what is installed."""
    if len(sys.argv) < 4:
        sys.exit(f"usage: peers_linkage.py {FILES} [TOOL ...]")
    left, right, truth = sys.argv[1:4]
    pairs = set(zip(*(column.to_pylist() for column in pq.read_table(truth).columns), strict=True))
    for tool, what, call in (
        ("splink", "Splink, as its guide", lambda: splink(left, right, is_expert=False)),
        ("splink", "Splink, for households", lambda: splink(left, right, is_expert=True)),
        ("recordlinkage", "recordlinkage, ECM", lambda: ecm(left, right)),
    ):
        if tool in (sys.argv[4:] or [tool]):
            measure(tool, what, call, pairs)


def measure(module: str, what: str, call: Callable[[], Found], truth: set[tuple[int, int]]) -> None:
    """Print time and quality of one tool."""
    try:
        importlib.import_module(module)  # its own import is not what is measured
    except ImportError:
        print(f"{what:26} is not installed in {sys.prefix}")
        return
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        found = call()
    except Exception as error:  # noqa: BLE001 - a peer may fail in its own ways
        print(f"{what:26} stopped with {type(error).__name__}")
        return
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    raw, single = quality(((a, b) for a, b, _ in found), truth), quality(one_to_one(found), truth)
    print(f"{what:26} {wall:7.2f} s {cpu:7.2f} CPU s  raw {raw}  one-to-one {single}", flush=True)


def quality(found: Iterable[tuple[int, int]], truth: set[tuple[int, int]]) -> str:
    """Precision, recall and F1."""
    pairs = set(found)
    true = len(pairs & truth)
    precision, recall = true / max(1, len(pairs)), true / max(1, len(truth))
    return f"P {precision:.4f} R {recall:.4f} F1 {2 * true / max(1, len(pairs) + len(truth)):.4f}"


def one_to_one(found: Found) -> list[tuple[int, int]]:
    """The best pair first, every record once."""
    lefts: set[int] = set()
    rights: set[int] = set()
    kept = []
    for left, right, _ in sorted(found, key=lambda pair: -pair[2]):
        if left not in lefts and right not in rights:
            lefts.add(left)
            rights.add(right)
            kept.append((left, right))
    return kept


def known(*paths: str) -> set[str]:
    """The columns that are empty in none of the tables."""
    tables = [pq.read_table(path) for path in paths]
    return {name for name in tables[0].column_names if all(table[name].null_count < len(table) for table in tables)}


def blocks(*paths: str) -> list[tuple[str, ...]]:
    """The keys of blocking that the tables have."""
    return [columns for columns in BLOCKS if known(*paths).issuperset(columns)]


def splink(left: str, right: str, *, is_expert: bool) -> Found:
    """Splink 5 on DuckDB: trained by EM without truth, links from a probability of one half."""
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on  # noqa: PLC0415 - a peer that may be absent

    logging.disable(logging.WARNING)
    settings = SettingsCreator(
        unique_id_column_name="person_id",
        link_type="link_only",
        blocking_rules_to_generate_predictions=[block_on(*columns) for columns in blocks(left, right)],
        comparisons=comparisons(is_expert=is_expert, has_id="national_id" in known(left, right)),
    )
    api = DuckDBAPI()
    linker = Linker([api.register(pq.read_table(path)) for path in (left, right)], settings)
    training = linker.training
    sure = [
        block_on("given_name", "family_name", "birth_date_source"),
        block_on("family_name", "birth_date_source", "postal_code"),
        block_on("given_name", "birth_date_source", "postal_code"),
    ]
    training.estimate_probability_two_random_records_match(sure, recall=0.8)
    training.estimate_u_using_random_sampling(max_pairs=1e7, seed=1)
    for columns in (("birth_date_source",), ("postal_code", "given_name")):
        training.estimate_parameters_using_expectation_maximisation(
            block_on(*columns), estimate_without_term_frequencies=True
        )
    links = linker.inference.predict(threshold_match_probability=0.5).as_duckdbpyrelation()
    columns = ("person_id_l", "person_id_r", "match_weight", "source_dataset_l", "source_dataset_r")
    rows = links.project(", ".join(columns)).fetchall()
    return [(a, b, weight) if one < two else (b, a, weight) for a, b, weight, one, two in rows]


def comparisons(*, is_expert: bool, has_id: bool) -> list[Any]:
    """The comparisons of the guide; for an expert one comparison stands for home and phone, which relatives share."""
    import splink.comparison_level_library as levels  # noqa: PLC0415 - a peer that may be absent
    import splink.comparison_library as library  # noqa: PLC0415 - a peer that may be absent

    names = [
        library.NameComparison(name).configure(term_frequency_adjustments=True)
        for name in ("given_name", "family_name")
    ]
    person = [
        *names,
        library.DateOfBirthComparison("birth_date_source", input_is_string=True, invalid_dates_as_null=True),
        *([library.DamerauLevenshteinAtThresholds("national_id", [1, 2])] if has_id else []),
        library.ExactMatch("sex"),
    ]
    if not is_expert:
        home = [
            library.JaroWinklerAtThresholds("address", [0.92, 0.8]),
            library.DamerauLevenshteinAtThresholds("postal_code", [1, 2]).configure(term_frequency_adjustments=True),
            library.DamerauLevenshteinAtThresholds("phone", [1]),
        ]
        return [*person, *home]
    rungs = [
        f"{HOME} AND {AREA}",
        f"{HOME} OR phone_l = phone_r",
        f"jaro_winkler_similarity(address_l, address_r) >= 0.9 AND {AREA}",
        AREA,
    ]
    contact = {
        "output_column_name": "contact",
        "comparison_levels": [
            {
                "sql_condition": f"{NO_HOME} AND (postal_code_l IS NULL OR postal_code_r IS NULL)",
                "label_for_charts": "missing",
                "is_null_level": True,
            },
            *({"sql_condition": rung, "label_for_charts": str(at)} for at, rung in enumerate(rungs)),
            levels.ElseLevel(),
        ],
    }
    return [*person, contact]


def ecm(left: str, right: str) -> Found:
    """recordlinkage: unsupervised, expectation and conditional maximisation over pairs that share a key."""
    import recordlinkage as peer  # noqa: PLC0415 - a peer that may be absent

    one, two = (pq.read_table(path).to_pandas().set_index("person_id") for path in (left, right))
    index = peer.Index()
    for columns in blocks(left, right):
        index.block(list(columns))
    compare = peer.Compare()
    for name in ("given_name", "family_name", "address", "city"):
        compare.string(name, name, method="jarowinkler", threshold=0.85)
    for name, least in (("birth_date_source", 0.85), ("postal_code", 0.7), ("national_id", 0.8)):
        if name in known(left, right):
            compare.string(name, name, method="damerau_levenshtein", threshold=least)
    for name in ("sex", "phone"):
        compare.exact(name, name)
    features = compare.compute(index.index(one, two), one, two)
    classifier = peer.ECMClassifier(binarize=0.5)
    classifier.fit(features)
    likely = classifier.prob(features)
    return [(a, b, p) for (a, b), p in zip(features.index, list(likely), strict=True) if p >= 0.5]


if __name__ == "__main__":
    main()
