"""Write the backup of an invented Czech hospital: three files in other formats, code pages and styles than the others.

python examples/third_hospital/make_files.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent / "zaloha"

PATIENTS: Final = [
    ("A00017", "Nováková", "Šárka", "1954-03-21", "Ž", "Lhotecká 5", "Plzeň", "\\N"),
    ("A00018", "Dvořák", "Jiří", "1961-11-02", "M", "Na Příkopě 9", "Praha", "2011-04-30"),
    ("A00019", "Říhová", "Zdeňka", "1948-02-30", "Ž", "Údolní 12", "Brno", "\\N"),
    ("A00020", "Žák", "Luboš", "1970-07-15", "M", "U Mlýna\\tdvůr B", "Jičín", "\\N"),
]
RESULTS: Final = [
    "A00017|07. 05. 1999|GLU|5,6|mmol/l",
    "A00018|8. 05. 1999|CHOL|4,9|mmol/l",
    "A00018|31. 04. 1999|CHOL|5,1|mmol/l",
    "A00020|02. 01. 2001|HB|142|g/l",
    "A00099|02. 01. 2001|HB|139|g/l",
    "A00017|11. 12. 2003|XY|1,0|",
]
DIAGNOSES: Final = [
    ("A00017", "E119", "19990507", "Cukrovka"),
    ("A00018", "I10", "20000110", "Vysoký tlak"),
    ("A00019", "J459", "20020201", "Průduškové astma"),
    ("A00020", "E752", "20030315", "Gaucherova nemoc"),
]


def main() -> None:
    """Write the files."""
    HERE.mkdir(exist_ok=True)
    lines = ["--\n-- PostgreSQL database dump\n--\nSET client_encoding = 'UTF8';\n"]
    lines.append("COPY public.pacient (cislo, prijmeni, jmeno, narozen, pohlavi, ulice, mesto, zemrel) FROM stdin;\n")
    lines += ["\t".join(row) + "\n" for row in PATIENTS] + ["\\.\n"]
    lines.append("COPY public.uzivatel (id) FROM stdin;\n1\n\\.\n-- PostgreSQL database dump complete\n")
    (HERE / "kartoteka.sql").write_text("".join(lines), encoding="utf-8", newline="")
    head = "CISLO|DATUM|ZKOUSKA|VYSLEDEK|JEDNOTKA"
    (HERE / "laborator.txt").write_text("\r\n".join([head, *RESULTS, ""]), encoding="cp1250", newline="")
    fixed = "".join(f"{number:<8}{code:<6}{day}{name:<24}\n" for number, code, day, name in DIAGNOSES)
    (HERE / "diagnozy.dat").write_text(fixed, encoding="cp852", newline="")


if __name__ == "__main__":
    main()
