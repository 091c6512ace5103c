"""Veeam's incident API: findings are posted back as malware events, only when somebody asks for it.

Source: Veeam REST API reference, "Malware Detection", POST /api/v1/malwareDetection/events; the account needs the role
Incident API Operator. Tested against a stub of ours and Veeam's OpenAPI documents, **never against a live server**.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from asepsis.domain.documents import encode_time
from asepsis.errors.incident import MachineUnclear
from asepsis.errors.source import SecretInAddressError, UnsupportedFormatError
from asepsis.integrity.incident.reporting import MalwareReport
from asepsis.sources.paths import has_credentials
from asepsis.sources.veeam.api import Api

EVENTS: Final = "/api/v1/malwareDetection/events"
_FACTS_NEEDED: Final = 2
_OLDEST: Final = "1.2-rev1"
_MACHINE_OLDEST: Final = ("fqdn", "ipv4", "ipv6", "uuid")
_MACHINE: Final = (*_MACHINE_OLDEST, "backupObjectId", "restorePointId")


class IncidentApi:
    """One signed-in server. ``engine`` is who found what is told."""

    def __init__(self, api: Api, *, engine: str) -> None:
        self._api = api
        self._engine = engine

    @classmethod
    def sign_in(cls, address: str, *, user: str, password: str, engine: str) -> IncidentApi:
        """The server at ``https://host:port``; see ``Api.sign_in`` for what it raises."""
        if has_credentials(address):
            raise SecretInAddressError
        api = Api(address if "://" in address else f"https://{address}", user=user, password=password)
        api.sign_in()
        return cls(api, engine=engine)

    def close(self) -> None:
        """Sign out."""
        self._api.close()

    def post(self, report: MalwareReport, *, machine: Mapping[str, str]) -> list[str]:
        """Post one event about a machine; returns the ids that the server gave.

        Raises:
            MachineUnclear: fewer than two facts, or one that this version does not know.
            RequestRefusedError, SourceUnavailableError, WrongPasswordError: the server did not take it.
        """
        answer = self._api.post(EVENTS, self._event(report, machine))
        events = answer.get("data")
        if not isinstance(events, list):
            raise UnsupportedFormatError(name="the answer of the server")
        return [str(event.get("id")) for event in events if isinstance(event, dict)]

    def _event(self, report: MalwareReport, machine: Mapping[str, str]) -> dict[str, Any]:
        is_oldest = self._api.version == _OLDEST
        known = _MACHINE_OLDEST if is_oldest else _MACHINE
        is_veeams = report.source.startswith("veeam:") and not is_oldest
        named = {**machine, **({"restorePointId": report.restore_point} if is_veeams else {})}
        if len(named) < _FACTS_NEEDED or not set(named) <= set(known):
            raise MachineUnclear(known=", ".join(known))
        event = {
            "detectionTimeUtc": encode_time(report.detected_at),
            "machine": named,
            "details": report.details,
            "engine": self._engine,
        }
        return event if is_oldest else {**event, "severity": "Infected" if report.is_infected else "Suspicious"}
