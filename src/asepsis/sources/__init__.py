"""Adapter: read-only readers of backups and folders; every byte is authenticated where the format allows."""
