"""Adapter: engines that run generated SQL and return sealed results."""
