"""Veeam Backup & Replication through its REST API. Tested against a stub server of ours, never against a live one."""
