"""How long a continuity pack takes over a million patients: two queries and the essentials, until it is signed.

The rooms are those of the tests: two hospitals contribute, are linked and have signed what may run. One hospital's
tables are repeated under other person numbers before they are sealed; everything else is as always. Prints the seconds
of each step, beside a pack over the few patients that there were; most of a pack is three runtimes that start.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.continuity import drilled, make_pack
from asepsis.bootstrap.mappings import harmoniser, mapping_of
from asepsis.bootstrap.room import now
from asepsis.engines.harmonise.result import HarmonisedRun
from asepsis.services.continuity_choice import Occasion
from continuity_world import signed_ward
from simulator import MAPPINGS, OWNERS, World, write_world

PATIENTS = int(os.environ.get("ASEPSIS_BENCH_PATIENTS", "1_000_000"))
_APART = 1 << 40
_SHOWN = 0.5


def main() -> None:
    """Measure and print."""
    for patients in (0, PATIENTS):
        with TemporaryDirectory() as name:
            world = write_world(Path(name) / "world")
            there = [contribute(world, owner, patients if owner == OWNERS[0] else 0) for owner in OWNERS]
            world.room().linkage.link()
            pack(world, Path(name) / "ward", patients=sum(there))


def contribute(world: World, owner: str, patients: int) -> int:
    """What a hospital contributes, and how many patients that are."""
    room, source, mapping = world.room(), look_into(f"dir:{world.source(owner)}"), mapping_of(MAPPINGS / owner)
    harmonise, persons = harmoniser(mapping, room.keys(owner)), 0

    def repeated(*given: object, **named: object) -> HarmonisedRun:
        nonlocal persons
        run = repeat(harmonise(*given, **named), patients)
        persons = run.row_counts["person"]
        return run

    room.contribute(owner).contribute(source, source.restore_points()[-1].id, mapping=mapping, harmonise=repeated)
    return persons


def repeat(run: HarmonisedRun, patients: int) -> HarmonisedRun:
    """All tables of persons as often as it takes, each time under other numbers."""
    times = -(-patients // run.row_counts["person"])
    counts = dict(run.row_counts)
    for table, path in run.tables.items() if times > 1 else ():
        columns = duckdb.sql(f"SELECT * FROM '{path}'").columns
        keys = {"person_id", f"{table}_id", "visit_occurrence_id", "visit_detail_id"}.intersection(columns)
        if "person_id" not in keys:
            continue
        moved = ", ".join(f"{key} + k * {_APART} AS {key}" for key in sorted(keys))
        rows = duckdb.sql(f"SELECT t.* REPLACE ({moved}) FROM '{path}' t, (SELECT unnest(range({times})) AS k)")
        rows.write_parquet(str(path.with_suffix(".large")))
        path.with_suffix(".large").replace(path)
        counts[table] *= times
    return replace(run, row_counts=counts)


def pack(world: World, folder: Path, *, patients: int) -> None:
    """One pack, step by step."""
    room = signed_ward(world, folder).room
    steps: list[tuple[float, str]] = []
    started = time.monotonic()
    occasion = Occasion(declared_at=now(), last_drills=drilled(room))
    made, _ = make_pack(room, occasion, progress=lambda step: steps.append((time.monotonic(), step)))
    ended = time.monotonic()
    outcomes = ", ".join(f"{one.name} {one.outcome.value}" for one in made.outputs)
    print(f"{patients:,} patients: signed after {ended - started:.1f} s: {outcomes}")
    for (at, step), end in zip(steps, [*(at for at, _ in steps[1:]), ended], strict=True):
        if end - at >= _SHOWN:
            print(f"  {step:30} {end - at:6.1f} s")


if __name__ == "__main__":
    main()
