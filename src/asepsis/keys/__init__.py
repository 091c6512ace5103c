"""Adapter: where parties keep their keys."""
