"""One latent-class linkage run over token tables: block, compare, fit, score, cluster, write the link map, count.

The partition depends on the tokens alone; only the identifiers depend on ``randomness``. Nothing is spilled to disk,
and no identifier, key or weight is in the link map: it knows three levels of posterior only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import duckdb

from asepsis.domain.linkage import LEVELS, LinkMode, QualityReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage import blocking, comparing, near, scoring, token_store
from asepsis.engines.linkage.guard import private_engine, withheld
from asepsis.engines.linkage.joining import Judge, join_pairs
from asepsis.engines.linkage.latent_report import Finished, make_report
from asepsis.engines.linkage.lines import BYTES, Lines, load
from asepsis.engines.linkage.person_map import write_person_map
from asepsis.engines.linkage.unsure import review_pools
from asepsis.linkage.quality import bits
from asepsis.linkage.token_fields import Domain
from asepsis.linkage.tokens import TokenTable

_FEW_PAIRS: Final = 100
_SURE: Final = 0.99
"""With fewer compared pairs than that nothing is estimated, only believed: a link must then be this sure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """What the contract says about a run."""

    mode: LinkMode = LinkMode.KEYED
    minimum: float = 0.5
    """The posterior from which a pair is a link."""
    duplicate_free: frozenset[PartyId] = frozenset()
    """Owners that list each person once."""
    canaries: frozenset[tuple[PartyId, int]] = frozenset()
    """Records of persons that do not exist, planted to measure; those with one ``person_id`` belong together."""
    may_be_one: bool = False
    """One owner alone may look for its own duplicates."""
    reviews: bool = False
    """Whether review lists are to be drawn, so that the report says from what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What a run may use."""

    randomness: Callable[[int], bytes] = field(repr=False)
    threads: int
    memory_limit: int


def link_tokens(
    tables: Mapping[PartyId, TokenTable], *, output: Path, options: LinkOptions, engine: Engine
) -> QualityReport:
    """Find the records of one person among the token tables of all owners; write the link map to ``output``.

    In mode ``sealed`` the tables carry their texts, and names and addresses are compared as text.

    Raises:
        TokensNotComparable, TokensUnreadable, PersonIdMissing, OneOwnerOnly: the tables cannot be linked.
        LinkageExhausted: the memory limit was reached.
        LinkageFailed: the engine or the file system failed.
        RandomnessRefused: the source of randomness failed.
    """
    token_store.check_comparable(tables, may_be_one=options.may_be_one)
    owners = sorted(tables)
    records = sum(len(table.records) for table in tables.values())
    with private_engine(threads=engine.threads, memory_limit=engine.memory_limit) as connection:
        with withheld("loading the tokens", records=records):
            _refuse_too_many(records * BYTES, engine)
            lines = load(tables, free=options.duplicate_free, threads=engine.threads)
            nearness = _nearness(connection, lines, tables, options.mode, engine)
        with withheld("finding pairs", records=records):
            pairs, uses = blocking.find_candidates(lines, threads=engine.threads)
            _refuse_too_many(records * BYTES + len(pairs) * _PAIR_BYTES, engine)
        with withheld("comparing pairs", records=records):
            compared = comparing.compare(lines, pairs.i, pairs.j, near=nearness, threads=engine.threads)
            fitted = scoring.fit_classes(compared, is_late=pairs.is_late, threads=engine.threads)
            scored = scoring.score(
                lines, compared, fitted, is_late=pairs.is_late, least=scoring.LEAST, threads=engine.threads
            )
        with withheld("joining pairs", records=records):
            least = max(options.minimum, _SURE) if len(pairs) < _FEW_PAIRS else options.minimum
            judge = Judge(lines=lines, fitted=fitted, near=nearness, threads=engine.threads)
            found, partition = join_pairs(judge, pairs, scored, threshold=bits(least))
        with withheld("writing the link map", records=records):
            nodes = lines.nodes(owners)
            linked = partition.clusters(nodes=len(nodes))
            clusters = {level: partition.at(bits(level), nodes=len(nodes)) for level in LEVELS}
            write_person_map(nodes, linked, clusters, output=output, mode=options.mode, randomness=engine.randomness)
        with withheld("counting", records=records):
            done = Finished(
                owners=owners, lines=lines, pairs=pairs, uses=uses, scored=scored, compared=compared,
                fitted=fitted, least=least, found=found, refused=partition.refused, linked=linked, clusters=clusters,
            )  # fmt: skip
            report = make_report(tables, done, options.mode, options.canaries)
            return replace(report, pools=review_pools(owners, lines, pairs, scored)) if options.reviews else report


_PAIR_BYTES: Final = 64
"""Memory of one pair, about."""


def _refuse_too_many(needed: int, engine: Engine) -> None:
    if needed > engine.memory_limit:
        raise MemoryError


def _nearness(
    connection: duckdb.DuckDBPyConnection,
    lines: Lines,
    tables: Mapping[PartyId, TokenTable],
    mode: LinkMode,
    engine: Engine,
) -> near.Nearness:
    variants = [table.variants for table in tables.values()]
    if mode is not LinkMode.SEALED:
        return near.NearByVariants(lines, variants, threads=engine.threads)
    names = near.NearByVariants(lines, variants, threads=engine.threads, domains=(Domain.NAME,))
    texts = [table.texts for table in tables.values() if table.texts is not None]
    return near.NearByTexts(lines, texts, connection, names=names)
