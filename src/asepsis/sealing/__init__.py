"""Sealed containers, signed manifests and keys; whatever was altered is refused."""
