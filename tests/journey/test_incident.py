"""A whole incident from an empty folder, typed: two who declare, a hold, three who sign, a certificate for others."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from asepsis.cli.main import app

NOTE = "Your files are encrypted. Pay bitcoin within 72 hours, or the decryption key is deleted. Do not rename files.\n"
LABS = "lab_id,patient_id,code,value\n" + "".join(f"{n},P-{n % 4},K,{n}.5\n" for n in range(40))


class Terminal:
    """Types commands as the hospital's people would; the tree of all commands is built once."""

    command = get_command(app)

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capture = capture

    def type(self, *words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            self.command.main(list(words), prog_name="asepsis")
        printed = self.capture.readouterr()
        assert ended.value.code == code, printed
        return printed.out + printed.err

    def incident(self, *words: str, code: int = 0) -> str:
        return self.type("recover", "incident", *words, code=code)

    def shown(self, *words: str) -> Any:
        return json.loads(self.incident(*words, "--json"))


def archive(path: Path, files: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"data/{name}")
            member.size, member.mtime = len(text.encode()), 1_700_000_000
            tar.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    backups = tmp_path / "backups"
    backups.mkdir()
    archive(backups / "backup-2026-01-01.tar.gz", {"lab.csv": LABS, "ward.txt": "beds: 4\n"})
    archive(backups / "backup-2026-01-02.tar.gz", {"lab.csv.locked": "x" * 400, "README_RESTORE_FILES.txt": NOTE * 4})
    (tmp_path / "production").mkdir()
    (tmp_path / "production" / "lab.csv").write_text(LABS.replace("7,P-3,K,7.5", "7,P-3,K,75.0"))
    monkeypatch.setenv("ASEPSIS_ROOM", str(tmp_path / "room"))
    monkeypatch.setenv("ASEPSIS_PARTY", "northgate")
    terminal = Terminal(tmp_path, capsys)
    terminal.type("party", "new", "northgate", "--owner")
    for person, role in (("ada", "recovery-lead"), ("ben", "security"), ("cy", "data-owner")):
        terminal.incident("appoint", person, "--role", role)
    return terminal


def test_from_the_declaration_to_a_certificate_that_somebody_else_verifies(terminal: Terminal) -> None:
    folder = terminal.folder
    source = f"tar:{folder / 'backups'}"
    before = {path: path.read_bytes() for path in (folder / "backups").iterdir()}
    name = terminal.shown("declare", source, "--by", "ada", "--reason", "notes on screens")["incident"]
    assert "incident.step_refused" in terminal.incident("freeze", name, "--by", "ada", code=5)
    terminal.incident("confirm", name, "--by", "ada", code=3)
    terminal.incident("confirm", name, "--by", "ben")
    assert terminal.shown("freeze", name, "--by", "ada")["holds"] is True
    quick = terminal.shown("verdict", name, "--by", "ben")
    assert {one["code"] for one in quick["findings"] if one["status"] == "open"} >= {"estate.not_read"}
    full = terminal.shown("scan", name, "--by", "ben")
    clean = full["sources"][0]["last_clean"]
    assert "2026-01-01" in clean
    production = str(folder / "production")
    points = ("--before-point", clean, "--key", "lab=lab_id")
    terminal.incident("compare", name, source, production, "--by", "ben", *points)
    chosen = terminal.shown("choose", name, "--by", "ada", "--reason", "the newest clean one")
    assert all(one["status"] in {"set aside", "noted"} for one in chosen["findings"])
    terminal.incident("close", name, "--by", "ada", code=5)
    terminal.incident("export", name, str(folder / "early"), "--by", "ada", code=5)
    terminal.type("recover", "certify", name, str(folder / "early.json"), code=5)
    assert not (folder / "early").exists()
    terminal.incident("sign", name, "--by", "ada", "--role", "recovery-lead")
    terminal.incident("sign", name, "--by", "ada", "--role", "security", code=3)
    terminal.incident("sign", name, "--by", "ben", "--role", "security", "--dissent", "one lab value is disputed")
    terminal.incident("sign", name, "--by", "cy", "--role", "data-owner")
    clean_set = str(folder / "clean")
    exported = terminal.shown("export", name, clean_set, "--by", "ada", "--against", production, "--key", "lab=lab_id")[
        "exports"
    ][0]
    assert exported["restored"]
    assert "UPDATE" in (folder / "clean" / "patch" / "revert.sql").read_text()
    assert (folder / "clean" / "files" / "data" / "lab.csv").read_text() == LABS
    closed = terminal.shown("close", name, "--by", "ada")
    assert (closed["status"], closed["holds"], closed["missing"]) == ("closed", False, [])

    signed, keys = str(folder / "certificate.json"), str(folder / "keys.json")
    terminal.type("recover", "certify", name, signed, "--pdf", str(folder / "certificate.pdf"))
    terminal.type("recover", "keys", keys)
    verified = terminal.type("recover", "verify", signed, "--keys", keys, "--export", clean_set)
    assert "the certificate verifies" in verified
    assert "ben as security DISSENTS" in verified
    assert "clean set: all" in verified
    (folder / "clean" / "files" / "data" / "ward.txt").write_text("beds: 5\n")
    terminal.type("recover", "verify", signed, "--keys", keys, "--export", clean_set, code=7)
    (folder / "forged.json").write_bytes(Path(signed).read_bytes().replace(b"disputed", b"accepted"))
    assert "recovery.certificate_refused" in terminal.type(
        "recover", "verify", str(folder / "forged.json"), "--keys", keys, code=7
    )

    mapped = json.loads(terminal.type("recover", "plan", str(folder / "plan"), "--json"))["mapping"]
    shown = {one["item"]: bool(one["evidence"]) for one in mapped}
    assert shown["RC.RP-06"]
    assert not shown["RC.CO-04"]
    assert {path: path.read_bytes() for path in (folder / "backups").iterdir()} == before


def test_a_composite_takes_a_part_from_another_restore_point(terminal: Terminal) -> None:
    source = f"tar:{terminal.folder / 'backups'}"
    name = terminal.shown("declare", source, "--by", "ada", "--reason", "drill")["incident"]
    terminal.incident("confirm", name, "--by", "cy")
    terminal.incident("freeze", name, "--by", "ben")
    points = list(terminal.shown("scan", name, "--by", "cy")["sources"][0]["restore_points"])
    part = f"/data/README_RESTORE_FILES.txt={points[1]}"
    state = terminal.shown("choose", name, "--by", "ada", "--reason", "evidence", "--part", part)
    assert [one["path"] for one in state["chosen"]] == ["", "/data/README_RESTORE_FILES.txt"]
    assert any(one["status"] == "open" for one in state["findings"])
    (finding, *_) = [one["id"] for one in state["findings"] if one["status"] == "open"]
    terminal.incident("settle", name, finding, "--by", "ada", "--reason", "kept as evidence", code=3)
    settled = terminal.shown("settle", name, finding, "--by", "ben", "--reason", "kept as evidence")
    assert {one["status"] for one in settled["findings"] if one["id"] == finding} == {"waived"}
    composite = terminal.folder / "composite.csv"
    terminal.type("recover", "scan", source, "--index", str(terminal.folder / "x.db"), "--composite", str(composite))
    state = terminal.shown("choose", name, "--by", "ada", "--reason", "x", "--composite", str(composite))
    assert all(one["point"] == points[0] for one in state["chosen"])
    composite.write_text("something,else\n")
    terminal.incident("choose", name, "--by", "ada", "--reason", "x", "--composite", str(composite), code=5)
    terminal.incident("choose", name, "--by", "ada", "--reason", "x", "--point", "none", code=5)
    terminal.incident("choose", name, "--by", "ada", "--reason", "x", "--part", "nothing", code=5)
    assert name in terminal.incident("show")
    terminal.incident("show", "incident-unknown", code=4)
    terminal.incident("show", name)
