"""What other tools do with the files of ``bench_contribution``: rates, and rows that are lost without a word.

Run in an environment of its own; imports nothing of Asepsis. Arguments: ``name=path``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HL7_MESSAGES = 2_000


def main() -> None:
    """Measure what is installed."""
    files = {name: Path(path) for name, path in (word.split("=", 1) for word in sys.argv[1:])}
    labs, messages = files["labs"], files["messages"]
    measure("pandas", "read_csv", lambda: pandas_rows(labs))
    measure("polars", "read_csv", lambda: polars_rows(labs))
    measure("hl7", "parse", lambda: hl7_messages(messages))
    if "carrot" in files:
        measure("carrottransform", "mapstream", lambda: carrot_rows(files["carrot_inputs"], files["carrot"]))


def measure(module: str, what: str, call: Callable[[], int]) -> None:
    """Print records per CPU second, children included."""
    if importlib.util.find_spec(module) is None:
        print(f"{module:16} not installed")
        return
    start = _spent()
    try:
        count = call()
    except (ValueError, OSError) as error:
        print(f"{module:16} {what}: stopped with {type(error).__name__}")
        return
    print(f"{module:16} {what}: {count / (_spent() - start):11,.0f} records/s of {count:,}")


def _spent() -> float:
    """CPU seconds of this process and of those it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def pandas_rows(path: Path) -> int:
    """Every column as text, as people usually read it."""
    import pandas as pd  # noqa: PLC0415 - a peer that may be absent

    return len(pd.read_csv(path, sep=";", dtype=str, encoding="latin-1"))


def polars_rows(path: Path) -> int:
    """Every column as text."""
    import polars as pl  # noqa: PLC0415 - a peer that may be absent

    return pl.read_csv(path, separator=";", infer_schema=False, encoding="latin-1").height


def hl7_messages(path: Path) -> int:
    """The first messages, parsed into trees."""
    import hl7  # noqa: PLC0415 - a peer that may be absent

    found = path.read_bytes().decode("latin-1").split("\rMSH")[:HL7_MESSAGES]
    for number, text in enumerate(found):
        hl7.parse(text if number == 0 else f"MSH{text}")
    return len(found)


def carrot_rows(inputs: Path, example: Path) -> int:
    """Carrot's own example, repeated, with dates that are impossible, written otherwise, or blank."""
    import carrottransform  # noqa: PLC0415 - a peer that may be absent

    config, output = Path(carrottransform.__file__).parent / "config", inputs.parent / "carrot-out"
    output.mkdir()
    words = [
        str(Path(sys.executable).with_name("carrot-transform")),
        *("run", "mapstream", "--rules-file", str(example / "rules" / "rules_14June2021.json")),
        *("--person", "Demographics", "--inputs", str(inputs), "--output", str(output)),
        *("--omop-ddl-file", str(config / "OMOPCDM_postgresql_5.4_ddl.sql")),
        *("--omop-config-file", str(config / "config.json")),
    ]
    done = subprocess.run(words, check=False, capture_output=True)
    made = {path.stem: sum(1 for _ in path.open("rb")) - 1 for path in sorted(output.glob("*.tsv"))}
    print(f"carrot-transform ended with {done.returncode} and wrote {made}")
    return sum(sum(1 for _ in path.open("rb")) - 1 for path in inputs.glob("*.csv"))


if __name__ == "__main__":
    main()
