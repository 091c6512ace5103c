"""Adapter: attesters that make evidence and verifiers that appraise it."""
