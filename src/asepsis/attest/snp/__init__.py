"""AMD SEV-SNP: reports of the versions 2 to 5, signed by a chip's key (VCEK) or a cloud's (VLEK)."""
