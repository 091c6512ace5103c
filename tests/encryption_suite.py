"""What of the damages in `encryption_patterns.py` is found, and what of ordinary work is called damage.

Used by `benchmarks/bench_detection.py`, which prints it, and by `tests/attack/test_file_encryption.py`.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from asepsis.domain.integrity import HistoryVerdict, ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint, Verdict
from asepsis.integrity.judgement import judge
from asepsis.integrity.last_clean import Listing, assess_history
from asepsis.integrity.observation import observe
from encryption_patterns import DAMAGES, edited

START = datetime(2012, 1, 1, tzinfo=UTC)
Tree = dict[str, tuple[str, ObjectFacts]]


def facts_of(content: bytes) -> ObjectFacts:
    """One reading."""
    return observe(io.BytesIO(content), size=len(content))


@dataclass
class Row:
    """Damaged files of one pattern; the first number is of all, the others of those that were found."""

    files: int = 0
    beside: int = 0
    alone: int = 0


@dataclass
class Suite:
    """Clean files, and what their damages look like."""

    clean: dict[str, ObjectFacts] = field(default_factory=dict)
    called_damaged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    damaged: dict[str, dict[str, ObjectFacts]] = field(default_factory=dict)

    def share(self, what: str) -> float:
        """The share of all damaged files that was found, ``beside`` the version before or ``alone``."""
        found: int = sum(getattr(row, what) for row in self.rows.values())
        return found / sum(row.files for row in self.rows.values())

    def missed(self) -> list[tuple[str, str]]:
        """Which pattern in which file was not found beside the version before."""
        return [
            (pattern, name)
            for pattern, files in self.damaged.items()
            for name, facts in files.items()
            if judge(name, facts, before=self.clean[name]).verdict is Verdict.CLEAN
        ]


def damaged_suite(
    files: Mapping[str, bytes], dice: random.Random, *, patterns: Mapping[str, object] = DAMAGES
) -> Suite:
    """Apply every pattern to every file that is clean, and judge both ways."""
    suite = Suite(rows={name: Row() for name in patterns}, damaged={name: {} for name in patterns})
    for name, content in files.items():
        before = facts_of(content)
        verdict = judge(name, before)
        if verdict.verdict is not Verdict.CLEAN:
            suite.called_damaged[name] = verdict.reasons
            continue
        suite.clean[name] = before
        for pattern in patterns:
            damaged = DAMAGES[pattern](content, dice)
            if damaged == content:
                continue
            facts, row = facts_of(damaged), suite.rows[pattern]
            suite.damaged[pattern][name] = facts
            row.files += 1
            row.beside += judge(name, facts, before=before).verdict is not Verdict.CLEAN
            row.alone += judge(name, facts).verdict is not Verdict.CLEAN
    return suite


def versions_called_damaged(files: Mapping[str, bytes], suite: Suite, dice: random.Random) -> tuple[int, list[str]]:
    """How many later versions of clean files there are, and those that are called anything but clean."""
    count, called = 0, []
    for name, before in suite.clean.items():
        newer = edited(name, files[name], dice)
        if newer == files[name]:
            continue
        count += 1
        verdict = judge(name, facts_of(newer), before=before)
        if verdict.verdict is not Verdict.CLEAN:
            called.append(f"{name}: {', '.join(verdict.reasons)}")
    return count, called


def points_found(suite: Suite, dice: random.Random, *, runs: int) -> tuple[int, int]:
    """Restore points of which from one file to all are damaged by one pattern: how many, and how many are found."""
    found = 0
    for _ in range(runs):
        pattern = dice.choice([name for name, row in suite.rows.items() if row.files])
        able = sorted(suite.damaged[pattern])
        names = dice.sample(sorted(suite.clean), min(100, len(suite.clean)))
        tree: Tree = {name: (f"0{name}", suite.clean[name]) for name in {*names, dice.choice(able)}}
        able = [name for name in able if name in tree]
        count = max(1, round(len(able) ** dice.random()))
        ending = dice.choice(["", "", ".locked", ".qzxv"])
        attacked = dict(tree)
        for name in dice.sample(able, count):
            del attacked[name]
            attacked[name + ending] = (f"1{name}", suite.damaged[pattern][name])
        history = assessed([tree, attacked])
        found += history.points[1].verdict is not Verdict.CLEAN
    return runs, found


def clean_days(files: Mapping[str, bytes], dice: random.Random, *, days: int) -> HistoryVerdict:
    """Days on which some files are edited, one comes and one goes. What comes is sound; what was there need not be."""
    contents = dict(files)
    facts = {name: facts_of(content) for name, content in contents.items()}
    sound = [name for name in sorted(contents) if judge(name, facts[name]).verdict is Verdict.CLEAN]
    later = dice.sample(sound, len(sound) // 4)
    tree: Tree = {name: (f"0{name}", facts[name]) for name in sorted(contents.keys() - set(later))}
    trees = [dict(tree)]
    for day in range(1, days):
        for name in dice.sample(sorted(tree), max(1, len(tree) // 30)):
            contents[name] = edited(name, contents[name], dice)
            tree[name] = (f"{day}{name}", facts_of(contents[name]))
        if later:
            name = later.pop()
            tree[name] = (f"{day}{name}", facts[name])
        if len(tree) > len(contents) // 2:
            del tree[dice.choice(sorted(tree))]
        trees.append(dict(tree))
    return assessed(trees)


def assessed(trees: list[Tree]) -> HistoryVerdict:
    """The verdicts on restore points given as paths to content id and facts."""
    facts = {content: found for tree in trees for content, found in tree.values()}

    def entries(tree: Tree, day: int) -> list[Entry]:
        when = START + timedelta(days=day)
        return [
            Entry(path=path, type=EntryType.FILE, size=found.size, content_id=content, modified_at=when)
            for path, (content, found) in tree.items()
        ]

    listings = [
        Listing(
            point=RestorePoint(id=RestorePointId(str(day)), taken_at=START + timedelta(days=day)),
            entries=entries(tree, day),
        )
        for day, tree in enumerate(trees)
    ]
    return assess_history(listings, lambda _, entry: facts[entry.content_id or ""])
