"""Recovery shares as files: one file for each holder, and the way back from enough of them, with every refusal named.

A share says whose key it belongs to and its number. One file says nothing of the key; as many as were agreed make it
whole, so each holder keeps theirs apart from all others. A share can be sealed (HPKE) to its holder, who later opens it
and seals it again to the desk that lost its key: then it is nowhere in the clear between the two.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.names import PartyId
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.keys import HoldersRefused, ShareRefused, SharesRefused
from asepsis.errors.sealing import EnvelopeRefused
from asepsis.keys.kek import write_kek
from asepsis.keys.shares import RecoveryShare, restore
from asepsis.sealing.canonical import canonical
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.keys import KEY_LENGTH

FORMAT: Final = "asepsis/recovery-share/1"
SEALED: Final = "asepsis/sealed-share/1"
_LONGEST: Final = 4096
_SEALED_LENGTH: Final = 80
"""Bytes of a sealed share: 32 of the encapsulated key, 32 of the share, 16 of the tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptShare:
    """A share and the file that it came from."""

    path: Path
    share: RecoveryShare


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a share: a name, and the public key (X25519) that the share is sealed to."""

    name: str
    key: bytes


class Opens(Protocol):
    """A party's keys, as far as they open what was sealed to it."""

    def open_sealed(self, sealed: bytes, *, info: bytes) -> bytes:
        """Open an envelope. Raises EnvelopeRefused."""
        ...


def check_holders(holders: Sequence[Holder], *, shares: int) -> None:
    """Raise HoldersRefused unless each share, if any is sealed, goes to a holder and a key of its own."""
    if holders and len(holders) != shares:
        raise HoldersRefused(problem="there are not as many as shares")
    if len({holder.name for holder in holders}) != len(holders) or len({one.key for one in holders}) != len(holders):
        raise HoldersRefused(problem="one of them is named twice")


def write_sealed_shares(
    folder: Path, owner: PartyId, shares: Sequence[RecoveryShare], *, holders: Sequence[Holder]
) -> tuple[Path, ...]:
    """Write one file for each share, sealed to its holder. Raises KeyMalformed, KeysExist or KeysUnwritable."""
    paths = []
    for share, holder in zip(shares, holders, strict=True):
        paths.append(folder / f"{owner}-share-{share.number}-{holder.name}.json")
        write_kek(paths[-1], json.dumps(_sealed(share, owner, holder), indent=1).encode())
    return tuple(paths)


def pass_on(path: Path, out: Path, *, owner: PartyId, keys: Opens, to: Holder) -> None:
    """Open a share as its holder, and seal it to somebody else, who is the desk that lost its key.

    Raises ShareRefused, KeyMalformed, KeysExist or KeysUnwritable.
    """
    kept = read_share(path, owner=owner, keys=keys)
    write_kek(out, json.dumps(_sealed(kept.share, owner, to), indent=1).encode())


def write_shares(folder: Path, owner: PartyId, shares: Sequence[RecoveryShare]) -> tuple[Path, ...]:
    """Write one file for each share, for the owner alone. Raises KeysExist or KeysUnwritable."""
    paths = []
    for share in shares:
        document = {
            "format": FORMAT,
            "owner": owner,
            "number": share.number,
            "needed": share.needed,
            "share": encode_bytes(share.share),
            "check": encode_bytes(share.check),
        }
        paths.append(folder / f"{owner}-share-{share.number}.json")
        write_kek(paths[-1], json.dumps(document, indent=1).encode())
    return tuple(paths)


def read_share(path: Path, *, owner: PartyId, keys: Opens | None = None) -> KeptShare:
    """Read one share of an owner's key, with the keys of whom it is sealed to. Raises ShareRefused."""
    try:
        with path.open("rb") as file:
            fields = Fields(json.loads(file.read(_LONGEST)), document="share")
        form = fields.text("format")
        if form not in {FORMAT, SEALED}:
            raise ShareRefused(share=path.name, problem="it is of another format")
        whose = fields.text("owner")
        number, needed = fields.integer("number", least=1), fields.integer("needed", least=2)
        check = fields.octets("check", length=32)
        if form == FORMAT:
            value = fields.octets("share", length=32)
        else:
            holder, sealed = fields.text("holder"), fields.octets("sealed", length=_SEALED_LENGTH)
            info = _info(whose, holder, number=number, needed=needed, check=check)
            value = b"" if keys is None else keys.open_sealed(sealed, info=info)
        fields.close()
        if len(value) != KEY_LENGTH:
            raise ShareRefused(share=path.name, problem="it is sealed, and nobody opened it")
        share = RecoveryShare(number=number, needed=needed, share=value, check=check)
    except OSError:
        raise ShareRefused(share=path.name, problem="it cannot be read") from None
    except EnvelopeRefused:
        raise ShareRefused(share=path.name, problem="it is sealed to another key, or was changed") from None
    except (ValueError, RecursionError, DocumentMalformed):
        raise ShareRefused(share=path.name, problem="it is no recovery share") from None
    if whose != owner:
        raise ShareRefused(share=path.name, problem=f"it is not one of {owner}")
    return KeptShare(path=path, share=share)


def restore_key(kept: Sequence[KeptShare]) -> bytes:
    """The key behind enough shares.

    Raises:
        ShareRefused: one that can be named is given twice, is of another key, or was changed.
        SharesRefused: there are too few, or nobody can say which one was changed.
    """
    _check_apart(kept)
    try:
        return restore([one.share for one in kept])
    except SharesRefused:
        _name_the_changed(kept)
        raise


def _sealed(share: RecoveryShare, owner: PartyId, holder: Holder) -> Document:
    info = _info(owner, holder.name, number=share.number, needed=share.needed, check=share.check)
    return {
        "format": SEALED,
        "owner": owner,
        "holder": holder.name,
        "number": share.number,
        "needed": share.needed,
        "check": encode_bytes(share.check),
        "sealed": encode_bytes(seal_to(holder.key, share.share, info=info)),
    }


def _info(owner: str, holder: str, *, number: int, needed: int, check: bytes) -> bytes:
    """What the seal is bound to: the share in another place, or under another name, does not open."""
    about = {"owner": owner, "holder": holder, "number": number, "needed": needed, "check": encode_bytes(check)}
    return SEALED.encode() + b"\x00" + canonical(about)


def _check_apart(kept: Sequence[KeptShare]) -> None:
    seen: dict[int, KeptShare] = {}
    for one in kept:
        first = kept[0].share
        if (one.share.needed, one.share.check) != (first.needed, first.check):
            raise ShareRefused(share=one.path.name, problem=f"it belongs to another key than {kept[0].path.name}")
        if one.share.number in seen:
            problem = f"it has the same number as {seen[one.share.number].path.name}"
            raise ShareRefused(share=one.path.name, problem=problem)
        seen[one.share.number] = one


def _name_the_changed(kept: Sequence[KeptShare]) -> None:
    """With more shares than are needed, the others show which one was changed."""
    for one in kept:
        with suppress(SharesRefused):
            restore([other.share for other in kept if other is not one])
            raise ShareRefused(share=one.path.name, problem="it was changed; the others make the key without it")
