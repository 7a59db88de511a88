"""The base class of all sections of afterrun.yml."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from afterrun_exporter.config.values import mapping


class Spec(BaseModel):
    """A section of the file, without unknown keys and without type conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_all_defaults(cls, value: Any) -> Any:
        return mapping(value)
