"""Veeam restore points as a source: published read-only to this machine, read as folders, taken down again.

Tested against a stub server of ours that answers as Veeam's OpenAPI documents say, **never against a live Veeam
server**. Mount paths come from the server; only those below the agreed mount roots are ever read.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Capability, Entry, EntryType, Remark, RestorePoint
from asepsis.errors.source import (
    HostilePathError,
    NotAFileError,
    PathMissingError,
    RestorePointMissingError,
    SecretInAddressError,
    SettingMissingError,
    SourceError,
    UnsupportedFormatError,
)
from asepsis.ports import Reading
from asepsis.sources.digests import Meter
from asepsis.sources.directory import NOW, DirectorySource
from asepsis.sources.limits import DEFAULT, Limits
from asepsis.sources.paths import has_credentials, names_of
from asepsis.sources.reading import ReadOnlySource
from asepsis.sources.veeam.api import Api
from asepsis.sources.veeam.journal import Journal, journal_folder
from asepsis.sources.veeam.publishing import Mount, Publishing, Target

_POINTS: Final = "/api/v1/restorePoints"
_ROOTS: Final = ("/run/media", "/tmp")  # noqa: S108  where Veeam 13 and 12 mount on Linux
_DEPTH: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class VeeamSettings:
    """Who asks, and where Veeam shall mount. ``roots`` are the only folders in which mount paths may lie.

    In ``journal`` is written down what is about to be mounted.
    """

    user: str
    target: Target
    journal: Path
    roots: tuple[str, ...] = _ROOTS

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> VeeamSettings:
        """``ASEPSIS_VEEAM_USER``, ``_TARGET``, ``_CREDENTIALS`` and, optional, ``_MOUNT_ROOT`` and ``_JOURNAL``.

        Raises:
            SettingMissingError: one of the first three is not set.
        """

        def value(name: str) -> str:
            found = environment.get(f"ASEPSIS_VEEAM_{name}")
            if not found:
                raise SettingMissingError(setting=f"ASEPSIS_VEEAM_{name}")
            return found

        roots = environment.get("ASEPSIS_VEEAM_MOUNT_ROOT")
        user = value("USER")
        target = Target(server=value("TARGET"), credentials=value("CREDENTIALS"))
        return cls(
            user=user,
            target=target,
            journal=journal_folder(environment),
            roots=tuple(filter(None, roots.split(":"))) if roots else _ROOTS,
        )


class VeeamSource(ReadOnlySource):
    """Restore points of one server. A point is published when it is first looked into, until ``close``.

    Opening a source takes down what killed programs on this machine published.
    """

    kind = "veeam"
    abilities: ClassVar = frozenset(
        {
            Capability.HISTORY,
            Capability.SEEK,
            Capability.OLD_TIMES,
            Capability.LINKS,
            Capability.HARD_LINKS,
            Capability.SPECIAL_FILES,
        }
    )

    def __init__(
        self, uri: str, *, api: Api, publishing: Publishing, settings: VeeamSettings, limits: Limits = DEFAULT
    ) -> None:
        self.uri = uri
        self._api = api
        self._publishing = publishing
        self._settings = settings
        self._limits = limits
        self._mounts: dict[str, Mount] = {}
        self._close = weakref.finalize(self, _close, api, publishing, settings.user)
        _clean_up(publishing, settings.user)

    @classmethod
    def sign_in(cls, address: str, *, password: str, settings: VeeamSettings) -> VeeamSource:
        """The server at ``https://host:port``; see ``Api.sign_in`` for what it raises."""
        if has_credentials(address):
            raise SecretInAddressError
        url = address if "://" in address else f"https://{address}"
        api = Api(url, user=settings.user, password=password)
        api.sign_in()
        journal = Journal(settings.journal, address=url, user=settings.user)
        publishing = Publishing(api, target=settings.target, journal=journal)
        return cls(f"veeam:{address}", api=api, publishing=publishing, settings=settings)

    def close(self) -> None:
        """Take down all that was published, and sign out. Also happens when the program ends in order."""
        self._close()

    def remarks(self) -> list[Remark]:
        """Mounts of this account that this process did not make, see ``reap``."""
        left = self._publishing.orphans(self._settings.user)
        return [Remark(code="source.mount_left_behind", object=f"mount {mount}") for mount in left]

    def reap(self) -> int:
        """Take down all other mounts of this account; returns how many.

        What a killed program on this machine published is taken down by every command. This is for what was published
        elsewhere; a machine on which Asepsis runs now must have another account, or it would lose its mounts.
        """
        orphans = self._publishing.orphans(self._settings.user)
        for mount in orphans:
            self._publishing.unpublish(mount)
        return len(orphans)

    def restore_points(self) -> list[RestorePoint]:
        """All restore points of all machines, oldest first; the label is the machine's name."""
        points = [_point(document) for document in self._api.pages(_POINTS)]
        return sorted(points, key=lambda point: (point.taken_at, point.id))

    def walk(self, point: RestorePointId) -> Iterator[Entry]:
        """Every entry, ordered by path: ``/disk-001/volume-001/...``."""
        last = ""
        for prefix, volume in self._volumes(point):
            folder = prefix.rsplit("/", 1)[0]
            if folder != last:
                yield Entry(path=folder, type=EntryType.DIRECTORY, size=0)
                last = folder
            kind = EntryType.OTHER if volume is None else EntryType.DIRECTORY
            yield Entry(path=prefix, type=kind, size=0)
            for entry in volume.walk(NOW) if volume is not None else ():
                yield Entry(
                    path=prefix + entry.path,
                    type=entry.type,
                    size=entry.size,
                    modified_at=entry.modified_at,
                    link_target=entry.link_target,
                )

    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A file as a seekable stream.

        Raises:
            PathMissingError: there is no such entry.
            NotAFileError: it is a directory, link or device.
        """
        names = names_of(path)
        volumes = dict(self._volumes(point))
        volume = volumes.get("/" + "/".join(names[:_DEPTH]))
        if volume is not None and len(names) > _DEPTH:
            return volume.open(NOW, "/" + "/".join(names[_DEPTH:]))
        known = {"", *volumes, *(prefix.rsplit("/", 1)[0] for prefix in volumes)}
        if "/".join(["", *names]) in known:
            raise NotAFileError(path=path)
        raise PathMissingError(path=path)

    def verify(self, point: RestorePointId, *, reading: Reading | None = None) -> Iterator[ObjectFault]:
        """Read every file; Veeam checks the blocks that it hands out."""
        meter = Meter(reading)
        for prefix, volume in self._volumes(point):
            for fault in volume.verify(NOW, reading=meter.after()) if volume is not None else ():
                yield ObjectFault(object=prefix + fault.object, code=fault.code, path=prefix + (fault.path or ""))

    def _volumes(self, point: RestorePointId) -> list[tuple[str, DirectorySource | None]]:
        """Each published volume and its folder; a disk without a file system that was mounted has none."""
        if point not in self._mounts:
            if point not in {known.id for known in self.restore_points()}:
                raise RestorePointMissingError(point=point)
            self._mounts[point] = self._publishing.publish(point)
        found = []
        for number, disk in enumerate(self._mounts[point].disks, 1):
            for volume, path in enumerate(disk, 1):
                found.append((f"/disk-{number:03}/volume-{volume:03}", self._folder(path)))
        return found

    def _folder(self, path: str) -> DirectorySource | None:
        real = os.path.realpath(path)
        if not any(real.startswith(os.path.realpath(root).rstrip("/") + "/") for root in self._settings.roots):
            raise HostilePathError(reason="a mount outside of the agreed folders")
        if not Path(real).is_dir():
            return None
        return DirectorySource.at(real, limits=self._limits)


def _close(api: Api, publishing: Publishing, user: str) -> None:
    publishing.close()
    _clean_up(publishing, user)  # what came up late
    with suppress(SourceError):
        api.close()


def _clean_up(publishing: Publishing, user: str) -> None:
    """What cannot be taken down now is tried again by the next command, and told by ``remarks``."""
    with suppress(SourceError):
        publishing.clean_up(user)


def _point(document: dict[str, Any]) -> RestorePoint:
    number, taken, name = document.get("id"), document.get("creationTime"), document.get("name")
    if not isinstance(number, str) or "/" in number or not isinstance(taken, str):
        raise UnsupportedFormatError(name="the answer of the server")
    try:
        taken_at = datetime.fromisoformat(taken)
    except ValueError:
        raise UnsupportedFormatError(name="the answer of the server") from None
    taken_at = taken_at.astimezone(UTC) if taken_at.tzinfo else taken_at.replace(tzinfo=UTC)
    return RestorePoint(id=RestorePointId(number), taken_at=taken_at, label=str(name or ""))
