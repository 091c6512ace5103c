"""Extensions and names of notes from the ransomware cluster of the MISP galaxy, the optional extra ``misp``.

The list is that of the installed package ``pymispgalaxies`` (BSD-3-Clause; the data CC0 or BSD-2-Clause); it is read
when a scan asks for it and nothing of it is kept here. What is no plain extension or file name there (descriptions,
templates with random parts) is left out, and so is what ordinary files are called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from asepsis.errors.estate import NamesUnavailable
from asepsis.integrity import formats
from asepsis.integrity.notes import KnownNames

_CLUSTER: Final = "data/misp-galaxy/clusters/ransomware.json"
_EXTENSION: Final = re.compile(r"\.?([A-Za-z0-9_-]{3,24})")
_NOTE: Final = re.compile(
    r"[^<>\[\]*\n/\\%{}]{4,80}\.(?:txt|html?|hta|rtf|png|bmp|jpg|jpeg|log|url|lnk)", re.IGNORECASE
)
_ORDINARY: Final = frozenset(
    """
    aes backup bin bip bmp bot btc code com core crypto css dat data dll doc docm docx enc exe fun good help hta htm
    html ini jpg lnk lock log lol man mp3 mp4 msg news note odt ogg open pdf perl php png ppt ps1 rar readme report rtf
    scr set sql svg tax test tmp txt url vbs wav win xls xlsx xml zip
    """.split()  # noqa: SIM905  a list of words is read as words
)
_ORDINARY_NOTES: Final = re.compile(
    r"""(?ix) (?:[_!\#]*(?:read[\ _-]?me(?:[\ _-]?please)?|read[\ _-]?(?:it|this)|message|notice|info|information|help
    |notes?|motd|more|important|warning|instructions?|contact|index|license|error|hello|attention|news|start|files?|data
    |key|email|password|recover|recovery|restore|unlock|desktop|wallpaper|background|picture|image|\W+|\w{1,4}))\.\w+"""
)


def misp_names() -> KnownNames:
    """The names as the installed package has them. Raises NamesUnavailable."""
    spec = find_spec("pymispgalaxies")
    if spec is None or not spec.submodule_search_locations:
        raise NamesUnavailable
    try:
        content = (Path(spec.submodule_search_locations[0]) / _CLUSTER).read_bytes()
        families = [family.get("meta", {}) for family in json.loads(content)["values"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise NamesUnavailable from None
    return KnownNames(
        extensions=frozenset(_extensions(families)),
        notes=frozenset(_notes(families)),
        edition=f"misp-galaxy:{sha256(content).hexdigest()}",
    )


def _extensions(families: list[dict[str, Any]]) -> Iterator[str]:
    for text in _texts(families, "extensions"):
        found = _EXTENSION.fullmatch(text.strip())
        if found is None:
            continue
        name = found.group(1).lower()
        if name not in _ORDINARY and not formats.is_known_extension(f"x.{name}"):
            yield name


def _notes(families: list[dict[str, Any]]) -> Iterator[str]:
    for text in _texts(families, "ransomnotes-filenames"):
        name = text.strip()
        if _NOTE.fullmatch(name) and not _ORDINARY_NOTES.fullmatch(name):
            yield name.lower()


def _texts(families: list[dict[str, Any]], field: str) -> Iterator[str]:
    return (text for family in families for text in family.get(field, []) if isinstance(text, str))
