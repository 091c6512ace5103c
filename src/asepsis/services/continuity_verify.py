"""Verifying a continuity pack offline, with public keys only: nothing in it is believed that can be derived.

The contract is the one whose digest the verifier brings along. The lead signed the statement, the witnessed ledger
knows of it, the files are exactly those that it names, each table is the one that the owners' desks granted keys for
(its evidence bundle verifies), for exactly the analysis that the contract names; stamps, CSV and page are made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from asepsis.domain.continuity import ESSENTIALS, ContinuityTerms, Essentials, PreApproved, WhenStale
from asepsis.domain.continuity_age import Freshness, Stamp, oldest, seconds
from asepsis.domain.continuity_pack import ANSWERED, Outcome, Pack, PackedOutput
from asepsis.domain.continuity_reading import read_pack
from asepsis.domain.datasets import Holding
from asepsis.domain.documents import Fields, encode_time
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.release import Released
from asepsis.domain.snapshot import Manifest
from asepsis.errors.continuity import PackForged, PackOfAnotherRoom, PackOutdated
from asepsis.errors.sealing import DocumentNotCanonical, SignatureInvalid
from asepsis.ledger.proof import verify_entry_proof
from asepsis.ports import Appraise
from asepsis.sealing.agreement import Agreement, verify_agreement
from asepsis.sealing.canonical import canonical, digest, parse_canonical
from asepsis.sealing.links import LINKS
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.audit import ledger_keys
from asepsis.services.continuity_files import (
    CONTRACT,
    EVIDENCE,
    PAGE,
    SIGNED_FORMAT,
    STATEMENT,
    TABLES,
    PackFiles,
    file_digests,
    table_csv,
)
from asepsis.services.continuity_page import pack_page
from asepsis.services.evidence import VerifiedRelease, verify_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the verifier knows by itself: the contract, the present time, and since when a pack may be from.

    ``drill`` says that a pack of a drill is what is wanted; any other use of one is refused.
    """

    contract: Digest
    at: datetime
    since: datetime | None = None
    drill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPack:
    """What a verified pack shows; ``stale`` names the outputs that are older than allowed by now."""

    pack: Pack
    agreement: Agreement
    tables: Mapping[str, Released]
    position: int
    stale: tuple[str, ...]


def verify_pack(files: PackFiles, expected: Expected, *, appraise: Appraise) -> VerifiedPack:
    """Check a pack from the contract's digest down to every byte of its files.

    Raises:
        PackOfAnotherRoom: it was made under another contract.
        PackForged: a part is not what was signed, or cannot be derived again.
        PackOutdated: it is older than what is expected, or its data are older than the contract lets them be.
        AsepsisError: a signature, an evidence bundle or the ledger's proof does not verify.
    """
    fields = _statement(files)
    pack = read_pack(fields.anything("pack"))
    agreement = _agreement(files, expected.contract)
    terms = agreement.contract.continuity
    if pack.contract != agreement.digest:
        raise PackOfAnotherRoom
    if terms is None or pack.lead != terms.lead:
        raise PackForged(what="the contract names another lead, or none")
    _check_signature(pack, agreement, fields.octets("signature", length=64))
    position = _check_entry(pack, fields, agreement)
    fields.close()
    _check_files(pack, files)
    tables = _check_outputs(pack, terms, files, agreement, appraise)
    if files[PAGE] != pack_page(pack, tables):
        raise PackForged(what="the page says something else than the statement")
    return VerifiedPack(
        pack=pack,
        agreement=agreement,
        tables=tables,
        position=position,
        stale=_check_age(pack, terms, expected),
    )


def _statement(files: PackFiles) -> Fields:
    if STATEMENT not in files:
        raise PackForged(what=f"{STATEMENT} is missing")
    fields = Fields(_canonical(files[STATEMENT], STATEMENT), document="continuity pack")
    if fields.text("format") != SIGNED_FORMAT:
        raise fields.malformed("format", f"'{SIGNED_FORMAT}' is needed")
    return fields


def _canonical(content: bytes, name: str) -> object:
    try:
        found: object = parse_canonical(content)
    except DocumentNotCanonical:
        raise PackForged(what=f"{name} is no canonical JSON") from None
    return found


def _agreement(files: PackFiles, contract: Digest) -> Agreement:
    if CONTRACT not in files:
        raise PackForged(what=f"{CONTRACT} is missing")
    papers = Fields(_canonical(files[CONTRACT], CONTRACT), document="continuity pack")
    with papers.mapping("signatures") as raw:
        signatures = {PartyId(name): raw.octets(name) for name in raw.names()}
    document = papers.anything("contract")
    if digest(document) != contract:
        raise PackOfAnotherRoom
    return verify_agreement(document, signatures)


def _check_signature(pack: Pack, agreement: Agreement, signature: bytes) -> None:
    key = agreement.contract.party(pack.lead).signing_key
    try:
        verify(key, purpose=Purpose.CONTINUITY_PACK, payload=canonical(pack.to_document()), signature=signature)
    except SignatureInvalid:
        raise PackForged(what="its lead did not sign this statement") from None


def _check_entry(pack: Pack, fields: Fields, agreement: Agreement) -> int:
    """The witnessed ledger has an entry about exactly this statement; returns its place."""
    entry = LedgerEntry.from_document(fields.anything("entry"))
    keys = ledger_keys(agreement.contract)
    proven = verify_entry_proof(
        fields.text("proof"),
        entry=entry,
        log_key=keys.log,
        witness_keys=keys.witnesses,
        quorum=len(keys.witnesses),
    )
    said = (entry.act, entry.subject, entry.facts.get("digest"), entry.facts.get("sequence"), entry.at)
    if said != (Act.CONTINUITY_PACKED, pack.id, digest(pack.to_document()), pack.number, pack.signed_at):
        raise PackForged(what="the ledger's entry is about another pack")
    return proven.index


def _check_files(pack: Pack, files: PackFiles) -> None:
    found = file_digests({name: content for name, content in files.items() if name != STATEMENT})
    strangers = sorted(set(found) ^ set(pack.files))
    if strangers:
        raise PackForged(what=f"the file {strangers[0]} is missing, or does not belong to it")
    for name, facts in found.items():
        if pack.files[name] != facts:
            raise PackForged(what=f"the file {name} was changed")


def _check_outputs(
    pack: Pack, terms: ContinuityTerms, files: PackFiles, agreement: Agreement, appraise: Appraise
) -> dict[str, Released]:
    """Every pre-approved analysis stands there once, and each released table with its proof."""
    approved: dict[str, PreApproved | Essentials] = {one.name: one for one in terms.analyses}
    if terms.essentials is not None:
        approved[ESSENTIALS] = terms.essentials
    if [output.name for output in pack.outputs] != list(approved):
        raise PackForged(what="its outputs are not the pre-approved ones")
    tables = {}
    for output in pack.outputs:
        _check_terms(output, approved[output.name], terms.lead)
        _check_stamp(output, pack, agreement)
        if output.outcome is Outcome.RELEASED:
            tables[output.name] = _check_release(output, pack, terms, files, agreement, appraise)
    names = {TABLES.format(name) for name in tables} | {EVIDENCE.format(name) for name in tables} | {CONTRACT, PAGE}
    if set(pack.files) != names:
        raise PackForged(what="it has a file that belongs to no output")
    return tables


def _check_terms(output: PackedOutput, approved: PreApproved | Essentials, lead: PartyId) -> None:
    wanted = approved.digest if isinstance(approved, PreApproved) else digest(approved.analysis(lead).to_document())
    limits = approved.limits
    said = (output.digest, output.responsible, output.stamp.most, output.rpo.objective, output.rto.objective)
    if said != (wanted, approved.responsible, limits.most_age, limits.rpo, limits.rto):
        raise PackForged(what=f"{output.name} is not as the contract names it")


def _check_stamp(output: PackedOutput, pack: Pack, agreement: Agreement) -> None:
    clinical = {dataset.name for dataset in agreement.contract.datasets if dataset.holds is Holding.CLINICAL}
    as_of = oldest(item.taken_at for item in pack.inputs if item.dataset in clinical)
    lost = Stamp(as_of=as_of, at=pack.declared_at, most=output.rpo.objective).age
    if output.stamp.as_of != as_of or not pack.declared_at <= output.stamp.at <= pack.at:
        raise PackForged(what=f"the stamp of {output.name} does not follow from its data")
    if seconds(output.rpo.actual) != seconds(lost):
        raise PackForged(what=f"the RPO of {output.name} does not follow from its data")


def _check_release(
    output: PackedOutput,
    pack: Pack,
    terms: ContinuityTerms,
    files: PackFiles,
    agreement: Agreement,
    appraise: Appraise,
) -> Released:
    """The table of an output, after its evidence verified down to the snapshots that the pack names."""
    name = EVIDENCE.format(output.name)
    if name not in files or TABLES.format(output.name) not in files:
        raise PackForged(what=f"{output.name} lacks its table or its evidence")
    verified = verify_release(json.loads(files[name]), contract=agreement.digest, appraise=appraise)
    approved = terms.analysis(output.name)
    if approved is None or verified.job.analysis != terms.asked(approved):
        raise PackForged(what=f"the evidence of {output.name} is of another analysis")
    if (verified.release, verified.job.run) != (output.release, output.run) or verified.table is None:
        raise PackForged(what=f"the evidence of {output.name} is of another release")
    _check_inputs(output, pack, verified)
    if files[TABLES.format(output.name)] != table_csv(verified.table, output.stamp, findings=pack.findings):
        raise PackForged(what=f"the table of {output.name} is not the released one")
    return verified.table


def _check_inputs(output: PackedOutput, pack: Pack, verified: VerifiedRelease) -> None:
    """The run read the snapshots that the pack names, and their owners signed when the data are from."""
    packed = {item.snapshot: item for item in pack.inputs}
    for read in verified.job.inputs:
        if read.dataset == LINKS:
            continue
        item = packed.get(read.snapshot)
        origin = Manifest.from_document(json.loads(verified.manifests[read.snapshot])).origin
        if item is None or (item.manifest, item.dataset) != (read.manifest, read.dataset):
            raise PackForged(what=f"{output.name} was computed from other snapshots")
        if (item.taken_at, item.restore_point) != (origin.taken_at, origin.restore_point):
            raise PackForged(what=f"the snapshots of {output.name} are from another time")


def _check_age(pack: Pack, terms: ContinuityTerms, expected: Expected) -> tuple[str, ...]:
    """Refuse what is older than expected; returns the outputs that have become too old, where that is allowed."""
    signed_at = encode_time(pack.signed_at)
    if pack.drill != expected.drill:
        problem = "in a drill; '--drill' accepts it" if pack.drill else "in earnest, and not in a drill"
        raise PackOutdated(signed_at=signed_at, problem=problem)
    if expected.since is not None and pack.signed_at < expected.since:
        raise PackOutdated(signed_at=signed_at, problem="earlier than you expect")
    if pack.signed_at > expected.at:
        raise PackOutdated(signed_at=signed_at, problem="later than the present time")
    if pack.drill:
        return ()
    stale = []
    for output in pack.outputs:
        now = Stamp(as_of=output.stamp.as_of, at=expected.at, most=output.stamp.most)
        if output.outcome in ANSWERED and now.freshness is not Freshness.FRESH:
            approved = terms.analysis(output.name) or terms.essentials
            if approved is not None and approved.limits.when_stale is WhenStale.REFUSE:
                raise PackOutdated(signed_at=signed_at, problem=f"and the data of {output.name} are too old by now")
            stale.append(output.name)
    return tuple(stale)
