"""Adapter: links the identity datasets of all owners in DuckDB, in memory, and writes the link map."""

from asepsis.engines.linkage.linking import link

__all__ = ["link"]
