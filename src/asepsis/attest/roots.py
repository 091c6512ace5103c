"""The pinned roots: SHA-256 of the SubjectPublicKeyInfo of each vendor's root key. Nothing else is ever believed.

AMD's Root Keys: kdsintf.amd.com, the same in google/go-sev-guest (verify/trust) and virtee/sev
(src/certs/snp/builtin). Intel's SGX and TDX root: certificates.trustedservices.intel.com, the same in
google/go-tdx-guest (verify/trusted_root.pem). AWS Nitro: the key of the root whose certificate has the SHA-256
641a0321...bb5b that AWS publishes (docs.aws.amazon.com/enclaves, "Verifying the root of trust").
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MILAN: Final = "Milan"
GENOA: Final = "Genoa"
TURIN: Final = "Turin"

AMD_ROOTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9": MILAN,
        "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831": GENOA,
        "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08": TURIN,
    }
)
"""The product line that each AMD Root Key stands for."""

INTEL_ROOTS: Final[Mapping[str, str]] = MappingProxyType(
    {"a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e": "Intel SGX Root CA"}
)

NITRO_ROOTS: Final[Mapping[str, str]] = MappingProxyType(
    {"f2caf5ecc6190b4a8399b78bc58a2bbcd0382375db8a1bfd78a82743874fd225": "AWS Nitro Enclaves Root-G1"}
)

LAUNCH_ISSUERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2": (
            "ContainerPlat-AMD-UVM"
        )
    }
)
"""Who may endorse launch measurements, and under which feed: Microsoft, for the utility VM of its container hosts."""
