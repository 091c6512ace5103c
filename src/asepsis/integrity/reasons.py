"""Why an object or a restore point is not clean: every reason code and what it means, as the reference has it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "content.entropy_rose": "The beginning is much nearer to noise than in the last clean version of the file.",
        "content.noise_blocks": "There are blocks of noise where the last clean version had none: encryption in parts.",
        "content.random": "The beginning is noise, and no format that is known.",
        "content.wiped": "The beginning is one byte over and over; the last clean version held something.",
        "format.changed": "The file was of another format in its last clean version.",
        "format.checksum_wrong": "A checksum of the format itself (gzip, zip, PNG, xz, bzip2, zstd) does not fit.",
        "format.encoding_broken": "The text is not in the encoding that it declares, or began with.",
        "format.header_damaged": "The header contradicts itself: its checksum, its lengths, its sizes of pages.",
        "format.header_lost": "The name, or the last clean version, promises a format; the content is of none.",
        "format.record_count_wrong": "There are more or fewer records than the file says.",
        "format.records_damaged": "Records do not begin as records of the format do, or their text is none.",
        "format.structure_damaged": "Parts do not fit each other: pages, elements, segments, directories, references.",
        "format.too_large": "Unpacking was stopped at a limit: it may be a bomb.",
        "format.too_odd": "A zip archive uses what cannot be followed from front to back.",
        "format.truncated": "The end that the format needs is missing.",
        "format.uneven_text": "Blocks of an EBCDIC file are neither text nor packed numbers.",
        "format.unreadable_json": "It is no JSON, although the name or the last clean version says so.",
        "format.unreadable_text": "Blocks among the text hold control characters as noise does.",
        "format.unreadable_xml": "It is not well-formed XML, although the name or the last clean version says so.",
        "name.known_ransom_note": "Ransomware is known to leave notes under this name.",
        "name.known_ransomware_extension": "Ransomware is known to use this extension.",
        "note.ransom": "A short text says what ransom notes say.",
        "object.unreadable": "The source could not deliver the object; the code of its error follows.",
        "page.checksum_wrong": "A page of PostgreSQL does not fit its checksum: damage, or a copy of a page at work.",
        "pixels.damaged": "A packed image inside a DICOM file is damaged.",
        "pixels.noise": "There are blocks of noise among the pixels of a DICOM file.",
        "rule.compromised": "A rule matched whose metadata condemn what it matches.",
        "rule.suspect": "A rule matched.",
        "signal.mass_deletion": "More than half of the files of the last clean restore point are gone.",
        "signal.mass_rename": "More than half of the files got the same new, unknown extension.",
        "signal.mass_rewrite": "More than half of the files changed; ordinary between distant points.",
        "signal.ransom_note": "Files with the text of a ransom note.",
        "signal.times_kept": "Content changed while the time of the file stayed the same.",
    }
)


def severity(code: str, compromising: frozenset[str]) -> str:
    """What a reason makes of an object or a restore point when it stands alone."""
    if code in compromising or code == "signal.ransom_note":
        return "compromised"
    if code == "object.unreadable":
        return "unknown"
    return "nothing" if code in {"signal.mass_rewrite", "signal.times_kept"} else "suspect"
