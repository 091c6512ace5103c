from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# Test directories are no packages: the helper beside this file is loaded under a name of its own.
_spec = importlib.util.spec_from_file_location("restic_writer", Path(__file__).with_name("restic_writer.py"))
if _spec is not None and _spec.loader is not None and "restic_writer" not in sys.modules:
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["restic_writer"] = _module
    _spec.loader.exec_module(_module)
