"""How a verified evidence bundle is told: everything that was checked, in the order of the argument."""

from __future__ import annotations

from asepsis.cli.report import table
from asepsis.cli.results import released_text
from asepsis.services.evidence import VerifiedRelease


def verified_document(verified: VerifiedRelease) -> dict[str, object]:
    """What verified, for ``--json``."""
    analysis, statistic = verified.job.analysis, verified.statistic
    return {
        "release": verified.release,
        "contract": verified.contract,
        "amends": None if verified.agreement.contract.amends is None else verified.agreement.contract.amends.contract,
        "purpose": verified.purpose,
        "analysis": analysis.to_document(),
        "plan": statistic.plan,
        "inputs": verified.job.to_document()["inputs"],
        "owners": list(verified.owners),
        "level": verified.level,
        "confidential": verified.level > 0,
        "appraisals": {
            owner: {
                "kind": appraisal.kind.value,
                "level": appraisal.level,
                "status": appraisal.status.value,
                "claims": dict(appraisal.claims),
                "reasons": list(appraisal.reasons),
            }
            for owner, appraisal in verified.appraisals.items()
        },
        "charges": {owner: budget.to_document() for owner, budget in verified.charges.items()},
        "assessment": statistic.assessment.to_document(),
        "decided_by": verified.decided_by,
        "reviewed": verified.reviewed,
        "trail": [{"position": step.position, "act": step.entry.act.value} for step in verified.trail.steps],
        "ledger_position": verified.position,
        "ledger_size": verified.ledger_size,
        "table": None if verified.table is None else verified.table.to_document(),
    }


def verified_text(verified: VerifiedRelease) -> str:
    """What verified, for people."""
    level = "NON-CONFIDENTIAL (level 0)" if verified.level == 0 else f"level {verified.level}"
    used = ", ".join(f"{owner} {budget.used} of {budget.limit}" for owner, budget in verified.charges.items())
    decided = f"{verified.decided_by}, by signature" if verified.reviewed else "the rules of the contract"
    assessment = verified.statistic.assessment
    lines = [
        f"{verified.release} verifies",
        f"  contract   {verified.contract}",
        f"  purpose    {verified.purpose}",
        f"  analysis   {verified.job.analysis.kind.value} by {verified.job.analysis.author}",
        f"  plan       {verified.statistic.plan}",
        f"  inputs     {len(verified.job.inputs)} snapshots, each under its owner's signature",
        f"  granted by {', '.join(verified.owners)}; runtime {level}",
        f"  charged    {used} runs",
        f"  assessed   {assessment.severity.value} under {assessment.profile}; released by {decided}",
        f"  ledger     entry {verified.position} of {verified.ledger_size}, cosigned by every owner",
        "",
        table(["#", "act"], [[step.position, step.entry.act.value] for step in verified.trail.steps]),
        "",
        released_text(verified.table),
    ]
    return "\n".join(lines)
