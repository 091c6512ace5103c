from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.integrity import HistoryVerdict, ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint, Verdict
from asepsis.errors.source import ObjectDamagedError
from asepsis.integrity.last_clean import Listing, assess_history

START = datetime(2012, 1, 1, tzinfo=UTC)
NOISE = ObjectFacts(format="unknown", size=9000, is_random=True)
TEXT = ObjectFacts(format="text", size=9000)
FACTS = {"good": TEXT, "bad": NOISE, "note": ObjectFacts(format="text", size=900, note_words=5)}

Tree = dict[str, str]


class Backup:
    """Restore points in memory; a content id begins with what its facts are."""

    def __init__(self, *trees: Tree | str) -> None:
        self.trees = trees
        self.looks: Counter[str] = Counter()

    def listings(self) -> list[Listing]:
        return [
            Listing(point=self._point(number), entries=self._entries(tree, number))
            for number, tree in enumerate(self.trees)
        ]

    def look(self, point: RestorePointId, entry: Entry) -> ObjectFacts:
        assert entry.content_id is not None
        self.looks[entry.content_id] += 1
        kind = entry.content_id.partition("-")[0]
        if kind == "lost":
            raise ObjectDamagedError(name="pack")
        return FACTS[kind]

    def assess(self) -> HistoryVerdict:
        return assess_history(self.listings(), self.look)

    def verdicts(self) -> list[Verdict]:
        return [point.verdict for point in self.assess().points]

    def _point(self, number: int) -> RestorePoint:
        fault = self.trees[number] if isinstance(self.trees[number], str) else None
        assert fault is None or isinstance(fault, str)
        return RestorePoint(id=RestorePointId(str(number)), taken_at=START + timedelta(days=number), fault=fault)

    def _entries(self, tree: Tree | str, number: int) -> list[Entry]:
        if isinstance(tree, str):
            return []
        when = START + timedelta(days=number)
        return [
            Entry(path=path, type=EntryType.FILE, size=9000, content_id=content, modified_at=when)
            for path, content in tree.items()
        ]


GOOD: Tree = {f"/data/f{number}.csv": f"good-{number}" for number in range(6)}


def encrypted(tree: Tree, extension: str = "") -> Tree:
    return {path + extension: f"bad-{path}" for path in tree}


def test_the_newest_clean_point_wins() -> None:
    history = Backup(GOOD, GOOD, encrypted(GOOD)).assess()
    assert history.last_clean == "1"
    assert [point.verdict for point in history.points] == [Verdict.CLEAN, Verdict.CLEAN, Verdict.COMPROMISED]


def test_damage_that_was_undone_is_no_obstacle() -> None:
    assert Backup(GOOD, encrypted(GOOD, ".qq"), GOOD).assess().last_clean == "2"


def test_damage_that_stays_never_excuses_itself() -> None:
    attacked = {**GOOD, "/data/f1.csv": "bad-1"}
    assert Backup(GOOD, attacked, attacked, attacked).assess().last_clean == "0"


def test_a_second_encryption_is_measured_by_the_last_clean_version() -> None:
    trees = [{"/data/MAST.DAT": content} for content in ("good-1", "bad-2", "bad-3")]
    assert Backup(*trees).verdicts() == [Verdict.CLEAN, Verdict.COMPROMISED, Verdict.COMPROMISED]


def test_cleaning_up_after_an_incident_is_no_mass_deletion() -> None:
    littered = GOOD | {f"{path}.{number}": f"bad-{path}{number}" for path in GOOD for number in range(3)}
    assert Backup(GOOD, littered, GOOD).verdicts()[2] is Verdict.CLEAN


def test_two_incidents_leave_the_clean_point_between_them() -> None:
    assert Backup(GOOD, encrypted(GOOD), GOOD, encrypted(GOOD, ".x1")).assess().last_clean == "2"


def test_no_clean_point_is_none() -> None:
    assert Backup(encrypted(GOOD), encrypted(GOOD)).assess().last_clean is None
    assert Backup().assess().last_clean is None


def test_each_different_object_is_looked_at_once() -> None:
    backup = Backup(*([GOOD] * 5), encrypted(GOOD), GOOD)
    history = backup.assess()
    assert set(backup.looks.values()) == {1}
    assert history.objects_read == len(backup.looks) == 12
    assert history.bytes_read == 12 * 9000


def test_an_object_that_cannot_be_read_makes_its_points_unknown_not_clean() -> None:
    lost = {**GOOD, "/data/f0.csv": "lost-0"}
    backup = Backup(GOOD, lost, lost)
    assert backup.verdicts() == [Verdict.CLEAN, Verdict.UNKNOWN, Verdict.UNKNOWN]
    assert backup.looks["lost-0"] == 1
    assert backup.assess().points[1].objects[0].reasons == ("object.unreadable", "source.object_damaged")


def test_a_restore_point_whose_record_is_damaged_is_unknown() -> None:
    history = Backup(GOOD, "source.object_damaged").assess()
    assert history.last_clean == "0"
    assert history.points[1].verdict is Verdict.UNKNOWN
    assert history.points[1].signals[0].code == "source.object_damaged"


def test_a_walk_that_fails_makes_its_point_unknown() -> None:
    def broken() -> object:
        raise ObjectDamagedError(name="tree")
        yield  # a generator that fails when it is asked

    backup = Backup(GOOD)
    point = RestorePoint(id=RestorePointId("x"), taken_at=START)
    listings = [*backup.listings(), Listing(point=point, entries=broken())]  # type: ignore[arg-type]
    assert assess_history(listings, backup.look).points[1].verdict is Verdict.UNKNOWN


def test_a_ransom_note_alone_compromises_a_point() -> None:
    noted = {**GOOD, "/data/hello.txt": "note-1"}
    history = Backup(GOOD, noted).assess()
    assert history.points[1].verdict is Verdict.COMPROMISED
    assert "signal.ransom_note" in {signal.code for signal in history.points[1].signals}


def test_a_mass_rename_with_an_unknown_extension_is_a_signal() -> None:
    renamed = {f"{path}.qzxv": content for path, content in GOOD.items()}
    history = Backup(GOOD, renamed).assess()
    assert history.points[1].verdict is Verdict.SUSPECT
    assert {signal.code for signal in history.points[1].signals} == {"signal.mass_rename"}


def test_compressing_everything_is_no_mass_rename() -> None:
    assert Backup(GOOD, {f"{path}.gz": f"good-z{path}" for path in GOOD}).verdicts()[1] is Verdict.CLEAN


def test_a_mass_rewrite_is_told_but_ordinary() -> None:
    history = Backup(GOOD, {path: f"good-new{path}" for path in GOOD}).assess()
    assert history.points[1].verdict is Verdict.CLEAN
    assert [signal.code for signal in history.points[1].signals] == ["signal.mass_rewrite"]


def test_a_mass_deletion_is_suspect() -> None:
    assert Backup(GOOD, {"/data/f0.csv": "good-0"}).verdicts()[1] is Verdict.SUSPECT


def test_rotated_names_are_no_mass_deletion() -> None:
    rotated = {path.replace("/f", "/g"): content for path, content in GOOD.items()}
    assert Backup(GOOD, rotated).verdicts()[1] is Verdict.CLEAN


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_last_clean_point_is_right_on_random_chains(seed: int) -> None:
    """Chains with attacks of any share of the files, kept or undone, renamed or not."""
    generator = random.Random(seed)
    trees, truth, state = [], [], dict(GOOD)
    for number in range(generator.randrange(1, 12)):
        happens = generator.random()
        if happens < 0.25:
            hit = generator.sample(sorted(GOOD), generator.randrange(1, 7))
            ending = generator.choice(["", ".locked", ".qzxv"])
            state = {path: content for path, content in GOOD.items() if path not in hit}
            state |= {path + ending: f"bad-{number}{path}" for path in hit}
        elif happens < 0.45:
            state = dict(GOOD)
        elif happens < 0.7:
            path = generator.choice(sorted(GOOD))
            if path in state and not state[path].startswith("bad"):
                state[path] = f"good-{number}"
        trees.append(dict(state))
        truth.append(not any(content.startswith("bad") for content in state.values()))
    history = Backup(*trees).assess()
    clean = [number for number, is_clean in enumerate(truth) if is_clean]
    assert history.last_clean == (str(clean[-1]) if clean else None)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_files_are_no_mass(count: int) -> None:
    few = dict(list(GOOD.items())[:count])
    assert Backup(few, {f"{path}.qzxv": content for path, content in few.items()}).verdicts()[1] is Verdict.CLEAN
