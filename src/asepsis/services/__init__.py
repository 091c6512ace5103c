"""Use cases: one verb per method, over ports only."""
