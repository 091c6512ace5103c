"""The base of every shape on the wire: unknown fields are refused, and nothing changes after it was made."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A shape of the API; its fields are documented by their docstrings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
