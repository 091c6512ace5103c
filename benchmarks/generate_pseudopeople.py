"""Writes the decennial censuses of 2020 and 2030 of pseudopeople's sample population, as Parquet.

Run in an environment of its own (``pip install pseudopeople 'pandas<3'``); imports nothing of Asepsis. The noise is
that of the package's defaults under its default seed. Source: pseudopeople (Institute for Health Metrics and
Evaluation), https://pseudopeople.readthedocs.io
"""

import sys
from pathlib import Path

from pseudopeople import generate_decennial_census

for year in (2020, 2030):
    census = generate_decennial_census(year=year, verbose=False)
    census.astype("string").to_parquet(Path(sys.argv[1]) / f"{year}.parquet")
