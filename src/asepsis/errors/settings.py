"""Errors of the settings: named by the variable, never by the value somebody put into it."""

from typing import ClassVar

from asepsis.errors import AsepsisError, Kind


class SettingRefused(AsepsisError):
    """A setting from the environment has a value of the wrong type or outside its choices."""

    kind: ClassVar[Kind] = Kind.INVALID
    code: ClassVar[str] = "settings.refused"
    message: ClassVar[str] = "The setting {setting} has a value that cannot be used."
    hint: ClassVar[str] = "Correct {setting} in the environment, or unset it to use its default."
