"""Recovery certificates: one file that tells how an incident ended, and proves it offline with public keys only.

It holds what is certified, the signed appointments and acts that this follows from, the hospital's signature, and the
ledger's proof of every one of them. :func:`verify_certificate` believes nothing: it replays the acts, works out again
what may be certified, and compares. The file is canonical, so that it can be written in one way only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.incident_certificate import FORMAT, certificate_content
from asepsis.domain.incident_state import Incident
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError
from asepsis.errors.incident import RecoveryNotCertified
from asepsis.ledger.note import VerifierKey
from asepsis.ledger.proof import verify_entry_proof
from asepsis.sealing.canonical import canonical, digest, parse_canonical
from asepsis.sealing.incident import (
    SignedAct,
    SignedAppointment,
    read_signed_act,
    read_signed_appointment,
    replay,
    verify_roster,
)
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.audit import LedgerKeys, witness_key
from asepsis.services.incidents import RECORDED_AS, Incidents, Sign

KEYS_FORMAT: Final = "asepsis/recovery-keys/1"
_SIGNATURE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryKeys:
    """The public keys that a certificate is verified with: the hospital's, the ledger's and its witnesses'."""

    party: PartyId
    signing: bytes
    ledger: LedgerKeys

    def to_document(self) -> Document:
        """The document form that :func:`read_recovery_keys` reads."""
        return {
            "format": KEYS_FORMAT,
            "party": self.party,
            "signing_key": encode_bytes(self.signing),
            "room": self.ledger.log.name,
            "log_key": encode_bytes(self.ledger.log.public_key),
            "witnesses": {key.name: encode_bytes(key.public_key) for key in self.ledger.witnesses},
        }


def read_recovery_keys(document: object) -> RecoveryKeys:
    """Read public keys. Raises DocumentMalformed."""
    fields = Fields(document, document="recovery keys")
    if fields.text("format") != KEYS_FORMAT:
        raise fields.malformed("format", f"'{KEYS_FORMAT}' is needed")
    with fields.mapping("witnesses") as inner:
        witnesses = tuple(witness_key(PartyId(name), inner.octets(name, length=32)) for name in inner.names())
    if not witnesses:
        raise fields.malformed("witnesses", "at least one is needed")
    keys = RecoveryKeys(
        party=PartyId(fields.name("party")),
        signing=fields.octets("signing_key", length=32),
        ledger=LedgerKeys(
            log=VerifierKey(name=fields.text("room"), public_key=fields.octets("log_key", length=32)),
            witnesses=witnesses,
        ),
    )
    fields.close()
    return keys


def recovery_keys(incidents: Incidents) -> RecoveryKeys:
    """The public keys of this room, for those who will verify."""
    desks = incidents.audit.desks
    witnesses = tuple(witness_key(owner, desk.public().signing) for owner, desk in desks.items())
    ledger = LedgerKeys(log=incidents.audit.log_key, witnesses=witnesses)
    return RecoveryKeys(party=incidents.party, signing=incidents.key, ledger=ledger)


def certify(incidents: Incidents, incident: Incident, *, tool: Mapping[str, str], sign: Sign) -> bytes:
    """The certificate of an incident, as the bytes of its file; ``sign`` is the hospital's.

    Raises IncidentNotReady unless all criteria are met.
    """
    content = certificate_content(incident, tool=tool, issued_at=incidents.clock())
    name = digest(content)
    entry = LedgerEntry(
        at=incidents.clock(),
        actor=incidents.party,
        act=Act.RECOVERY_CERTIFIED,
        subject=incident.id,
        facts={"digest": name, "count": incident.acts},
    )
    with incidents.state.acting(entry):
        pass
    appointments = incidents.records.appointments()
    trail = incidents.audit.trail({incident.id, *(one.digest for one in appointments)})
    proven = [(one, proof) for one, proof in trail if one.act is not Act.RECOVERY_CERTIFIED or one == entry]
    return canonical(
        {
            "format": FORMAT,
            "certificate": content,
            "signature": encode_bytes(sign(Purpose.RECOVERY, canonical(content))),
            "appointments": [one.to_document() for one in appointments],
            "acts": [one.to_document() for one in incidents.acts(incident)],
            "trail": [{"entry": one.to_document(), "proof": proof} for one, proof in proven],
        }
    )


def verify_certificate(data: bytes, keys: RecoveryKeys) -> Document:
    """What a certificate says, if all of it holds. Raises RecoveryNotCertified."""
    try:
        return _verified(parse_canonical(data), keys)
    except RecoveryNotCertified:
        raise
    except AsepsisError as error:
        raise RecoveryNotCertified(problem=f"it does not hold ({error.code})") from None


def _verified(document: object, keys: RecoveryKeys) -> Document:
    fields = Fields(document, document="recovery certificate")
    if fields.text("format") != FORMAT:
        raise RecoveryNotCertified(problem=f"it is no {FORMAT}")
    content = fields.anything("certificate")
    signature = fields.octets("signature", length=_SIGNATURE)
    appointments = [read_signed_appointment(one) for one in fields.items("appointments")]
    acts = [read_signed_act(one) for one in fields.items("acts")]
    trail = fields.items("trail")
    fields.close()
    _require_one_spelling(document, signature=signature, appointments=appointments, acts=acts)
    verify(keys.signing, purpose=Purpose.RECOVERY, payload=canonical(content), signature=signature)
    room = keys.ledger.log.name
    incident = replay(acts, verify_roster(appointments, party=keys.party, room=room, key=keys.signing))
    expected = _worked_out(incident, content)
    if (incident.room, incident.party) != (room, keys.party):
        raise RecoveryNotCertified(problem="it is of another room or hospital")
    if canonical(expected) != canonical(content):
        raise RecoveryNotCertified(problem="it says something else than the signed acts")
    entries = [_proven(item, keys.ledger) for item in trail]
    _require_recorded(entries, incident, acts=acts, appointments=appointments, certificate=digest(content))
    return expected


def _worked_out(incident: Incident, content: object) -> Document:
    """What may be certified of these acts; only by which program and when is the hospital's own word."""
    fields = Fields(content, document="recovery certificate", place="certificate")
    issued_at, tool = fields.time("issued_at"), fields.anything("tool")
    if not isinstance(tool, dict):
        raise fields.malformed("tool", "a mapping is needed")
    if issued_at < incident.last_at:
        raise RecoveryNotCertified(problem="it is older than its newest act")
    return certificate_content(incident, tool=tool, issued_at=issued_at)


def _require_one_spelling(
    document: object, *, signature: bytes, appointments: Iterable[SignedAppointment], acts: Iterable[SignedAct]
) -> None:
    """Base64 and times have several spellings; a file that uses another one is not the file that was written."""
    if not isinstance(document, dict):
        raise RecoveryNotCertified(problem="it is no mapping")
    written = {
        **document,
        "signature": encode_bytes(signature),
        "appointments": [one.to_document() for one in appointments],
        "acts": [one.to_document() for one in acts],
    }
    if canonical(written) != canonical(document):
        raise RecoveryNotCertified(problem="it is not spelled as certificates are")


def _proven(item: object, keys: LedgerKeys) -> tuple[int, LedgerEntry]:
    fields = Fields(item, document="recovery certificate", place="trail")
    entry = LedgerEntry.from_document(fields.anything("entry"))
    verified = verify_entry_proof(
        fields.text("proof"),
        entry=entry,
        log_key=keys.log,
        witness_keys=keys.witnesses,
        quorum=len(keys.witnesses),
    )
    fields.close()
    return verified.index, entry


def _require_recorded(
    entries: Sequence[tuple[int, LedgerEntry]],
    incident: Incident,
    *,
    acts: Sequence[SignedAct],
    appointments: Sequence[SignedAppointment],
    certificate: str,
) -> None:
    """The witnessed ledger has exactly these appointments and acts in this order, and the certificate last.

    Nobody acts before the ledger knows of their appointment.
    """
    appointed = [(index, entry) for index, entry in entries if entry.act is Act.PERSON_APPOINTED]
    acted = [(index, entry) for index, entry in entries if entry.act in RECORDED_AS.values()]
    places = [index for index, _ in entries]
    is_whole = (
        places == sorted(set(places))
        and len(entries) == len(appointments) + len(acts) + 1
        and [(entry.actor, entry.subject) for _, entry in appointed]
        == [(incident.party, one.digest) for one in appointments]
        and [_told(entry) for _, entry in acted]
        == [_entry(incident, RECORDED_AS[one.act.step], one.digest, one.act.number) for one in acts]
        and _told(entries[-1][1]) == _entry(incident, Act.RECOVERY_CERTIFIED, certificate, incident.acts)
    )
    if not is_whole:
        raise RecoveryNotCertified(problem="the ledger tells something else")
    since: dict[str, int] = {}
    for (index, _), one in zip(appointed, appointments, strict=True):
        since.setdefault(one.appointment.person, index)
    if any(since[one.act.person] > index for (index, _), one in zip(acted, acts, strict=True)):
        raise RecoveryNotCertified(problem="somebody acted before the ledger knew of their appointment")


def _entry(incident: Incident, act: Act, name: str, number: int) -> tuple[object, ...]:
    count = "count" if act is Act.RECOVERY_CERTIFIED else "sequence"
    return (incident.party, act, incident.id, {"digest": name, count: number})


def _told(entry: LedgerEntry) -> tuple[object, ...]:
    return (entry.actor, entry.act, entry.subject, dict(entry.facts))
