"""Identifiers in clear, inside the attested job alone, under a token key that dies with the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from asepsis.domain.linkage import LinkMode, QualityReport, RulesReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.exact_linking import link_by_rules
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.linkage.defaults import Defaults
from asepsis.linkage.key import SHARE_LENGTH, LinkKey
from asepsis.linkage.tokens import TokenTable, tokenise


def link_identities(
    identities: Mapping[PartyId, pa.Table], *, rules: str, output: Path, options: LinkOptions, engine: Engine
) -> QualityReport | RulesReport:
    """Link identity tables in the mode of the options, ``sealed`` or ``rules`` (by the rules of that name).

    Raises what :func:`link_tokens` and :func:`link_by_rules` raise.
    """
    if options.mode is LinkMode.RULES:
        tables = _tokens(identities, engine, {}, keep_texts=False)
        return link_by_rules(tables, profile=rules, output=output, options=options, engine=engine)
    return link_sealed(identities, output=output, options=options, engine=engine)


def link_sealed(
    identities: Mapping[PartyId, pa.Table],
    *,
    output: Path,
    options: LinkOptions,
    engine: Engine,
    defaults: Mapping[PartyId, Defaults] | None = None,
) -> QualityReport:
    """Link identity tables by the fitted model; raises what :func:`link_tokens` raises."""
    tables = _tokens(identities, engine, defaults or {}, keep_texts=True)
    return link_tokens(tables, output=output, options=replace(options, mode=LinkMode.SEALED), engine=engine)


def _tokens(
    identities: Mapping[PartyId, pa.Table], engine: Engine, defaults: Mapping[PartyId, Defaults], *, keep_texts: bool
) -> dict[PartyId, TokenTable]:
    key = LinkKey(secret=engine.randomness(SHARE_LENGTH), epoch=0)
    return {
        owner: tokenise(table, key=key, defaults=defaults.get(owner), keep_texts=keep_texts)
        for owner, table in identities.items()
    }
