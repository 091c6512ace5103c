"""How fast an estate is scanned: bytes to facts, digest and entropy, beside only hashing them with SHA-256.

Prints GB a minute on one core and the ratio to the baseline of the same run, best of rounds that alternate. Then the
same of many small structured files: hash, type and entropy alone, everything that is checked of each format to its
end, and a whole scan of the folder into an index, beside reading the same files and digesting them. Then the verdicts
over 32 restore points of 1,000 files, of which one in fifty changes from point to point, all objects being known. With
the extra ``yara`` also the passes with rules: ours, and a generated set as large as public ones.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - test data from a seed
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from blake3 import blake3
from small_files import SmallFiles

from asepsis.bootstrap.backups import look_into
from asepsis.desk_home import now
from asepsis.domain.integrity import ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint
from asepsis.engines.rules.yara import BUILT_IN, YaraRules
from asepsis.errors.estate import RulesUnavailable
from asepsis.integrity import spread
from asepsis.integrity.composite import best_composite
from asepsis.integrity.last_clean import Listing, assess_history
from asepsis.integrity.observation import HEAD, recognise
from asepsis.integrity.reading import read_object
from asepsis.services.estate import Estate
from asepsis.store.estate_index import EstateIndex

MEGABYTES, ROUNDS = 96, 3
POINTS, FILES = 32, 1_000
SMALL = 200


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
    with_rules()
    small_files()
    history()


def small_files() -> None:
    """Files of 2-50 kB, of which every one has to be opened, followed to its end and kept in the index."""
    with TemporaryDirectory() as name:
        kinds = SmallFiles(11).write(Path(name) / "files", count=SMALL)
        for kind, paths in kinds.items():
            contents = [path.read_bytes() for path in paths]
            size = sum(map(len, contents))
            base = best(lambda contents=contents: [sha256(content).digest() for content in contents])
            quick = best(lambda contents=contents: [recognised(content) for content in contents])
            whole = best(lambda contents=contents: [checked(content) for content in contents])
            print(
                f"{kind:5} {size / SMALL / 1e3:4.1f} kB each: hash, type and entropy {per_minute(size, quick)} "
                f"({base / quick:.2f} of SHA-256), checked to the end {per_minute(size, whole)} "
                f"({base / whole:.2f}); only SHA-256 {per_minute(size, base)}"
            )
        paths = [path for of_kind in kinds.values() for path in of_kind]
        size = sum(path.stat().st_size for path in paths)
        summary(paths, Path(name))


def summary(paths: list[Path], folder: Path) -> None:
    """All of them together, beside reading and digesting them; the rounds alternate."""
    work: dict[str, Callable[[], object]] = {
        "only reading": lambda: [path.read_bytes() for path in paths],
        "read and SHA-256": lambda: [sha256(path.read_bytes()).digest() for path in paths],
        "read and BLAKE3": lambda: [blake3(path.read_bytes()).digest() for path in paths],
        "hash, type and entropy": lambda: [recognised(path.read_bytes()) for path in paths],
        "scan: all checks, into an index": lambda: scanned(folder / "files", folder / "estate.db"),
    }
    if (rules := rule_sets(folder)) is not None:
        _, full = rules
        count = full.known_as.rules
        work |= {
            f"hash, type, entropy, {count} rules": lambda: [with_hits(full, path.read_bytes()) for path in paths],
            f"scan: all checks and {count} rules": lambda: scanned(folder / "files", folder / "estate.db", rules=full),
        }
    size = sum(path.stat().st_size for path in paths)
    found = {what: min(times) for what, times in zip(work, zip(*rounds(work), strict=True), strict=True)}
    read, digested = found["only reading"], found["read and SHA-256"]
    print(f"{len(paths)} small files, {size / len(paths) / 1e3:.1f} kB each")
    for what, seconds in found.items():
        print(
            f"{what:33} {per_minute(size, seconds)}, {1e6 * seconds / len(paths):4.0f} us a file, "
            f"{read / seconds:.3f} of reading, {digested / seconds:.3f} of SHA-256 of the files"
        )


def rounds(work: Mapping[str, Callable[[], object]]) -> Iterator[list[float]]:
    """CPU seconds of each piece of work, round for round."""
    for _ in range(2 * ROUNDS):
        yield [once(run) for run in work.values()]


def with_hits(rules: YaraRules, content: bytes) -> object:
    """What needs no parser, and rules."""
    return recognised(content), rules.hits(content)


def recognised(content: bytes) -> object:
    """What needs no parser: digest, type by content, entropy."""
    beginning = recognise(content[:HEAD])
    return blake3(content).hexdigest(), beginning.format, spread.entropy(beginning.counts)


def checked(content: bytes) -> object:
    """The product's whole reading of an object."""
    return read_object(BytesIO(content), key="k", size=len(content))


def scanned(folder: Path, path: Path, *, rules: YaraRules | None = None) -> object:
    """A first scan of a folder; compiling the rules is done before."""
    path.unlink(missing_ok=True)
    index = EstateIndex(path)
    try:
        return Estate(source=look_into(f"dir:{folder}"), index=index, clock=now, rules=rules).scan()
    finally:
        index.close()


def per_minute(size: int, seconds: float) -> str:
    """A rate."""
    return f"{60 * size / seconds / 1e9:5.1f} GB/min"


def with_rules() -> None:
    """The same passes with YARA rules held against the content: ours, and a set as large as public ones are."""
    with TemporaryDirectory() as name:
        sets = rule_sets(Path(name))
    if sets is None:
        print("YARA: the extra 'yara' is not installed")
        return
    row = b"4711|2013-02-01|A00.9|Cholera, unspecified|F|1961-10-31|12.5\r\n"
    size = MEGABYTES * 1_000_000
    words = b" ".join(random.Random(3).choices(row.split(b"|"), k=size // 8))[:size]  # noqa: S311 - from a seed
    for what, content in (("text", words), ("noise", os.urandom(size)), ("gzip", b"\x1f\x8b\x08" + os.urandom(size))):
        base = best(lambda content=content: sha256(content).digest())
        for rules in sets:
            ours = best(lambda content=content, rules=rules: read_with(rules, content))
            speed = 60 * len(content) / ours / 1e9
            print(f"{what:6} {speed:6.1f} GB/min with {rules.known_as.rules:3} YARA rules; ratio {base / ours:.2f}")


def rule_sets(folder: Path) -> tuple[YaraRules, YaraRules] | None:
    """Our rules, and ours with a set as large as public ones, which is written to a folder."""
    (folder / "made.yar").write_text(made_rules(250))
    try:
        return YaraRules([BUILT_IN]), YaraRules([BUILT_IN, str(folder)])
    except RulesUnavailable:
        return None


def read_with(rules: YaraRules, content: bytes) -> None:
    """One pass with everything."""
    watch = rules.watch()
    read_object(BytesIO(content), key="k", size=len(content), watch=watch.feed)
    watch.hits()


def made_rules(count: int) -> str:
    """Rules of the shape that public sets for ransomware have: words, wide words, byte patterns, expressions."""
    dice = random.Random(5)  # noqa: S311 - from a seed
    letters = "abcdefghijklmnopqrstuvwxyz"

    def word(least: int, most: int) -> str:
        return "".join(dice.choices(letters, k=dice.randrange(least, most)))

    rules = []
    for number in range(count):
        plain = [f'$s{n} = "{word(8, 24)}" {dice.choice(["", "nocase", "wide ascii", "fullword"])}' for n in range(5)]
        parts = [f"{dice.randrange(256):02X}" if dice.random() < 0.8 else "??" for _ in range(20)]
        bytes_ = f"$b = {{ {dice.randrange(256):02X} 8B {' '.join(parts)} FF }}"
        expression = f"$r = /{word(5, 9)}[0-9a-f]{{8,32}}\\.{word(3, 5)}/"
        strings = " ".join([*plain, bytes_, expression])
        rules.append(f"rule made_{number} {{ strings: {strings} condition: 3 of ($s*) or $b or $r }}")
    return "\n".join(rules)


def best(run: Callable[[], object]) -> float:
    """Least CPU seconds of some rounds."""
    return min(once(run) for _ in range(ROUNDS))


def once(run: Callable[[], object]) -> float:
    """CPU seconds."""
    started = time.process_time()
    run()
    return time.process_time() - started


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
