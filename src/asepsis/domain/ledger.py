"""The ledger's entries: who did which auditable act on what, and when.

An entry never carries a data value or a personal field: facts are identifiers, digests and counts under
names from a closed list, without spaces, so that no sentence fits; personal fields enter only as salted
commitments, whose salt can be erased later without touching the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from asepsis.domain.names import PartyId
from asepsis.errors.ledger import EntryMalformed

FORMAT: Final = "asepsis/entry/1"

FACTS: Final = frozenset(
    {
        "analysis", "approval", "books", "budget", "charge", "checks", "code", "confinement", "contract", "count",
        "dataset", "desk", "digest", "evidence", "expires", "files", "finding", "grant", "job", "label", "lease",
        "level", "linkage", "manifest", "mapping", "measurement", "method", "mode", "nonce", "owner", "party", "plan",
        "policy", "profile", "purpose", "recipient", "referral", "release", "remaining", "restore_point", "role",
        "rows", "run", "sequence", "size", "snapshot", "source", "statistic", "status", "template", "token",
        "transcript", "verdict", "version",
    },
)  # fmt: skip
"""Names that facts may have; each is an identifier, a digest, a code or a count that every party may see."""

PERSONAL: Final = frozenset(
    {"address", "checker", "clinician", "device", "person", "recipient", "requester", "researcher", "signatory"},
)
"""Names of personal fields, which enter an entry only as salted commitments."""

_KEYS: Final = frozenset({"format", "at", "actor", "act", "subject", "facts", "commitments"})
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=-]{0,199}")
_HEX_256: Final = re.compile(r"[0-9a-f]{64}")
_LARGEST_NUMBER: Final = 2**53 - 1
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Act(StrEnum):
    """Every auditable act; the reference page of the documentation is made from this list."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """An act is its stable name; ``meaning`` says in one line what happened."""
        act = str.__new__(cls, value)
        act._value_ = value
        act.meaning = meaning
        return act

    PARTY_ENROLLED = "party.enrolled", "A party joined the room with its public keys."
    CONTRACT_PROPOSED = "contract.proposed", "A version of a contract was put before all parties."
    CONTRACT_SIGNED = "contract.signed", "A party signed a version of a contract."
    CONTRACT_IN_FORCE = "contract.in_force", "All signatures are there: analyses may run."
    CONTRACT_NARROWED = (
        "contract.narrowed",
        "A key desk confirmed that a version which another owner signed only narrows the one before.",
    )
    CONTRACT_AMENDED = "contract.amended", "A newer version took the place of the one in force."
    CONTRACT_SUSPENDED = "contract.suspended", "A party stopped everything under a contract for now."
    CONTRACT_RESUMED = "contract.resumed", "The party that had suspended a contract let it go on."
    CONTRACT_ENDED = "contract.ended", "A party ended a contract, or it expired."
    SNAPSHOT_INTENDED = "snapshot.intended", "An owner is about to publish a sealed snapshot."
    SNAPSHOT_PUBLISHED = "snapshot.published", "A sealed snapshot with a signed manifest is in the room."
    SNAPSHOT_WITHDRAWN = "snapshot.withdrawn", "An owner took a snapshot out of the room."
    KEY_OPENED = "key.opened", "An owner opened a snapshot of their own at home, to judge what waits in quarantine."
    KEY_SHREDDED = (
        "key.shredded",
        "An owner destroyed a key: the snapshot, link map or memory can never be opened again.",
    )
    ERASURE_INTENDED = (
        "erasure.intended",
        "A key desk is about to destroy keys of data that may not be kept any longer.",
    )
    CONTRACT_ERASED = "contract.erased", "An owner's desk destroyed its keys of a contract's data, and certified it."
    KEY_SPLIT = "key.split", "An owner made recovery shares of the key that wraps their data keys."
    KEY_REWRAPPED = "key.rewrapped", "An owner's new key took the place of the one that wrapped their data keys."
    KEY_RECOVERED = "key.recovered", "The key that wraps an owner's data keys came back from recovery shares."
    KEY_REFUSED = "key.refused", "Recovery shares made another key than the one that the desk's data need."
    RUN_SUBMITTED = "run.submitted", "An analysis passed its plan and waits to run."
    RUN_STARTED = "run.started", "The runtime started an analysis."
    RUN_FINISHED = "run.finished", "An analysis ended with a statistic or a refusal to disclose."
    RUN_FAILED = "run.failed", "An analysis ended without a statistic; its charge stays spent."
    NONCE_ISSUED = "nonce.issued", "A key desk gave a single-use nonce for evidence."
    MEMORY_KEPT = "memory.kept", "A new version of the memory of releases was kept, before its answer left the runtime."
    MEMORY_REFUSED = "memory.refused", "A key desk refused a version of the memory of releases."
    GRANT_INTENDED = "grant.intended", "A key desk is about to give data keys to one run."
    GRANT_GIVEN = "grant.given", "A key desk sealed data keys to the runtime of one run."
    GRANT_REFUSED = "grant.refused", "A key desk refused data keys to a run."
    BUDGET_CHARGED = "budget.charged", "A key desk counted a charge against its owner's budget."
    PRIVACY_CHARGED = "privacy.charged", "A key desk counted what a noisy answer costs the persons of a dataset."
    LINK_MADE = "link.made", "Patients known to several owners were linked inside the runtime."
    LINK_SHARE_COMMITTED = "link.committed", "A key desk drew its owner's share of a link key, and committed to it."
    LINK_SHARE_SHOWN = "link.shown", "A key desk showed its owner's share of a link key to the other owners, sealed."
    LINK_KEY_MADE = "link.key_made", "An owner made the link key of an epoch at home, to make tokens of identifiers."
    LINK_EPOCH_BEGUN = "link.begun", "A new epoch of linkage began: the owners agree on a key for it alone."
    LINK_LIST_OPENED = "link.list_opened", "An owner opened its review list: persons of its own, to look at once more."
    LINK_LISTS_DRAWN = "link.lists_drawn", "A linkage drew a review list for every owner, sealed to that owner alone."
    STATISTIC_ASSESSED = "statistic.assessed", "The disclosure checks of a statistic were recorded."
    REVIEW_OPENED = "review.opened", "A statistic waits for a checker."
    RELEASE_DECIDED = "release.decided", "A checker decided on a statistic."
    RELEASE_RELEASED = "release.released", "A statistic left the room as a release."
    RELEASE_REFUSED = "release.refused", "A statistic was refused and stays in the room."
    RELEASE_READ = "release.read", "The holder of a token was shown a release, or took its evidence bundle."
    RELEASE_WITHDRAWN = "release.withdrawn", "A release was called back."
    REFERRAL_REQUESTED = "referral.requested", "Patient-level rows were asked for, for a clinical team."
    REFERRAL_APPROVED = "referral.approved", "An owner approved a referral."
    REFERRAL_REFUSED = "referral.refused", "An owner refused a referral."
    REFERRAL_DELIVERED = "referral.delivered", "Rows were sealed to the clinical team of the patient's own hospital."
    REFERRAL_COLLECTED = "referral.collected", "The clinical team collected a referral."
    RECOVERY_SCANNED = "recovery.scanned", "Restore points of a source were examined."
    RECOVERY_CERTIFIED = "recovery.certified", "A recovery certificate was signed."
    PERSON_APPOINTED = "person.appointed", "A hospital appointed a person to act in its incidents."
    INCIDENT_DECLARED = "incident.declared", "A person declared an incident."
    INCIDENT_CONFIRMED = "incident.confirmed", "A second person confirmed an incident: it counts from then on."
    INCIDENT_FROZEN = "incident.frozen", "A source with all its restore points is held."
    INCIDENT_JUDGED = "incident.judged", "A source was judged from the estate index as it was."
    INCIDENT_SCANNED = "incident.scanned", "A source was read in full and judged."
    INCIDENT_COMPARED = "incident.compared", "Two states of the same tables were compared, row by row."
    INCIDENT_SETTLED = "incident.settled", "A person waived a finding or told that it is resolved."
    INCIDENT_CHOSEN = "incident.chosen", "The recovery lead chose the restore point, or the composite, to go back to."
    INCIDENT_SIGNED = "incident.signed", "A person agreed with the choice in a role, or dissented."
    INCIDENT_EXPORTED = "incident.exported", "A clean set was written under a signed manifest."
    INCIDENT_REPORTED = (
        "incident.reported",
        "What speaks against restore points is about to be posted to a backup server.",
    )
    INCIDENT_CLOSED = "incident.closed", "The end of recovery was declared: all criteria were met."
    HOLD_SET = "hold.set", "From then on a key desk destroys no key: an incident holds them."
    HOLD_LIFTED = "hold.lifted", "A closed incident lets a key desk destroy keys that are due."
    CONTINUITY_PACKED = "continuity.packed", "Pre-approved analyses ran while production was down, and were packed."
    CONTINUITY_DRILLED = "continuity.drilled", "A drill of the continuity pack ended with a signed report."
    LINK_REFUSED = "link.refused", "A key desk refused the link map or the key share that somebody left there."
    DESK_STOPPED = "desk.stopped", "An owner stopped all use of their data at their key desk."
    DESK_RESUMED = "desk.resumed", "An owner let their key desk answer again."
    CLOCK_REFUSED = "clock.refused", "A key desk refused to act: its clock stood before its own last entry."
    WITNESS_COSIGNED = "witness.cosigned", "A key desk cosigned a checkpoint of the ledger."
    WITNESS_REFUSED = "witness.refused", "A key desk refused to cosign: the ledger did not only grow."
    LEDGER_EXPORTED = "ledger.exported", "The ledger was exported for an auditor."
    ACCESS_DENIED = "access.denied", "Somebody asked for what the policies do not allow."
    TOKEN_MADE = "token.made", "The host made a token for a person or a service of a party."
    TOKEN_REVOKED = "token.revoked", "The host revoked a token: it is refused from then on."
    EVIDENCE_REFUSED = "evidence.refused", "A key desk did not trust the evidence of a runtime."


_ACTS: Final[Mapping[str, Act]] = MappingProxyType({act.value: act for act in Act})


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One act: when (UTC), by which party, on which subject, with public facts and salted commitments."""

    at: datetime
    actor: PartyId
    act: Act
    subject: str
    facts: Mapping[str, str | int] = field(default_factory=lambda: _NOTHING)
    commitments: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        """Refuse what the schema does not allow and freeze the mappings; raises `EntryMalformed`."""
        if self.at.utcoffset() != timedelta(0):
            raise EntryMalformed(place="at")
        _match(_IDENTIFIER, self.actor, "actor")
        _match(_IDENTIFIER, self.subject, "subject")
        for name, value in self.facts.items():
            _fact(name, value)
        for name, commitment in self.commitments.items():
            _member(name, PERSONAL, "commitments")
            _match(_HEX_256, commitment, f"commitments.{name}")
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
        object.__setattr__(self, "commitments", MappingProxyType(dict(self.commitments)))

    def to_document(self) -> dict[str, object]:
        """Plain JSON values under the names of the schema."""
        return {
            "format": FORMAT,
            "at": _spell(self.at),
            "actor": self.actor,
            "act": self.act.value,
            "subject": self.subject,
            "facts": dict(self.facts),
            "commitments": dict(self.commitments),
        }

    @classmethod
    def from_document(cls, document: object) -> LedgerEntry:
        """Read the document form.

        Raises:
            EntryMalformed: a key is unknown or missing, or a value is not of its type or form.
        """
        if not isinstance(document, dict) or document.keys() != _KEYS or document["format"] != FORMAT:
            raise EntryMalformed(place="entry")
        facts, commitments = document["facts"], document["commitments"]
        if not isinstance(facts, dict) or not isinstance(commitments, dict):
            raise EntryMalformed(place="facts")
        return cls(
            at=_instant(document["at"]),
            actor=document["actor"],
            act=_act(document["act"]),
            subject=document["subject"],
            facts=facts,
            commitments=commitments,
        )


def _fact(name: str, value: object) -> None:
    _member(name, FACTS, "facts")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise EntryMalformed(place=f"facts.{name}")
    if isinstance(value, str):
        _match(_IDENTIFIER, value, f"facts.{name}")
    elif abs(value) > _LARGEST_NUMBER:
        raise EntryMalformed(place=f"facts.{name}")


def _member(name: object, allowed: frozenset[str], place: str) -> None:
    if name not in allowed:
        raise EntryMalformed(place=place)  # the unknown name itself may be a value, so it is not quoted


def _match(pattern: re.Pattern[str], value: object, place: str) -> None:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise EntryMalformed(place=place)


def _act(value: object) -> Act:
    act = _ACTS.get(value) if isinstance(value, str) else None
    if act is None:
        raise EntryMalformed(place="act")
    return act


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise EntryMalformed(place="at")
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise EntryMalformed(place="at") from None
    if _spell(instant) != value:  # ISO 8601 has several spellings of one instant; here only one is read
        raise EntryMalformed(place="at")
    return instant


def _spell(instant: datetime) -> str:
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
