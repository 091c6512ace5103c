"""What formats say about themselves: each checker follows a format's own lengths, counts and checksums to the end.

A checker reads through a Cursor and gives reason codes, never content. Reading past the end raises EOFError, which
means that the object is truncated.
"""
