"""Mode ``sealed``: identifiers in clear, inside the attested job alone, under a token key that dies with the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from asepsis.domain.linkage import LinkMode, QualityReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.linkage.defaults import Defaults
from asepsis.linkage.key import SHARE_LENGTH, LinkKey
from asepsis.linkage.tokens import tokenise


def link_sealed(
    identities: Mapping[PartyId, pa.Table],
    *,
    output: Path,
    options: LinkOptions,
    engine: Engine,
    defaults: Mapping[PartyId, Defaults] | None = None,
) -> QualityReport:
    """Link identity tables; raises what :func:`link_tokens` raises."""
    key = LinkKey(secret=engine.randomness(SHARE_LENGTH), epoch=0)
    named = defaults or {}
    tables = {
        owner: tokenise(table, key=key, defaults=named.get(owner), keep_texts=True)
        for owner, table in identities.items()
    }
    return link_tokens(tables, output=output, options=replace(options, mode=LinkMode.SEALED), engine=engine)
