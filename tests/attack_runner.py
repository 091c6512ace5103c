"""Runs the cases of `attacks/disclosure.yaml` against the room, as a researcher would: three worlds, one memory each.

A case is a list of statements and directives (`-- @…`). Every world gets a fresh deployment: its own memory of
releases with a new key, over the same locked engine. What a researcher gets is recorded as :class:`Record`, and the
case's check judges the records of the three worlds. Nothing here knows a case by its id or its text.

A kind of protection is a :class:`Mode`: the profile that the worlds are opened under, and the clause of noise. Answers
with noise differ in every deployment: a classifier that has seen many tries to tell the worlds apart. Which cases wait,
and for what, is what :func:`obstacle` says.
"""

from __future__ import annotations

import itertools
import random
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import sqlglot
from numpy.typing import NDArray

from asepsis.disclosure.dp.noise import Bits
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import Profile, profile_named
from asepsis.domain.catalogue import Catalogue
from asepsis.domain.cells import MeasureOutput
from asepsis.domain.names import PartyId
from asepsis.domain.privacy import NOTHING, Account, Bound, Loss, Privacy
from asepsis.domain.quotas import Quotas
from asepsis.engines.query.room import QueryRoom
from asepsis.methods.registry import METHODS
from asepsis.services.rehearsal import Noise, Rehearsal, Step
from asepsis.sql import plan_query
from asepsis.sql.duckdb import cells_sql
from attack_worlds import CATALOGUE, HIV, PERSONS, TARGET, WORLDS, write_fakes, write_worlds

OWNER: Final = PartyId("north")
ATTACKER: Final = PartyId("attacker")
FAKES: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One kind of protection: the profile of rooms, the one for rooms of several owners, and the clause of noise."""

    name: str
    profile: str
    shared: str
    privacy: Privacy | None = None


PUBLIC: Final = {
    ("person", "gender_concept_id"): (8507, 8532),
    ("person", "race_concept_id"): (8515, 8516, 8527, 8557),
    ("person", "location_id"): tuple(range(70, 82)),
    ("person", "care_site_id"): tuple(range(1, 10)),
    ("person", "year_of_birth"): tuple(range(1900, 2021)),
}
"""What everybody knows: the groups that there can be."""

BOUNDS: Final = {
    ("measurement", "value_as_number"): Bound(low=0, high=100_000, norm=200_000),
    ("drug_exposure", "days_supply"): Bound(low=0, high=100),
    ("person", "year_of_birth"): Bound(low=1900, high=2020),
}
SDC: Final = Mode(name="sdc", profile="strict-10", shared="strict-10-owners")
DP: Final = Mode(
    name="dp",
    profile="strict-10",
    shared="strict-10-owners",
    privacy=Privacy(
        budget=Loss(micro_rho=1_000_000, pico_delta=100_000_000),
        question=Loss(micro_rho=5_000, pico_delta=1_000),
        records=8,
        cells=4,
        bounds=BOUNDS,
        domains=PUBLIC,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case of the file."""

    id: str
    title: str
    family: str
    mode: str
    check: str
    steps: tuple[str, ...]

    @property
    def label(self) -> str:
        """Id and title, the name of its test."""
        return f"{self.id} {self.title}"

    @property
    def directives(self) -> tuple[str, ...]:
        """The directives, without their mark."""
        return tuple(step.removeprefix("-- @") for step in self.steps if step.startswith("-- @"))


def read_cases(document: Mapping[str, Any]) -> tuple[Case, ...]:
    """The cases of the file's document."""
    names = ("id", "title", "family", "mode", "check")
    return tuple(
        Case(**{name: case[name] for name in names}, steps=tuple(case["steps"])) for case in document["attacks"]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a researcher got for one step, and how long it took in seconds of processor time."""

    text: str
    author: str
    answer: Mapping[str, Any]
    seconds: float
    timed: bool

    @property
    def status(self) -> str:
        """released, suppressed, refused, review or error."""
        return str(self.answer["status"])

    @property
    def rows(self) -> tuple[tuple[Any, ...], ...]:
        """The rows that were released."""
        return tuple(tuple(row) for row in self.answer["rows"])

    @property
    def words(self) -> str:
        """Everything that was said: what must be the same in all worlds for a step that releases nothing.

        Without the places in the text and the rewrite, which are the author's own words.
        """
        findings = [
            {key: value for key, value in finding.items() if key != "place"} for finding in self.answer["findings"]
        ]
        return str((self.status, self.answer["code"], findings))

    @property
    def seen(self) -> str:
        """All that the researcher sees but the time."""
        return str({key: value for key, value in self.answer.items() if key != "step"})


@dataclass(slots=True, kw_only=True)
class Rooms:
    """Locked engines by world and state: opened once, used by many deployments."""

    folder: Path
    seed: int = 0
    persons: int = PERSONS
    catalogue: Catalogue = CATALOGUE
    opened: dict[str, Exact] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)

    def room(self, world: str, *, fakes: bool = False) -> Exact:
        """The engine of a world; with ``fakes`` a second owner, the attacker's, brought invented persons."""
        name = f"{world}{'+' if fakes else ''}"
        if name not in self.opened:
            self.opened[name] = Exact(self._open(world, fakes=fakes))
        return self.opened[name]

    def paths(self) -> Mapping[str, Path]:
        """The folders of the worlds."""
        if not self.folders:
            self.folders = write_worlds(self.folder, seed=self.seed, persons=self.persons)
        return self.folders

    def close(self) -> None:
        """Close all engines."""
        for room in self.opened.values():
            room.close()

    def _open(self, world: str, *, fakes: bool) -> QueryRoom:
        owners = {OWNER: self.paths()[world]}
        if fakes:
            folder = self.folder / "fakes"
            owners[ATTACKER] = folder if folder.is_dir() else write_fakes(folder, FAKES)
        room = QueryRoom(threads=1)
        for table in self.catalogue.tables:
            room.load(table, {owner: folder / f"{table.name}.parquet" for owner, folder in owners.items()})
        room.lock()
        return room


@dataclass(slots=True, kw_only=True)
class Deployment:
    """One fresh room in one world: a new key, an empty memory, and the records of what was asked."""

    rooms: Rooms
    world: str
    mode: Mode = SDC
    most_repeats: int | None = None
    quotas: Quotas = field(default_factory=Quotas)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    bytes: Callable[[int], bytes] = secrets.token_bytes
    records: list[Record] = field(default_factory=list)

    def profile(self, *, shared: bool = False) -> Profile:
        """The profile of this kind of protection."""
        return profile_named(str(self.mode.shared if shared else self.mode.profile))

    def run(self, case: Case) -> list[Record]:
        """Run all steps of a case in order."""
        session = _Session(deployment=self, rehearsal=self._rehearsal(case))
        for step in case.steps:
            if step.startswith("-- @"):
                word, _, rest = step.removeprefix("-- @").partition(" ")
                _DIRECTIVES[word](session, rest.strip())
            else:
                session.ask(Step(sql=step, arguments=dict(session.parameters), author=session.author))
        return self.records

    def rehearsal(self, *, shared: bool = False) -> Rehearsal:
        """A rehearsal over this world, from an empty memory, with an account from which nothing was spent."""
        privacy = self.mode.privacy
        noise = None
        if privacy is not None:
            account = Account(dataset="made", limit=privacy.budget, spent=NOTHING)
            noise = Noise(privacy=privacy, bits=Bits(self.bytes), account=account)
        return Rehearsal(
            room=self.rooms.room(self.world, fakes=shared),
            catalogue=self.rooms.catalogue,
            profile=self.profile(shared=shared),
            memory=Memory(key=self.key),
            quotas=self.quotas,
            noise=noise,
        )

    def _rehearsal(self, case: Case) -> Rehearsal:
        rehearsal = self.rehearsal(shared=any("uploads 9 fake" in one for one in case.directives))
        if any(one.startswith(("protocol refresh", "protocol dataset")) for one in case.directives):
            rehearsal.room, rehearsal.data = self.rooms.room(before(self.world)), "before"
        return rehearsal


def before(world: str) -> str:
    """The world as it was before the target's records came in."""
    return "C" if world == "C" else "B"


class Exact:
    """The engine of a world; the exact vectors of equal plans are computed once, for many draws of noise."""

    def __init__(self, room: QueryRoom) -> None:
        self._room = room
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """Everything else is the engine's own."""
        return getattr(self._room, name)

    def vectors(self, plan: Any) -> Any:
        """The vectors of a plan."""
        name = repr(plan)
        if name not in self._known:
            self._known[name] = self._room.vectors(plan)
        return self._known[name]


@dataclass(slots=True, kw_only=True)
class _Session:
    """The state of one run of a case."""

    deployment: Deployment
    rehearsal: Rehearsal
    author: str = "mallory"
    parameters: dict[str, str] = field(default_factory=dict)
    repeats: int = 1
    timed: bool = False
    datasets: list[str] = field(default_factory=list)

    def ask(self, step: Step) -> None:
        """One step, as often as the directive before it says."""
        most = self.deployment.most_repeats
        for _ in range(self.repeats if most is None else min(self.repeats, most)):
            began = time.process_time()
            (answer,) = self.rehearsal.run((step,))
            seconds = time.process_time() - began
            record = Record(
                text=step.sql or step.method, author=self.author, answer=answer, seconds=seconds, timed=self.timed
            )
            self.deployment.records.append(record)
        self.repeats, self.timed = 1, False

    def go_on(self) -> None:
        """The tables are those of the world itself from here on."""
        self.rehearsal.room = self.deployment.rooms.room(self.deployment.world)
        self.rehearsal.data = "after"


def _actor(session: _Session, rest: str) -> None:
    session.author = rest


def _repeat(session: _Session, rest: str) -> None:
    session.repeats = int(rest)


def _time(session: _Session, _rest: str) -> None:
    session.timed = True


def _param(session: _Session, rest: str) -> None:
    name, _, value = rest.partition("=")
    session.parameters[name.strip()] = value.strip().strip('"')


def _generate(session: _Session, rest: str) -> None:
    found = re.fullmatch(r"(?P<head>.*\()1,2,\.\.\.,(?P<last>\d+)(?P<tail>\).*)", rest)
    if found is None:
        raise ValueError(rest)
    numbers = ",".join(map(str, range(1, int(found["last"]) + 1)))
    session.ask(Step(sql=f"{found['head']}{numbers}{found['tail']}", arguments={}, author=session.author))


_WORDS: Final = {"group": "stratify_by"}
"""What the file calls an argument that the room calls otherwise."""

_NEEDED: Final[Mapping[str, Mapping[str, Any]]] = {"kaplan_meier": {"condition_concept_ids": (HIV,)}}
"""Arguments that the room asks for and the file leaves open."""


def _method(session: _Session, rest: str) -> None:
    name, *given = rest.split(" ")
    pairs = (word.partition("=") for word in given)
    arguments: dict[str, Any] = {_WORDS.get(key, key): value or "yes" for key, _, value in pairs}
    session.ask(Step(method=name, arguments={**_NEEDED.get(name, {}), **arguments}, author=session.author))


def _protocol(session: _Session, rest: str) -> None:
    """Actions outside SQL. Those of :data:`_NOTHING_TO_DO` meet no door of the room at all."""
    if rest.startswith("refresh") or (rest.startswith("dataset") and session.datasets):
        session.go_on()
    if rest.startswith("dataset"):
        session.datasets.append(rest)


_PROTOCOLS: Final = (
    "refresh",
    "dataset",
    "read remaining",
    "attacker's hospital uploads 9 fake",
    "attacker uploads a list",
    "download",
)
_DIRECTIVES: Final = {
    "actor": _actor,
    "repeat": _repeat,
    "time": _time,
    "param": _param,
    "generate": _generate,
    "method": _method,
    "protocol": _protocol,
}


def obstacle(case: Case, modes: Sequence[Mode] = (SDC, DP)) -> str | None:
    """Why a case cannot run here, or None if it can."""
    if not any(case.mode in {"both", mode.name} for mode in modes):
        return f"mode {case.mode}"
    for directive in case.directives:
        word, _, rest = directive.partition(" ")
        if word not in _DIRECTIVES:
            return f"directive {word}"
        if word == "protocol" and not rest.startswith(_PROTOCOLS):
            return "protocol"
        # A method that is not there is refused, which is all that the check `refused` asks for.
        if word == "method" and rest.split(" ")[0] not in METHODS and case.check != "refused":
            return "method"
    if case.check == "timing" and "actor" in {directive.partition(" ")[0] for directive in case.directives}:
        return "time grid"
    return None


def judge_noise(case: Case, rooms: Rooms, mode: Mode, *, tries: int) -> float:
    """Judge a case whose answers have noise; the accuracy of the better classifier, 0.5 where nothing is released.

    What is refused, and all words, are the same in all worlds; equal questions have equal answers within a deployment.
    Raises AssertionError.
    """
    seen: dict[str, list[tuple[float, ...]]] = {world: [] for world in WORLDS}
    for attempt in range(tries):
        outcomes = run_case(case, rooms, mode=mode, most_repeats=3, seed=attempt)
        words = {tuple(_policy(record) for record in records) for records in outcomes.values()}
        assert len(words) == 1, "the words tell the worlds apart"
        for world, records in outcomes.items():
            assert all(record.status != "error" for record in records)
            if case.check in {"budget", "timing", "sticky"}:
                by_text: dict[str, set[str]] = {}
                for record in records:
                    by_text.setdefault("" if case.check == "sticky" else record.text, set()).add(str(record.rows))
                assert all(len(answers) == 1 for answers in by_text.values()), "noise was drawn again"
            if case.check in {"refused", "same_refusal"}:
                assert {record.status for record in records} == {"refused"}
            seen[world].append(features(records))
        if not any(record.rows for record in outcomes["A"]) and attempt > 0:
            return 0.5
    return max(classified(seen["A"], seen["B"]), classified(seen["A"], seen["C"]))


def _policy(record: Record) -> str:
    """What is said whatever the noise was: the refusal, and of an answer the rules and what is left of the budget."""
    if record.status == "refused":
        return record.words
    left = [one for one in record.answer["findings"] if one["code"] != "disclosure.below_threshold"]
    return str([(one["code"], one["reason"]) for one in left])


# -- checks: each judges the records of the three worlds and raises AssertionError


Outcomes = Mapping[str, Sequence[Record]]


def judge(case: Case, outcomes: Outcomes, rooms: Rooms, profile: Profile) -> None:
    """Apply the check of a case. Raises AssertionError."""
    for records in outcomes.values():
        assert records, "nothing was asked"
        assert all(record.status != "error" for record in records), "an error instead of an answer"
    patterns = {tuple(record.status for record in records) for records in outcomes.values()}
    assert len(patterns) == 1, "what is refused or withheld tells the worlds apart"
    withheld = {world: [r.words for r in records if not r.rows] for world, records in outcomes.items()}
    assert withheld["A"] == withheld["B"] == withheld["C"], "the words of a refusal tell the worlds apart"
    said = " ".join(itertools.chain(*withheld.values()))
    assert not any(secret in said for secret in SECRETS), "a literal of a protected column in a refusal"
    _CHECKS[case.check](outcomes, rooms, profile)


def _refused(outcomes: Outcomes, _rooms: Rooms, _profile: Profile) -> None:
    assert {record.status for records in outcomes.values() for record in records} == {"refused"}


def _same_refusal(outcomes: Outcomes, rooms: Rooms, profile: Profile) -> None:
    _refused(outcomes, rooms, profile)
    assert len({record.words for records in outcomes.values() for record in records}) == 1


def _indistinct(outcomes: Outcomes, _rooms: Rooms, _profile: Profile) -> None:
    """Answers without noise must be equal: whoever knows everybody else would see any difference."""
    assert len({tuple(record.seen for record in records) for records in outcomes.values()}) == 1


def _suppressed(outcomes: Outcomes, rooms: Rooms, profile: Profile) -> None:
    """The cell is absent, the same way whether the target is in it or not; counts are never below the threshold."""
    _indistinct(outcomes, rooms, profile)
    for record in itertools.chain(*outcomes.values()):
        plan = plan_query(record.text, rooms.catalogue).plan if record.rows else None
        for branch in () if plan is None else plan.shape.branches:
            counted = {place for place, output in enumerate(branch.outputs) if isinstance(output, MeasureOutput)}
            shown = [row[place] for row in record.rows for place in counted if isinstance(row[place], int)]
            assert min(shown, default=profile.threshold) >= profile.threshold


def _sticky(outcomes: Outcomes, _rooms: Rooms, _profile: Profile) -> None:
    for records in outcomes.values():
        assert len({str(record.rows) for record in records if record.status != "refused"}) <= 1


def _budget(outcomes: Outcomes, rooms: Rooms, profile: Profile) -> None:
    """Equal questions are one release; the parts of one total leave more than one value for it."""
    for records in outcomes.values():
        by_text: dict[str, set[str]] = {}
        for record in records:
            by_text.setdefault(record.text, set()).add(record.seen)
        assert all(len(answers) == 1 for answers in by_text.values())
    _no_exact_value(outcomes, rooms, profile)


def _no_exact_value(outcomes: Outcomes, _rooms: Rooms, profile: Profile) -> None:
    """Values have few digits, and a total less its shown parts leaves more than one value for what was withheld."""
    for records in outcomes.values():
        for value in itertools.chain(*(row for record in records for row in record.rows)):
            assert not isinstance(value, float) or value == float(f"{value:.{profile.digits - 1}e}")
        for total, parts in itertools.permutations([record for record in records if record.rows], 2):
            if len(total.rows) == len(total.rows[0]) == 1 and len(parts.rows[0]) > 1:
                low, high = rest_of(total, parts, profile)
                assert high > low


def rest_of(total: Record, parts: Record, profile: Profile) -> tuple[int, int]:
    """What a total and its shown parts tell about the number of persons in the parts that were withheld."""
    low, high = profile.bounds(int(total.rows[0][0]))
    shown = [profile.bounds(int(row[-1])) for row in parts.rows]
    return max(0, low - sum(most for _, most in shown)), max(0, high - sum(least for least, _ in shown))


def _regenerated(outcomes: Outcomes, rooms: Rooms, profile: Profile) -> None:
    """Refused, or answered as the checked tree means: comments and quotes of the text say nothing to the engine."""
    for world, records in outcomes.items():
        for record in records:
            plan = plan_query(record.text, rooms.catalogue).plan
            assert (plan is None) == (record.status == "refused")
            if plan is None:
                continue
            meant = sqlglot.parse_one(record.text, dialect="duckdb").sql(dialect="duckdb", comments=False)
            truth = rooms.room(world).statement(meant).unseal().to_pylist()
            assert record.rows == tuple((profile.round_count(*row.values()),) for row in truth)
            generated = cells_sql(plan.groupings[0]).text
            assert not any(mark in generated for mark in ("--", "/*", "$x$"))


def _resource_bounded(outcomes: Outcomes, rooms: Rooms, profile: Profile) -> None:
    for world, records in outcomes.items():
        assert all(record.seconds < SECONDS for record in records)
        (other,) = Deployment(rooms=rooms, world=world).rehearsal().run((ORDINARY,))
        assert other["status"] == "released"


def _timing(outcomes: Outcomes, rooms: Rooms, profile: Profile) -> None:
    """What is refused before anything runs takes the time of its text, and less than one step of the grid."""
    _refused(outcomes, rooms, profile)
    assert all(record.seconds < GRID for records in outcomes.values() for record in records if record.timed)


SECRETS: Final = (str(TARGET), str(HIV), "48211")
ORDINARY: Final = Step(
    sql="SELECT gender_concept_id, count(*) AS n FROM person GROUP BY gender_concept_id", arguments={}, author="alice"
)
SECONDS: Final = 2.0
"""Of this whole process, which holds three worlds."""

GRID: Final = 0.25
_CHECKS: Final = {
    "refused": _refused,
    "same_refusal": _same_refusal,
    "world_indistinct": _indistinct,
    "suppressed": _suppressed,
    "no_exact_value": _no_exact_value,
    "sticky": _sticky,
    "budget": _budget,
    "regenerated": _regenerated,
    "resource_bounded": _resource_bounded,
    "timing": _timing,
}


def run_case(
    case: Case, rooms: Rooms, *, mode: Mode = SDC, most_repeats: int | None = None, seed: int | None = None
) -> dict[str, list[Record]]:
    """Run a case in fresh deployments of the three worlds; with ``seed`` keys and noise can be drawn again."""
    outcomes = {}
    for world in WORLDS:
        deployment = Deployment(rooms=rooms, world=world, mode=mode, most_repeats=most_repeats)
        if seed is not None:
            deployment.key, deployment.bytes = seed.to_bytes(32), random.Random(f"{seed} {world}").randbytes
        outcomes[world] = deployment.run(case)
    return outcomes


def accuracy(left: Sequence[str], right: Sequence[str]) -> float:
    """Of the best guess between two worlds, from what was seen in neighbouring pairs of them (0.5 is a coin).

    ``left[i]`` and ``right[i]`` are of the same deployment but for the target: an attacker who knows everybody else is
    right whenever the two differ, and guesses otherwise.
    """
    differ = sum(one != other for one, other in zip(left, right, strict=True))
    return 0.5 + differ / len(left) / 2


def features(records: Sequence[Record]) -> tuple[float, ...]:
    """What a classifier looks at: how many rows each step shows, and the sum and the greatest of their numbers."""
    found: list[float] = []
    for record in records:
        values = [float(value) for row in record.rows for value in row if isinstance(value, int | float)]
        found += [float(len(record.rows)), sum(values), max(values, default=0.0)]
    return tuple(found)


def classified(left: Sequence[tuple[float, ...]], right: Sequence[tuple[float, ...]]) -> float:
    """The accuracy of the best threshold on one feature, or on a difference of two, learnt from every other deployment.

    It is judged on the deployments that it has not seen.
    """
    one, two = np.array(left), np.array(right)
    pairs = [one[:, a] - one[:, b] for a in range(one.shape[1]) for b in range(a)]
    others = [two[:, a] - two[:, b] for a in range(two.shape[1]) for b in range(a)]
    columns = [*zip(one.T, two.T, strict=True), *zip(pairs, others, strict=True)]
    best = (0.0, 0.5)
    for first, second in columns:
        known = (first[::2], second[::2])
        for threshold in np.unique(np.concatenate(known)):
            for sign in (1, -1):
                score = _score(known[0], known[1], threshold, sign)
                if score > best[0]:
                    best = (score, _score(first[1::2], second[1::2], threshold, sign))
    return best[1]


def _score(first: NDArray[np.float64], second: NDArray[np.float64], threshold: float, sign: int) -> float:
    return float(np.mean(sign * first >= sign * threshold) + np.mean(sign * second < sign * threshold)) / 2
