"""Bringing in mappings of other tools: their documents are read inside limits, a new folder is written whole."""

from __future__ import annotations

from asepsis.engines.importing.folder import read_document, read_headers, write_folder

__all__ = ["read_document", "read_headers", "write_folder"]
