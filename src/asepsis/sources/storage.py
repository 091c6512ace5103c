"""A folder of stored objects on any fsspec file system, through which nothing can be written.

Credentials of remote storage come from where its library looks (AWS variables, an SSH agent, ``FSSPEC_*`` variables),
never from the address. A host of ``sftp://`` must be among the known hosts: an unknown one is refused, not added.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from asepsis.errors.source import ObjectMissingError, SecretInAddressError, SourceUnavailableError, ToolMissingError
from asepsis.sources.paths import absolute, has_credentials

_SFTP: Final = "sftp://"


class Storage:
    """Reading methods only: the file system below never gets a writing call from a source."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")

    @classmethod
    def at(cls, address: str) -> Storage:
        """The storage at a local path or at a URL that fsspec knows (``s3://``, ``sftp://`` ...).

        Raises:
            SecretInAddressError: the URL carries credentials.
            SourceUnavailableError: no file system serves the URL, or its server does not let us in.
            ToolMissingError: the library for this kind of URL is not installed.
        """
        import fsspec  # noqa: PLC0415  heavy, and only needed when a source is opened

        if "://" not in address:
            return cls(fsspec.filesystem("file", skip_instance_cache=True), absolute(address))
        if has_credentials(address):
            raise SecretInAddressError
        try:
            if address.startswith(_SFTP):
                from asepsis.sources.sftp import KnownHostFileSystem  # noqa: PLC0415  an extra

                options = KnownHostFileSystem._get_kwargs_from_urls(address)  # noqa: SLF001  fsspec's own way
                return cls(KnownHostFileSystem(**options), KnownHostFileSystem._strip_protocol(address))  # noqa: SLF001
            filesystem, root = fsspec.core.url_to_fs(address)
        except ImportError:
            raise ToolMissingError(tool=f"the library for {address.partition('://')[0]}://") from None
        except Exception:  # noqa: BLE001  each library has errors of its own, and their texts may name accounts
            raise SourceUnavailableError(name=address) from None
        return cls(filesystem, root)

    def exists(self, name: str = "") -> bool:
        """Whether an object or folder of that name is there."""
        try:
            self._fs.info(self._path(name))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except Exception:  # noqa: BLE001  as in ``at``
            raise SourceUnavailableError(name=name or "the source") from None
        return True

    def names(self, folder: str) -> list[str]:
        """The names of the objects in a folder, sorted; none when the folder does not exist.

        Raises:
            SourceUnavailableError: the storage failed.
        """
        path = self._path(folder)
        try:
            self._fs.invalidate_cache(path)
            found = self._fs.ls(path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception:  # noqa: BLE001  as in ``at``
            raise SourceUnavailableError(name=folder) from None
        names = (name.rstrip("/").rsplit("/", 1)[-1] for name in found if name.rstrip("/") != path)
        return sorted(name for name in names if name)

    def read(self, name: str, *, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of an object, or those from ``start`` up to ``end``.

        Raises:
            ObjectMissingError: it is not there.
            SourceUnavailableError: the storage failed.
        """
        try:
            content: bytes = self._fs.cat_file(self._path(name), start=start, end=end)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissingError(name=name) from None
        except Exception:  # noqa: BLE001  as in ``at``
            raise SourceUnavailableError(name=name) from None
        return content

    def size(self, name: str) -> int:
        """Length of an object in bytes.

        Raises:
            ObjectMissingError: it is not there.
            SourceUnavailableError: the storage failed.
        """
        try:
            return int(self._fs.size(self._path(name)))
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissingError(name=name) from None
        except Exception:  # noqa: BLE001  as in ``at``
            raise SourceUnavailableError(name=name) from None

    def modified_at(self, name: str) -> datetime:
        """When the storage says that an object was written; the epoch where it does not say."""
        try:
            return datetime.fromtimestamp(self._fs.modified(self._path(name)).timestamp(), tz=UTC)
        except Exception:  # noqa: BLE001  as in ``at``
            return datetime.fromtimestamp(0, tz=UTC)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root
