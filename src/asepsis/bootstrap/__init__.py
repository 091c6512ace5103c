"""Joins adapters to services; the only package that knows both. Each module wires what one group of commands needs."""
