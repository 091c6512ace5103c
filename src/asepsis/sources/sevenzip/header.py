"""What a 7z header says: packed streams, the folders that unpack them, and the files inside.

Source: 7-Zip's ``DOC/7zFormat.txt``. A header that contradicts itself is damage; nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asepsis.sources.sevenzip.octets import Octets

_END: Final = 0x00
HEADER: Final = 0x01
_ARCHIVE_PROPERTIES: Final = 0x02
_ADDITIONAL_STREAMS: Final = 0x03
_MAIN_STREAMS: Final = 0x04
_FILES: Final = 0x05
_PACK: Final = 0x06
_UNPACK: Final = 0x07
_SUBSTREAMS: Final = 0x08
_SIZE: Final = 0x09
_CRC: Final = 0x0A
_FOLDER: Final = 0x0B
_UNPACK_SIZE: Final = 0x0C
_STREAM_COUNT: Final = 0x0D
_EMPTY_STREAM: Final = 0x0E
_EMPTY_FILE: Final = 0x0F
_ANTI: Final = 0x10
_NAMES: Final = 0x11
_MODIFIED: Final = 0x14
_ATTRIBUTES: Final = 0x15
ENCODED_HEADER: Final = 0x17
_MOST_CODERS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Coder:
    """One method of a folder and its properties."""

    method: bytes
    properties: bytes


@dataclass(slots=True, kw_only=True)
class Folder:
    """A run of methods that unpacks one packed stream; ``coders`` is empty when it is no simple chain.

    ``coders`` lie in the order in which unpacking applies them.
    """

    coders: tuple[Coder, ...]
    packed: int
    outputs: int
    size: int = 0
    main: int = 0
    crc: int | None = None
    offset: int = 0
    packed_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file, and the folder, offset and checksum of its content (no folder: it has none)."""

    name: str
    is_directory: bool
    size: int
    modified: int | None
    attributes: int
    folder: int | None
    offset: int
    crc: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The folders and, for each, the sizes and checksums of what lies in it one after the other."""

    folders: tuple[Folder, ...]
    parts: tuple[tuple[tuple[int, int | None], ...], ...]


def streams_of(octets: Octets) -> Streams:
    """A ``StreamsInfo``. Raises ArchiveDamagedError."""
    offset, packed, folders = 0, list[int](), list[Folder]()
    parts: list[tuple[tuple[int, int | None], ...]] | None = None
    while kind := octets.byte():
        if kind == _PACK:
            offset, packed = _packed(octets)
        elif kind == _UNPACK:
            folders = _folders(octets)
        elif kind == _SUBSTREAMS:
            parts = _parts(octets, folders)
        else:
            raise octets.damaged()
    _place(octets, folders, offset=offset, packed=packed)
    whole = [((folder.size, folder.crc),) for folder in folders]
    return Streams(folders=tuple(folders), parts=tuple(whole if parts is None else parts))


def members_of(octets: Octets) -> tuple[Streams, tuple[Member, ...]]:
    """A ``Header`` after its first byte. Raises ArchiveDamagedError."""
    streams, members = Streams(folders=(), parts=()), tuple[Member, ...]()
    while kind := octets.byte():
        if kind == _ARCHIVE_PROPERTIES:
            while octets.byte():
                octets.take(octets.number())
        elif kind == _ADDITIONAL_STREAMS:
            streams_of(octets)
        elif kind == _MAIN_STREAMS:
            streams = streams_of(octets)
        elif kind == _FILES:
            members = _members(octets, streams)
        else:
            raise octets.damaged()
    return streams, members


def _packed(octets: Octets) -> tuple[int, list[int]]:
    offset, count = octets.number(), octets.count()
    sizes: list[int] = []
    while kind := octets.byte():
        if kind == _SIZE:
            sizes = [octets.number() for _ in range(count)]
        elif kind == _CRC:
            octets.values(count, 4)
        else:
            raise octets.damaged()
    return offset, sizes


def _folders(octets: Octets) -> list[Folder]:
    _expect(octets, _FOLDER)
    count = octets.count()
    _expect(octets, 0)  # not kept elsewhere
    folders = [_folder(octets) for _ in range(count)]
    _expect(octets, _UNPACK_SIZE)
    for folder in folders:
        sizes = [octets.number() for _ in range(folder.outputs)]
        folder.size = sizes[folder.main]
    while kind := octets.byte():
        if kind != _CRC:
            raise octets.damaged()
        for folder, crc in zip(folders, octets.values(count, 4), strict=True):
            folder.crc = crc
    return folders


def _folder(octets: Octets) -> Folder:
    count = octets.number()
    if not 0 < count <= _MOST_CODERS:
        raise octets.damaged()
    shapes = [_coder(octets) for _ in range(count)]
    inputs, outputs = sum(shape[1] for shape in shapes), sum(shape[2] for shape in shapes)
    if outputs < 1 or inputs < outputs - 1 or inputs > _MOST_CODERS:
        raise octets.damaged()
    binds = [(octets.number(), octets.number()) for _ in range(outputs - 1)]
    packed = inputs - len(binds)
    first = [octets.number() for _ in range(packed)] if packed > 1 else []
    main = next((i for i in range(outputs) if i not in {out for _, out in binds}), None)
    if main is None:
        raise octets.damaged()
    simple = not first and all(shape[1:] == (1, 1) for shape in shapes)
    order = _order(main, dict(binds), len(shapes)) if simple else []
    return Folder(coders=tuple(shapes[i][0] for i in order), packed=packed, outputs=outputs, main=main)


def _order(main: int, binds: dict[int, int], count: int) -> list[int]:
    """From the coder that reads the packed stream to the one whose output is the content; none for a circle."""
    order, here = list[int](), main
    while len(order) < count:
        order.append(here)
        if here not in binds:
            break
        here = binds[here]
    return order[::-1] if len(order) == count else []


def _coder(octets: Octets) -> tuple[Coder, int, int]:
    flags = octets.byte()
    if flags & 0xC0:
        raise octets.damaged()
    method = octets.take(flags & 0x0F)
    inputs, outputs = (octets.number(), octets.number()) if flags & 0x10 else (1, 1)
    properties = octets.take(octets.number()) if flags & 0x20 else b""
    return Coder(method=method, properties=properties), inputs, outputs


def _parts(octets: Octets, folders: list[Folder]) -> list[tuple[tuple[int, int | None], ...]]:
    counts, kind = [1] * len(folders), octets.byte()
    if kind == _STREAM_COUNT:
        counts, kind = [octets.count() for _ in folders], octets.byte()
    sizes = []
    for folder, count in zip(folders, counts, strict=True):
        given = [octets.number() for _ in range(count - 1)] if kind == _SIZE else []
        sizes.append(_sizes(octets, folder.size, count, given))
    kind = octets.byte() if kind == _SIZE else kind
    crcs = [_known_crc(folder, count) for folder, count in zip(folders, counts, strict=True)]
    unknown = sum(count for count, crc in zip(counts, crcs, strict=True) if crc is None)
    digests: list[int | None] = [None] * unknown
    while kind != _END:
        if kind != _CRC:
            raise octets.damaged()
        digests, kind = octets.values(unknown, 4), octets.byte()
    following = iter(digests)
    return [
        tuple((size, next(following) if crc is None else crc) for size in part)
        for part, crc in zip(sizes, crcs, strict=True)
    ]


def _known_crc(folder: Folder, count: int) -> int | None:
    return folder.crc if count == 1 else None


def _sizes(octets: Octets, whole: int, count: int, given: list[int]) -> list[int]:
    if count == 0:
        return []
    if len(given) != count - 1 or sum(given) > whole:
        raise octets.damaged()
    return [*given, whole - sum(given)]


def _place(octets: Octets, folders: list[Folder], *, offset: int, packed: list[int]) -> None:
    """Give each folder the place of its packed stream."""
    if sum(folder.packed for folder in folders) != len(packed):
        raise octets.damaged()
    sizes = iter(packed)
    for folder in folders:
        own = [next(sizes) for _ in range(folder.packed)]
        folder.offset, folder.packed_size = offset, own[0] if own else 0
        offset += sum(own)


def _members(octets: Octets, streams: Streams) -> tuple[Member, ...]:
    count = octets.count()
    properties: dict[int, Octets] = {}
    while kind := octets.number():
        properties[kind] = Octets(octets.take(octets.number()), name=octets.name, limits=octets.limits)
    empty = properties[_EMPTY_STREAM].bits(count) if _EMPTY_STREAM in properties else [False] * count
    is_file = properties[_EMPTY_FILE].bits(sum(empty)) if _EMPTY_FILE in properties else [False] * sum(empty)
    if _ANTI in properties and any(properties[_ANTI].bits(sum(empty))):
        raise octets.damaged()  # it asks for a deletion: part of an update, no archive of files
    names = _names(octets, properties.get(_NAMES), count)
    modified = _fixed(properties.get(_MODIFIED), count, 8)
    attributes = _fixed(properties.get(_ATTRIBUTES), count, 4)
    places = iter(_places(octets, streams, count - sum(empty)))
    directories = iter(not bit for bit in is_file)
    members = []
    for i in range(count):
        size, crc, folder, offset = (0, None, None, 0) if empty[i] else next(places)
        members.append(
            Member(
                name=names[i],
                is_directory=empty[i] and next(directories),
                size=size,
                modified=modified[i],
                attributes=attributes[i] or 0,
                folder=folder,
                offset=offset,
                crc=crc,
            )
        )
    return tuple(members)


def _places(octets: Octets, streams: Streams, count: int) -> list[tuple[int, int | None, int | None, int]]:
    """Size, checksum, folder and offset of every content, in the order of the members that have one."""
    places: list[tuple[int, int | None, int | None, int]] = []
    for number, parts in enumerate(streams.parts):
        offset = 0
        for size, crc in parts:
            places.append((size, crc, number, offset))
            offset += size
    if len(places) != count:
        raise octets.damaged()
    return places


def _names(octets: Octets, inner: Octets | None, count: int) -> list[str]:
    if inner is None:
        raise octets.damaged()
    _expect(inner, 0)  # not kept elsewhere
    try:
        names = inner.rest().decode("utf-16-le", "surrogatepass").split("\0")
    except UnicodeDecodeError:
        raise octets.damaged() from None
    if len(names) != count + 1 or names[-1]:
        raise octets.damaged()
    return names[:-1]


def _fixed(inner: Octets | None, count: int, width: int) -> list[int | None]:
    if inner is None:
        return [None] * count
    defined = inner.defined(count)
    _expect(inner, 0)  # not kept elsewhere
    return [int.from_bytes(inner.take(width), "little") if has else None for has in defined]


def _expect(octets: Octets, kind: int) -> None:
    if octets.byte() != kind:
        raise octets.damaged()
