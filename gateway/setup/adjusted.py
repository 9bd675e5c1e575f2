"""An agent with other settings, asked for while a call goes on: checked as the files are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError

from gateway.config.engine_table import EngineTable
from gateway.config.faults import did_you_mean, faults_of
from gateway.config.locate import KeyPath
from gateway.config.models import AgentConfig, RoutedKind
from gateway.config.models.table import merged
from gateway.config.toml_file import dotted
from gateway.errors import CommandError, ProviderUnavailable
from gateway.providers import registry
from gateway.setup.engine_settings import WrongSettingsError
from gateway.setup.engines import checked_engines

CHANGEABLE = (
    "instructions", "stt", "llm", "tts", "s2s", "turn", "silence", "filler",
    "speculation", "llm_timeout_s", "fallback", "give_up", "transfer_failed",
)  # fmt: skip
"""Keys of `[agents.NAME]` that may be changed in a call."""
_ENGINES: tuple[registry.Kind, ...] = ("stt", "llm", "tts", "s2s")
_FIXED = {
    ("turn", "by"): "is decided when the call begins",
    ("turn", "preroll_ms"): "is decided when the call begins",
    ("turn", "language"): "is decided when the call begins",
    ("s2s", "provider"): "let another agent lead the call: POST /v1/calls/{id}/agent",
}
_ADDRESSES = frozenset({"base_url", "model_url", "headers"})
"""Where keys and audio go: only the operator's files say that."""


def adjusted(agent: AgentConfig, wanted: Mapping[str, Any], folder: Path) -> AgentConfig:
    """Return an agent's settings with other values for some keys.

    Args:
        agent: as it is, checked.
        wanted: tables as mappings; what they do not name stays.  An engine table that names
            another provider replaces the whole table.
        folder: of the configuration.

    Raises:
        CommandError: 422 with every fault.
    """
    faults = list(_unchangeable(agent, wanted))
    if faults:
        raise _refusal(faults)
    known = agent.model_dump(by_alias=True, exclude_unset=True)
    for kind in _ENGINES:
        table = wanted.get(kind)
        if isinstance(table, Mapping) and _is_another(getattr(agent, kind), table):
            known.pop(kind, None)
        elif isinstance(table, Mapping):  # also where it is the default and was not written
            known[kind] = _dumped(getattr(agent, kind))
    try:
        config = AgentConfig.model_validate(merged(known, wanted))
    except ValidationError as error:
        raise _refusal(list(faults_of(error, AgentConfig))) from error
    checked = checked_engines(config, folder, faults, _Kept(agent))
    if faults:
        raise _refusal(faults)
    return checked


class _Kept:
    """Satisfies `Names`: a table that names a router stays as it is."""

    def __init__(self, agent: AgentConfig) -> None:
        self._agent = agent

    def table(self, kind: RoutedKind, table: EngineTable) -> EngineTable | None:
        """Return the table that the call began with."""
        known: EngineTable | None = getattr(self._agent, kind)
        if known is None or known.plan is None or known.use != table.use:
            text = "routers and engines with names are decided when the call begins"
            raise WrongSettingsError([((), f"cannot be changed in a call: {text}")])
        return known


def _refusal(faults: list[tuple[KeyPath, str]]) -> CommandError:
    return CommandError(422, "; ".join(f"{dotted(loc)}: {text}" for loc, text in faults))


def _dumped(table: EngineTable) -> dict[str, Any]:
    return table.model_dump(by_alias=True, exclude_unset=True) | {"provider": table.provider}


def _is_another(known: EngineTable | None, table: Mapping[str, Any]) -> bool:
    return known is None or table.get("provider", known.provider) != known.provider


def _unchangeable(agent: AgentConfig, wanted: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for key, value in wanted.items():
        if key not in CHANGEABLE:
            is_known = key in AgentConfig.model_fields
            what = "cannot be changed in a call" if is_known else "unknown key"
            yield (key,), what + did_you_mean(key, CHANGEABLE)
        elif not isinstance(value, Mapping):
            continue
        elif key == "s2s" and agent.s2s is None:
            yield (key,), f"this agent has no such engine; {_FIXED['s2s', 'provider']}"
        else:
            for name in value:
                if (key, name) in _FIXED:
                    yield (key, name), f"cannot be changed in a call: {_FIXED[key, name]}"
            if key in _ENGINES:
                yield from _protected(key, getattr(agent, key), value)


def _protected(
    kind: registry.Kind, known: EngineTable, table: Mapping[str, Any]
) -> Iterator[tuple[KeyPath, str]]:
    """Yield keys that say where an engine is, what it is asked with, or how the gateway uses it."""
    if known.plan is not None and "provider" not in table:
        text = f'cannot be changed in a call: "{known.use}" chooses the engine'
        yield (kind,), f"{text}; name a provider to use that from now on"
        return
    name = str(table.get("provider", known.provider))
    try:
        fields = registry.load(kind, name).Settings.model_fields
    except ProviderUnavailable as error:
        yield (kind, "provider"), error.problem
        return
    own = set(type(known).model_fields) - {"provider"}
    hidden = own | {
        field.alias or key
        for key, field in fields.items()
        if key in _ADDRESSES or {SecretStr, Path} & {field.annotation, *get_args(field.annotation)}
    }
    for key in table:
        if key in hidden:
            yield (kind, key), "cannot be changed in a call: only the configuration file sets it"
