"""Kill -9 at random points of a grant loop: no charge lost or doubled, no grant without its intent."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import NORTH, World

from asepsis.ledger.entry import entry_hash
from asepsis.ledger.tree import MemoryNodes, root, verify_consistency
from asepsis.store.database import reading
from asepsis.store.desk_state import SqlDeskState

ROUNDS = 16
BUDGET = 100_000


def test_killing_a_desk_at_any_point_loses_no_charge_and_hides_no_grant(tmp_path: Path) -> None:
    world = World(tmp_path, budgets={"northgate": BUDGET, "riverside": 1})
    world.states[NORTH].close()
    chance = random.Random(7)
    answered: set[str] = set()
    seen = (0, b"")
    for number in range(ROUNDS):
        wait, after = number % 4, chance.uniform(0.0, 0.05)
        answered |= set(killed_loop(world, start=number * 1000, wait=wait, after=after))
        seen = check(tmp_path, answered, seen, contract=world.digest)
    assert answered


def killed_loop(world: World, *, start: int, wait: int, after: float) -> list[str]:
    """Grant in another process until it is killed, some seconds after so many answers; returns all it answered."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        grant_for_ever(world, writer, start=start)
    os.close(writer)
    with os.fdopen(reader) as lines:
        ready, *first = [lines.readline() for _ in range(wait + 1)]
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        rest = lines.read()
    assert ready == "ready\n"
    return "".join([*first, rest]).split("\n")[:-1]


def grant_for_ever(world: World, answers: int, *, start: int) -> NoReturn:
    """The child: a fresh desk on the same file; an answer is written only after its grant came back."""
    try:
        world.states[NORTH] = SqlDeskState(world.home / f"{NORTH}-desk.db")
        world.desks[NORTH] = world.desk(NORTH)
        os.write(answers, b"ready\n")
        for number in range(start, start + BUDGET):
            run = f"run-{number}"
            world.desks[NORTH].grant(world.request(job=world.job(run=run)))
            os.write(answers, f"{run}\n".encode())
    finally:
        os._exit(1)


def check(home: Path, answered: set[str], seen: tuple[int, bytes], *, contract: str) -> tuple[int, bytes]:
    """Check charges, grants and ledger against each other; returns the ledger's size and root."""
    state = SqlDeskState(home / f"{NORTH}-desk.db")
    with reading(state._engine) as connection:
        charges = [row.run for row in connection.execute(text("SELECT run FROM charges"))]
        grants = [row.run for row in connection.execute(text("SELECT run FROM grants"))]
    with state.reading() as records:
        entries = list(records.ledger.entries(0, records.ledger.size()))
        stored, proof = records.ledger.root(), records.ledger.consistency(seen[0], len(entries))
        used = records.charged(contract, owner=NORTH)  # type: ignore[arg-type]
    state.close()
    acts = [(entry.act.value, entry.subject) for entry in entries]
    assert len(charges) == len(set(charges)) == used
    assert set(charges) == set(grants) == {subject for act, subject in acts if act == "grant.given"}
    assert sorted(charges) == sorted(subject for act, subject in acts if act == "budget.charged")
    assert answered <= set(charges)
    for run in set(grants):
        assert acts.index(("grant.intended", run)) < acts.index(("grant.given", run))
    nodes = MemoryNodes(entry_hash(entry) for entry in entries)
    assert root(nodes, size=len(entries)) == stored
    if seen[0]:
        verify_consistency(proof, old_size=seen[0], new_size=len(entries), old_root=seen[1], new_root=stored)
    return len(entries), stored
