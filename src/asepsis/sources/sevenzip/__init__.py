"""7z archives, read by a parser of our own: no foreign program sees the archive."""
