"""Evidence that anybody can replay: its private keys, or instructions that allow everything, are public.

Digests only. Source: Azure/azure-cleanroom, samples/reports at a2d263e: genuine reports that are published together
with their private keys ("insecure-virtual"), and the container policies that they run under, which allow every
container with every command.
"""

from __future__ import annotations

from typing import Final

PUBLISHED_REPORTS: Final = frozenset(
    {
        "9768bc5dbf173eb3098c98c41c03c6ccbc7de52e15308d8815a48d9a42714252",
        "12797cdf463bad93f8b735c86d7038230d58075cd76e1089b69e05cd6e54981f",
        "8b43e4032374e22a030a134253f989f4237822d335eb1ceb994e9723738dad86",
        "1e2e9e066b8bc549afe68991a8621d5b40e66fd3f44e83cbbcd6b5fdce978978",
    }
)
"""SHA-256 of the signed part of each report; its signature is left out, because it has a second valid form."""

PUBLISHED_REPORT_DATA: Final = frozenset(
    key.ljust(128, "0")
    for key in (
        "2097b3fdd5aba9a1812c0c3adf575d4ff385ea5e08efb002a75b5c3f5bd2b787",
        "33e5dcd4b0ed8556b2420998a7e0832dfcc0343f6691229bae5e54ae5e234f87",
        "8ce0f68ae1efa1678eec0d8a6c6239a0996e1f84b01f644841155d4c06ce3637",
    )
)
"""What binds a published key: the SHA-256 of its PEM, filled up with zeros to 64 bytes."""

PUBLISHED_HOST_DATA: Final = frozenset(
    {
        "73973b78d70cc68353426de188db5dfc57e5b766e399935fb73a61127ea26d20",
        "7ec5120f0f497e22b18e59ed702ed82e2732562245c9a944f54cd41db4f491af",
    }
)
"""SHA-256 of the container policies that allow everything."""
