"""EngineTable: an engine of an agent, as the configuration names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, field_validator, model_validator


@dataclass(frozen=True, slots=True)
class Plan:
    """What a table means that names a router."""

    name: str
    router: BaseModel
    """`[routers.NAME]` (`RouterConfig`); for an engine that is used directly one that tries it."""
    members: Mapping[str, EngineTable]
    """Name -> its checked table; a router among them has a plan of its own."""


class EngineTable(BaseModel):
    """A table such as `{ provider = "flite", rate = 1.1 }` in the configuration.

    A text in place of the table names an engine or a router: `"main"` is `{ use = "main" }`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    provider: str = ""
    """Empty when the table names none."""
    use: str = ""
    """Name in `[engines]` or `[routers]`, instead of a provider."""
    _settings: BaseModel | None = PrivateAttr(None)
    _plan: Plan | None = PrivateAttr(None)
    _name: str = PrivateAttr("")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"use": value} if isinstance(value, str) else value

    @field_validator("provider", mode="before")
    @classmethod
    def _only_a_name(cls, value: object) -> str:
        return value if isinstance(value, str) else ""

    @property
    def settings(self) -> BaseModel | None:
        """The rest of the table as the provider's `Settings`; None before it was checked."""
        return self._settings

    @property
    def plan(self) -> Plan | None:
        """What `use` stands for; None for a provider, and before it was checked."""
        return self._plan

    @property
    def name(self) -> str:
        """Its name in `[engines]`, once it was checked; empty where it stands in an agent."""
        return self._name

    @property
    def label(self) -> str:
        """How to call it in messages: its provider, or what it uses."""
        return self.provider or self.use

    def rest(self) -> dict[str, Any]:
        """Return everything but the provider's name."""
        return dict(self.model_extra or {})

    def leaves(self) -> Iterator[EngineTable]:
        """Yield each table with a provider that may be used: itself, or those behind its router."""
        if self._plan is None:
            yield self
            return
        for member in self._plan.members.values():
            yield from member.leaves()

    def checked(self, settings: BaseModel, rest: dict[str, Any], name: str = "") -> Self:
        """Return this table with validated settings.

        Args:
            settings: made of `rest`.
            rest: with absolute paths and wrapped secrets.
            name: of the table in `[engines]`.
        """
        own = {name: getattr(self, name) for name in type(self).model_fields}
        table = type(self)(**own, **rest)
        table._settings = settings  # noqa: SLF001  # its own class
        table._name = name or self._name  # noqa: SLF001
        return table

    def planned(self, plan: Plan) -> Self:
        """Return this table with the meaning of its `use`."""
        table = self.model_copy()
        table._plan = plan  # noqa: SLF001  # its own class
        return table
