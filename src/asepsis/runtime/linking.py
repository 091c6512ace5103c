"""The linkage job: identifiers or keyed tokens in, a sealed link map and a protected quality report out."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from asepsis.disclosure.counts import protect_counts
from asepsis.domain.datasets import Holding
from asepsis.domain.epoch import ARGUMENT
from asepsis.domain.finding import Finding, Severity
from asepsis.domain.link_terms import LinkTerms
from asepsis.domain.linkage import LinkGrade, LinkMode, QualityReport, RulesReport
from asepsis.domain.names import PartyId, RestorePointId, SnapshotId
from asepsis.domain.parties import Role
from asepsis.domain.review_list import draws_lists
from asepsis.domain.sealed import Sealed
from asepsis.domain.snapshot import Label, Manifest, Origin
from asepsis.domain.statistic import Links, Share, Statistic
from asepsis.engines.linkage.exact_linking import link_filters
from asepsis.engines.linkage.filter_files import FILTERS, read_filter_file
from asepsis.engines.linkage.identities import read_identities
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions, link_tokens
from asepsis.engines.linkage.sealed_linking import link_identities
from asepsis.engines.linkage.token_files import read_token_files
from asepsis.errors.runtime import OrderRefused
from asepsis.linkage.threshold_curve import FEWEST
from asepsis.linkage.tokens import TokenTable
from asepsis.runtime.order import Order
from asepsis.runtime.reviewing import review_lists
from asepsis.runtime.vault import Vault
from asepsis.sealing.draft import SnapshotDraft, file_name
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.epochs import epoch_of
from asepsis.sealing.links import LINKS, combine, share_info

MOST_MEMORY: Final = 4 << 30
"""Bytes for a linkage, where the machine has twice as much: two lists of a million patients need nearly all of it."""
THREADS: Final = 2


def link_patients(order: Order, vault: Vault, *, now: datetime) -> Statistic:
    """Find the patients known to several owners; raises the linkage engine's errors."""
    terms, plain = order.contract.linkage, vault.empty()
    options = LinkOptions(
        mode=terms.mode,
        minimum=terms.percent / 100,
        duplicate_free=terms.duplicate_free,
        may_be_one=True,
        reviews=draws_lists(order.job.analysis),
    )
    engine = Engine(randomness=secrets.token_bytes, threads=THREADS, memory_limit=_memory_limit())
    if terms.mode is LinkMode.KEYED:
        report: QualityReport | RulesReport = link_tokens(
            _tokens(order, vault), output=plain, options=options, engine=engine
        )
    elif terms.mode is LinkMode.IMPORT_CLK:
        everybody = replace(options, duplicate_free=frozenset(owner.id for owner in order.contract.owners))
        filters, least = _filters(order, vault), terms.similarity / 100
        report = link_filters(filters, threshold=least, output=plain, options=everybody, engine=engine)
    else:
        identities = _identities(order, vault)
        report = link_identities(identities, rules=terms.rules, output=plain, options=options, engine=engine)
    shares = {owner.id: secrets.token_bytes(32) for owner in order.contract.owners}
    draft = SnapshotDraft(manifest=_manifest(order, now), dek=combine(shares.values()))
    with plain.open("rb") as source, (order.output / file_name(LINKS)).open("wb") as target:
        manifest = draft.finish([draft.seal(source, target, table=LINKS, rows=report.records)])
    table, assessment = protect_counts(Sealed(report.counts()), profile=order.contract.profile)
    assessment = replace(assessment, findings=(*assessment.findings, _quality(report, terms)))
    return Statistic(
        run=order.job.run,
        contract=order.agreement.digest,
        job=order.job_digest,
        plan=order.job_digest,
        assessment=assessment,
        table=table,
        links=Links(manifest=manifest, shares=_sealed_shares(order, manifest.snapshot, shares)),
        estimates=report.estimates(),
        reviews=review_lists(order, vault, report.pools) if isinstance(report, QualityReport) else (),
    )


def _memory_limit() -> int:
    return min(MOST_MEMORY, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)


def _identities(order: Order, vault: Vault) -> dict[PartyId, pa.Table]:
    """Every owner's identifiers, in clear."""
    return {owner: read_identities(owner, path) for owner, path in _opened(order, vault, table="identity").items()}


def _filters(order: Order, vault: Vault) -> dict[PartyId, pa.Table]:
    """Every owner's imported filters."""
    return {owner: read_filter_file(owner, path) for owner, path in _opened(order, vault, table=FILTERS).items()}


def _opened(order: Order, vault: Vault, *, table: str) -> dict[PartyId, Path]:
    """One table of every owner's snapshot, which may be from a contract with another mode. Raises OrderRefused."""
    found = {item.manifest.owner: vault.unseal(item) for item in order.held(Holding.IDENTITY)}
    if not all(table in files for files in found.values()):
        raise OrderRefused(what=f"what is to be linked: {table}")
    return {owner: files[table] for owner, files in found.items()}


def _tokens(order: Order, vault: Vault) -> dict[PartyId, TokenTable]:
    """Every owner's tokens, made for the epoch that the job states and for no other. Raises OrderRefused."""
    tables = {}
    for snapshot in order.held(Holding.TOKENS):
        epoch, owner = epoch_of(snapshot.manifest), snapshot.manifest.owner
        table = read_token_files(owner, vault.unseal(snapshot))
        stated = None if epoch is None else {ARGUMENT: epoch.number}
        is_ours = epoch is not None and epoch.contract == order.agreement.digest and epoch.number == table.header.epoch
        if not is_ours or order.job.analysis.arguments != stated:
            raise OrderRefused(what="the epoch of the tokens")
        tables[owner] = table
    return tables


def _quality(report: QualityReport | RulesReport, terms: LinkTerms) -> Finding:
    """What the run says of itself: means over all links, so that they tell of no person."""
    precision, recall = report.quality()
    sure = "" if report.grade is not LinkGrade.A else f" Links have a posterior of at least {terms.percent} %."
    if precision is None or recall is None or report.links < FEWEST:
        estimates = " Its precision and recall are not estimated."
    else:
        estimates = f" Estimated precision {precision:.3f}, estimated recall {recall:.3f}."
    return Finding(
        code="disclosure.linked",
        severity=Severity.PASS,
        reason=f"Patients of several owners are linked in mode {terms.mode}, grade {report.grade}.{sure}{estimates}",
    )


def _manifest(order: Order, now: datetime) -> Manifest:
    labels = {snapshot.manifest.label for snapshot in order.snapshots}
    return Manifest(
        owner=order.contract.with_role(Role.HOST)[0].id,
        dataset=LINKS,
        snapshot=SnapshotId(f"{LINKS}-{secrets.token_hex(8)}"),
        label=Label.REAL if Label.REAL in labels else Label.SYNTHETIC,
        created_at=now,
        origin=Origin(
            source_kind="linkage",
            restore_point=RestorePointId(order.job.run),
            mapping=order.agreement.digest,
            books=order.job_digest,
        ),
        files=(),
    )


def _sealed_shares(order: Order, snapshot: SnapshotId, shares: dict[PartyId, bytes]) -> tuple[Share, ...]:
    """Each owner's share, sealed so that only that owner's desk can keep it."""
    sealed = []
    for owner in order.contract.owners:
        info = share_info(order.job.run, snapshot=snapshot, owner=owner.id)
        sealed.append(Share(owner=owner.id, sealed=seal_to(owner.sealing_key or b"", shares[owner.id], info=info)))
    return tuple(sealed)
