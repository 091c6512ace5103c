"""An opened repository: authenticated documents and blobs by id.

No method returns a byte that was not authenticated: documents and blobs carry a tag under the repository's
key, and both must hash to the id they are stored under.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from asepsis.errors.source import (
    LimitExceededError,
    NotARepositoryError,
    ObjectDamagedError,
    ObjectMissingError,
    SourceMissingError,
    UnsupportedFormatError,
)
from asepsis.sources.limits import DEFAULT, Limits
from asepsis.sources.restic import documents, headers
from asepsis.sources.restic.crypto import Key, NotAuthenticError
from asepsis.sources.restic.index import Index, Place, merged
from asepsis.sources.restic.keys import master_key
from asepsis.sources.storage import Storage

VERSIONS: Final = frozenset({1, 2})


class Repository:
    """A repository whose password has been accepted; reads only, takes no lock and needs none."""

    def __init__(self, storage: Storage, *, key: Key, limits: Limits = DEFAULT) -> None:
        self.storage = storage
        self.limits = limits
        self._key = key
        self._index: Index | None = None
        self._index_names: list[str] = []

    @classmethod
    def unlock(cls, storage: Storage, *, uri: str, password: str, limits: Limits = DEFAULT) -> Repository:
        """Open the repository with a password.

        Raises:
            SourceMissingError: nothing lies there.
            NotARepositoryError: it has no configuration or no keys.
            WrongPasswordError: the password opens no key.
            UnsupportedFormatError: its version is not known.
        """
        if not storage.exists():
            raise SourceMissingError(uri=uri)
        if not storage.exists("config"):
            raise NotARepositoryError(uri=uri, tool="restic")
        key = master_key(storage, uri=uri, password=password, limits=limits)
        repository = cls(storage, key=key, limits=limits)
        repository._check_version()
        return repository

    @property
    def index(self) -> Index:
        """Where the blobs lie; read once, and again when a blob has gone and so have index files (a prune)."""
        if self._index is None:
            self._index = self._read_index()
        return self._index

    def names(self, folder: str) -> list[str]:
        """Ids of the documents in ``snapshots`` or ``index``."""
        return [name for name in self.storage.names(folder) if documents.is_object_id(name)]

    def document(self, name: str) -> dict[str, Any]:
        """A document of the repository, such as ``snapshots/<id>``.

        Raises:
            ObjectMissingError: it is not there.
            ObjectDamagedError: it is not what was stored under this name.
            UnsupportedFormatError: it is authentic, but of an unknown shape.
        """
        sealed = self.storage.read(name)
        stored_as = name.rsplit("/", 1)[-1]
        if documents.is_object_id(stored_as) and hashlib.sha256(sealed).hexdigest() != stored_as:
            raise ObjectDamagedError(name=name)
        plain = documents.unpacked(self._opened(sealed, name=name), name=name, limit=self.limits.metadata_bytes)
        return documents.document(plain, name=name)

    def size(self, blob: str) -> int:
        """Length of a blob in bytes.

        Raises:
            ObjectMissingError, ObjectDamagedError: no readable index knows it.
        """
        size = self.index_of(blob).size(blob)
        if size is None:
            raise self._unknown(blob)
        return size

    def index_of(self, blob: str) -> Index:
        """The index, after all was tried to have it know a blob: new index files, then the headers of packs."""
        if self.index.size(blob) is None and not self.index.has_headers:
            if self.names("index") != self._index_names:
                self._index = self._read_index()
            if self.index.size(blob) is None:
                self._read_headers(self.index)
        return self.index

    def blob(self, blob: str) -> bytes:
        """The bytes of a blob, authenticated; other places are tried when one fails.

        Raises:
            ObjectMissingError: no index or no pack has it.
            ObjectDamagedError: its stored bytes are not authentic.
            LimitExceededError: it is larger than any blob restic makes.
        """
        try:
            return self._first_readable(blob)
        except ObjectMissingError:
            if self.names("index") == self._index_names:
                raise
            self._index = self._read_index()
            return self._first_readable(blob)

    def unseal(self, sealed: bytes, *, blob: str, place: Place) -> bytes:
        """Authenticate and unpack the stored bytes of a blob, and check them against its id.

        Raises:
            ObjectDamagedError: not authentic, not unpackable, or of another id.
            LimitExceededError: larger than any blob restic makes.
        """
        name = f"blob {blob}"
        if place.size > self.limits.blob_bytes:
            raise LimitExceededError(name=name, limit=self.limits.blob_bytes, unit="bytes")
        plain = self._opened(sealed, name=f"pack {place.pack}")
        if place.compressed:
            plain = documents.decompressed(plain, name=name, limit=place.size)
        if len(plain) != place.size or hashlib.sha256(plain).hexdigest() != blob:
            raise ObjectDamagedError(name=name)
        return plain

    @staticmethod
    def pack_path(pack: str) -> str:
        """Where a pack lies below the repository."""
        return f"data/{pack[:2]}/{pack}"

    def _first_readable(self, blob: str) -> bytes:
        fault: ObjectMissingError | ObjectDamagedError | None = None
        for place in self.index_of(blob).places(blob):
            try:
                return self._read(blob, place)
            except (ObjectMissingError, ObjectDamagedError) as error:
                fault = error
        raise fault or self._unknown(blob)

    def _read(self, blob: str, place: Place) -> bytes:
        if place.length > self.limits.blob_bytes:
            raise LimitExceededError(name=f"blob {blob}", limit=self.limits.blob_bytes, unit="bytes")
        sealed = self.storage.read(self.pack_path(place.pack), start=place.offset, end=place.offset + place.length)
        return self.unseal(sealed, blob=blob, place=place)

    def _unknown(self, blob: str) -> ObjectMissingError | ObjectDamagedError:
        """Why a blob has no place: perhaps a damaged index knew it, so that calling it missing would be wrong."""
        for name in self.index.faults:
            return ObjectDamagedError(name=f"index/{name}")
        return ObjectMissingError(name=f"blob {blob}")

    def _read_index(self) -> Index:
        self._index_names = self.names("index")
        return merged(dict(self._index_files()))

    def _read_headers(self, index: Index) -> None:
        """Let packs that no index names tell what they hold; a damaged one is kept in mind."""
        index.has_headers = True
        for folder in self.storage.names("data"):
            for pack in self.names(f"data/{folder}"):
                if pack not in index.packs:
                    self._read_header(index, pack)

    def _read_header(self, index: Index, pack: str) -> None:
        try:
            found = list(headers.places(self._header(pack), pack=pack))
        except (ObjectDamagedError, ObjectMissingError, LimitExceededError) as fault:
            index.headless[pack] = fault.code
            return
        index.unlisted.add(pack)
        for blob, place in found:
            index.add(blob, place)

    def _header(self, pack: str) -> bytes:
        path = self.pack_path(pack)
        end = self.storage.size(path) - headers.LENGTH_BYTES
        if end < 0:
            raise ObjectDamagedError(name=f"pack {pack}")
        length = int.from_bytes(self.storage.read(path, start=end, end=end + headers.LENGTH_BYTES), "little")
        if length > self.limits.metadata_bytes:
            raise LimitExceededError(name=f"pack {pack}", limit=self.limits.metadata_bytes, unit="bytes of header")
        if length > end:
            raise ObjectDamagedError(name=f"pack {pack}")
        return self._opened(self.storage.read(path, start=end - length, end=end), name=f"pack {pack}")

    def _index_files(self) -> Iterator[tuple[str, dict[str, Any] | ObjectDamagedError | UnsupportedFormatError]]:
        for name in self._index_names:
            try:
                yield name, self.document(f"index/{name}")
            except ObjectMissingError:
                continue  # removed by a prune between listing and reading: its successor is listed as well
            except (ObjectDamagedError, UnsupportedFormatError) as fault:
                yield name, fault

    def _opened(self, sealed: bytes, *, name: str) -> bytes:
        try:
            return self._key.open(sealed)
        except NotAuthenticError:
            raise ObjectDamagedError(name=name) from None

    def _check_version(self) -> None:
        version = self.document("config").get("version")
        if version not in VERSIONS:
            raise UnsupportedFormatError(name="the repository's configuration")
