"""The damages of files stand beside the tests' folders."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
