"""American Soundex: names that sound alike share a key of one letter and three digits.

Source: the rules of the US National Archives, https://www.archives.gov/research/census/soundex (a letter
with the code of the letter before it is skipped, also across ``h`` and ``w``; a vowel separates).
"""

from __future__ import annotations

from typing import Final

_CODES: Final = {
    letter: digit
    for letters, digit in (("bfpv", "1"), ("cgjkqsxz", "2"), ("dt", "3"), ("l", "4"), ("mn", "5"), ("r", "6"))
    for letter in letters
}
_SILENT: Final = "hw"
_LENGTH: Final = 4


def soundex(name: str) -> str | None:
    """The Soundex key of a normalised name; ``None`` where the name does not begin with a Latin letter."""
    if not name or not ("a" <= name[0] <= "z"):
        return None
    key = name[0]
    before = _CODES.get(name[0], "")
    for letter in name[1:]:
        code = _CODES.get(letter, "")
        if code and code != before:
            key += code
        if letter not in _SILENT:
            before = code
    return key[:_LENGTH].ljust(_LENGTH, "0")
