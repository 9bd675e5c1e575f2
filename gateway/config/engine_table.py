"""EngineTable: an engine of an agent, as the configuration names it."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, field_validator


class EngineTable(BaseModel):
    """A table such as `{ provider = "flite", rate = 1.1 }` in the configuration."""

    model_config = ConfigDict(frozen=True, extra="allow")

    provider: str = ""
    """Empty when the table names none."""
    _settings: BaseModel | None = PrivateAttr(None)

    @field_validator("provider", mode="before")
    @classmethod
    def _only_a_name(cls, value: object) -> str:
        return value if isinstance(value, str) else ""

    @property
    def settings(self) -> BaseModel | None:
        """The rest of the table as the provider's `Settings`; None before it was checked."""
        return self._settings

    def rest(self) -> dict[str, Any]:
        """Return everything but the provider's name."""
        return dict(self.model_extra or {})

    def checked(self, settings: BaseModel, rest: dict[str, Any]) -> Self:
        """Return this table with validated settings.

        Args:
            settings: made of `rest`.
            rest: with absolute paths and wrapped secrets.
        """
        own = {name: getattr(self, name) for name in type(self).model_fields}
        table = type(self)(**own, **rest)
        table._settings = settings  # noqa: SLF001  # its own class
        return table
