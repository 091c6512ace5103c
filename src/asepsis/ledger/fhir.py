"""The ledger as FHIR R4 AuditEvents, for the audit repository of a hospital.

One event for each entry, with the entry's place and leaf hash, so that an event can be found again in the ledger,
which alone proves it. Events hold what entries hold: identifiers, digests, codes, counts, and salted commitments
where an entry has a personal field; no person is named. The one act that hands patient-level rows to somebody
claims the IHE profile for disclosures; its patients are known by the digest of the referral's analysis alone.
Sources: https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP (version 1.1.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.ledger.checkpoint import Checkpoint
from asepsis.ledger.entry import entry_hash
from asepsis.ledger.verbs import ALARMS, failed, operation

DISCLOSURE: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source"

_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ENTITY_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
_PURPOSE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_SOURCE_TYPE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
_SYSTEM_OBJECT: Final = {"system": _ENTITY_TYPE, "code": "2", "display": "System Object"}
_MACHINE_NAME: Final = "1"
_SUCCESS, _MINOR, _SERIOUS = "0", "4", "8"

_EXPORT: Final = ("110106", "Export")
_IMPORT: Final = ("110107", "Import")
_QUERY: Final = ("110112", "Query")
_ALERT: Final = ("110113", "Security Alert")
_ACTIVITY: Final = ("110100", "Application Activity")
_TYPES: Final = {
    Act.SNAPSHOT_PUBLISHED: _IMPORT,
    Act.RUN_SUBMITTED: _QUERY,
    Act.RUN_STARTED: _QUERY,
    Act.RUN_FINISHED: _QUERY,
    Act.RUN_FAILED: _QUERY,
    Act.RELEASE_RELEASED: _EXPORT,
    Act.REFERRAL_COLLECTED: _EXPORT,
    Act.LEDGER_EXPORTED: _EXPORT,
}

Resource = dict[str, object]


def fhir_bundle(entries: Iterable[LedgerEntry], checkpoint: Checkpoint) -> Resource:
    """All entries that a checkpoint covers, in order, as a Bundle that names the checkpoint's root."""
    hashed = [(place, entry, entry_hash(entry)) for place, entry in enumerate(entries)]
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:asepsis:ledger-root", "value": checkpoint.root.hex()},
        "type": "collection",
        "entry": [
            {
                "fullUrl": UUID(bytes=leaf[:16], version=5).urn,
                "resource": audit_event(entry, place=place, leaf=leaf, origin=checkpoint.origin),
            }
            for place, entry, leaf in hashed
        ],
    }


def audit_event(entry: LedgerEntry, *, place: int, leaf: bytes, origin: str) -> Resource:
    """One entry; ``leaf`` is its leaf hash in the tree, ``origin`` the name of the ledger."""
    code, display = _TYPES.get(entry.act, _ALERT if failed(entry.act) else _ACTIVITY)
    discloses = entry.act is Act.REFERRAL_COLLECTED
    event: Resource = {
        "resourceType": "AuditEvent",
        "id": f"entry-{place}",
        "type": {"system": _DICOM, "code": code, "display": display},
        "subtype": [
            *([{"system": _LIFECYCLE, "code": "disclose", "display": "Disclose Record Lifecycle Event"}] * discloses),
            {"system": "urn:asepsis:ledger-act", "code": entry.act.value, "display": entry.act.meaning},
        ],
        "action": operation(entry.act).value,
        "recorded": entry.at.isoformat(),
        "outcome": _outcome(entry.act),
        "purposeOfEvent": [_purpose(entry.act)],
        "agent": _disclosing(entry, origin)
        if discloses
        else [{"who": _known("party", entry.actor), "requestor": True}],
        "source": {
            "site": origin,
            "observer": _known("ledger", origin),
            "type": [{"system": _SOURCE_TYPE, "code": "4", "display": "Application Server"}],
        },
        "entity": [*([_patients(entry)] * discloses), _subject(entry), _proof(place, leaf)],
    }
    if "code" in entry.facts:
        event["outcomeDesc"] = str(entry.facts["code"])
    if discloses:
        event["meta"] = {"profile": [DISCLOSURE]}
    return event


def _outcome(act: Act) -> str:
    if act in ALARMS:
        return _SERIOUS
    return _MINOR if failed(act) else _SUCCESS


def _purpose(act: Act) -> Resource:
    """Follow-up of patients is treatment; everything else in a clean room is research."""
    treats = act.value.startswith("referral.")
    code, display = ("TREAT", "treatment") if treats else ("HRESCH", "healthcare research")
    return {"coding": [{"system": _PURPOSE, "code": code, "display": display}]}


def _disclosing(entry: LedgerEntry, origin: str) -> list[Resource]:
    """The room hands over, the team receives; the first is the source of the record itself (val-audit-source)."""
    return [
        {
            "type": _role("110153", "Source Role ID"),
            "who": _known("ledger", origin),
            "requestor": False,
            "network": {"address": origin, "type": _MACHINE_NAME},
        },
        {
            "type": _role("110152", "Destination Role ID"),
            "who": _known("party", entry.actor),
            "requestor": True,
            "network": {"address": entry.actor, "type": _MACHINE_NAME},
        },
    ]


def _patients(entry: LedgerEntry) -> Resource:
    """The patients of a referral, by no other name than the digest of the question that found them."""
    return {
        "what": {"type": "Patient", **_known("cohort", str(entry.facts.get("analysis", entry.subject)))},
        "type": {"system": _ENTITY_TYPE, "code": "1", "display": "Person"},
        "role": {"system": _ENTITY_ROLE, "code": "1", "display": "Patient"},
    }


def _subject(entry: LedgerEntry) -> Resource:
    details = {**entry.facts, **{f"commitment:{name}": value for name, value in entry.commitments.items()}}
    subject: Resource = {"what": _known("subject", entry.subject), "type": dict(_SYSTEM_OBJECT)}
    if details:
        subject["detail"] = [{"type": name, "valueString": str(value)} for name, value in sorted(details.items())]
    return subject


def _proof(place: int, leaf: bytes) -> Resource:
    return {
        "what": _known("ledger-leaf", leaf.hex()),
        "type": dict(_SYSTEM_OBJECT),
        "detail": [{"type": "position", "valueString": str(place)}],
    }


def _known(kind: str, value: str) -> Resource:
    return {"identifier": {"system": f"urn:asepsis:{kind}", "value": value}}


def _role(code: str, display: str) -> Resource:
    return {"coding": [{"system": _DICOM, "code": code, "display": display}]}
