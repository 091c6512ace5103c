"""Rooms for the journeys: prepared once per session, copied for each test."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulator import contributed_world, linked_world, signed_world, unlinked, warm, world
from told_demo import demo

__all__ = ["contributed_world", "demo", "linked_world", "signed_world", "unlinked", "warm", "world"]
