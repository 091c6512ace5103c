"""Borg repositories, read through the ``borg`` command in a jail, without its lock."""
