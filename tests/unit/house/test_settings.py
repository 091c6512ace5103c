"""Settings come from the environment, are frozen, and a refused value is not quoted."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from asepsis.errors.settings import SettingRefused
from asepsis.settings import Level, load_settings


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOM", "PARTY", "SHARED", "LOG_LEVEL", "JSON"):
        monkeypatch.delenv(f"ASEPSIS_{name}", raising=False)


def test_nothing_has_to_be_set() -> None:
    settings = load_settings()
    assert settings.room == Path("asepsis-room")
    assert settings.party is None
    assert settings.log_level is Level.WARNING
    assert settings.json_output is False


def test_every_setting_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"ROOM": "here", "PARTY": "northgate", "SHARED": "there", "LOG_LEVEL": "debug", "JSON": "1"}
    for name, value in given.items():
        monkeypatch.setenv(f"ASEPSIS_{name}", value)
    settings = load_settings()
    assert (settings.room, settings.party, settings.shared) == (Path("here"), "northgate", Path("there"))
    assert settings.log_level is Level.DEBUG
    assert settings.json_output is True


@pytest.mark.parametrize("name", ["ASEPSIS_LOG_LEVEL", "ASEPSIS_JSON"])
def test_a_refused_value_is_not_quoted(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "a-password-in-the-wrong-place")
    with pytest.raises(SettingRefused) as refused:
        load_settings()
    assert name in refused.value.detail
    assert "password" not in refused.value.detail + refused.value.advice
    assert refused.value.__context__ is None


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.room = Path("elsewhere")  # type: ignore[misc]
