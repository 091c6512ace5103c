"""How often a list holds a person twice, the lists themselves say."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from math import log

import numpy as np
import pyarrow as pa
import pytest

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.blocking import find_candidates
from asepsis.engines.linkage.comparing import compare
from asepsis.engines.linkage.joining import Judge, join_pairs
from asepsis.engines.linkage.latent import Fitted, fit, weigh
from asepsis.engines.linkage.lines import load
from asepsis.engines.linkage.near import NearByVariants
from asepsis.engines.linkage.scoring import LEAST, fit_classes, score
from asepsis.linkage.best_first import Edge, Edges, cluster_pairs
from asepsis.linkage.classes import CLASSES, COMPARISONS, MISSING, LatentClass
from asepsis.linkage.key import LinkKey
from asepsis.linkage.tokens import tokenise

NAMES = [comparison.name for comparison in COMPARISONS]
TWO_LISTS, ONE_LIST = 0, 1
SAME = {"given": 4, "family": 4, "birth": 5, "sex": 1, "address": 5}
RELATIVES = {"given": 0, "family": 4, "birth": 0, "sex": 0, "address": 5}
VERDA = {"family_name": "Littel", "given_name": "Verda", "birth_date": date(1977, 8, 21), "sex": "F"}


def pattern(level: int, agreed: dict[str, int]) -> list[int]:
    return [{**agreed, "list": level}.get(name, MISSING) for name in NAMES]


def odds(fitted: Fitted, level: int) -> float:
    """The bits for a match of two records with the same names, birth and home."""
    logs = weigh(fitted, [pattern(level, SAME)], comparisons=COMPARISONS)[0]
    match = CLASSES.index(LatentClass.MATCH)
    return float(logs[match] - np.logaddexp.reduce(np.delete(logs, match))) / log(2)


def fitted_to(same_in_one_list: int, *, others: int = 3000) -> Fitted:
    rows = [
        (pattern(TWO_LISTS, SAME), others),
        (pattern(ONE_LIST, SAME), same_in_one_list),
        (pattern(TWO_LISTS, RELATIVES), others),
        (pattern(ONE_LIST, RELATIVES), others),
    ]
    return fit([row for row, _ in rows], [count for _, count in rows], comparisons=COMPARISONS)


def test_a_list_that_never_holds_a_person_twice_is_held_to_it() -> None:
    rarely, often = fitted_to(3), fitted_to(1500)
    assert odds(rarely, TWO_LISTS) - odds(rarely, ONE_LIST) > 6
    assert odds(often, TWO_LISTS) - odds(often, ONE_LIST) < 3
    assert odds(often, ONE_LIST) > 0


def test_what_is_believed_of_lists_does_not_grow_with_them() -> None:
    large = fitted_to(3, others=300_000)
    assert odds(large, TWO_LISTS) - odds(large, ONE_LIST) > 12


@pytest.mark.parametrize("level", [TWO_LISTS, ONE_LIST])
def test_where_all_pairs_are_of_one_kind_the_kind_says_nothing(level: int) -> None:
    rows, counts = [pattern(level, SAME), pattern(level, RELATIVES)], [300, 700]
    unknown = [[*row[:-1], MISSING] for row in rows]
    logs = [
        weigh(fit(known, counts, comparisons=COMPARISONS), known, comparisons=COMPARISONS) for known in (rows, unknown)
    ]
    one, other = (each - each[:, [0]] for each in logs)
    assert NAMES[-1] == "list"
    assert np.allclose(one, other, atol=0.05)


def persons(edges: list[Edge], owners: list[int], twice: float) -> set[frozenset[int]]:
    done = cluster_pairs(Edges.of(edges), owners=owners, free=frozenset(), weights={}, twice=twice)
    assert done.refused["twice"] == (0 if len(done.members) == 1 and len(done.cluster_of) == len(owners) else 1)
    return {frozenset(members) for members in done.members.values()}


def test_an_owner_gets_a_second_record_only_by_a_pair_with_bits_enough() -> None:
    assert persons([(0, 1, 12.0), (0, 2, 10.0)], [0, 1, 1], twice=10.5) == {frozenset({0, 1})}
    assert persons([(0, 1, 12.0), (0, 2, 10.0)], [0, 1, 1], twice=9.5) == {frozenset({0, 1, 2})}


def test_the_bits_of_a_pair_of_one_owner_know_already_that_it_is_one() -> None:
    assert persons([(0, 1, 12.0), (1, 2, 3.0)], [0, 1, 1], twice=10.5) == {frozenset({0, 1, 2})}
    both = [(0, 2, 12.0), (1, 3, 12.0), (0, 1, 3.0)]  # the other owner would hold it twice, too
    assert persons(both, [0, 0, 1, 1], twice=10.5) == {frozenset({0, 2}), frozenset({1, 3})}


def test_three_equal_records_are_one_person_unless_no_list_holds_a_person_twice() -> None:
    assert joined(rarer=-4) == 3
    assert joined(rarer=2) == 2


def joined(*, rarer: float) -> int:
    """The records of the one person that is found, where a second record is so many bits rarer than a pair has bits."""
    key = LinkKey(secret=bytes(range(32)), epoch=1)
    tables = {PartyId(owner): tokenise(identities(records), key=key) for owner, records in (("north", 1), ("south", 2))}
    lines = load(tables, free=frozenset())
    near = NearByVariants(lines, [table.variants for table in tables.values()], threads=1)
    pairs, _ = find_candidates(lines, threads=1)
    compared = compare(lines, pairs.i, pairs.j, near=near, threads=1)
    fitted = fit_classes(compared, is_late=pairs.is_late)
    weight = score(lines, compared, fitted, is_late=pairs.is_late, least=LEAST).weight.min()
    rare = 2 ** -float(weight + rarer)
    levels = dict.fromkeys(CLASSES, (0.5, 0.5)) | {LatentClass.MATCH: (1 - rare, rare)}
    fitted = replace(fitted, levels={**fitted.levels, "list": levels})
    scored = score(lines, compared, fitted, is_late=pairs.is_late, least=LEAST)
    judge = Judge(lines=lines, fitted=fitted, near=near, threads=1)
    _, partition = join_pairs(judge, pairs, scored, threshold=0.0)
    (members,) = partition.members.values()
    return len(members)


def identities(records: int) -> pa.Table:
    rows = [{**dict.fromkeys(IDENTITY_COLUMNS), **VERDA, "person_id": number} for number in range(records)]
    types = {"person_id": pa.int64(), "birth_date": pa.date32()}
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, types.get(name, pa.string())) for name in rows[0]]))
