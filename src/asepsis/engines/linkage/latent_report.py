"""Counts a finished latent-class run into its quality report. All numbers are raw and leave through the gate alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.domain.linkage import GRADES, LinkMode, LinkRate, QualityReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.blocking import KeyUse, Pairs
from asepsis.engines.linkage.blocks import distinct
from asepsis.engines.linkage.comparing import Compared
from asepsis.engines.linkage.latent import Fitted
from asepsis.engines.linkage.lines import Flags, Ids, Lines
from asepsis.engines.linkage.score_bands import score_bands
from asepsis.engines.linkage.scoring import Scored, Weights, found_by_keys
from asepsis.linkage import quality
from asepsis.linkage.best_first import Acceptable, Clusters, alone_as
from asepsis.linkage.threshold_curve import threshold_curve
from asepsis.linkage.tokens import TokenTable

_FIELDS: Final = ("given", "family", "birth", "sex", "street", "postal_code", "phone", "national_id")
_PRESENT: Final = {"id": "national_id", "birth": "birth", "phone": "phone"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What the steps of a run left."""

    owners: Sequence[PartyId]
    lines: Lines
    pairs: Pairs
    uses: Sequence[KeyUse]
    scored: Scored
    compared: Compared
    fitted: Fitted
    least: float
    """The posterior from which a pair is a link."""
    found: Acceptable
    refused: Mapping[str, int]
    """How many edges joined nothing, by reason."""
    linked: Clusters
    clusters: Mapping[float, Clusters]
    """The clusters at each minimum posterior."""


def make_report(
    tables: Mapping[PartyId, TokenTable],
    done: Finished,
    mode: LinkMode,
    canaries: frozenset[tuple[PartyId, int]],
) -> QualityReport:
    """Count a finished run."""
    lines = done.lines
    cluster = alone_as(done.linked, np.arange(len(lines.owner_of)))
    sizes = np.bincount(cluster, minlength=1)
    linked = _linked(done, cluster)
    found_by = found_by_keys(done.pairs, done.scored)
    blocking = quality.blocking_recall(found_by)
    expected, sure = sum(found_by.values()), quality.posteriors(linked.weight)
    recall = quality.expected_recall(sure, all_expected=expected, blocking=blocking)
    return QualityReport(
        grade=GRADES[mode],
        records=len(cluster),
        persons=int(np.count_nonzero(sizes)),
        persons_in_several_owners=int(np.count_nonzero(_is_in_several(lines, cluster))),
        links=int((sizes * (sizes - 1) // 2).sum()),
        compared=len(done.pairs),
        precision=quality.expected_precision(sure),
        recall=recall,
        blocking_recall=blocking,
        calibration=quality.calibration(sure, linked.ids),
        rates=tuple(_rates(done, cluster)),
        weak={level: _in_several(lines, linked_at) for level, linked_at in done.clusters.items()},
        refused=dict(done.refused),
        impossible={"sex": _contradicted(linked.sexes), "national_id": _contradicted(linked.ids)},
        canaries_planted=len({person for _, person in canaries}),
        canaries_found=_canaries(done, cluster, canaries),
        missing={name: int(np.count_nonzero(lines.columns[name] == 0)) for name in _FIELDS},
        dropped=dict(sum((Counter(table.dropped) for table in tables.values()), Counter())),
        crowded_keys=sum(use.crowded for use in done.uses),
        shares=done.fitted.shares,
        scores=score_bands(lines, done.pairs, done.scored, done.compared, done.fitted),
        curve=threshold_curve(sure, least=done.least, all_expected=expected, blocking=blocking),
    )


@dataclass(frozen=True, slots=True)
class _Linked:
    """The edges inside clusters: their bits, and whether ids and sexes agree."""

    weight: Weights
    ids: quality.Agreement
    sexes: quality.Agreement


def _linked(done: Finished, cluster: npt.NDArray[np.int64]) -> _Linked:
    edges = done.found.edges
    inside = cluster[edges.left] == cluster[edges.right]
    weight = np.where(done.found.is_clear, edges.weight + done.found.gain, edges.weight)[inside]
    left, right = edges.left[inside], edges.right[inside]
    ids, sexes = (_agreeing(done.lines, name, left, right) for name in ("national_id", "sex"))
    return _Linked(weight, ids, sexes)


def _agreeing(lines: Lines, name: str, left: Ids, right: Ids) -> quality.Agreement:
    least = np.zeros(len(lines.owner_of), dtype=np.int32)
    present = np.flatnonzero(lines.columns[name])
    present = present[np.argsort(lines.columns[name][present])[::-1]]
    least[lines.node[present]] = lines.columns[name][present]  # the last one stays, which is the least
    one, two = least[left], least[right]
    known = (one > 0) & (two > 0)
    return np.where(known, one == two, quality.UNKNOWN).astype(np.int8)


def _contradicted(agreement: quality.Agreement) -> int:
    return int(np.count_nonzero(agreement == 0))


def _is_in_several(lines: Lines, cluster: npt.NDArray[np.int64]) -> Flags:
    """By cluster: whether it holds nodes of more than one owner."""
    many = int(lines.owner_of.max(initial=0)) + 1
    held = distinct(cluster * many + lines.owner_of) // many
    several = np.zeros(len(cluster), dtype=np.bool_)
    several[held[1:][held[1:] == held[:-1]]] = True
    return several


def _in_several(lines: Lines, clusters: Clusters) -> int:
    cluster = alone_as(clusters, np.arange(len(lines.owner_of)))
    return int(np.count_nonzero(_is_in_several(lines, cluster)))


def _canaries(done: Finished, cluster: npt.NDArray[np.int64], canaries: frozenset[tuple[PartyId, int]]) -> int:
    number = {owner: at for at, owner in enumerate(done.owners)}
    clusters: defaultdict[int, list[int]] = defaultdict(list)
    for owner, person in sorted(canaries):
        at = np.flatnonzero((done.lines.owner_of == number.get(owner, -1)) & (done.lines.person_of == person))
        clusters[person].append(int(cluster[at[0]]) if len(at) else -1)
    return sum(len(found) > 1 and len(set(found)) == 1 and found[0] != -1 for found in clusters.values())


def _rates(done: Finished, cluster: npt.NDArray[np.int64]) -> Iterator[LinkRate]:
    """How many records of each owner are linked to another owner's: all, and by what is known of them."""
    lines = done.lines
    is_linked = _is_in_several(lines, cluster)[cluster]
    groups = {"all": np.ones(len(cluster), dtype=np.bool_)}
    for short, column in _PRESENT.items():
        known = _of_nodes(lines, lines.columns[column] > 0)
        groups |= {f"{short}_present": known, f"{short}_absent": ~known}
    formed = _of_nodes(lines, np.diff(lines.forms["family_forms"].starts) > 1)
    groups |= {"several_names": formed, "one_name": ~formed}
    for number, owner in enumerate(done.owners):
        own = lines.owner_of == number
        for name in sorted(groups):
            records = int(np.count_nonzero(own & groups[name]))
            if records:
                linked = int(np.count_nonzero(own & groups[name] & is_linked))
                yield LinkRate(owner=owner, group=name, records=records, linked=linked)


def _of_nodes(lines: Lines, of_lines: Flags) -> Flags:
    """By node: whether it is true of any of its lines."""
    found = np.zeros(len(lines.owner_of), dtype=np.bool_)
    found[lines.node[of_lines]] = True
    return found
