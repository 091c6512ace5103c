"""Words that identify nobody: particles, titles, placeholders, units of an address. Data, in normalised form."""

from __future__ import annotations

from typing import Final


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


PARTICLES: Final = _listed(
    "van von der den de del della di da do dos das du des la le las los el al bin ibn ben ter ten y zu zur"
)
SUFFIXES: Final = _listed("jr sr junior senior ii iii iv md phd")
TITLES: Final = _listed("mr mrs ms miss dr prof sir frau herr sra sr don dona")
NO_NAMES: Final = _listed("""
    unknown unk unbekannt inconnu desconocido na none null nil notknown noname unidentified anonymous anonym
    test testpatient zztest zzz xxx xx donotuse dummy johndoe janedoe patient male female deceased
    baby babyboy babygirl boy girl infant newborn neugeborenes bebe twin twina twinb
""")
"""Written in place of a name; nobody is found by one."""
