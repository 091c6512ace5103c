"""Rules and names of others: held against every object once, old ones too, and mapped to the points that hold them."""

from __future__ import annotations

import builtins
import importlib.util
import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from asepsis.bootstrap.backups import look_into
from asepsis.cli.main import app
from asepsis.domain.source import Verdict
from asepsis.engines.rules import misp, yara
from asepsis.engines.rules.yara import YaraRules
from asepsis.errors.estate import NamesUnavailable, RulesUnavailable, RulesUnusable
from asepsis.integrity.judgement import judge
from asepsis.integrity.notes import KnownNames
from asepsis.integrity.observation import observe
from asepsis.services.estate import Estate
from asepsis.store.estate_index import EstateIndex

GLUCOSE = 'rule glucose { strings: $a = "Glucose" nocase condition: $a }\n'
CONDEMNED = 'rule hdl { meta: verdict = "compromised" strings: $a = "HDL" condition: $a }\n'
needs_yara = pytest.mark.skipif(importlib.util.find_spec("yara_x") is None, reason="the extra yara is not installed")
needs_misp = pytest.mark.skipif(
    importlib.util.find_spec("pymispgalaxies") is None, reason="the extra misp is not installed"
)

Scan = Callable[..., Any]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Three archives; in the newest there is glucose, in all of them HDL."""
    folder = tmp_path / "backup"
    folder.mkdir()
    for day in range(3):
        with tarfile.open(folder / f"2013-01-0{day + 1}.tar", "w") as archive:
            for name in ("HDL", "Glucose" if day == 2 else "LDL"):
                content = f"4711;{day};{name};52;mg/dL\n".encode() * 300
                member = tarfile.TarInfo(f"{name}.csv")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return folder


@pytest.fixture
def scan(tmp_path: Path, backup: Path) -> Scan:
    read: list[int] = []

    def run(*rules: str, **options: Any) -> Any:
        index = EstateIndex(tmp_path / "estate.db")
        read.clear()
        try:
            return Estate(
                source=look_into(f"tar:{backup}"),
                index=index,
                clock=lambda: datetime.now(UTC),
                pace=read.append,
                rules=YaraRules(rules) if rules else None,
                **options,
            ).scan(), sum(read)
        finally:
            index.close()

    return run


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules" / "deeper"
    folder.mkdir(parents=True)
    (folder / "glucose.yar").write_text(GLUCOSE)
    return tmp_path / "rules"


@needs_yara
def test_new_rules_are_held_against_every_old_object_once_and_mapped_to_points(scan: Scan, rules: Path) -> None:
    before, whole = scan()
    hunted, again = scan(str(rules))
    third, nothing = scan(str(rules))
    assert before.rules is None
    assert before.unhunted == before.objects
    assert (hunted.new_objects, again, nothing) == (0, whole, 0)
    assert hunted.unhunted == 0
    for found in (hunted, third):
        hit = {item.path for point in found.history.points for item in point.objects if item.rules == ("glucose",)}
        assert hit
        assert all("rule.suspect" in i.reasons for p in found.history.points for i in p.objects if i.path in hit)
    assert hunted.history.last_clean != before.history.last_clean


@needs_yara
def test_what_rules_found_counts_in_later_scans_without_them(scan: Scan, rules: Path) -> None:
    found, _ = scan(str(rules))
    later, read = scan()
    assert read == 0
    assert later.history.points == found.history.points
    assert later.rules == found.rules


@needs_yara
def test_other_rules_take_the_place_of_those_before(scan: Scan, rules: Path) -> None:
    first, _ = scan(str(rules))
    (rules / "glucose.yar").write_text("rule never { strings: $a = { 00 11 22 33 44 55 66 77 } condition: $a }")
    (rules / "deeper" / "glucose.yar").unlink()
    second, read = scan(str(rules))
    assert read > 0
    assert second.rules.digest != first.rules.digest
    assert not any(item.rules for point in second.history.points for item in point.objects)


@needs_yara
def test_a_rule_that_condemns_by_its_metadata_compromises(scan: Scan, rules: Path) -> None:
    (rules / "condemned.yar").write_text(CONDEMNED)
    found, _ = scan(str(rules))
    reasons = [item for point in found.history.points for item in point.objects if "hdl" in item.rules]
    assert reasons
    assert all(item.verdict is Verdict.COMPROMISED and "rule.compromised" in item.reasons for item in reasons)


@needs_yara
def test_a_match_across_windows_and_in_the_last_bytes_is_found(monkeypatch: pytest.MonkeyPatch, rules: Path) -> None:
    monkeypatch.setattr(yara, "_WINDOW", 1000)
    monkeypatch.setattr(yara, "_OVERLAP", 100)
    for at in (0, 995, 1897, 4993):
        content = bytearray(5000)
        content[at : at + 7] = b"Glucose"
        watch = YaraRules([str(rules)]).watch()
        for start in range(0, 5000, 500):
            watch.feed(bytes(content[start : start + 500]))
        assert [hit.rule for hit in watch.hits()] == ["glucose"], at


@needs_yara
def test_our_own_rules_know_marks_and_notes_and_leave_prose_alone() -> None:
    own = YaraRules([yara.BUILT_IN])
    note = b"Your files have been encrypted. Go to http://" + b"a2b3" * 14 + b".onion with Tor Browser and pay Bitcoin."
    assert set(own.hits(b"WANACRY!" + bytes(300))) == {"asepsis_mark_wannacry"}
    assert set(own.hits(b"x" * 500 + b"{36A698B9-D67C-4E07-BE82-0EC5B14B4DF5}")) == {"asepsis_mark_djvu"}
    assert set(own.hits(b"x" * 500 + b"choung dong looks like hot dog!!")) == {"asepsis_mark_babuk"}
    assert "asepsis_note_with_onion_address" in own.hits(note)
    assert own.hits(b"The backup is encrypted with the hospital's private key. Ask for it in the office.") == {}
    assert (own.known_as.rules, own.known_as.skipped) == (6, 0)


@needs_yara
def test_rules_that_do_not_compile_are_counted_and_others_run(rules: Path) -> None:
    (rules / "broken.yar").write_text('rule broken { strings: $a = "x" condition: $b }\n')
    (rules / "reads.yar").write_text('include "/etc/passwd"\n')
    known = YaraRules([str(rules)]).known_as
    assert (known.rules, known.files) == (1, 3)
    assert known.skipped >= 1


@needs_yara
@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_place_without_rules_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RulesUnusable):
        YaraRules([str(tmp_path / place)])


def test_without_the_extra_rules_are_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name == "yara_x":
            raise builtins.ImportError
        return real(name, package)

    monkeypatch.setattr(yara, "import_module", missing)
    with pytest.raises(RulesUnavailable):
        YaraRules([yara.BUILT_IN])


@needs_yara
def test_the_command_names_rules_points_and_what_was_not_looked_at(tmp_path: Path, backup: Path, rules: Path) -> None:
    command = ["recover", "scan", f"tar:{backup}", "--index", str(tmp_path / "e.db"), "--rules", str(rules)]
    text = CliRunner().invoke(app, command).output
    document = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)
    assert "6 of 6 objects looked at" in text
    assert "glucose matched in 2013-01-03" in text
    assert (document["rules"]["rules"], document["rules"]["objects_not_looked_at"]) == (1, 0)
    assert document["hits"] == {"glucose": ["2013-01-03.tar"]}


def test_names_of_others_count_beside_our_own() -> None:
    content = b"a;b;c\n" * 900
    names = KnownNames(extensions=frozenset({"zork"}), notes=frozenset({"where is it.txt"}))

    def reasons(path: str) -> tuple[str, ...]:
        return judge(path, observe(io.BytesIO(content), size=len(content)), names=names).reasons

    assert reasons("/a.csv.zork") == ("name.known_ransomware_extension",)
    assert reasons("/a.csv.locked") == ("name.known_ransomware_extension",)
    assert reasons("/Where Is It.TXT") == ("name.known_ransom_note",)
    assert reasons("/a.csv") == ()


@needs_misp
def test_the_galaxy_gives_hundreds_of_names_and_no_ordinary_one() -> None:
    names = misp.misp_names()
    assert len(names.extensions) > 400
    assert len(names.notes) > 250
    assert {"wcry", "locky", "cerber3"} <= names.extensions
    assert "how_to_decrypt_your_files.txt" in names.notes
    assert not names.extensions & {"txt", "zip", "enc", "dat", "csv", "dcm", "css", "lock"}
    assert not names.notes & {"readme.txt", "readme.html", "1.jpg", "message.txt", "notice.txt"}


def test_without_the_extra_the_galaxy_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misp, "find_spec", lambda _: None)
    with pytest.raises(NamesUnavailable):
        misp.misp_names()
