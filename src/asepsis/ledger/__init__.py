"""The tamper-evident record: Merkle tree, checkpoints, proofs; no I/O."""
