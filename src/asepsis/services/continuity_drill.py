"""The report of a drill: what was tried, how long it took, what was missed, and which requirements it speaks to.

The lead signs it, the witnessed ledger knows of it, and it names the pack that the drill ended with. When an analysis
was last drilled is read from these reports, and from nothing else.

Sources: 45 CFR 164.308(a)(7)(ii); NIST Cybersecurity Framework 2.0 (NIST CSWP 29), function RECOVER and ID.IM-02.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from asepsis.domain.continuity_age import Measured, seconds, span
from asepsis.domain.continuity_pack import ANSWERED, Pack, share
from asepsis.domain.continuity_reading import read_pack
from asepsis.domain.contract import Contract
from asepsis.domain.documents import Document, Fields, encode_bytes, encode_time
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, PartyId
from asepsis.errors import AsepsisError
from asepsis.errors.continuity import PackForged
from asepsis.errors.sealing import DocumentNotCanonical
from asepsis.ledger.proof import verify_entry_proof
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical, digest, parse_canonical
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.audit import ledger_keys

FORMAT: Final = "asepsis/drill-report/1"
SIGNED_FORMAT: Final = "asepsis/signed-drill-report/1"

_HIPAA: Final = "HIPAA Security Rule, 45 CFR 164.308(a)(7)(ii)"
_NIST: Final = "NIST CSF 2.0"
MAPPING: Final = (
    (_HIPAA, "(A) Data backup plan", "The pack was made from backups that were sealed before the incident."),
    (_HIPAA, "(B) Disaster recovery plan", "Only the choice of the data to go back to; nothing was restored."),
    (_HIPAA, "(C) Emergency mode operation plan", "What was pre-approved went on without production."),
    (_HIPAA, "(D) Testing and revision procedures", "This report: what was tested, when, and what was missed."),
    (_HIPAA, "(E) Criticality analysis", "The objectives of each analysis, as the contract sets them."),
    (_NIST, "RC.RP-01", "The recovery portion of the plan was executed once production was declared down."),
    (_NIST, "RC.RP-02", "Recovery actions were chosen in the order of the contract, and performed."),
    (_NIST, "RC.RP-03", "The integrity of the backups was judged before they were used, as far as coverage says."),
    (_NIST, "RC.RP-05", "The data that were used verified against the manifests that their owners signed."),
    (_NIST, "RC.CO-03", "The signed pack is what the people responsible are given."),
    (_NIST, "ID.IM-02", "Improvements are drawn from this test: see what was missed."),
)  # fmt: skip
"""Framework, item, and what of the drill speaks to it."""

NOT_EXERCISED: Final = (
    "restoring production, and going back to it (RC.RP-04, RC.RP-06)",
    "public updates on recovery (RC.CO-04)",
    "people: who was called, and whether they came",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One step of a drill, and how long it took."""

    step: str
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What a drill was: its scenario in words, its true times, and its steps. ``prepared`` is not part of any RTO."""

    scenario: str
    started_at: datetime
    ended_at: datetime
    steps: tuple[Timed, ...]
    prepared: tuple[Timed, ...] = ()


def missed(pack: Pack) -> list[str]:
    """The objectives that a pack did not meet, in words."""
    said = []
    for output in pack.outputs:
        if output.outcome not in ANSWERED:
            said.append(f"{output.name}: {output.outcome.value}")
        said += [f"{output.name}: RPO {_of(output.rpo)}"] if not output.rpo.met else []
        said += [f"{output.name}: RTO {_of(output.rto)}"] if output.outcome in ANSWERED and not output.rto.met else []
    return said


def drill_report(drill: Drill, pack: Pack, *, report: str) -> Document:
    """The report as a document, of plain JSON values."""
    return {
        "format": FORMAT,
        "report": report,
        "contract": pack.contract,
        "lead": pack.lead,
        "scenario": drill.scenario,
        "started_at": encode_time(drill.started_at),
        "ended_at": encode_time(drill.ended_at),
        "prepared": _timed(drill.prepared),
        "steps": _timed(drill.steps),
        "passed": not missed(pack),
        "missed": missed(pack),
        "pack": {"digest": digest(pack.to_document()), "statement": pack.to_document()},
        "mapping": [{"framework": name, "item": item, "shown_by": shown} for name, item, shown in MAPPING],
        "not_exercised": list(NOT_EXERCISED),
    }


def drill_entry(report: Document, *, at: datetime) -> LedgerEntry:
    """The entry by which the room's ledger knows of a report."""
    facts: dict[str, str | int] = {
        "contract": str(report["contract"]),
        "digest": digest(report),
        "status": "passed" if report["passed"] else "missed",
    }
    return LedgerEntry(
        at=at,
        actor=PartyId(str(report["lead"])),
        act=Act.CONTINUITY_DRILLED,
        subject=str(report["report"]),
        facts=facts,
    )


def signed_report(report: Document, *, signature: bytes, entry: LedgerEntry, proof: str) -> bytes:
    """The report under the lead's signature, with the proof that the witnessed ledger knows of it."""
    document = {
        "format": SIGNED_FORMAT,
        "report": report,
        "signature": encode_bytes(signature),
        "entry": entry.to_document(),
        "proof": proof,
    }
    return canonical(document)


def verify_report(content: bytes, agreement: Agreement) -> tuple[Document, Pack]:
    """Check a report against an agreement that was verified; returns it with the statement of its pack.

    Raises PackForged, or the errors of the signature and of the ledger's proof.
    """
    try:
        fields = Fields(parse_canonical(content), document="drill report")
    except DocumentNotCanonical:
        raise PackForged(what="the drill report is no canonical JSON") from None
    report, pack = _signed_by_lead(fields, agreement.contract)
    entry = LedgerEntry.from_document(fields.anything("entry"))
    keys = ledger_keys(agreement.contract)
    verify_entry_proof(
        fields.text("proof"), entry=entry, log_key=keys.log, witness_keys=keys.witnesses, quorum=len(keys.witnesses)
    )
    fields.close()
    said = (entry.act, entry.subject, entry.facts.get("digest"))
    if said != (Act.CONTINUITY_DRILLED, report["report"], digest(report)):
        raise PackForged(what="the ledger's entry is about another drill report")
    if report["contract"] != agreement.digest or pack.contract != agreement.digest:
        raise PackForged(what="the drill report is about another contract")
    return report, pack


def last_drills(contents: Iterable[bytes], contract: Contract) -> dict[Digest, datetime]:
    """When each analysis was last drilled with an answer, by the digest of what was approved.

    A report that the lead of the contract did not sign counts as none.
    """
    found: dict[Digest, datetime] = {}
    for content in contents:
        try:
            report, pack = _signed_by_lead(Fields(parse_canonical(content), document="drill report"), contract)
            ended_at = Fields(report, document="drill report").time("ended_at")
        except AsepsisError:
            continue
        for output in pack.outputs:
            if output.outcome in ANSWERED:
                found[output.digest] = max(ended_at, found.get(output.digest, ended_at))
    return found


def report_text(report: Mapping[str, object], pack: Pack) -> str:
    """The report as Markdown."""
    metrics, covered = pack.metrics, pack.metrics.coverage
    rows = [
        f"| {_cell(one.title)} | {_cell(one.responsible)} | {one.outcome.value} | {_of(one.rpo)} | {_of(one.rto)} |"
        for one in pack.outputs
    ]
    steps = [f"| {_cell(str(one['step']))} | {one['seconds']} |" for one in _items(report["steps"])]
    missing = [f"- {one}" for one in missed(pack)] or ["Nothing."]
    mapped = [f"| {one['framework']} | {one['item']} | {one['shown_by']} |" for one in _items(report["mapping"])]
    lines = [
        f"# Drill report {report['report']}",
        "",
        f"{report['scenario']}",
        "",
        f"From {report['started_at']} to {report['ended_at']}, led by {report['lead']}.",
        "",
        f"Contract `{report['contract']}`. It ended with the signed pack `{pack.id}`.",
        "",
        f"**{'All objectives were met.' if report['passed'] else 'Objectives were missed.'}**",
        "",
        "## What was asked",
        "",
        "| analysis | responsible | outcome | RPO | RTO |",
        "| --- | --- | --- | --- | --- |",
        *rows,
        "",
        "## Metrics",
        "",
        "| metric | value |",
        "| --- | --- |",
        f"| RPO, the worst | {_of(metrics.rpo)} |",
        f"| RTO, the worst | {_of(metrics.rto)} |",
        f"| time to the verdict on the backups | {span(metrics.to_verdict)} |",
        f"| time to the signed pack | {span(metrics.to_pack)} |",
        f"| restore points judged | {covered.restore_points_judged} of {covered.restore_points} |",
        f"| different objects read | {covered.objects_read} of {covered.objects} |",
        f"| bytes read | {share(covered.size_read, covered.size)} |",
        f"| bytes followed to the end of their format | {share(covered.size_checked, covered.size)} |",
        f"| age of the drill before | {'no drill' if metrics.drill_age is None else span(metrics.drill_age)} |",
        "",
        "## Steps",
        "",
        "| step | seconds |",
        "| --- | --- |",
        *steps,
        "",
        "## What was missed",
        "",
        *missing,
        "",
        "## What was not checked or not exercised",
        "",
        *(f"- {one}" for one in (*pack.not_checked, *NOT_EXERCISED)),
        "",
        "## What it speaks to",
        "",
        "| framework | item | shown by |",
        "| --- | --- | --- |",
        *mapped,
        "",
    ]
    return "\n".join(lines)


def _signed_by_lead(fields: Fields, contract: Contract) -> tuple[Document, Pack]:
    if fields.text("format") != SIGNED_FORMAT:
        raise fields.malformed("format", f"'{SIGNED_FORMAT}' is needed")
    report = fields.anything("report")
    if contract.continuity is None or not isinstance(report, dict) or report.get("format") != FORMAT:
        raise PackForged(what="it is no drill report of this room")
    key = contract.party(contract.continuity.lead).signing_key
    verify(
        key,
        purpose=Purpose.DRILL_REPORT,
        payload=canonical(report),
        signature=fields.octets("signature", length=64),
    )
    with Fields(report, document="drill report").mapping("pack") as packed:
        statement = packed.anything("statement")
        if packed.text("digest") != digest(statement):
            raise PackForged(what="the drill report names another pack")
    return report, read_pack(statement)


def _timed(steps: Iterable[Timed]) -> list[Document]:
    return [{"step": one.step, "seconds": seconds(one.took)} for one in steps]


def _items(value: object) -> list[Mapping[str, object]]:
    return value if isinstance(value, list) else []


def _of(one: Measured) -> str:
    return f"{span(one.actual)} of {span(one.objective)}" + ("" if one.met else " (missed)")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
