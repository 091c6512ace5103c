"""TPM 2.0: quotes over platform configuration registers, signed by a restricted attestation key."""
