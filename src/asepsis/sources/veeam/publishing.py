"""Publish the disks of a restore point, wait until they are mounted, and take them down again, whatever happens.

What is about to be published is written down first: what a killed program left behind, the next one takes down.
Source: Veeam REST API reference, "Data Integration API". What a version wants in the request is sent to it only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from asepsis.errors.source import (
    PublishFailedError,
    RequestRefusedError,
    SourceError,
    ToolTimedOutError,
    UnsupportedFormatError,
)
from asepsis.sources.veeam.api import Api
from asepsis.sources.veeam.journal import HOUR, Asked, Ended, Journal

MOUNTS: Final = "/api/v1/dataIntegration"
_WITHOUT_STORAGE_TYPE: Final = frozenset({"1.2-rev1", "1.3-rev0"})
_WITHOUT_REASON: Final = frozenset({"1.2-rev1"})
_GOOD: Final = frozenset({"Success", "Warning"})
_UP: Final = "Mounted"
_FAILED: Final = "MountFailed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server on which Veeam mounts the disks: this machine, as Veeam knows it."""

    server: str
    credentials: str
    reason: str = "Asepsis reads this restore point"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Published disks: for each, the paths at which its volumes lie."""

    id: str
    disks: tuple[tuple[str, ...], ...]


class Publishing:
    """Publishes through one API session; keeps count of its own mounts."""

    def __init__(
        self,
        api: Api,
        *,
        target: Target,
        journal: Journal,
        seconds: float = 900.0,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._target = target
        self._journal = journal
        self._seconds = seconds
        self._pause = pause
        self._clock = clock
        self._own: set[str] = set()
        self._is_settled = True  # unless something may come up that this process did not see

    def publish(self, point: str) -> Mount:
        """Mount a restore point.

        Raises:
            MountJournalUnwritableError: it could not be written down, and nothing was asked.
            PublishFailedError: Veeam says that it did not work.
            ToolTimedOutError: it did not end in time; what came up meanwhile is taken down.
        """
        before = {_text(mount, "id") for mount in self._mounts(point)}
        self._journal.note(Asked(point=point, before=frozenset(before)))
        try:
            session = _text(self._api.post(f"{MOUNTS}/publish", self._request(point)), "id")
            self._await_session(session)
            found = self._await_mount(point, before)
        except BaseException as error:
            self._is_settled = self._is_settled and isinstance(error, RequestRefusedError)
            self._take_down_since(point, before)
            raise
        self._own.add(found.id)
        return found

    def unpublish(self, mount: str) -> None:
        """Take a mount down; one that is gone already is fine."""
        try:
            self._api.post(f"{MOUNTS}/{mount}/unpublish", {})
        except RequestRefusedError as refusal:
            if refusal.names.get("reason") != "NotFound":
                raise
        self._own.discard(mount)

    def close(self) -> None:
        """Take down all mounts of this process; what could not be taken down is left to the next one."""
        for mount in sorted(self._own):
            with suppress(SourceError):
                self.unpublish(mount)
        self._journal.close(is_settled=self._is_settled and not self._own)

    def clean_up(self, initiator: str) -> int:
        """Take down what programs on this machine published that were killed; returns how many mounts.

        What else is up, of other machines or of programs that still run, stays.
        """
        with self._journal.others() as others:
            if not others.ended:
                return 0
            up = [mount for mount in self._api.pages(MOUNTS) if mount.get("initiatorName") == initiator]
            return sum(self._settle(ended, up, others.running) for ended in others.ended)

    def _settle(self, ended: Ended, up: list[dict[str, Any]], running: frozenset[str]) -> int:
        """Forget what an ended program asked for when all of it came up and is down, or can come up no more."""
        found = [_of(asked, up) for asked in ended.asked if asked.point not in running]
        mounts = set().union(*found)
        down = {mount for mount in mounts if self._takes_down(mount)}
        is_whole = len(found) == len(ended.asked) and down == mounts
        if is_whole and (all(found) or ended.age > HOUR):
            ended.path.unlink(missing_ok=True)
        return len(down)

    def _takes_down(self, mount: str) -> bool:
        """A mount that the server does not let go yet is tried again by the next program."""
        try:
            self.unpublish(mount)
        except SourceError:
            return False
        return True

    def orphans(self, initiator: str) -> list[str]:
        """Mounts of this account that this process did not make: left behind by one that was killed."""
        found = self._api.pages(MOUNTS)
        return [
            _text(mount, "id")
            for mount in found
            if mount.get("initiatorName") == initiator and _text(mount, "id") not in self._own
        ]

    def _request(self, point: str) -> dict[str, Any]:
        document: dict[str, Any] = {
            "restorePointId": point,
            "type": "FUSELinuxMount",
            "targetServerName": self._target.server,
            "targetServerCredentialsId": self._target.credentials,
        }
        if self._api.version not in _WITHOUT_STORAGE_TYPE:
            document["credentialsStorageType"] = "Permanent"
        if self._api.version not in _WITHOUT_REASON:
            document["reason"] = self._target.reason
        return document

    def _await_session(self, session: str) -> None:
        for _ in self._ticks():
            document = self._api.get(f"/api/v1/sessions/{session}")
            if document.get("state") == "Stopped":
                result = document.get("result")
                if not isinstance(result, dict) or result.get("result") not in _GOOD:
                    raise PublishFailedError
                return

    def _await_mount(self, point: str, before: set[str]) -> Mount:
        for _ in self._ticks():
            for mount in self._mounts(point):
                if _text(mount, "id") in before:
                    continue
                if mount.get("mountState") == _FAILED:
                    raise PublishFailedError
                if mount.get("mountState") == _UP:
                    return _mount(self._api.get(f"{MOUNTS}/{_text(mount, 'id')}"))
        raise PublishFailedError

    def _ticks(self) -> Iterator[None]:
        """Moments to ask again, less and less often, until the time is up."""
        end, wait = self._clock() + self._seconds, 0.2
        while self._clock() < end:
            yield
            self._pause(wait)
            wait = min(wait * 1.5, 5.0)
        raise ToolTimedOutError(tool="Veeam", seconds=int(self._seconds))

    def _mounts(self, point: str) -> Iterator[dict[str, Any]]:
        return (mount for mount in self._api.pages(MOUNTS) if mount.get("restorePointId") == point)

    def _take_down_since(self, point: str, before: set[str]) -> None:
        with suppress(SourceError):  # the first error is the one to tell
            for mount in list(self._mounts(point)):
                if _text(mount, "id") not in before:
                    self.unpublish(_text(mount, "id"))


def _of(asked: Asked, up: list[dict[str, Any]]) -> set[str]:
    """The mounts that came up after a restore point was asked for."""
    return {_text(mount, "id") for mount in up if mount.get("restorePointId") == asked.point} - asked.before


def _mount(document: dict[str, Any]) -> Mount:
    info = document.get("info")
    disks = info.get("disks") if isinstance(info, dict) else None
    if not isinstance(disks, list):
        raise UnsupportedFormatError(name="the answer of the server")
    points = tuple(
        tuple(point for point in disk.get("mountPoints") or () if isinstance(point, str))
        for disk in disks
        if isinstance(disk, dict)
    )
    return Mount(id=_text(document, "id"), disks=points)


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or "/" in value:
        raise UnsupportedFormatError(name="the answer of the server")
    return value
