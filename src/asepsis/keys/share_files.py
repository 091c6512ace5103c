"""Recovery shares as files: one file for each holder, and the way back from enough of them, with every refusal named.

A share says whose key it belongs to and its number. One file says nothing of the key; as many as were agreed make it
whole, so each holder keeps theirs apart from all others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asepsis.domain.documents import Fields, encode_bytes
from asepsis.domain.names import PartyId
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.keys import ShareRefused, SharesRefused
from asepsis.keys.kek import write_kek
from asepsis.keys.shares import RecoveryShare, restore

FORMAT: Final = "asepsis/recovery-share/1"
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptShare:
    """A share and the file that it came from."""

    path: Path
    share: RecoveryShare


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


def read_share(path: Path, *, owner: PartyId) -> KeptShare:
    """Read one share of an owner's key. Raises ShareRefused."""
    try:
        with path.open("rb") as file:
            fields = Fields(json.loads(file.read(_LONGEST)), document="share")
        if fields.text("format") != FORMAT:
            raise ShareRefused(share=path.name, problem="it is of another format")
        whose = fields.text("owner")
        share = RecoveryShare(
            number=fields.integer("number", least=1),
            needed=fields.integer("needed", least=2),
            share=fields.octets("share", length=32),
            check=fields.octets("check", length=32),
        )
        fields.close()
    except OSError:
        raise ShareRefused(share=path.name, problem="it cannot be read") from None
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
