"""Asepsis: a healthcare data clean room that a hospital can run on one server."""

from typing import Final

__version__: Final = "0.1.0"
