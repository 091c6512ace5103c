"""Runs other tools for differential privacy on the data of a benchmark, in the same run, in environments of their own.

They need other versions of common libraries, so they never share ours. ``ASEPSIS_DP_PEERS`` names the Python of one, or
several with the separator of paths.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

MISSING: Final = """\
other tools: not run, for ASEPSIS_DP_PEERS names no Python. An environment for them, apart from ours:
  python3.11 -m venv dp-peers
  dp-peers/bin/pip install 'opendp[polars]' pyarrow pipeline-dp
  ASEPSIS_DP_PEERS=dp-peers/bin/python make bench
smartnoise-sql needs an older opendp: give it an environment of its own, and name both with ':' between them."""


def print_peers(path: Path, ours: float) -> None:
    """Print what other tools need for count and sum by ``dx`` over a Parquet file, beside our CPU seconds for it."""
    pythons = [python for python in os.environ.get("ASEPSIS_DP_PEERS", "").split(os.pathsep) if python]
    sys.stdout.flush()
    if not pythons:
        print(MISSING)
    for python in pythons:
        script = Path(__file__).with_name("peers_dp.py")
        subprocess.run([python, str(script), str(path), f"{ours:.3f}"], check=False)
    sys.stdout.flush()
