"""Runs the reference's generator of two hospitals and writes besides who is whose twin, as Parquet.

Run in an environment of its own (``pip install names 'pandas<3' pyarrow``); imports nothing of Asepsis.
Arguments: the generator, records per owner, a folder.
"""

import runpy
import sys
from pathlib import Path

import pandas as pd

generator, records, folder = sys.argv[1:]
sys.argv = [generator, records, "0.5", "7", folder]
made = runpy.run_path(generator)
twins, born = made["tw"], made["base"]["date_of_birth"].to_numpy()
twins = twins[born[twins] == born[twins - 1]]
pd.DataFrame({"one": twins - 1, "other": twins}).to_parquet(Path(folder) / "twins.parquet")
