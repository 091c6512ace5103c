"""The endorsement key's certificate (VCEK or VLEK) against the report: same firmware, same chip, same product.

Source: AMD, Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification (publication 57230),
table "VCEK/VLEK certificate extensions".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asepsis.attest import der
from asepsis.attest.certificates import Certificate
from asepsis.attest.snp.report import VCEK, VLEK, SnpReport, tcb_levels
from asepsis.errors.attest import EndorsementMismatch, EvidenceMalformed

_OID: Final = "1.3.6.1.4.1.3704.1."
_PRODUCT: Final = _OID + "2"
_CHIP: Final = _OID + "4"
_CLOUD: Final = _OID + "5"
_LEVELS: Final = {
    "boot_loader": _OID + "3.1",
    "tee": _OID + "3.2",
    "snp": _OID + "3.3",
    "microcode": _OID + "3.8",
    "fmc": _OID + "3.9",
}
_TEXT_TAGS: Final = (0x0C, 0x13, 0x16)
_WHOLE_CHIP: Final = 64
_TURIN_CHIP: Final = 8


def order_chain(certificates: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """Endorsement key, signing key (ASK or ASVK) and root key (ARK), however they came. Raises EvidenceMalformed."""
    roots = [item for item in certificates if item.issuer == item.subject]
    leaves = [item for item in certificates if item.path_length is None]
    between = [item for item in certificates if item not in roots and item not in leaves]
    if not len(roots) == len(leaves) == len(between) == 1:
        raise EvidenceMalformed(part="three certificates of AMD are needed")
    return (*leaves, *between, *roots)


def check_endorsement(report: SnpReport, key: Certificate, *, product: str) -> str | None:
    """Check that the key's certificate is for this report, and return the cloud's id of a VLEK.

    Raises:
        EndorsementMismatch: product, firmware level, chip or kind of key differ.
        EvidenceMalformed: an extension cannot be read.
    """
    if report.product not in {None, product} or not _text(key, _PRODUCT).startswith(product):
        raise EndorsementMismatch(part="the product line")
    for name, level in tcb_levels(report.reported_tcb, product=product).items():
        if _level(key, name) != level:
            raise EndorsementMismatch(part=f"the level of {name}")
    if report.signing_key == VCEK:
        _check_chip(report.chip_id, key)
        return None
    if report.signing_key == VLEK and _CHIP not in key.extensions:
        return _text(key, _CLOUD)
    raise EndorsementMismatch(part="the kind of key")


def _check_chip(chip_id: bytes, key: Certificate) -> None:
    """A chip's id has 64 bytes; Turin has 8 and the report fills them up with zeros."""
    chip = key.extensions.get(_CHIP, b"")
    if len(chip) not in {_WHOLE_CHIP, _TURIN_CHIP} or _CLOUD in key.extensions:
        raise EndorsementMismatch(part="the kind of key")
    if chip.ljust(_WHOLE_CHIP, b"\0") != chip_id or not any(chip):
        raise EndorsementMismatch(part="the chip")


def _level(key: Certificate, name: str) -> int | None:
    value = key.extensions.get(_LEVELS[name])
    return None if value is None else der.integer(der.whole(value, der.INTEGER))


def _text(key: Certificate, oid: str) -> str:
    reader = der.DerReader(key.extensions.get(oid, b""))
    content = reader.element(*_TEXT_TAGS).content
    reader.close()
    if not content.isascii():
        raise der.malformed()
    return content.decode("ascii")
