"""Mappings of other tools, translated as far as they say it; the rest is a list for a person to decide."""
