"""Rooms for the attacks: prepared once per session, copied for each test."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from continuity_world import own, ward
from simulator import contributed_world, linked_world, signed_world, unlinked, warm, world

__all__ = ["contributed_world", "linked_world", "own", "signed_world", "unlinked", "ward", "warm", "world"]
