"""Compares restore points and snapshots and reaches a verdict."""
