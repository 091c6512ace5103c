"""The best of several restore points is what a simpler, slower reckoning with the truth gives, on random chains."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from asepsis.domain.integrity import Composite, ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint, Verdict
from asepsis.integrity.composite import best_composite
from asepsis.integrity.last_clean import Listing, assess_history

START = datetime(2012, 1, 1, tzinfo=UTC)
FACTS = {"good": ObjectFacts(format="text", size=9000), "bad": ObjectFacts(format="unknown", size=9000, is_random=True)}
PATHS = [f"/data/{table}/{number}.csv" for table in ("lab", "rx", "visit") for number in range(6)]

Tree = dict[str, str]


def chosen(trees: list[Tree | None], *, before: datetime | None = None) -> tuple[Composite, list[bool]]:
    """Assess a chain; a content begins with what it is, a missing tree is a point whose record is damaged."""

    def entries(tree: Tree | None, day: int) -> list[Entry]:
        when = START + timedelta(days=day)
        return [
            Entry(path=path, type=EntryType.FILE, size=9000, content_id=content, modified_at=when)
            for path, content in (tree or {}).items()
        ]

    def point(tree: Tree | None, day: int) -> RestorePoint:
        fault = "source.object_damaged" if tree is None else None
        return RestorePoint(id=RestorePointId(str(day)), taken_at=START + timedelta(days=day), fault=fault)

    listings = [Listing(point=point(tree, day), entries=entries(tree, day)) for day, tree in enumerate(trees)]
    history = assess_history(listings, lambda _, entry: FACTS[(entry.content_id or "").partition("-")[0]])
    paths = {RestorePointId(str(day)): list(tree) for day, tree in enumerate(trees) if tree is not None}
    return best_composite(history, paths, before=before), [v.verdict is Verdict.CLEAN for v in history.points]


def attacked(state: Tree, honest: Tree, day: int, dice: random.Random) -> Tree:
    """Any share of the files is encrypted, in place or under another name."""
    hit = dice.sample(sorted(honest), dice.randrange(1, len(honest) + 1))
    ending = dice.choice(["", "", ".locked"])
    left = {path: content for path, content in state.items() if path not in hit}
    return left | {path + ending: f"bad-{day}{path}" for path in hit}


def worked_on(state: Tree, honest: Tree, day: int, dice: random.Random) -> None:
    """Two files are edited; one may come, and one may go."""
    for path in dice.sample(sorted(honest), 2):
        honest[path] = f"good-{day}{path}"
        if state.get(path, "").startswith("good"):
            state[path] = honest[path]
    if dice.random() < 0.4:
        new = f"/data/new/{day}.csv"
        honest[new] = state[new] = f"good-{day}{new}"
    if dice.random() < 0.4 and len(honest) > 15:
        gone = dice.choice(sorted(honest))
        del honest[gone]
        state.pop(gone, None)


def random_chain(dice: random.Random) -> list[Tree | None]:
    """Work, attacks, cleaning up, and points that are lost."""
    state = {path: f"good-0{path}" for path in PATHS}
    honest = dict(state)
    trees: list[Tree | None] = []
    for day in range(dice.randrange(2, 14)):
        happens = dice.random()
        if happens < 0.3:
            state = attacked(state, honest, day, dice)
        elif happens < 0.5:
            state = dict(honest)
        elif happens < 0.6:
            trees.append(None)
            continue
        worked_on(state, honest, day, dice)
        trees.append(dict(state))
    return trees


def oracle(trees: list[Tree | None], clean: list[bool]) -> dict[str, str]:
    """For each path: the newest point with a good version, unless a clean point after it lacks the path."""
    found = {}
    for path in sorted({path for tree in trees for path in tree or {}}):
        days = [day for day, tree in enumerate(trees) if (tree or {}).get(path, "bad").startswith("good")]
        if days and all(path in (trees[day] or {}) for day in range(days[-1], len(trees)) if clean[day]):
            found[path] = str(days[-1])
    return found


def folder_oracle(trees: list[Tree | None], folder: str) -> str | None:
    """The newest point in which there is a file in the folder, and all are good."""
    for day in range(len(trees) - 1, -1, -1):
        contents = [content for path, content in (trees[day] or {}).items() if path.startswith(folder)]
        if contents and all(content.startswith("good") for content in contents):
            return str(day)
    return None


def test_the_composite_is_right_on_two_hundred_random_chains() -> None:
    for seed in range(200):
        trees = random_chain(random.Random(seed))
        composite, clean = chosen(trees)
        truth = [tree is not None and all(c.startswith("good") for c in tree.values()) for tree in trees]
        assert clean == truth, seed
        assert composite.files == oracle(trees, truth), seed
        assert not set(composite.never_clean) & composite.files.keys()
        assert sum(composite.points.values()) == len(composite.files)
        if all(len(tree) >= 12 for tree in trees if tree is not None):  # else a folder may have lost most of its files
            for folder in ("/data/", "/data/new/"):
                assert composite.folders.get(folder) == folder_oracle(trees, folder), (seed, folder)


GOOD: Tree = {path: f"good-{path}" for path in PATHS}


def test_a_file_that_was_hit_comes_from_before_and_the_others_from_after() -> None:
    newer = {path: f"good-new{path}" for path in PATHS}
    hit = newer | {PATHS[0]: "bad-1"}
    composite, _ = chosen([GOOD, hit])
    assert composite.points == {"0": 1, "1": len(PATHS) - 1}
    assert composite.folders["/data/lab/"] == "0"
    assert composite.folders["/data/rx/"] == "1"


def test_what_an_attacker_deletes_is_kept_and_what_went_in_a_clean_point_is_not() -> None:
    gone = {path: content for path, content in GOOD.items() if path != PATHS[3]}
    deleted = {path: content for path, content in gone.items() if path != PATHS[4]} | {PATHS[0]: "bad-2"}
    composite, _ = chosen([GOOD, gone, deleted])
    assert PATHS[3] not in composite.files
    assert composite.files[PATHS[4]] == "1"


def test_a_folder_emptied_by_an_attack_is_taken_from_before() -> None:
    emptied = {path: c for path, c in GOOD.items() if "/lab/" not in path or path.endswith("/0.csv")}
    composite, _ = chosen([GOOD, emptied | {"/data/rx/0.csv": "bad-1"}])
    assert composite.folders["/data/lab/"] == "0"


def test_what_came_up_in_points_that_are_not_clean_is_named() -> None:
    composite, _ = chosen([GOOD, GOOD | {PATHS[0]: "bad-1", "/data/tool.csv": "good-tool"}])
    assert composite.added == ("/data/tool.csv",)


def test_without_any_clean_point_files_are_still_put_together() -> None:
    composite, clean = chosen([GOOD | {PATHS[0]: "bad-1"}, GOOD | {PATHS[1]: "bad-2"}])
    assert clean == [False, False]
    assert composite.files == dict.fromkeys(PATHS, "1") | {PATHS[1]: "0"}


def test_a_path_without_a_clean_version_is_named() -> None:
    composite, _ = chosen([GOOD, {path + ".locked": f"bad-{path}" for path in PATHS}])
    assert composite.never_clean == tuple(sorted(path + ".locked" for path in PATHS))
    assert composite.points == {"0": len(PATHS)}


@pytest.mark.parametrize(("days", "point"), [(5, "2"), (2, "1"), (1, "0")])
def test_points_from_when_somebody_may_have_been_inside_are_left_out(days: int, point: str) -> None:
    composite, _ = chosen([GOOD, GOOD, GOOD], before=START + timedelta(days=days))
    assert set(composite.points) == {point}
