"""Readers: one module per format, from a byte stream to records whose byte ranges tile the stream."""
