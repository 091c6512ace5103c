"""Exports for other systems: FHIR AuditEvents and OCSF events, checked against models that we did not write."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.ledger.checkpoint import Checkpoint
from asepsis.ledger.commitment import commit
from asepsis.ledger.entry import entry_hash
from asepsis.ledger.fhir import DISCLOSURE, fhir_bundle
from asepsis.ledger.ocsf import VERSION, ocsf_events
from asepsis.ledger.tree import MemoryNodes, root
from asepsis.ledger.verbs import ALARMS, Operation, operation

START = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = "room.example/formats"
NAME = "Dr Ada Abbott"
COMMITMENT = commit(b"s" * 32, NAME)
ENTRIES = [
    LedgerEntry(
        at=START + timedelta(seconds=place, microseconds=place),
        actor=PartyId("northgate"),
        act=act,
        subject=f"subject-{place}",
        facts={"contract": "a" * 64, "analysis": "b" * 64, "count": place, "code": "desk.budget_exhausted"},
        commitments={"person": COMMITMENT},
    )
    for place, act in enumerate(Act)
]
NODES = MemoryNodes(entry_hash(entry) for entry in ENTRIES)
CHECKPOINT = Checkpoint(origin=ORIGIN, size=len(ENTRIES), root=root(NODES, size=len(ENTRIES)))
BUNDLE: Any = fhir_bundle(ENTRIES, CHECKPOINT)
EVENTS: list[Any] = list(ocsf_events(ENTRIES, origin=ORIGIN))


def test_every_act_is_a_valid_fhir_audit_event() -> None:
    module = pytest.importorskip("fhir.resources.R4B.bundle", reason="fhir.resources is not installed")
    bundle = module.Bundle.model_validate_json(json.dumps(BUNDLE))
    events = [item.resource for item in bundle.entry]
    assert [event.id for event in events] == [f"entry-{place}" for place in range(len(ENTRIES))]
    assert [event.recorded for event in events] == [entry.at for entry in ENTRIES]
    assert [event.subtype[-1].code for event in events] == [act.value for act in Act]
    assert {event.resource_type if hasattr(event, "resource_type") else type(event).__name__ for event in events} == {
        "AuditEvent"
    }
    assert {event.action for event in events} == set(Operation)
    assert len({item.fullUrl for item in bundle.entry}) == len(ENTRIES)


def test_a_fhir_model_refuses_an_event_without_its_source() -> None:
    module = pytest.importorskip("fhir.resources.R4B.auditevent", reason="fhir.resources is not installed")
    event = {name: value for name, value in BUNDLE["entry"][0]["resource"].items() if name != "source"}
    with pytest.raises(ValueError, match="source"):
        module.AuditEvent.model_validate_json(json.dumps(event))


def test_a_disclosure_fulfils_the_ihe_profile_that_it_claims() -> None:
    """The constraints of IHE.BasicAudit.PrivacyDisclosure.Source, version 1.1.3."""
    claims = [item["resource"] for item in BUNDLE["entry"] if "meta" in item["resource"]]
    assert [event["subtype"][-1]["code"] for event in claims] == [Act.REFERRAL_COLLECTED.value]
    [event] = claims
    assert event["meta"]["profile"] == [DISCLOSURE]
    assert event["type"]["code"] == "110106"
    assert (event["action"], event["outcome"]) == ("R", "0")
    assert [coding["code"] for coding in event["subtype"]].count("disclose") == 1
    roles = {agent["type"]["coding"][0]["code"]: agent for agent in event["agent"]}
    assert set(roles) == {"110153", "110152"}
    assert all(agent["who"] and agent["network"]["address"] for agent in roles.values())
    assert roles["110153"]["who"] == event["source"]["observer"]
    patients = [entity for entity in event["entity"] if entity["type"]["code"] == "1"]
    assert len(event["entity"]) >= 2
    assert [(entity["role"]["code"], entity["what"]["type"]) for entity in patients] == [("1", "Patient")]
    assert "modifierExtension" not in event


def test_refusals_are_failures_and_tampering_is_serious() -> None:
    outcomes = {item["resource"]["subtype"][-1]["code"]: item["resource"]["outcome"] for item in BUNDLE["entry"]}
    assert outcomes["grant.given"] == "0"
    assert outcomes["grant.refused"] == outcomes["access.denied"] == outcomes["run.failed"] == "4"
    assert {act for act, outcome in outcomes.items() if outcome == "8"} == ALARMS


def test_every_act_is_a_valid_ocsf_event() -> None:
    ocsf = pytest.importorskip("ocsf_json_schema", reason="ocsf-json-schema is not installed")
    jsonschema = pytest.importorskip("jsonschema")
    schemas = ocsf.OcsfJsonSchemaEmbedded(ocsf.get_ocsf_schema(VERSION))
    checks = {
        number: jsonschema.Draft202012Validator(schemas.get_class_schema(schemas.lookup_class_name_from_uid(number)))
        for number in {event["class_uid"] for event in EVENTS}
    }
    assert set(checks) == {6003, 2004}
    for event, entry in zip(EVENTS, ENTRIES, strict=True):
        checks[event["class_uid"]].validate(event)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["metadata"]["event_code"] == entry.act.value
        assert datetime.fromtimestamp(event["time"] / 1000, tz=UTC) == entry.at.replace(
            microsecond=entry.at.microsecond // 1000 * 1000
        )
        damaged = {name: value for name, value in event.items() if name != "metadata"}
        assert not checks[event["class_uid"]].is_valid(damaged)


def test_every_exported_event_can_be_found_in_the_ledger() -> None:
    for place, (item, event, entry) in enumerate(zip(BUNDLE["entry"], EVENTS, ENTRIES, strict=True)):
        leaf = entry_hash(entry).hex()
        assert item["resource"]["entity"][-1]["what"]["identifier"]["value"] == leaf
        assert (event["metadata"]["uid"], event["metadata"]["sequence"]) == (leaf, place)
    assert BUNDLE["identifier"]["value"] == CHECKPOINT.root.hex()


def test_personal_fields_leave_as_commitments_only() -> None:
    for text in (json.dumps(BUNDLE), json.dumps(EVENTS)):
        assert text.count(COMMITMENT) == len(ENTRIES)
        assert "Abbott" not in text


def test_an_act_without_facts_is_exported_too() -> None:
    bare = replace(ENTRIES[0], facts={}, commitments={})
    exported: Any = fhir_bundle([bare], CHECKPOINT)
    assert "outcomeDesc" not in exported["entry"][0]["resource"]
    assert "status_code" not in next(ocsf_events([bare], origin=ORIGIN))
    assert operation(Act.KEY_SHREDDED) is Operation.DELETE
