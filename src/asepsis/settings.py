"""What may be set from outside: read once at an entry point, then only handed on.

Invariant: settings are frozen, every variable starts with `ASEPSIS_`, and a refused value is never quoted.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from asepsis.errors.settings import SettingRefused

PREFIX: Final = "ASEPSIS_"


class Level(StrEnum):
    """How much is logged; the names of the standard library."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseSettings):
    """The settings of one process, from variables such as `ASEPSIS_ROOM`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    room: Path = Field(default=Path("asepsis-room"), description="folder of the room")
    party: str | None = Field(default=None, description="id of the party that acts", max_length=200)
    shared: Path = Field(default=Path("../shared"), description="folder of shared material, used by tests only")
    log_level: Level = Field(default=Level.WARNING, description="the least severe level that is logged")
    json_output: bool = Field(
        default=False, validation_alias="ASEPSIS_JSON", description="answer in JSON, as --json does"
    )


def load_settings() -> Settings:
    """Read the settings of this process from its environment.

    Raises:
        SettingRefused: A variable holds a value of the wrong type or outside its choices.
    """
    try:
        return Settings()
    except ValidationError as refused:
        field = str(refused.errors(include_input=False, include_url=False)[0]["loc"][0])
    name = field if field.startswith(PREFIX) else PREFIX + field
    raise SettingRefused(setting=name.upper())
