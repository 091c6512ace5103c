"""A restore point as a read-only ``fsspec`` file system: pandas, DuckDB and pyarrow read a backup where it lies.

``fs.open("/data/labs.csv")``; for DuckDB ``connection.register_filesystem(fs)`` and ``asepsis:///data/labs.csv``.
Everything that would write is refused. Errors are those of the operating system, as users of file systems expect.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from threading import Lock
from typing import Any, BinaryIO, ClassVar, NoReturn, Protocol

from fsspec import AbstractFileSystem

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType
from asepsis.errors.source import NotAFileError, PathMissingError
from asepsis.sources.paths import names_of

_TYPES = {EntryType.FILE: "file", EntryType.DIRECTORY: "directory", EntryType.LINK: "link", EntryType.OTHER: "other"}


class _Looks(Protocol):
    def walk(self, point: RestorePointId) -> Iterator[Entry]: ...

    def open(self, point: RestorePointId, path: str) -> BinaryIO: ...


class RestorePointFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The entries of one restore point; listed when first asked for, and then kept."""

    protocol: ClassVar = "asepsis"
    root_marker: ClassVar = "/"
    cachable: ClassVar = False

    def __init__(self, source: _Looks, point: RestorePointId) -> None:
        super().__init__()
        self._source = source
        self._point = point
        self._folders: dict[str, dict[str, dict[str, Any]]] | None = None
        self._lock = Lock()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return "/" + "/".join(names_of(os.fspath(path).removeprefix(f"{cls.protocol}://")))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: FBT001, FBT002  fsspec's signature
        """The entries of a folder, or the one entry of a file."""
        path = self._strip_protocol(path)
        found = self._listed().get(path)
        entries = list(found.values()) if found is not None else [self.info(path)]
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size, type, time and, where the source knows it, content id of an entry."""
        path = self._strip_protocol(path)
        if path == "/":
            return {"name": "/", "size": 0, "type": "directory"}
        found = self._listed().get(path.rpartition("/")[0] or "/", {}).get(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def modified(self, path: str) -> Any:
        """When a file was changed last, in UTC."""
        return self.info(path)["mtime"]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            _refuse()
        try:
            return self._source.open(self._point, path)
        except PathMissingError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        except NotAFileError:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path) from None

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Refused."""
        _refuse()

    makedirs = rmdir = rm = rm_file = _rm = cp_file = mv = touch = pipe_file = put_file = mkdir

    def _listed(self) -> dict[str, dict[str, dict[str, Any]]]:
        with self._lock:
            if self._folders is None:
                self._folders = _folders(self._source.walk(self._point))
            return self._folders


def _folders(entries: Iterator[Entry]) -> dict[str, dict[str, dict[str, Any]]]:
    folders: dict[str, dict[str, dict[str, Any]]] = {"/": {}}
    for entry in entries:
        folders.setdefault(entry.path.rpartition("/")[0] or "/", {})[entry.path] = {
            "name": entry.path,
            "size": entry.size,
            "type": _TYPES[entry.type],
            "mtime": entry.modified_at,
            "content_id": entry.content_id,
        }
        if entry.type is EntryType.DIRECTORY:
            folders.setdefault(entry.path, {})
    return folders


def _refuse() -> NoReturn:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))
