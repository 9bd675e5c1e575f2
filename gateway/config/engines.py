"""An agent's `stt`, `llm` and `tts` tables against the `Settings` of the provider they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from gateway.config.faults import faults_of
from gateway.config.locate import KeyPath
from gateway.config.models import AgentConfig
from gateway.errors import ProviderUnavailable
from gateway.providers import registry

KINDS = get_args(registry.Kind)


def checked_engines(
    agent: AgentConfig, folder: Path, faults: list[tuple[KeyPath, str]]
) -> AgentConfig:
    """Validate an agent's three engine tables.

    Args:
        agent: as read.
        folder: relative paths in the tables start here.
        faults: what is wrong is appended, with key paths below the agent.

    Returns:
        The agent with absolute paths and wrapped secrets in its engine tables.
    """
    tables: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        table: dict[str, Any] = getattr(agent, kind)
        try:
            tables[kind] = _checked(kind, table, folder)
        except ProviderUnavailable as error:
            faults.append(((kind, "provider"), error.problem))
        except _WrongSettingsError as error:
            faults.extend(((kind, *loc), text) for loc, text in error.faults)
    return agent.model_copy(update=tables)


def settings_of(agent: AgentConfig) -> Iterator[tuple[registry.Kind, str, BaseModel]]:
    """Yield kind, provider name and settings of the engines of a checked agent."""
    for kind in KINDS:
        table = dict(getattr(agent, kind))
        name = table.pop("provider")
        yield kind, name, registry.load(kind, name).Settings.model_validate(table)


class _WrongSettingsError(Exception):
    def __init__(self, faults: list[tuple[KeyPath, str]]) -> None:
        self.faults = faults
        super().__init__()


def _checked(kind: registry.Kind, table: dict[str, Any], folder: Path) -> dict[str, Any]:
    rest = dict(table)
    name = rest.pop("provider", None)
    if not isinstance(name, str) or not name:
        known = ", ".join(info.name for info in registry.available(kind))
        raise ProviderUnavailable(kind, f"names the provider; known: {known}")
    model: type[BaseModel] = registry.load(kind, name).Settings
    try:
        settings = model.model_validate(rest)
    except ValidationError as error:
        raise _WrongSettingsError(list(faults_of(error, model))) from error
    for field_name, field in model.model_fields.items():
        key = field.alias or field_name
        value = getattr(settings, field_name)
        if key in rest and isinstance(value, Path):
            rest[key] = folder / value.expanduser()
        elif key in rest and isinstance(value, SecretStr):
            rest[key] = value
    return {"provider": name, **rest}
