"""YARA rules through yara-x (https://virustotal.github.io/yara-x), the optional extra ``yara``.

Rules come from files that somebody named; they may not include other files, and a rule that cannot be compiled is left
out and counted. A large object is looked at in windows that overlap, so conditions about the size of the whole file or
about places in it hold for the first window only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from asepsis.domain.estate import RuleSet
from asepsis.domain.integrity import RuleHit
from asepsis.domain.source import Verdict
from asepsis.errors.estate import RulesUnavailable, RulesUnusable, RuleTimeout

BUILT_IN: Final = "builtin"
"""The name of the rules that come with the product."""

_ENDINGS: Final = frozenset({".yar", ".yara"})
_WINDOW: Final = 32 << 20
_OVERLAP: Final = 64 << 10
_SECONDS: Final = 60
_VERDICT: Final = "verdict"


class YaraRules:
    """A compiled set of rules, known by the digest of the files it came from."""

    def __init__(self, places: Sequence[str]) -> None:
        """Compile all rule files of folders, single files, or the built-in rules.

        Raises RulesUnavailable without the extra, RulesUnusable if a place holds no rule that compiles.
        """
        try:
            engine = import_module("yara_x")
        except ImportError:
            raise RulesUnavailable from None
        self._engine = engine
        texts = sorted({text for place in places for text in _texts(place)})
        compiler = _compiled(engine, texts)
        skipped = len(compiler.ignored_rules())
        rules = compiler.build()
        self._scanner = engine.Scanner(rules)
        self._scanner.set_timeout(_SECONDS)
        self._scanner.fast_scan(True)  # noqa: FBT003 - their signature
        digest = sha256(b"".join(sha256(text.encode()).digest() for text in texts)).hexdigest()
        count = sum(1 for _ in rules)
        if not count:
            raise RulesUnusable(place=", ".join(places))
        self.known_as = RuleSet(
            digest=digest, engine=f"yara-x {version('yara-x')}", rules=count, skipped=skipped, files=len(texts)
        )

    def watch(self) -> YaraWatch:
        """Begin with an object."""
        return YaraWatch(self)

    def hits(self, content: bytes) -> dict[str, RuleHit]:
        """The rules that match, by name. Raises RuleTimeout."""
        try:
            found = self._scanner.scan(content)
        except (self._engine.TimeoutError, self._engine.ScanError):
            raise RuleTimeout from None
        return {rule.identifier: _hit(rule) for rule in found.matching_rules}


class YaraWatch:
    """Takes one object piece by piece."""

    def __init__(self, rules: YaraRules) -> None:
        self._rules = rules
        self._held: list[bytes] = []
        self._size = 0
        self._found: dict[str, RuleHit] = {}

    def feed(self, piece: bytes) -> None:
        """Take the next piece. Raises RuleTimeout."""
        self._held.append(piece)
        self._size += len(piece)
        if self._size >= _WINDOW:
            self._held = [self._look()[-_OVERLAP:]]
            self._size = len(self._held[0])

    def hits(self) -> tuple[RuleHit, ...]:
        """The rules that match, by name; call it once, at the end of the object. Raises RuleTimeout."""
        self._look()
        return tuple(self._found[name] for name in sorted(self._found))

    def _look(self) -> bytes:
        window = b"".join(self._held)
        self._found |= self._rules.hits(window)
        return window


def _compiled(engine: Any, texts: Sequence[str]) -> Any:
    compiler = engine.Compiler(relaxed_re_syntax=True, includes_enabled=False)
    compiler.ignore_invalid_rules(True)  # noqa: FBT003 - their signature
    for number, text in enumerate(texts):
        compiler.new_namespace(f"file{number}")
        try:
            compiler.add_source(text)
        except engine.CompileError:
            continue
    return compiler


def _texts(place: str) -> Iterator[str]:
    if place == BUILT_IN:
        yield (files("asepsis.engines.rules") / "asepsis.yar").read_text("utf-8")
        return
    path = Path(place)
    found = sorted(one for one in path.rglob("*") if one.suffix in _ENDINGS) if path.is_dir() else [path]
    try:
        yield from (one.read_text("utf-8", errors="replace") for one in found)
    except OSError:
        raise RulesUnusable(place=place) from None


def _hit(rule: Any) -> RuleHit:
    """A rule is a reason to suspect, unless its own metadata says that it condemns."""
    condemns = (_VERDICT, Verdict.COMPROMISED.value) in rule.metadata
    return RuleHit(rule=rule.identifier, verdict=Verdict.COMPROMISED if condemns else Verdict.SUSPECT)
