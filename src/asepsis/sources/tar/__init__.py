"""A reader for tar archives, plain or compressed with gzip, xz or zstd: streamed, bounded, never unpacked to disk."""
