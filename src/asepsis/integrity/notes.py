"""Facts about ransomware that file names and notes show: extensions, names of notes, phrases of notes.

A small list of common ones, chosen from the ransomware cluster of the MISP galaxy
(https://github.com/MISP/misp-galaxy, CC0 / BSD-2-Clause); the whole cluster can take its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

EXTENSIONS: Final = frozenset(
    """
    abcdlocker akira alphv avos avos2 avoslinux babuk babyk basta bianlian bl00dy blackbyte blackcat blackmatter
    cerber cerber2 cerber3 cl0p clop conti crab crinf crjoker crypt crypt1 cryptolocker cryptowall crypz cuba darkside
    dharma djvu ecc enc1 encrypt encrypted encryptedrsa exx ezz gandcrab gdcb karma krab kraken lockbit lockbit2
    lockbit3 locked lockfile locky lokilocker mallox medusa medusalocker nefilim netwalker nokoyawa odin onion osiris
    payola phobos pysa qilin ragnar ragnarlocker ransom ransomexx rhysida royal ryk ryuk sodinokibi suncrypt thanos
    trigona ttt vvv wallet wannacry wcry wncry wncryt wncrypt xorist xtbl zepto zeppelin zzz zzzzz
    """.split()  # noqa: SIM905  a list of a hundred words is read as words
)

_NOTE_NAMES: Final = re.compile(
    r"""(?ix) ^(?:
      [_!\#]*read[_\- ]?me[_\- ]*(?:restore|decrypt|to[_\- ]recover|to[_\- ]decrypt|now|for[_\- ]decrypt|unlock).*
    | [_!\#]*(?:how|help)[_\- ](?:to|you|for)?[_\- ]*(?:decrypt|recover|restore|unlock|back).*
    | [_!\#]*(?:decrypt|recover|recovery|restore|unlock)[_\- ]+(?:my|your|all|me|the|instructions?|files?|data).*
    | (?:restore-my-files|_readme|cl0preadme\w*|clop_?readme\w*|@please_read_me@|ryukreadme|akira_readme\w*
        |_locky_recover_instructions|your[_\- ]files[_\- ]are[_\- ]encrypted|_?\#?_?decrypt_?\#?_?instructions?)\b.*
    ) \.(?:txt|html?|hta|rtf|md|png|bmp|log)$"""
)

NOTE_PHRASES: Final = 3
"""So many different phrases make a short text a ransom note; clinical prose has hardly one."""
_PHRASES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rb"(?:files|data|network|documents|systems?)[^.\n]{0,60}(?:been|are|is|were|was)[^.\n]{0,12}encrypted",
        rb"private key|decryption key|unique key|master key",
        rb"decryptor|decryption (?:tool|software)|can (?:only )?be decrypted|decrypt (?:your|all|the|my) ",
        rb"bitcoin|\bbtc\b|monero|\bxmr\b|ransom",
        rb"tor browser|torproject|\.onion\b|tox chat|tox id",
        rb"do not (?:try to )?(?:rename|modify|delete|decrypt|recover)[^.\n]{0,40}files?",
        rb"will be (?:published|leaked|sold|lost)|permanent(?:ly)? (?:data )?loss|publish your data",
        rb"within (?:\d+|the next \d+|twenty|forty|seventy)[^.\n]{0,12}(?:hours|days)|price (?:will|is) doubled?",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """Extensions (lower case, no dot) and file names of notes (lower case) beside our own, and where they are from."""

    extensions: frozenset[str] = frozenset()
    notes: frozenset[str] = frozenset()
    edition: str = "asepsis"

    def has_extension(self, extension: str) -> bool:
        """Whether ransomware is known to use this extension (lower case, no dot)."""
        return extension in EXTENSIONS or extension in self.extensions

    def has_note(self, name: str) -> bool:
        """Whether ransomware is known to leave notes under such a file name."""
        return _NOTE_NAMES.match(name) is not None or name.lower() in self.notes


OUR_NAMES: Final = KnownNames()


_WORDS: Final = (
    ((b"crypt",), (0, 2)),
    ((b" key",), (1,)),
    ((b"do not ",), (5,)),
    ((b"within ", b"price "), (7,)),
    ((b"will be ", b"permanent", b"publish your data"), (6,)),
    ((b"tor browser", b"torproject", b".onion", b"tox "), (4,)),
    ((b"bitcoin", b"btc", b"monero", b"xmr", b"ransom"), (3,)),
)
"""One of these words occurs wherever one of these phrases does; looking for words is many times as fast.

What is looked for fastest comes first.
"""


def phrases_in(text: bytes, *, least: int = 1) -> int:
    """How many different typical phrases of ransom notes occur (ASCII, any case); 0 where they are fewer than least."""
    lowered, left = text.lower(), len(_PHRASES)
    possible: list[int] = []
    for words, phrases in _WORDS:
        left -= len(phrases)
        if any(word in lowered for word in words):
            possible += phrases
        if len(possible) + left < least:
            return 0
    found = sum(_PHRASES[at].search(lowered) is not None for at in possible)
    return found if found >= least else 0
