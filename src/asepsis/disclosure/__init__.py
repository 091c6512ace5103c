"""The one gate that every number passes on its way out.

Invariant: nothing outside this package makes a ``Released``; a cell below the threshold and an empty one look the same.
"""
