"""A disk without space: a desk refuses and says so, has counted what it granted and nothing else, and goes on later."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, event

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import NORTH, World

from asepsis.errors.store import StoreUnavailable

MANY = 30


@contextmanager
def no_more_pages(world: World) -> Iterator[None]:
    """SQLite's own limit: from now on the desk's file may not grow, as if the disk were full."""
    engine = world.states[NORTH]._engine

    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    event.listen(engine, "begin", limit)
    try:
        yield
    finally:
        event.remove(engine, "begin", limit)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")


def test_a_desk_whose_disk_is_full_fails_closed_and_recovers(tmp_path: Path) -> None:
    """Guard: one transaction for entry and act; a part of one that was written would stay."""
    world = World(tmp_path, budgets={"northgate": 10 * MANY, "riverside": 1})
    desk, granted = world.desks[NORTH], 0
    refusals: list[str] = []
    requests = [world.request(job=world.job(run=f"run-{number}")) for number in range(MANY)]
    with no_more_pages(world):
        for request in requests:
            try:
                desk.grant(request)
            except StoreUnavailable as full:
                refusals.append(str(full))
            else:
                granted += 1
    acts = Counter(world.acts())
    assert len(refusals) > MANY // 2
    assert all("northgate-desk.db" in refusal for refusal in refusals)
    assert desk.budget(world.digest).used == acts["budget.charged"] == acts["grant.given"] == granted
    assert acts["grant.intended"] >= granted
    assert desk.grant(world.request(job=world.job(run="later"))).run == "later"
    assert desk.budget(world.digest).used == granted + 1
