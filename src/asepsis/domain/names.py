"""The identifiers that run through the whole product; each is a distinct type over ``str``."""

from __future__ import annotations

from typing import NewType

PartyId = NewType("PartyId", str)
"""Short name of a party in a contract, such as ``northgate``."""

Digest = NewType("Digest", str)
"""Lower-case hex SHA-256, or BLAKE3 where a field says so."""

SnapshotId = NewType("SnapshotId", str)
RunId = NewType("RunId", str)
ReleaseId = NewType("ReleaseId", str)
ReferralId = NewType("ReferralId", str)
RestorePointId = NewType("RestorePointId", str)
