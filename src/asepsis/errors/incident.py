"""Errors of the incident workflow and of recovery certificates. Names of persons, roles and codes are public here."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class IncidentStepRefused(AsepsisError):
    """A step of an incident cannot be taken as things stand."""

    kind = Kind.CONFLICT
    code = "incident.step_refused"
    message = "The incident cannot be {step}: {problem}."
    hint = "Look at it with 'asepsis recover incident show'; it says what is missing."


class IncidentNotReady(AsepsisError):
    """Criteria of an incident are not met: it can be neither certified, exported from nor closed."""

    kind = Kind.CONFLICT
    code = "incident.not_ready"
    message = "The incident cannot be {step}: {count} criteria are not met, first of all {first}."
    hint = "'asepsis recover incident show' lists everything that is missing."


class PersonNotAppointed(AsepsisError):
    """Somebody acts without being appointed, or in a role that they do not have."""

    kind = Kind.DENIED
    code = "incident.not_appointed"
    message = "{person} is not appointed for this: it takes {role}."
    hint = "The hospital appoints persons with 'asepsis recover incident appoint'."


class SamePerson(AsepsisError):
    """One person acts where two different ones are needed."""

    kind = Kind.DENIED
    code = "incident.same_person"
    message = "{person} cannot be the one who {what}: another person has to."
    hint = "Declaring takes two persons, signing off three: one for each role."


class AppointmentRefused(AsepsisError):
    """An appointment cannot stand beside the others, or is not signed by the hospital."""

    kind = Kind.UNTRUSTED
    code = "incident.appointment_refused"
    message = "The appointment of {person} is refused: {problem}."
    hint = "Every person has one key of their own, which only the hospital appoints."


class IncidentTampered(AsepsisError):
    """The acts of an incident are not those that were signed and recorded in the ledger."""

    kind = Kind.UNTRUSTED
    code = "incident.tampered"
    message = "The acts of the incident cannot be trusted: {problem}."
    hint = "Keep the files as they are, and compare them with the copies of others and with the ledger."


class IncidentUnknown(AsepsisError):
    """There is no incident of that name, or none that is open."""

    kind = Kind.MISSING
    code = "incident.unknown"
    message = "There is no incident {incident}."
    hint = "'asepsis recover incident show' lists them."


class FindingUnknown(AsepsisError):
    """A finding that is to be settled is not among those that are open."""

    kind = Kind.MISSING
    code = "incident.finding_unknown"
    message = "The incident has no open finding {finding}."
    hint = "'asepsis recover incident show' lists the findings with their numbers; a new scan may have changed them."


class KeysHeld(AsepsisError):
    """Keys are to be destroyed while an incident holds them."""

    kind = Kind.DENIED
    code = "desk.keys_held"
    message = "The key desk of {owner} destroys nothing: {incident} holds its keys."
    hint = "The hold ends when the incident is closed; until then data that are due stay, and nobody is let use them."


class RecoveryNotCertified(AsepsisError):
    """A recovery certificate does not verify."""

    kind = Kind.UNTRUSTED
    code = "recovery.certificate_refused"
    message = "The recovery certificate is refused: {problem}."
    hint = "Ask the hospital for the certificate as it was issued, and for its public keys by another way."


class MachineUnclear(AsepsisError):
    """Veeam wants two facts about the machine that an event is about, under names that its version knows."""

    kind = Kind.INVALID
    code = "recovery.machine_unclear"
    message = "The machine is not named as Veeam asks: two of {known} are needed."
    hint = "Write --machine fqdn=HOST.DOMAIN --machine uuid=BIOS-UUID; a restore point of Veeam's own counts as one."
