"""Finds the persons known to several parties, inside the runtime, without showing identifiers."""
