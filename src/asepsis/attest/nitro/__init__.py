"""AWS Nitro Enclaves: attestation documents, signed by the hypervisor's security module."""
