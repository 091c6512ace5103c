"""Findings posted to Veeam's incident API: what is sent, in every version, to a stub; no live server has been tested.

Where the published OpenAPI documents are at hand, requests and answers are validated against them.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from asepsis.domain.source import Verdict
from asepsis.errors.incident import MachineUnclear
from asepsis.integrity.incident.reporting import MalwareReport, malware_reports
from asepsis.sources.veeam.api import VERSIONS, Api
from asepsis.sources.veeam.incidents import EVENTS, IncidentApi
from incident_world import BEN, LOOK, SOURCE, WAY, Hospital, Step

httpx2 = pytest.importorskip("httpx2", reason="httpx2 (the extra veeam) is not installed")
jsonschema = pytest.importorskip("jsonschema")
SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[4] / "shared"))
MACHINE = {"fqdn": "ehr-db01.northgate.example", "uuid": str(uuid.UUID(int=7))}


class Stub:
    """A server of one version that takes events and answers as the documents say."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.events: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []

    def __call__(self, request: Any) -> Any:
        path = request.url.path
        if path.startswith("/swagger/"):
            return httpx2.Response(200 if path == f"/swagger/v{self.version}/swagger.json" else 404, json={})
        if path == "/api/oauth2/token":
            return httpx2.Response(200, json={"access_token": "t", "refresh_token": "r", "expires_in": 900})
        if path != EVENTS or request.method != "POST":
            return httpx2.Response(404, json={"errorCode": "NotFound", "message": "canary", "resourceId": ""})
        event = json.loads(request.content)
        if len(event["machine"]) < 2:
            return httpx2.Response(400, json={"errorCode": "UnexpectedContent", "message": "canary", "resourceId": ""})
        self.events.append(event)
        told = {
            "id": str(uuid.UUID(int=len(self.events))),
            "type": "Unknown",
            "creationTimeUtc": "2026-03-01T00:00:00Z",
            "detectionTimeUtc": event["detectionTimeUtc"],
            "state": "Created",
            "details": event["details"],
            "source": "External",
            "severity": event.get("severity", "Infected"),
            "createdBy": "svc",
            "engine": event["engine"],
        }
        page = {"total": 1, "count": 1, "skip": 0, "limit": 200}
        self.answers.append({"data": [told], "pagination": page})
        return httpx2.Response(201, json=self.answers[-1])


def signed_in(stub: Stub) -> IncidentApi:
    api = Api("https://vbr.test:9419", user="svc", password="pw", transport=httpx2.MockTransport(stub))
    api.sign_in()
    return IncidentApi(api, engine="Asepsis 0")


def reports() -> list[MalwareReport]:
    return list(malware_reports(Hospital().go(WAY[:4])))


def test_what_speaks_against_a_restore_point_is_told_as_codes_and_counts() -> None:
    (report,) = reports()
    assert (report.restore_point, report.is_infected) == ("bad", True)
    assert report.details.endswith(": note.ransom 1")
    assert report.details.startswith("incident-")


def test_what_is_only_unknown_is_not_reported() -> None:
    hospital = Hospital()
    hospital.go(WAY[:3])
    (finding,) = LOOK.findings
    unknown = type(finding)(source=SOURCE, about="bad", code="estate.not_read", count=1, verdict=Verdict.UNKNOWN)
    points = (LOOK.points[0], type(LOOK.points[1])(id="bad", taken_at=LOOK.points[1].taken_at, root="bb"))
    look = type(LOOK)(source=SOURCE, points=points, last_clean="", objects=1, unread=1, findings=(unknown,), rules={})
    assert list(malware_reports(hospital.do(BEN, Step.JUDGED, look))) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_an_event_is_posted_as_every_version_wants_it(version: str) -> None:
    stub = Stub(version)
    ids = signed_in(stub).post(reports()[0], machine=MACHINE)
    assert ids == [stub.answers[0]["data"][0]["id"]]
    (event,) = stub.events
    assert event["detectionTimeUtc"].endswith("Z")
    assert event.get("severity") == (None if version == "1.2-rev1" else "Infected")
    path = SHARED / "data" / "veeam_openapi" / f"vbr_rest_{version}.json.gz"
    if not path.exists():
        pytest.skip("Veeam's OpenAPI documents are not here: the exchange was tested, and not compared with them")
    schemas = json.loads(gzip.decompress(path.read_bytes()).replace(b"#/components/schemas/", b"#/$defs/"))
    schemas = schemas["components"]["schemas"]
    for name, document in (("SuspiciousActivityEventSpec", event), ("SuspiciousActivityEventsResult", stub.answers[0])):
        schema = {"$ref": f"#/$defs/{name}", "$defs": schemas}
        jsonschema.Draft7Validator(schema).validate(document)
        assert set(event) <= set(schemas["SuspiciousActivityEventSpec"]["properties"])
        assert set(event["machine"]) <= set(schemas["SuspiciousActivityMachineSpec"]["properties"])


def test_a_restore_point_of_veeams_own_names_the_machine_too() -> None:
    report = reports()[0]
    veeams = MalwareReport(
        source="veeam:https://vbr.test:9419",
        restore_point=str(uuid.UUID(int=9)),
        detected_at=report.detected_at,
        is_infected=False,
        details=report.details,
    )
    stub = Stub("1.3-rev2")
    signed_in(stub).post(veeams, machine={"fqdn": "ehr-db01"})
    assert stub.events[0]["machine"] == {"fqdn": "ehr-db01", "restorePointId": str(uuid.UUID(int=9))}
    assert stub.events[0]["severity"] == "Suspicious"


@pytest.mark.parametrize("machine", [{}, {"fqdn": "one"}, {"fqdn": "one", "colour": "red"}])
def test_a_machine_that_is_not_named_well_is_refused_before_anything_is_sent(machine: dict[str, str]) -> None:
    stub = Stub("1.3-rev2")
    with pytest.raises(MachineUnclear):
        signed_in(stub).post(reports()[0], machine=machine)
    assert stub.events == []
