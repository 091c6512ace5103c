"""Vocabularies: the tables of an Athena download, codes as they are written, their ways to standard concepts."""
