"""How fast an estate is scanned: bytes to facts, digest and entropy, beside only hashing them with SHA-256.

Prints GB a minute on one core and the ratio to the baseline of the same run, best of rounds that alternate; then the
verdicts over 32 restore points of 1,000 files, of which one in fifty changes from point to point, all objects being
known.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - test data from a seed
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO

from asepsis.domain.integrity import ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint
from asepsis.integrity.composite import best_composite
from asepsis.integrity.last_clean import Listing, assess_history
from asepsis.integrity.reading import read_object

MEGABYTES, ROUNDS = 96, 3
POINTS, FILES = 32, 1_000


def main() -> None:
    """Measure and print."""
    row = b"4711|2013-02-01|A00.9|Cholera, unspecified|F|1961-10-31|12.5\r\n"
    for what, content in (
        ("text", row * (MEGABYTES * 1_000_000 // len(row))),
        ("noise", os.urandom(MEGABYTES * 1_000_000)),
        ("gzip", b"\x1f\x8b\x08" + os.urandom(MEGABYTES * 1_000_000)),
    ):
        base = best(lambda content=content: sha256(content).digest())
        ours = best(lambda content=content: read_object(BytesIO(content), key="k", size=len(content)))
        speed = 60 * len(content) / ours / 1e9
        print(
            f"{what:6} {speed:6.1f} GB/min; only SHA-256 {60 * len(content) / base / 1e9:6.1f}; ratio {base / ours:.2f}"
        )
    history()


def best(run: Callable[[], object]) -> float:
    """Least CPU seconds of some rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return min(found)


def history() -> None:
    """Verdicts from an index that is filled."""
    dice = random.Random(7)  # noqa: S311 - test data from a seed
    content = [0] * FILES
    listings = []
    for number in range(POINTS):
        for at in dice.sample(range(FILES), FILES // 50):
            content[at] += 1
        listings.append((number, list(content)))
    facts = ObjectFacts(format="text", size=10_000)
    started = time.process_time()
    found = assess_history((listing(number, ids) for number, ids in listings), lambda _point, _entry: facts)
    paths = {RestorePointId(f"p{number}"): [f"/data/{at}.txt" for at in range(FILES)] for number, _ in listings}
    best_composite(found, paths)
    seconds = time.process_time() - started
    print(
        f"verdicts and composite over {POINTS} restore points of {FILES} files: {seconds:.2f} CPU s, "
        f"{found.objects_read} objects"
    )


def listing(number: int, ids: list[int]) -> Listing:
    """One restore point."""

    def entries() -> Iterator[Entry]:
        for at, version in enumerate(ids):
            moment = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=version)
            yield Entry(
                path=f"/data/{at}.txt",
                type=EntryType.FILE,
                size=10_000,
                modified_at=moment,
                content_id=f"{at}-{version}",
            )

    point = RestorePoint(
        id=RestorePointId(f"p{number}"), taken_at=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number)
    )
    return Listing(point=point, entries=entries())


if __name__ == "__main__":
    main()
